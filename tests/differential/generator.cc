#include "tests/differential/generator.h"

#include <utility>

namespace posthaste::differential {

Sequence make_sequence(uint64_t seed, const Versions& versions, int64_t base_time_ms) {
  return Generator(seed, versions, base_time_ms).run();
}

Generator::Generator(uint64_t seed, const Versions& versions, int64_t base_time_ms)
    : random_(seed), versions_(versions), base_time_ms_(base_time_ms) {}

int Generator::some_topic() {
  for (int tries = 0; tries < 4; ++tries) {
    const int topic = static_cast<int>(draw(kTopics));
    if (topics_[static_cast<size_t>(topic)].exists) return topic;
  }
  return static_cast<int>(draw(kTopics));
}

std::string Generator::topic_name(int odd_percent) {
  if (!chance(odd_percent)) return fmt::format("$t{}", some_topic());
  return pick<std::string>({"$t9", "", ".", "no/such", std::string(250, 'x'), "$t8"});
}

int32_t Generator::partition_of(int topic) {
  if (chance(12)) return pick<int32_t>({-1, 7, INT32_MAX, INT32_MIN, topics_[static_cast<size_t>(topic)].partitions});
  return static_cast<int32_t>(draw(static_cast<uint64_t>(std::max(topics_[static_cast<size_t>(topic)].partitions, 1))));
}

int32_t Generator::partition_of(std::string_view name) {
  const bool ours = name.size() == 3 && name.starts_with("$t") && name[2] >= '0' && name[2] < '0' + kTopics;
  return ours ? partition_of(name[2] - '0') : static_cast<int32_t>(draw(2));
}

std::string Generator::group_name() {
  if (chance(6)) return pick<std::string>({"", "$g9"});
  return fmt::format("$g{}", draw(kGroups));
}

int64_t Generator::some_offset() {
  if (chance(15)) return pick<int64_t>({-1, -2, INT64_MAX, INT64_MIN, 1000});
  return static_cast<int64_t>(draw(12));
}

Sequence Generator::run() {
  using Make = void (Generator::*)();
  static constexpr std::pair<int, Make> kKinds[] = {
      {6, &Generator::create_topics},
      {4, &Generator::delete_topics},
      {4, &Generator::create_partitions},
      {6, &Generator::metadata},
      {3, &Generator::describe_topic_partitions},
      {1, &Generator::describe_cluster},
      {2, &Generator::api_versions},
      {4, &Generator::describe_configs},
      {3, &Generator::alter_configs},
      {4, &Generator::incremental_alter_configs},
      {5, &Generator::init_producer_id},
      {12, &Generator::produce},
      {10, &Generator::produce_odd},
      {10, &Generator::produce_idempotent},
      {12, &Generator::fetch},
      {4, &Generator::fetch_session},
      {8, &Generator::list_offsets},
      {3, &Generator::offset_for_leader_epoch},
      {5, &Generator::delete_records},
      {4, &Generator::describe_producers},
      {2, &Generator::describe_log_dirs},
      {8, &Generator::new_member},
      {5, &Generator::join_again},
      {6, &Generator::sync},
      {6, &Generator::heartbeat},
      {5, &Generator::leave},
      {8, &Generator::commit},
      {7, &Generator::offset_fetch},
      {2, &Generator::find_coordinator},
      {4, &Generator::describe_groups},
      {2, &Generator::list_groups},
      {3, &Generator::delete_groups},
      {4, &Generator::offset_delete},
      {3, &Generator::odd_join},
      {8, &Generator::hostile},
      {2, &Generator::elect_leaders},
      {3, &Generator::reassign},
      {1, &Generator::list_reassignments},
  };
  uint64_t total = 0;
  for (const auto& [weight, make] : kKinds) total += static_cast<uint64_t>(weight);
  create_plain_topic(0, 1 + static_cast<int>(draw(3)));
  if (chance(50)) create_plain_topic(1, 1);
  const size_t steps = 10 + draw(25);
  while (sequence_.size() < steps) {
    uint64_t at = draw(total);
    for (const auto& [weight, make] : kKinds) {
      if (at < static_cast<uint64_t>(weight)) {
        (this->*make)();
        break;
      }
      at -= static_cast<uint64_t>(weight);
    }
  }
  look_at_state();
  clean_up();
  for (const std::unique_ptr<Step>& step : sequence_) step->name_topics_by_id();
  return std::move(sequence_);
}

}  // namespace posthaste::differential
