// A batch's header without its records: the fields that say where the batch lies, and whether it may lie there. For
// walks over batches on disk. Pure, any core.
#pragma once
#include <array>

#include "storage/batch/record_batch.h"
#include "storage/bytes/endian.h"
#include "storage/log/log_types.h"

namespace posthaste::storage {

using HeaderBytes = std::array<std::byte, kBatchHeaderBytes>;

struct HeaderFields {
  int64_t base_offset = 0;
  int64_t next_offset = 0;
  uint64_t size = 0;
  int32_t leader_epoch = 0;
  uint32_t crc = 0;
};

// Which batch may stand behind which. Offsets ascend. Up to `holes_from` they do so without a hole, but for one below
// the log start, where a truncation has cut a batch that the log start lies in: a log that has never held a hole is
// held to that (Partition::append_replicated makes holes).
struct OffsetOrder {
  int64_t log_start = 0;
  int64_t holes_from = kNoHoles;

  // Whether a batch with this base offset, a segment with this name or the end of the log may come behind one with that
  // next offset.
  bool follows(int64_t next_offset, int64_t base_offset) const {
    return base_offset == next_offset ||
           (base_offset > next_offset && (base_offset <= log_start || next_offset >= holes_from));
  }
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
