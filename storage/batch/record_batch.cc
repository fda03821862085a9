#include "storage/batch/record_batch.h"

#include <algorithm>
#include <utility>

#include "reactor/check.h"
#include "storage/bytes/crc32c.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

namespace {
// A record is at least: length, attributes, timestamp delta, offset delta, key length, value length, header count.
constexpr int64_t kSmallestRecordBytes = 7;
constexpr uint8_t kLastCompression = static_cast<uint8_t>(Compression::kZstd);
}  // namespace

Result<RecordBatchView> RecordBatchView::parse(ByteView bytes) {
  // The magic byte has stood at the same place since the first format: look at it before the length, whose smallest
  // legal value depends on it.
  if (bytes.size() < 17) return failure(Errc::kTruncated);
  const auto magic = load_be<int8_t>(bytes.data() + 16);
  if (magic == 0 || magic == 1) return failure(Errc::kUnsupported);
  if (magic != kBatchMagic) return failure(Errc::kCorrupt);
  const int64_t size = int64_t{load_be<int32_t>(bytes.data() + 8)} + int64_t{kBatchLengthFieldEnd};
  if (size < int64_t{kBatchHeaderBytes}) return failure(Errc::kCorrupt);
  if (std::cmp_greater(size, bytes.size())) return failure(Errc::kTruncated);
  return RecordBatchView(bytes.first(static_cast<size_t>(size)));
}

int32_t RecordBatchView::last_sequence() const {
  if (base_sequence() == kNoSequence) return kNoSequence;
  return sequence_after(base_sequence(), last_offset_delta());
}

bool RecordBatchView::crc_matches() const { return crc32c(bytes_.subspan(kBatchCrcCoverageStart)) == crc(); }

std::optional<RecordBatchView> BatchCursor::next() {
  if (error_ || position_ == bytes_.size()) return std::nullopt;
  auto batch = RecordBatchView::parse(bytes_.subspan(position_));
  if (!batch) {
    error_ = batch.error();
    return std::nullopt;
  }
  position_ += batch->size_bytes();
  return *batch;
}

Result<void> validate_structure(const RecordBatchView& batch) {
  if (batch.compression_bits() > kLastCompression) return failure(Errc::kMalformed);
  // Compaction may remove any record of a batch but never moves its ends, so only a bound holds for every origin.
  if (batch.last_offset_delta() < 0 || batch.record_count() < 0) return failure(Errc::kMalformed);
  if (int64_t{batch.record_count()} > int64_t{batch.last_offset_delta()} + 1) return failure(Errc::kMalformed);
  const auto records_size = static_cast<int64_t>(batch.records().size());
  if (batch.compression() == Compression::kNone && records_size < kSmallestRecordBytes * batch.record_count()) {
    return failure(Errc::kMalformed);
  }
  if (batch.base_timestamp() < kNoTimestamp || batch.max_timestamp() < kNoTimestamp) {
    return failure(Errc::kTimeOutOfRange);
  }
  if (batch.producer_id() < kNoProducerId) return failure(Errc::kMalformed);
  if (!batch.has_producer_id()) {
    // Sequences and transactions mean nothing without an id to count by.
    return batch.is_transactional() ? failure(Errc::kMalformed) : Result<void>();
  }
  if (batch.producer_epoch() < 0 || batch.base_sequence() < kNoSequence) return failure(Errc::kMalformed);
  return {};
}

namespace {
Result<void> validate_timestamps(const RecordBatchView& batch, const BatchRules& rules, int64_t now) {
  // Kafka refuses a client that claims the broker's clock.
  if (batch.timestamp_type() == TimestampType::kLogAppendTime) return failure(Errc::kTimeOutOfRange);
  if (rules.timestamp_type == TimestampType::kLogAppendTime) return {};
  const int64_t first = batch.base_timestamp();
  const int64_t largest = batch.max_timestamp();
  // Old clients leave the maximum unset; one that is set must not be below the first record's.
  if (largest != kNoTimestamp && largest < first) return failure(Errc::kTimeOutOfRange);
  // Written so that no limit up to INT64_MAX overflows: now and the stamps are not negative here.
  if (first != kNoTimestamp && now > first && now - first > rules.timestamp_before_max_ms) {
    return failure(Errc::kTimeOutOfRange);
  }
  const int64_t latest = largest == kNoTimestamp ? first : largest;
  if (latest > now && latest - now > rules.timestamp_after_max_ms) return failure(Errc::kTimeOutOfRange);
  return {};
}
}  // namespace

Result<void> validate_header(const RecordBatchView& batch, const BatchRules& rules, reactor::WallMillis now) {
  if (std::cmp_greater(batch.size_bytes(), rules.max_message_bytes)) return failure(Errc::kTooLarge);
  TRY(validate_structure(batch));
  if (batch.is_control() || batch.has_delete_horizon()) return failure(Errc::kMalformed);
  // A producer numbers its records without gaps; an empty batch would take an offset for nothing.
  if (batch.record_count() < 1) return failure(Errc::kMalformed);
  if (int64_t{batch.record_count()} != int64_t{batch.last_offset_delta()} + 1) return failure(Errc::kMalformed);
  // Only markers and a coordinator's own writes have a producer id without a sequence; clients always count.
  if (batch.has_producer_id() && batch.base_sequence() < 0) return failure(Errc::kMalformed);
  return validate_timestamps(batch, rules, std::max<int64_t>(now.value, 0));
}

Result<RecordBatchView> parse_produced(ByteView records, const BatchRules& rules, reactor::WallMillis now) {
  if (records.empty()) return failure(Errc::kMalformed);
  auto batch = RecordBatchView::parse(records);
  if (!batch) return failure(batch.error() == Errc::kTruncated ? Errc::kCorrupt : batch.error());
  TRY(validate_header(*batch, rules, now));
  if (batch->size_bytes() != records.size()) return failure(Errc::kMalformed);
  return *batch;
}

Result<RecordBatchView> validate(ByteView records, const BatchRules& rules, reactor::WallMillis now) {
  const RecordBatchView batch = TRY(parse_produced(records, rules, now));
  if (!batch.crc_matches()) return failure(Errc::kCorrupt);
  return batch;
}

void patch_offset_and_epoch(MutableBytes batch, int64_t base_offset, int32_t leader_epoch) {
  CHECK(batch.size() >= kBatchHeaderBytes);
  store_be<int64_t>(batch.data(), base_offset);
  store_be<int32_t>(batch.data() + 12, leader_epoch);
}

void patch_log_append_time(MutableBytes batch, reactor::WallMillis now) {
  CHECK(batch.size() >= kBatchHeaderBytes);
  const MutableBytes covered = batch.subspan(kBatchCrcCoverageStart, kBatchHeaderBytes - kBatchCrcCoverageStart);
  const uint32_t before = crc32c(covered);
  const auto attributes = load_be<int16_t>(batch.data() + 21);
  store_be<int16_t>(batch.data() + 21, static_cast<int16_t>(attributes | kAttributeLogAppendTime));
  store_be<int64_t>(batch.data() + 35, now.value);
  const uint32_t difference = crc32c_shift(before ^ crc32c(covered), batch.size() - kBatchHeaderBytes);
  store_be<uint32_t>(batch.data() + 17, load_be<uint32_t>(batch.data() + 17) ^ difference);
}

int32_t sequence_after(int32_t sequence, int32_t by) {
  return static_cast<int32_t>((static_cast<uint32_t>(sequence) + static_cast<uint32_t>(by)) & 0x7fffffffU);
}

}  // namespace posthaste::storage
