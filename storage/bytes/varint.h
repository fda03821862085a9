// Zigzag variable-length integers inside Kafka records (KIP-98; the encoding of Protocol Buffers' sint32 and sint64).
#pragma once
#include <cstdint>

#include "storage/bytes/bytes.h"

namespace posthaste::storage {

inline constexpr int kLongestVarintBytes = 5;
inline constexpr int kLongestVarlongBytes = 10;

namespace detail {
// Takes an unsigned varint of at most `bits` significant bits off the front of `rest`. False: it ends early or is too
// long.
inline bool take_unsigned_varint(ByteView& rest, int bits, uint64_t& value) {
  value = 0;
  size_t used = 0;
  for (int shift = 0; shift < bits; shift += 7) {
    if (used == rest.size()) return false;
    const auto byte = std::to_integer<uint64_t>(rest[used++]);
    const uint64_t low = byte & 0x7f;
    // The last byte may carry only the bits that are left.
    if (bits - shift < 7 && (low >> (bits - shift)) != 0) return false;
    value |= low << shift;
    if ((byte & 0x80) == 0) {
      rest = rest.subspan(used);
      return true;
    }
  }
  return false;
}
}  // namespace detail

// Takes a varint off the front of `rest`. False, and `rest` unchanged, if it is cut off or does not fit an int32.
inline bool take_varint(ByteView& rest, int32_t& value) {
  uint64_t raw;
  if (!detail::take_unsigned_varint(rest, 32, raw)) return false;
  const auto bits = static_cast<uint32_t>(raw);
  value = static_cast<int32_t>((bits >> 1) ^ (0 - (bits & 1)));
  return true;
}

// The same for 64 bits.
inline bool take_varlong(ByteView& rest, int64_t& value) {
  uint64_t raw;
  if (!detail::take_unsigned_varint(rest, 64, raw)) return false;
  value = static_cast<int64_t>((raw >> 1) ^ (0 - (raw & 1)));
  return true;
}

// Appends the shortest encoding of `value`; the same bytes for a 32-bit and a 64-bit field of equal value.
inline void append_varint(Bytes& out, int64_t value) {
  uint64_t raw = (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
  while (raw >= 0x80) {
    out.push_back(static_cast<std::byte>((raw & 0x7f) | 0x80));
    raw >>= 7;
  }
  out.push_back(static_cast<std::byte>(raw));
}

// Bytes that append_varint() adds.
inline size_t varint_size(int64_t value) {
  uint64_t raw = (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
  size_t size = 1;
  for (; raw >= 0x80; raw >>= 7) ++size;
  return size;
}

}  // namespace posthaste::storage
