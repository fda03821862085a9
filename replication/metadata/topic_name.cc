#include "replication/metadata/topic_name.h"

#include <fmt/format.h>

#include <algorithm>

namespace posthaste::replication {
namespace {

bool is_legal(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

bool is_internal_topic(std::string_view name) {
  return name == kConsumerOffsetsTopic || name == kTransactionStateTopic || name == kClusterMetadataTopic;
}

std::optional<std::string> topic_name_problem(std::string_view name) {
  if (name.empty()) return "Topic name is empty";
  if (name == "." || name == "..") return fmt::format("Topic name '{}' means a folder, not a topic", name);
  if (name.size() > kLongestTopicName) {
    return fmt::format("Topic name has {} characters, at most {} are allowed", name.size(), kLongestTopicName);
  }
  if (!std::ranges::all_of(name, is_legal)) {
    return fmt::format("Topic name '{}' has a character other than letters, digits, '.', '_' and '-'", name);
  }
  return std::nullopt;
}

std::string collision_key(std::string_view name) {
  std::string key(name);
  std::ranges::replace(key, '.', '_');
  return key;
}

net::kafka::Uuid make_topic_id(std::array<uint8_t, 16> random) {
  random[6] = static_cast<uint8_t>((random[6] & 0x0F) | 0x40);
  random[8] = static_cast<uint8_t>((random[8] & 0x3F) | 0x80);
  constexpr uint8_t kDash = 62;  // in URL-safe base64; the first character stands for the upper six bits
  if ((random[0] >> 2) == kDash) random[0] = static_cast<uint8_t>(random[0] & 0x7F);
  net::kafka::Uuid id;
  std::ranges::transform(random, id.bytes.begin(), [](uint8_t byte) { return static_cast<std::byte>(byte); });
  return id;
}

}  // namespace posthaste::replication
