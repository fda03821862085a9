// The arguments and results of a partition's log: configuration, append, read, waiters. Plain values and intrusive
// nodes; partition.h says what they mean. They know no request and no socket.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "reactor/intrusive_list.h"
#include "reactor/recycled.h"
#include "reactor/result.h"
#include "storage/batch/record_batch.h"
#include "storage/bytes/bytes.h"
#include "storage/log/chunk.h"
#include "storage/log/producer_state.h"
#include "storage/log/retention.h"

namespace posthaste::storage {

// A topic's id, as in Kafka (KIP-516). Inside, topics are known by id; the name only decides the directory.
using TopicId = std::array<std::byte, 16>;

// One incarnation of a partition on this broker: new at every creation, never reused. All journal records name it.
using Uid = uint64_t;

// What a topic's configuration means to its log. Kafka's defaults. Not stored by the engine: the owner of the topics'
// configuration sets it after a restart.
struct LogConfig {
  uint64_t segment_bytes = uint64_t{1} << 30;  // segment.bytes; below 4 GiB
  int64_t segment_ms = 604'800'000;            // segment.ms
  int64_t segment_jitter_ms = 0;               // segment.jitter.ms
  RetentionRules retention;
  BatchRules batch;
  ProducerLimits producers;
  friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

struct AppendOptions {
  int32_t leader_epoch = 0;
  // True: bytes from a client, exactly one batch, all rules of parse_produced(), producer sequences checked. False:
  // the broker's own batches (groups, metadata): one or more, structure and CRC only.
  bool from_client = true;
};

struct AppendResult {
  int64_t base_offset = -1;
  int64_t last_offset = -1;
  int64_t log_append_time = kNoTimestamp;  // ms; only for LogAppendTime topics
  int64_t log_start_offset = 0;
  // Stored before: the offsets are the old ones. The answer still waits until they are below the high watermark.
  bool duplicate = false;
};

// Offsets below which a log has no hole: what its leader had removed when it sent the rest (compaction).
inline constexpr int64_t kNoHoles = INT64_MAX;

// Waits until an offset is reached. Lives in its user; destroyed = cancelled. `done` is called once, on the owner core,
// from the storage engine's own steps: it must not destroy the partition or append to it; schedule a Runnable for that.
// The result is an error if the partition was deleted, truncated below, or the engine stops.
struct OffsetWaiter : reactor::ListNode<> {
  int64_t offset = 0;  // reached when the watched offset is >= this one: for an append, last_offset + 1
  void (*done)(OffsetWaiter&, reactor::Result<void>) = nullptr;
};

// Told each time the end of a partition moves, until it unlinks itself. Registration states the offset last seen, so
// nothing is missed in between (see Partition::add_end_listener).
struct OffsetListener : reactor::ListNode<> {
  void (*advanced)(OffsetListener&) = nullptr;
};

struct ReadRequest {
  int64_t offset = 0;
  uint32_t max_bytes = 1024 * 1024;
  int64_t limit_offset = 0;  // nothing at or above it: high watermark, last stable offset or end
  // True: the first batch comes whole even if larger than max_bytes (KIP-74). False: nothing if it does not fit.
  bool first_batch_whole = true;
};

// Bytes of a log, kept in memory by a lease. Must die on the owner core.
struct LeasedBytes {
  ByteView bytes;
  ChunkLease lease;
};

struct ReadResult {
  // Whole batches, one behind the other; a batch may lie in several pieces.
  reactor::RecycledVector<LeasedBytes> pieces;
  uint32_t size_bytes = 0;
  // Of the first batch: at or below the offset asked for, or above it if that lies in a hole; -1 if empty.
  int64_t base_offset = -1;
  int64_t next_offset = 0;  // where to continue reading: behind a hole that reaches to the limit
};

// Its pieces as one run of bytes, copied: a batch may lie across two of them.
inline Bytes joined(const ReadResult& read) {
  Bytes whole;
  whole.reserve(read.size_bytes);
  for (const LeasedBytes& piece : read.pieces) whole.insert(whole.end(), piece.bytes.begin(), piece.bytes.end());
  return whole;
}

struct TimestampOffset {
  int64_t timestamp = kNoTimestamp;
  int64_t offset = -1;
  int32_t leader_epoch = -1;
};

// Where a partition's bytes cannot be trusted. Reads below `from_offset` are served; the rest is refused (kDamaged).
struct Damage {
  bool damaged = false;
  int64_t from_offset = 0;
  std::string reason;
  // True: bytes that only the journal held are lost; tables say so from now on. False: seen in a file, which may be put
  // back or become readable; the next opening of the partition looks again.
  bool lasting = true;
};

}  // namespace posthaste::storage
