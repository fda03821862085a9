#include "app/config/setting_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "app/config/foreign_keys.h"
#include "app/config/listeners.h"
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

// Ranges are stated for all numbers; a whole-number type has also the bounds of its width.
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

// Empty when `value` is a valid value of the key; else what would be valid.
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

// Why the few refused keys cannot be ignored silently.
std::string_view refusal(std::string_view key) {
  if (key == "authorizer.class.name") {
    return "access control comes with a later version; until then whoever can connect may do everything";
  }
  if (key == "config.providers") return "values from providers are not filled in by this version";
  return reason(KeyEffect::kRefusedUnlessDefault);
}

// What KEY is in `listener.name.NAME.KEY`, which sets it for one listener; any other name as it is.
std::string_view without_listener(std::string_view name) {
  constexpr std::string_view kPrefix = "listener.name.";
  if (!name.starts_with(kPrefix)) return name;
  const size_t dot = name.find('.', kPrefix.size());
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

// The row of a key, also of one that is set for a listener or for a mechanism of a listener
// (`listener.name.NAME.MECHANISM.KEY`).
const BrokerKey* find_row(std::string_view name) {
  const std::string_view key = without_listener(name);
  if (const BrokerKey* row = find_broker_key(key); row != nullptr || key == name) return row;
  return key.contains('.') ? find_broker_key(key.substr(key.find('.') + 1)) : nullptr;
}

JudgedSetting judge(const Property& property) {
  JudgedSetting judged{.property = {property.key, std::string(trimmed(property.value)), property.source}, .why = {}};
  const std::string& value = judged.property.value;
  const auto is = [&](SettingUse use, std::string why) {
    judged.use = use;
    judged.why = std::move(why);
    return judged;
  };
  const BrokerKey* key = find_row(property.key);
  if (key == nullptr) {
    ForeignKey foreign = judge_foreign_key(without_listener(property.key));
    if (!foreign.is_slip) return is(SettingUse::kUnknown, std::move(foreign.why));
    return is(SettingUse::kWrong, fmt::format("unknown key {}: {}", property.key, foreign.why));
  }
  const bool cleared = value.empty() && (key->default_value.empty() || !is_number(key->type));
  const std::string wrong = cleared && key->type != KeyType::kBoolean ? std::string{} : complaint(*key, value);
  if (!wrong.empty()) return is(SettingUse::kWrong, fmt::format("{}={} {}", property.key, value, wrong));
  if (key->effect == KeyEffect::kRefusedUnlessDefault) {
    if (equals_ignoring_case(value, key->default_value)) return judged;
    return is(SettingUse::kWrong, fmt::format("{}={} is refused: {}; delete the line to start without it", property.key,
                                              value, refusal(key->name)));
  }
  if (property.key != key->name) {
    return is(SettingUse::kNoEffect,
              std::string(reason(reason(key->effect).empty() ? KeyEffect::kPerListener : key->effect)));
  }
  if (!reason(key->effect).empty()) return is(SettingUse::kNoEffect, std::string(reason(key->effect)));
  return judged;
}

}  // namespace

SettingValues::SettingValues(std::span<const Property> properties) {
  for (const Property& property : properties) {
    const JudgedSetting& judged = judged_.emplace_back(judge(property));
    const bool is_valid = judged.use == SettingUse::kUsed || judged.use == SettingUse::kNoEffect;
    if (is_valid) given_.insert_or_assign(judged.property.key, judged.property);
  }
  note_overruled();
}

// What another line says again, or in a finer unit, has no effect.
void SettingValues::note_overruled() {
  for (JudgedSetting& setting : judged_) {
    if (setting.use != SettingUse::kUsed) continue;
    const auto overrule = [&](std::string why) {
      setting.use = SettingUse::kNoEffect;
      setting.why = std::move(why);
    };
    const auto last = given_.find(setting.property.key);
    if (last != given_.end() && last->second.source != setting.property.source) {
      overrule(fmt::format("set again at {}", last->second.source));
      continue;
    }
    const BrokerKey* key = find_broker_key(setting.property.key);
    if (key == nullptr) continue;  // set for one listener
    const std::vector<const BrokerKey*> keys = keys_up_to(*key);
    const auto counts = std::ranges::find_if(keys, [&](const BrokerKey* one) { return has(one->name); });
    if (counts != keys.end() && *counts != key) overrule(fmt::format("{} is given and counts", (*counts)->name));
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
