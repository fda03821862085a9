#include "storage/log/roll.h"

#include <algorithm>
#include <array>

#include "storage/bytes/endian.h"
#include "storage/bytes/xxh3.h"

namespace posthaste::storage {

int64_t roll_age_ms(const LogConfig& config, Uid uid, int64_t base_offset) {
  // As in Kafka: never more than segment.ms itself.
  const int64_t jitter = std::min(config.segment_jitter_ms, config.segment_ms);
  if (jitter <= 0) return config.segment_ms;
  std::array<std::byte, sizeof(base_offset)> name{};
  store_le<uint64_t>(name.data(), static_cast<uint64_t>(base_offset));
  return config.segment_ms - static_cast<int64_t>(xxh3_64(name, uid) % static_cast<uint64_t>(jitter));
}

}  // namespace posthaste::storage
