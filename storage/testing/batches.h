// Batches for the unit tests of storage/, as a producer sends or a leader stores them, and bytes put together.
#pragma once
#include <initializer_list>
#include <string_view>

#include "reactor/time.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/log/log_types.h"

namespace posthaste::storage::testing {

inline constexpr reactor::WallMillis kNow{1'700'000'000'000};

// One record of this value and of the time kNow, as a producer sends it.
inline Bytes one_record(ByteView value, BatchToWrite header = {}) {
  RecordBatchBuilder builder(header);
  builder.add({.timestamp = kNow.value, .value = value});
  return builder.finish();
}
inline Bytes one_record(std::string_view value = "a record") { return one_record(bytes_of(value)); }

// One record of this value at this offset under this epoch, as a leader has stored it. Its time is long ago.
inline Bytes batch_at(int64_t offset, int32_t epoch, std::string_view value, BatchToWrite header = {}) {
  header.base_offset = offset;
  header.leader_epoch = epoch;
  RecordBatchBuilder builder(header);
  builder.add({.timestamp = 5, .value = bytes_of(value)});
  return builder.finish();
}

inline Bytes joined(std::initializer_list<Bytes> batches) {
  Bytes all;
  for (const Bytes& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
  return all;
}

}  // namespace posthaste::storage::testing
