// A batch's header whose records are not at hand: what of it says where the batch lies. For the parts of a partition
// that walk over batches on disk. Pure, any core.
#pragma once
#include <array>

#include "storage/endian.h"
#include "storage/record_batch.h"

namespace posthaste::storage {

using HeaderBytes = std::array<std::byte, kBatchHeaderBytes>;

struct HeaderFields {
  int64_t base_offset = 0;
  int64_t next_offset = 0;
  uint64_t size = 0;
  int32_t leader_epoch = 0;
  uint32_t crc = 0;
};

// kDamaged: no batch begins like that.
inline reactor::Result<HeaderFields> fields_of(const HeaderBytes& header) {
  const auto length = load_be<int32_t>(header.data() + 8);
  const auto delta = load_be<int32_t>(header.data() + 23);
  const auto base = load_be<int64_t>(header.data());
  if (length < static_cast<int32_t>(kBatchHeaderBytes - kBatchLengthFieldEnd) || delta < 0 || base < 0 ||
      base > INT64_MAX - delta - 1 || load_be<int8_t>(header.data() + 16) != kBatchMagic) {
    return reactor::failure(reactor::Errc::kDamaged);
  }
  return HeaderFields{.base_offset = base,
                      .next_offset = base + delta + 1,
                      .size = static_cast<uint64_t>(length) + kBatchLengthFieldEnd,
                      .leader_epoch = load_be<int32_t>(header.data() + 12),
                      .crc = load_be<uint32_t>(header.data() + 17)};
}

}  // namespace posthaste::storage
