#include "storage/batch/record_batch_builder.h"

#include <algorithm>
#include <utility>

#include "reactor/check.h"
#include "storage/bytes/crc32c.h"
#include "storage/bytes/varint.h"

namespace posthaste::storage {
namespace {

size_t nullable_size(const NullableBytes& bytes) {
  if (!bytes) return varint_size(-1);
  return varint_size(static_cast<int64_t>(bytes->size())) + bytes->size();
}

void append_sized(Bytes& out, ByteView bytes) {
  append_varint(out, static_cast<int64_t>(bytes.size()));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_nullable(Bytes& out, const NullableBytes& bytes) {
  if (bytes) {
    append_sized(out, *bytes);
  } else {
    append_varint(out, -1);
  }
}

size_t body_size(const RecordToWrite& record, int64_t timestamp_delta, int32_t offset_delta) {
  size_t size = 1 + varint_size(timestamp_delta) + varint_size(offset_delta) + nullable_size(record.key) +
                nullable_size(record.value) + varint_size(static_cast<int64_t>(record.headers.size()));
  for (const HeaderToWrite& header : record.headers) {
    size += nullable_size(bytes_of(header.key)) + nullable_size(header.value);
  }
  return size;
}

}  // namespace

RecordBatchBuilder::RecordBatchBuilder(const BatchToWrite& batch) : batch_(batch), out_(kBatchHeaderBytes) {}

void RecordBatchBuilder::add(const RecordToWrite& record) {
  CHECK(out_.size() >= kBatchHeaderBytes, "builder used after finish()");
  if (count_ == 0) base_timestamp_ = record.timestamp;
  max_timestamp_ = std::max(max_timestamp_, record.timestamp);
  const int64_t timestamp_delta = record.timestamp - base_timestamp_;
  append_varint(out_, static_cast<int64_t>(body_size(record, timestamp_delta, count_)));
  out_.push_back(std::byte{0});
  append_varint(out_, timestamp_delta);
  append_varint(out_, count_);
  append_nullable(out_, record.key);
  append_nullable(out_, record.value);
  append_varint(out_, static_cast<int64_t>(record.headers.size()));
  for (const HeaderToWrite& header : record.headers) {
    append_sized(out_, bytes_of(header.key));
    append_nullable(out_, header.value);
  }
  ++count_;
}

Bytes RecordBatchBuilder::finish() {
  CHECK(count_ > 0, "a batch holds at least one record");
  const bool append_time = batch_.timestamp_type == TimestampType::kLogAppendTime;
  const int attributes = (append_time ? kAttributeLogAppendTime : 0) |
                         (batch_.transactional ? kAttributeTransactional : 0) |
                         (batch_.control ? kAttributeControl : 0);
  std::byte* header = out_.data();
  store_be<int64_t>(header, batch_.base_offset);
  store_be<int32_t>(header + 8, static_cast<int32_t>(out_.size() - kBatchLengthFieldEnd));
  store_be<int32_t>(header + 12, batch_.leader_epoch);
  store_be<int8_t>(header + 16, kBatchMagic);
  store_be<int16_t>(header + 21, static_cast<int16_t>(attributes));
  store_be<int32_t>(header + 23, count_ - 1);
  store_be<int64_t>(header + 27, base_timestamp_);
  store_be<int64_t>(header + 35, append_time ? batch_.log_append_time : max_timestamp_);
  store_be<int64_t>(header + 43, batch_.producer_id);
  store_be<int16_t>(header + 51, batch_.producer_epoch);
  store_be<int32_t>(header + 53, batch_.base_sequence);
  store_be<int32_t>(header + 57, count_);
  store_be<uint32_t>(header + 17, crc32c(ByteView(out_).subspan(kBatchCrcCoverageStart)));
  return std::exchange(out_, {});
}

}  // namespace posthaste::storage
