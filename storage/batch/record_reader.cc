#include "storage/batch/record_reader.h"

#include <utility>

#include "storage/bytes/varint.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

namespace {

bool take_sized(ByteView& rest, int64_t size, ByteView& out) {
  if (size < 0 || std::cmp_greater(size, rest.size())) return false;
  out = rest.first(static_cast<size_t>(size));
  rest = rest.subspan(static_cast<size_t>(size));
  return true;
}

// Length, then bytes; the length -1 is null.
bool take_nullable(ByteView& rest, NullableBytes& out) {
  int32_t size;
  if (!take_varint(rest, size)) return false;
  if (size == -1) {
    out = std::nullopt;
    return true;
  }
  ByteView bytes;
  if (!take_sized(rest, size, bytes)) return false;
  out = bytes;
  return true;
}

bool take_header(ByteView& rest, RecordHeaderView& out) {
  int32_t key_size;
  return take_varint(rest, key_size) && take_sized(rest, key_size, out.key) && take_nullable(rest, out.value);
}

// Everything behind the record's own length; `body` must be used up exactly.
bool parse_body(ByteView body, RecordView& record, int64_t& timestamp_delta, int32_t& offset_delta) {
  ByteView attributes;  // unused by Kafka, any value
  if (!take_sized(body, 1, attributes) || !take_varlong(body, timestamp_delta) || !take_varint(body, offset_delta)) {
    return false;
  }
  if (!take_nullable(body, record.key) || !take_nullable(body, record.value)) return false;
  if (!take_varint(body, record.header_count) || record.header_count < 0) return false;
  record.header_bytes = body;
  for (int32_t i = 0; i < record.header_count; ++i) {
    RecordHeaderView header;
    if (!take_header(body, header)) return false;
  }
  return body.empty();
}

}  // namespace

Result<RecordView> RecordReader::take_record() {
  int32_t size;
  ByteView body;
  if (!take_varint(rest_, size) || !take_sized(rest_, size, body)) return failure(Errc::kMalformed);
  RecordView record;
  int64_t timestamp_delta;
  int32_t offset_delta;
  if (!parse_body(body, record, timestamp_delta, offset_delta)) return failure(Errc::kMalformed);
  if (offset_delta <= last_delta_ || offset_delta > batch_.last_offset_delta()) return failure(Errc::kMalformed);
  last_delta_ = offset_delta;
  // Unsigned sums: a hostile delta wraps instead of being undefined.
  record.offset =
      static_cast<int64_t>(static_cast<uint64_t>(batch_.base_offset()) + static_cast<uint64_t>(offset_delta));
  record.timestamp = batch_.timestamp_type() == TimestampType::kLogAppendTime
                         ? batch_.max_timestamp()
                         : static_cast<int64_t>(static_cast<uint64_t>(batch_.base_timestamp()) +
                                                static_cast<uint64_t>(timestamp_delta));
  return record;
}

Result<std::optional<RecordView>> RecordReader::next() {
  if (failed_) return failure(Errc::kMalformed);
  if (batch_.compression_bits() != 0) return failure(Errc::kUnsupported);
  if (taken_ == batch_.record_count()) {
    if (rest_.empty()) return std::optional<RecordView>();
    failed_ = true;
    return failure(Errc::kMalformed);
  }
  auto record = take_record();
  if (!record) {
    failed_ = true;
    return failure(record.error());
  }
  ++taken_;
  return std::optional<RecordView>(*record);
}

std::optional<RecordHeaderView> RecordHeaderReader::next() {
  RecordHeaderView header;
  if (left_ <= 0 || !take_header(rest_, header)) return std::nullopt;
  --left_;
  return header;
}

Result<std::optional<RecordView>> first_record_at_or_after(const RecordBatchView& batch, int64_t timestamp,
                                                           int64_t from_offset) {
  RecordReader reader(batch);
  while (true) {
    auto record = reader.next();
    if (!record || !*record) return record;
    if ((**record).timestamp >= timestamp && (**record).offset >= from_offset) return record;
  }
}

}  // namespace posthaste::storage
