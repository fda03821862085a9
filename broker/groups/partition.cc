#include "broker/groups/partition.h"

#include <cstddef>

#include "reactor/check.h"

namespace posthaste::broker {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

// One code point of UTF-8 from `text` at `at`, which it moves on. A malformed byte is one replacement character.
uint32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  const uint32_t first = byte(at++);
  if (first < 0x80) return first;
  const size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  if (first < 0xC2 || first > 0xF4 || at + more > text.size()) return kReplacement;
  uint32_t value = first & (0x3FU >> more);
  for (size_t i = 0; i < more; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return kReplacement;
    value = (value << 6) | (byte(at + i) & 0x3F);
  }
  at += more;
  return value;
}

}  // namespace

int32_t partition_of_group(std::string_view group_id, int32_t partitions) {
  CHECK(partitions > 0, "{} partitions", partitions);
  uint32_t hash = 0;
  for (size_t at = 0; at < group_id.size();) {
    const uint32_t point = next_code_point(group_id, at);
    if (point < 0x10000) {
      hash = hash * 31 + point;
    } else {  // a surrogate pair
      hash = hash * 31 + (0xD800 + ((point - 0x10000) >> 10));
      hash = hash * 31 + (0xDC00 + ((point - 0x10000) & 0x3FF));
    }
  }
  // The absolute value as a signed int; the one that has none counts as 0.
  const uint32_t magnitude = hash > 0x80000000 ? 0 - hash : hash;
  return static_cast<int32_t>(magnitude == 0x80000000 ? 0 : magnitude) % partitions;
}

}  // namespace posthaste::broker
