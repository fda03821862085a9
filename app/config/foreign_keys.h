// Keys in a configuration file that are neither Kafka's nor ours: typing errors, keys that Kafka has removed, keys of
// other programs. Kafka starts with all of them; here a typing error is an error, because the setting was meant to have
// an effect.
#pragma once
#include <string>
#include <string_view>

namespace posthaste::app {

struct ForeignKey {
  bool is_slip = false;  // of a key that there is, which `why` names
  std::string why;       // half a sentence
};

// How to treat `name`, which is no broker key (config/broker_keys.h). Cost: the keys times the name's length
// times theirs. Pure, any core.
ForeignKey judge_foreign_key(std::string_view name);

}  // namespace posthaste::app
