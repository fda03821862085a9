// Frames that no client sends.
#include "net/kafka/api_versions.h"
#include "net/kafka/groups.h"
#include "net/kafka/metadata.h"
#include "tests/differential/generator.h"

namespace posthaste::differential {

// The last step that was made, on a connection of its own and damaged; what it changed in the model may not happen.
void Generator::hostile() {
  using Make = void (Generator::*)();
  static constexpr Make kMakers[] = {
      &Generator::metadata,         &Generator::produce_odd,     &Generator::fetch,
      &Generator::list_offsets,     &Generator::heartbeat,       &Generator::commit,
      &Generator::offset_fetch,     &Generator::describe_groups, &Generator::describe_configs,
      &Generator::delete_records,   &Generator::api_versions,    &Generator::describe_cluster,
      &Generator::find_coordinator, &Generator::delete_groups,   &Generator::describe_topic_partitions,
  };
  const size_t before = sequence_.size();
  (this->*kMakers[draw(std::size(kMakers))])();
  if (sequence_.size() != before + 1) return;
  Step& step = *sequence_.back();
  step.connection = kHostileConnection;
  switch (draw(6)) {
    case 0:
      // Beyond what either broker knows.
      step.damage.version = pick<int16_t>({-1, INT16_MIN, INT16_MAX, 100});
      // What is newer has a header that the older versions' bytes are none of.
      if (step.api == kafka::ApiKey::kApiVersions && step.version < 3) step.damage.version = -1;
      break;
    case 1:
      step.damage.api = pick<int16_t>({-1, 999, INT16_MAX, INT16_MIN});
      break;
    case 2:
      step.damage.cut = 1 + draw(8);
      step.traits.insert("cut");
      break;
    case 3:
      step.damage.add = 1 + draw(5);
      step.traits.insert("bytes behind the request");
      break;
    case 4:
      step.damage.length = pick<int32_t>({-1, INT32_MIN, INT32_MAX, 0, 4});
      break;
    default:
      step.damage.cut = 1000;  // nothing but the beginning of a header
  }
}

}  // namespace posthaste::differential
