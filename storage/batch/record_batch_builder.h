// Makes uncompressed record batches: for the broker's own topics (__consumer_offsets, the metadata log), for tests and
// for simulated clients. It allocates and grows; nothing on a client's produce path uses it.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "storage/batch/record_batch.h"
#include "storage/bytes/bytes.h"

namespace posthaste::storage {

// A record header to write (KIP-82).
struct HeaderToWrite {
  std::string_view key;
  NullableBytes value;
};

// A record to write. Everything is copied by add().
struct RecordToWrite {
  int64_t timestamp = kNoTimestamp;  // ms
  NullableBytes key;
  NullableBytes value;
  std::span<const HeaderToWrite> headers = {};
};

// Fields of the batch header that the records do not decide.
struct BatchToWrite {
  int64_t base_offset = 0;
  int32_t leader_epoch = -1;
  TimestampType timestamp_type = TimestampType::kCreateTime;
  int64_t log_append_time = kNoTimestamp;  // ms; used if timestamp_type is LogAppendTime
  int64_t producer_id = kNoProducerId;
  int16_t producer_epoch = kNoProducerEpoch;
  int32_t base_sequence = kNoSequence;
  bool transactional = false;
  bool control = false;
};

// Add records, then finish(). Offsets count up from the base offset without gaps.
class RecordBatchBuilder {
 public:
  explicit RecordBatchBuilder(const BatchToWrite& batch = {});

  void add(const RecordToWrite& record);
  int32_t count() const { return count_; }
  // Size the batch would have if finished now.
  size_t size_bytes() const { return out_.size(); }

  // The batch, with lengths and CRC set. The builder is empty and unusable afterwards. At least one record was added.
  Bytes finish();

 private:
  BatchToWrite batch_;
  Bytes out_;
  int32_t count_ = 0;
  int64_t base_timestamp_ = kNoTimestamp;
  int64_t max_timestamp_ = kNoTimestamp;
};

}  // namespace posthaste::storage
