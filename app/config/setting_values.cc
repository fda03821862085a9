#include "app/config/setting_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "app/config/listeners.h"
#include "broker/config/nearest.h"
#include "reactor/check.h"

namespace posthaste::app {
namespace {

bool is_number(KeyType type) {
  return type == KeyType::kInt || type == KeyType::kLong || type == KeyType::kShort || type == KeyType::kDouble;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool equals_ignoring_case(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

template <class Number>
std::optional<Number> number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Ranges are stated for all numbers; a whole-number type has the bounds of its width besides.
KeyRange effective_range(const BrokerKey& key) {
  KeyRange range = key.range;
  if (key.type == KeyType::kInt)
    range = {std::max<int64_t>(range.least, INT32_MIN), std::min<int64_t>(range.most, INT32_MAX)};
  if (key.type == KeyType::kShort)
    range = {std::max<int64_t>(range.least, INT16_MIN), std::min<int64_t>(range.most, INT16_MAX)};
  return range;
}

// INT64_MIN and INT64_MAX stand for no bound.
bool is_inside(KeyRange range, double value) {
  return (range.least == INT64_MIN || value >= static_cast<double>(range.least)) &&
         (range.most == INT64_MAX || value <= static_cast<double>(range.most));
}

std::string describe(KeyRange range) {
  if (range.most == INT64_MAX) return fmt::format("{} or more", range.least);
  return fmt::format("{} to {}", range.least, range.most);
}

// Empty when `value` is a valid value of the key; else what would be.
std::string complaint(const BrokerKey& key, std::string_view value) {
  if (key.type == KeyType::kBoolean) {
    if (equals_ignoring_case(value, "true") || equals_ignoring_case(value, "false")) return {};
    return fmt::format("is not a {}", to_string(key.type));
  }
  if (key.type == KeyType::kDouble) {
    const std::optional<double> given = number<double>(value);
    if (!given || !std::isfinite(*given)) return fmt::format("is not a {}", to_string(key.type));
    return is_inside(key.range, *given) ? std::string{}
                                        : fmt::format("is out of range, must be {}", describe(key.range));
  }
  if (is_number(key.type)) {
    const bool digits =
        !value.empty() &&
        value.find_first_not_of("0123456789", value.find_first_of("+-") == 0 ? 1 : 0) == std::string_view::npos;
    const std::optional<int64_t> given = number<int64_t>(value);
    const KeyRange range = effective_range(key);
    if (!digits || (!given && value.size() < 2)) return fmt::format("is not of type {}", to_string(key.type));
    if (!given || *given < range.least || *given > range.most)
      return fmt::format("is out of range, must be {}", describe(range));
    return {};
  }
  if (key.allowed.empty()) return {};
  const std::vector<std::string_view> allowed = split_list(key.allowed);
  const std::vector<std::string_view> elements = key.type == KeyType::kList ? split_list(value) : std::vector{value};
  for (const std::string_view element : elements) {
    if (std::ranges::none_of(allowed, [&](std::string_view one) { return equals_ignoring_case(one, element); })) {
      return fmt::format("must be {}{}", key.type == KeyType::kList ? "a list of " : "one of ",
                         fmt::join(allowed, ", "));
    }
  }
  return {};
}

// Old and misplaced names that deserve a better answer than their nearest neighbour.
struct Hint {
  std::string_view name;
  std::string_view answer;
};
constexpr auto kHints = std::to_array<Hint>({
    {"zookeeper.connect", "Kafka 4 and Posthaste have no ZooKeeper; delete the line"},
    {"zookeeper.connection.timeout.ms", "Kafka 4 and Posthaste have no ZooKeeper; delete the line"},
    {"zookeeper.session.timeout.ms", "Kafka 4 and Posthaste have no ZooKeeper; delete the line"},
    {"inter.broker.protocol.version", "it is gone from Kafka 4; delete the line"},
    {"log.message.format.version", "it is gone from Kafka 4; delete the line"},
    {"port", "it is gone from Kafka; set listeners=PLAINTEXT://:PORT"},
    {"host.name", "it is gone from Kafka; set listeners=PLAINTEXT://HOST:9092"},
    {"advertised.host.name", "it is gone from Kafka; set advertised.listeners"},
    {"retention.ms", "that is a topic's key; the broker's is log.retention.ms"},
    {"retention.bytes", "that is a topic's key; the broker's is log.retention.bytes"},
    {"segment.bytes", "that is a topic's key; the broker's is log.segment.bytes"},
    {"segment.ms", "that is a topic's key; the broker's is log.roll.ms"},
    {"cleanup.policy", "that is a topic's key; the broker's is log.cleanup.policy"},
    {"flush.messages", "that is a topic's key; the broker's is log.flush.interval.messages"},
    {"flush.ms", "that is a topic's key; the broker's is log.flush.interval.ms"},
    {"max.message.bytes", "that is a topic's key; the broker's is message.max.bytes"},
    {"bootstrap.servers", "that is a client's key; a broker has listeners"},
});

std::string unknown_key_answer(std::string_view name) {
  for (const Hint& hint : kHints) {
    if (hint.name == name) return std::string(hint.answer);
  }
  std::vector<std::string_view> names;
  for (const BrokerKey& key : broker_keys()) names.push_back(key.name);
  const std::optional<std::string_view> near = broker::nearest(name, names);
  return near ? fmt::format("did you mean {}?", *near) : "no key of Kafka or Posthaste looks like it";
}

// `listener.name.NAME.KEY` sets KEY for one listener, and these two prefixes pass settings on to plug-ins.
std::string_view without_listener_prefix(std::string_view name) {
  constexpr std::string_view kPrefix = "listener.name.";
  if (!name.starts_with(kPrefix)) return name;
  const size_t dot = name.find('.', kPrefix.size());
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}
bool is_plug_in_key(std::string_view name) {
  return name.starts_with("rlmm.config.") || name.starts_with("rsm.config.") || name.starts_with("config.providers.");
}

}  // namespace

SettingValues::SettingValues(std::span<const Property> properties, std::vector<std::string>& errors) {
  for (const Property& property : properties) {
    if (is_plug_in_key(property.key)) {
      given_.insert_or_assign(property.key, property);
      continue;
    }
    const BrokerKey* key = find_broker_key(without_listener_prefix(property.key));
    const std::string_view value = trimmed(property.value);
    if (key == nullptr) {
      errors.push_back(
          fmt::format("{}: unknown key {}: {}", property.source, property.key, unknown_key_answer(property.key)));
      continue;
    }
    const bool cleared = value.empty() && (key->default_value.empty() || !is_number(key->type));
    const std::string wrong = cleared && key->type != KeyType::kBoolean ? std::string{} : complaint(*key, value);
    if (!wrong.empty()) {
      errors.push_back(fmt::format("{}: {}={} {}", property.source, property.key, value, wrong));
      continue;
    }
    if (key->effect == KeyEffect::kRefusedUnlessDefault && !equals_ignoring_case(value, key->default_value)) {
      errors.push_back(fmt::format("{}: {}={} is refused: {}; delete the line to start without it", property.source,
                                   property.key, value, reason(key->effect)));
      continue;
    }
    given_.insert_or_assign(property.key, Property{property.key, std::string(value), property.source});
  }
}

bool SettingValues::has(std::string_view key) const {
  const auto found = given_.find(key);
  return found != given_.end() && !found->second.value.empty();
}

std::string_view SettingValues::text(std::string_view key) const {
  const BrokerKey* row = find_broker_key(key);
  CHECK(row != nullptr, "no key {}", key);
  const auto found = given_.find(key);
  return found == given_.end() ? row->default_value : std::string_view(found->second.value);
}

bool SettingValues::boolean(std::string_view key) const { return equals_ignoring_case(text(key), "true"); }

int64_t SettingValues::int64(std::string_view key) const {
  const std::optional<int64_t> value = number<int64_t>(text(key));
  CHECK(value, "{} is not a number", key);
  return *value;
}

int32_t SettingValues::int32(std::string_view key) const {
  const int64_t value = int64(key);
  CHECK(value >= INT32_MIN && value <= INT32_MAX, "{} does not fit 32 bits", key);
  return static_cast<int32_t>(value);
}

std::string_view SettingValues::source(std::string_view key) const {
  const auto found = given_.find(key);
  return found == given_.end() ? std::string_view("the default") : std::string_view(found->second.source);
}

}  // namespace posthaste::app
