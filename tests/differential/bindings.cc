#include "tests/differential/bindings.h"

#include <charconv>
#include <deque>
#include <mutex>
#include <regex>

#include "net/kafka/consumer_protocol.h"

namespace posthaste::differential {
namespace {

constexpr std::string_view kSubscription = "$subscription";
constexpr int kPlaceholders = 256;
constexpr std::string_view kNoTopicId = "00000000000000000000000000000000";

std::optional<int> number_behind(std::string_view text, size_t skip) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data() + skip, text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

template <class T>
std::optional<T> number_of(const Value* value) {
  if (value == nullptr || value->kind != Value::Kind::kNumber) return std::nullopt;
  T number{};
  std::from_chars(value->text.data(), value->text.data() + value->text.size(), number);
  return number;
}

template <class Map>
std::string name_of(const Map& known, const auto& value, char kind) {
  for (const auto& [step, own] : known) {
    if (own == value) return fmt::format("${}{}", kind, step);
  }
  return {};
}

// Of a member whose id no answer has given yet: what the broker drew for it is left out.
std::string without_uuid(const std::string& id) {
  static const std::regex kDrawn("-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$");
  return std::regex_replace(id, kDrawn, "-(drawn)");
}

bool is_member_id(std::string_view field) { return field == "member_id" || field == "leader"; }

}  // namespace

kafka::Uuid topic_id(int topic) {
  kafka::Uuid id;
  id.bytes[0] = std::byte{'$'};
  id.bytes[1] = std::byte{'t'};
  id.bytes[15] = static_cast<std::byte>(topic);
  return id;
}

kafka::Uuid topic_id_of(std::string_view name) {
  if (name.empty()) return {};
  if (name.starts_with("$t")) return topic_id(number_behind(name, 2).value());
  constexpr int kFirstOfNoTopic = 128;
  constexpr int kLast = 255;
  return topic_id(std::min(kFirstOfNoTopic + static_cast<int>(name.size()), kLast));
}

kafka::Bytes subscription(const std::vector<int>& topics) {
  static std::mutex mutex;
  static std::deque<std::string> texts;
  const std::lock_guard lock(mutex);
  std::string& text = texts.emplace_back(kSubscription);
  for (const int topic : topics) text.push_back(static_cast<char>(topic));
  return std::as_bytes(std::span(text));
}

std::string Bindings::name(std::string_view placeholder) const { return prefix_ + std::string(placeholder.substr(1)); }

std::string Bindings::text(std::string_view value) const {
  if (value.size() < 2 || value.front() != '$') return std::string(value);
  if (value[1] == 't' || value[1] == 'g') return name(value);
  const auto step = number_behind(value, 2);
  if (value[1] != 'm' || !step) return std::string(value);
  const auto known = members_.find(*step);
  return known == members_.end() ? fmt::format("nobody-{}", *step) : known->second;
}

kafka::Uuid Bindings::uuid(const kafka::Uuid& value) const {
  if (value.bytes[0] != std::byte{'$'} || value.bytes[1] != std::byte{'t'}) return value;
  const auto known = topic_ids_.find(name(fmt::format("$t{}", std::to_integer<int>(value.bytes[15]))));
  if (known == topic_ids_.end()) return value;
  kafka::Uuid id;
  for (size_t i = 0; i < id.bytes.size(); ++i) {
    unsigned byte = 0;
    const char* at = known->second.back().data() + 2 * i;
    std::from_chars(at, at + 2, byte, 16);
    id.bytes[i] = static_cast<std::byte>(byte);
  }
  return id;
}

int32_t Bindings::number(int32_t value) const {
  const auto look_up = [&](const std::map<int, int32_t>& known, int32_t base) {
    const auto found = known.find(value - base);
    return found == known.end() ? 1 : found->second;
  };
  if (value >= kGenerationPlaceholder && value < kGenerationPlaceholder + kPlaceholders) {
    return look_up(generations_, kGenerationPlaceholder);
  }
  if (value >= kSessionPlaceholder && value < kSessionPlaceholder + kPlaceholders) {
    return look_up(sessions_, kSessionPlaceholder);
  }
  return value;
}

std::vector<std::byte> Bindings::bytes(kafka::Bytes value) const {
  const std::string_view text(reinterpret_cast<const char*>(value.data()), value.size());
  if (!text.starts_with(kSubscription)) return {value.begin(), value.end()};
  std::vector<std::string> topics;
  for (const char topic : text.substr(kSubscription.size())) topics.push_back(name(fmt::format("$t{}", int{topic})));
  kafka::ConsumerSubscription wants;
  wants.topics.assign(topics.begin(), topics.end());
  return kafka::encode_subscription(wants, 1);
}

int64_t Bindings::producer_id(int step) const {
  constexpr int64_t kUnknown = 987'654'321;
  const auto known = producers_.find(step);
  return known == producers_.end() ? kUnknown : known->second;
}

void Bindings::learn_topic_ids(const Value& value) {
  const Value* name = value.child("name");
  const Value* id = value.child("topic_id");
  if (name != nullptr && id != nullptr && name->kind == Value::Kind::kText && id->text != kNoTopicId) {
    std::vector<std::string>& known = topic_ids_[name->text];
    if (std::ranges::find(known, id->text) == known.end()) known.push_back(id->text);
  }
  for (const Value& child : value.children) learn_topic_ids(child);
}

void Bindings::learn(int step, kafka::ApiKey api, const Value& answer) {
  if (api == kafka::ApiKey::kMetadata) learn_topic_ids(answer);
  if (api == kafka::ApiKey::kJoinGroup) {
    const Value* member = answer.child("member_id");
    if (member != nullptr && !member->text.empty() && !member->text.starts_with("nobody-")) {
      members_.insert_or_assign(step, member->text);
    }
    if (const auto generation = number_of<int32_t>(answer.child("generation_id"))) generations_[step] = *generation;
  }
  if (api == kafka::ApiKey::kFetch) {
    const auto session = number_of<int32_t>(answer.child("session_id"));
    if (session.value_or(0) != 0) sessions_[step] = *session;
  }
  if (api == kafka::ApiKey::kInitProducerId) {
    const auto producer = number_of<int64_t>(answer.child("producer_id"));
    if (producer.value_or(-1) >= 0) producers_[step] = *producer;
  }
}

void Bindings::unname(Value& answer) const {
  std::string placeholder;
  if (answer.kind == Value::Kind::kText && is_member_id(answer.name)) {
    placeholder = name_of(members_, answer.text, 'm');
    if (placeholder.empty()) placeholder = without_uuid(answer.text);
  } else if (answer.kind == Value::Kind::kNumber && answer.name == "session_id") {
    if (const auto id = number_of<int32_t>(&answer); *id != 0) placeholder = name_of(sessions_, *id, 's');
  } else if (answer.kind == Value::Kind::kNumber && answer.name == "producer_id") {
    if (const auto id = number_of<int64_t>(&answer); *id >= 0) placeholder = name_of(producers_, *id, 'p');
  } else if (answer.kind == Value::Kind::kUuid) {
    for (const auto& [topic, ids] : topic_ids_) {
      const auto found = std::ranges::find(ids, answer.text);
      if (found != ids.end()) placeholder = fmt::format("id {} of {}", found - ids.begin(), topic);
    }
    // Ids of topics that are being made; Metadata gives them next.
    if (placeholder.empty() && answer.text != kNoTopicId && !answer.text.starts_with("2474")) placeholder = "(drawn)";
  } else if (answer.kind == Value::Kind::kText && answer.text.starts_with(prefix_)) {
    placeholder = "$" + answer.text.substr(prefix_.size());
  }
  if (!placeholder.empty()) answer.text = placeholder;
  // Groups of other sequences are listed too.
  if (answer.name == "groups") {
    std::erase_if(answer.children, [&](const Value& group) {
      const Value* id = group.child("group_id");
      return id != nullptr && group.child("members") == nullptr && group.child("topics") == nullptr &&
             !id->text.starts_with(prefix_);
    });
  }
  for (Value& child : answer.children) unname(child);
}

}  // namespace posthaste::differential
