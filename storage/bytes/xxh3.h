// XXH3, the checksum of everything on disk that is ours (Kafka's own batches have CRC32C: crc32c.h). A thin wrapper so
// that no other file names the library, and so that the 128-bit value has one byte order on disk.
#pragma once
#include <cstddef>
#include <cstdint>

#include "storage/bytes/bytes.h"
#include "storage/bytes/endian.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>
#if defined(__x86_64__)
// XXH3 in the widest registers that the machine has, chosen at the first call. What the library does without is SSE2:
// a quarter of the speed, and a third of the broker's time when producing.
#include <xxh_x86dispatch.h>
#endif

namespace posthaste::storage {

// A 128-bit hash. On disk: low, then high, each little-endian (16 bytes).
struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};

inline void store_hash128(std::byte* to, const Hash128& hash) {
  store_le<uint64_t>(to, hash.low);
  store_le<uint64_t>(to + 8, hash.high);
}
inline Hash128 load_hash128(const std::byte* from) { return {load_le<uint64_t>(from), load_le<uint64_t>(from + 8)}; }

// Hash of `bytes`; the seed binds it to a place, so that the right bytes in the wrong place do not pass.
inline uint64_t xxh3_64(ByteView bytes, uint64_t seed = 0) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}
inline Hash128 xxh3_128(ByteView bytes, uint64_t seed = 0) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.low64, hash.high64};
}

// The same hash over bytes that arrive in pieces: any split gives the value of the whole. About 600 bytes, aligned to
// 64: meant for the stack, not for a member that every partition has.
class Xxh3Stream {
 public:
  explicit Xxh3Stream(uint64_t seed = 0) {
    // Without, a reset believes that memory where a stream with this seed was before still holds what it derived then.
    XXH3_INITSTATE(&state_);
    reset(seed);
  }
  Xxh3Stream(const Xxh3Stream&) = delete;
  Xxh3Stream& operator=(const Xxh3Stream&) = delete;

  // Forgets everything and starts again; 128-bit and 64-bit digests of one stream are independent functions.
  void reset(uint64_t seed = 0) { XXH3_128bits_reset_withSeed(&state_, seed); }
  void update(ByteView bytes) { XXH3_128bits_update(&state_, bytes.data(), bytes.size()); }
  uint64_t digest_64() const { return XXH3_64bits_digest(&state_); }
  Hash128 digest_128() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(&state_);
    return {hash.low64, hash.high64};
  }

 private:
  XXH3_state_t state_;
};

// A hash of bytes that come in pieces, wherever they are cut. XXH64, whose state is small enough to keep thousands.
class RunningHash {
 public:
  RunningHash() { XXH64_reset(&state_, 0); }
  void add(ByteView bytes) { XXH64_update(&state_, bytes.data(), bytes.size()); }
  uint64_t value() const { return XXH64_digest(&state_); }

 private:
  XXH64_state_t state_;
};

}  // namespace posthaste::storage
