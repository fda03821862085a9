// Keys in a configuration file that are neither Kafka's nor ours: slips of the pen, keys that Kafka gave up, keys of
// other programs. Kafka starts with all of them; here a slip is an error, for whoever wrote it wanted something.
#pragma once
#include <string>
#include <string_view>

namespace posthaste::app {

struct ForeignKey {
  bool is_slip = false;  // of a key that there is, which `why` names
  std::string why;       // half a sentence
};

// What to make of `name`, which is no broker key (config/broker_keys.h). Cost: the keys times the name's length
// times theirs. Pure, any core.
ForeignKey judge_foreign_key(std::string_view name);

}  // namespace posthaste::app
