// CRC32C (Castagnoli), the checksum inside Kafka's record batches, and the one pass over record bytes: copy and
// checksum together (design, law 3). All functions are pure and may run on any core.
//
// A running value is the finished CRC of the bytes so far; the empty prefix has 0. So a batch that lands in several
// tail chunks is `crc = copy_and_crc32c(crc, chunk, piece)` per chunk, and the last value is the one to compare.
#pragma once
#include <cstdint>

#include "storage/bytes/bytes.h"

namespace posthaste::storage {

// The CRC of prefix + bytes, where `crc` is the CRC of the prefix.
uint32_t crc32c(uint32_t crc, ByteView bytes);
inline uint32_t crc32c(ByteView bytes) { return crc32c(0, bytes); }

// Copies `from` to the start of `to` (and of `also_to`), which must be at least as long and must not overlap it, and
// returns the CRC of prefix + from. Memory is read once: later steps find the bytes in the first-level cache.
uint32_t copy_and_crc32c(uint32_t crc, MutableBytes to, ByteView from);
uint32_t copy_and_crc32c(uint32_t crc, MutableBytes to, MutableBytes also_to, ByteView from);

// CRC arithmetic without bytes. For equal-length prefixes with CRCs a and b followed by the same n bytes, the CRCs of
// the wholes differ by exactly crc32c_shift(a ^ b, n). Cost: the bits of n.
uint32_t crc32c_shift(uint32_t difference, uint64_t following_bytes);

// The CRC of A + B from the CRC of A, the CRC of B and the length of B.
inline uint32_t crc32c_combine(uint32_t first, uint32_t second, uint64_t second_bytes) {
  return crc32c_shift(first, second_bytes) ^ second;
}

}  // namespace posthaste::storage
