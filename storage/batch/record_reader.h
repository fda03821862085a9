// Reads single records out of an uncompressed batch. For internal topics, tools, tests and compaction; never on the way
// of a client's produce or fetch, where records stay opaque. Compressed batches are refused (kUnsupported), not
// inflated.
#pragma once
#include <cstdint>
#include <optional>

#include "reactor/result.h"
#include "storage/batch/record_batch.h"
#include "storage/bytes/bytes.h"

namespace posthaste::storage {

// One record; the views point into the batch.
struct RecordView {
  int64_t offset = 0;
  int64_t timestamp = kNoTimestamp;  // ms; the batch's own stamp if that is LogAppendTime
  NullableBytes key;
  NullableBytes value;
  int32_t header_count = 0;
  ByteView header_bytes;  // for RecordHeaderReader
};

struct RecordHeaderView {
  ByteView key;
  NullableBytes value;
};

// Yields the records of one batch in order. Checks every length against what remains, offsets for order and range, and
// at the end that count and size agree. Allocates nothing.
class RecordReader {
 public:
  explicit RecordReader(const RecordBatchView& batch) : batch_(batch), rest_(batch.records()) {}

  // The next record, or an empty optional after the last. kUnsupported: compressed. kMalformed: a rule is broken;
  // the same error returns from then on.
  reactor::Result<std::optional<RecordView>> next();

 private:
  reactor::Result<RecordView> take_record();

  RecordBatchView batch_;
  ByteView rest_;
  int32_t taken_ = 0;
  int64_t last_delta_ = -1;
  bool failed_ = false;
};

// Yields the headers of one record that a RecordReader returned, whose bytes are therefore known to be whole.
class RecordHeaderReader {
 public:
  explicit RecordHeaderReader(const RecordView& record) : rest_(record.header_bytes), left_(record.header_count) {}
  std::optional<RecordHeaderView> next();

 private:
  ByteView rest_;
  int32_t left_;
};

// Calls visit(const RecordView&) for each record. Errors as RecordReader::next; records before the bad one were
// visited.
template <class Visitor>
reactor::Result<void> walk_records(const RecordBatchView& batch, Visitor&& visit) {
  RecordReader reader(batch);
  while (true) {
    const auto record = reader.next();
    if (!record) return reactor::failure(record.error());
    if (!*record) return {};
    visit(**record);
  }
}

// The first record with timestamp >= `timestamp` and offset >= `from_offset`, for ListOffsets; empty if there is none.
// Errors as RecordReader::next.
reactor::Result<std::optional<RecordView>> first_record_at_or_after(const RecordBatchView& batch, int64_t timestamp,
                                                                    int64_t from_offset = 0);

}  // namespace posthaste::storage
