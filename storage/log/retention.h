// Decides which sealed segments may be deleted, as Kafka's cleanup.policy=delete does: by age, by size, or because they
// lie below the log start. A pure function; the engine carries the decision out (LOG_START durable first, unlink
// later).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "reactor/time.h"
#include "storage/batch/record_batch.h"

namespace posthaste::storage {

struct RetentionRules {
  int64_t retention_ms = 604'800'000;  // retention.ms; -1: no limit
  int64_t retention_bytes = -1;        // retention.bytes, over the whole partition; -1: no limit
  friend bool operator==(const RetentionRules&, const RetentionRules&) = default;
};

// A segment of one partition. Segments are given oldest first, each starting where the one before ends; the last one is
// the active one and is never deleted.
struct SegmentSummary {
  int64_t base_offset = 0;
  int64_t next_offset = 0;  // one past its last record
  uint64_t size_bytes = 0;
  int64_t max_timestamp = kNoTimestamp;  // ms, largest in any record; kNoTimestamp: no record carries one
  reactor::WallMillis last_append;       // stands in for a missing max_timestamp
};

enum class RetentionReason : uint8_t { kNone, kAge, kSize, kLogStart };
std::string_view to_string(RetentionReason reason);  // the setting that asked for it

struct RetentionDecision {
  size_t delete_count = 0;       // that many segments from the front
  int64_t log_start_offset = 0;  // the new one; never below the given one
  // Why the last of the deleted segments went.
  RetentionReason reason = RetentionReason::kNone;
  // The active segment's records are all past retention_ms and everything before it goes: roll, so that the next run
  // can delete it.
  bool roll_active = false;
  // A segment at the front claims timestamps later than `now`. It does not age out (Kafka's rule too): worth a warning.
  bool future_timestamp = false;
};

// `high_watermark`: nothing above it is deleted, acked or not. Only a prefix goes: the first segment to be kept ends
// it.
RetentionDecision decide_retention(std::span<const SegmentSummary> segments, const RetentionRules& rules,
                                   int64_t log_start_offset, int64_t high_watermark, reactor::WallMillis now);

}  // namespace posthaste::storage
