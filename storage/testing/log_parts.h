// The parts of a log without an engine: a core that does no I/O, memory for chunks, and batches to put into a log.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "reactor/buffer.h"
#include "reactor/core.h"
#include "reactor/mail.h"
#include "reactor/testing/manual_backend.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/log/log_bytes.h"

namespace posthaste::storage::testing {

inline constexpr reactor::WallMillis kPartsNow{1'700'000'000'000};

// One record at this offset, in a batch of exactly so many bytes.
inline Bytes batch_of(int64_t offset, size_t bytes, int64_t timestamp = 5) {
  for (size_t value_bytes = bytes;; --value_bytes) {
    RecordBatchBuilder builder({.base_offset = offset, .leader_epoch = 1});
    std::string value(value_bytes, static_cast<char>('a' + offset % 26));
    builder.add({.timestamp = timestamp, .value = bytes_of(value)});
    Bytes batch = builder.finish();
    if (batch.size() <= bytes) {
      CHECK(batch.size() == bytes, "no batch has {} bytes", bytes);
      return batch;
    }
  }
}

class LogPartsTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kTailBytes = uint64_t{1} << 20;

  // A log of empty segments with these names; its table says that all is in their files.
  void make(std::vector<SegmentEntry> segments = {SegmentEntry{}}, int64_t end_offset = 0) {
    bytes_ = std::make_unique<LogBytes>(segments, end_offset);
  }
  reactor::Result<void> reserve(uint64_t bytes) { return bytes_->reserve(*cache_, bytes, flushed_); }
  // As a partition takes a batch.
  void append(const Bytes& batch, reactor::WallMillis now = kPartsNow) {
    ASSERT_TRUE(reserve(batch.size()).has_value());
    ASSERT_TRUE(bytes_->copy_to_tail(bytes_->active().size, batch));
    bytes_->append(*RecordBatchView::parse(batch), now);
    written_.insert(written_.end(), batch.begin(), batch.end());
  }
  Bytes copy_of(const Segment& segment, uint64_t from, uint64_t to) const {
    Bytes copy(to - from);
    LogBytes::copy_out(segment, from, copy);
    return copy;
  }

  reactor::testing::ManualBackend backend_;
  reactor::Mailroom mailroom_{1};
  reactor::Core core_{0, backend_, mailroom_, 4 << 20};
  std::shared_ptr<ChunkCache> cache_ = std::make_shared<ChunkCache>(core_.pool(), kTailBytes, kTailBytes);
  std::unique_ptr<LogBytes> bytes_;
  uint64_t flushed_ = 0;
  Bytes written_;
};

}  // namespace posthaste::storage::testing
