// The sparse index of one segment: where to start reading for an offset or a timestamp, and a hash per run of about 64
// KiB that covers what Kafka's CRC does not (base offset, length, leader epoch). Kept in memory while the segment is
// active, written beside it when sealed, rebuilt from the segment when missing or rotten. It never decides where a log
// ends (invariant S10) and does no I/O.
//
// A run starts at a batch boundary and ends with the first batch that brings it to kIndexRunBytes. Its hash chains XXH3
// over the 61-byte headers of its batches, each seeded with the hash before it. A header contains the CRC32C of
// everything behind it, so header hash plus batch CRCs prove every byte of the run, and the append path need not read
// record bytes twice.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "reactor/result.h"
#include "storage/batch/record_batch.h"
#include "storage/bytes/bytes.h"

namespace posthaste::storage {

inline constexpr uint32_t kIndexRunBytes = 64 * 1024;

// One run. The maximum runs over all runs up to and including this one, so it never decreases: binary search works.
struct IndexEntry {
  int64_t base_offset = 0;                      // of the run's first batch
  uint32_t position = 0;                        // of that batch in the segment, bytes
  int64_t max_timestamp_so_far = kNoTimestamp;  // ms
  int64_t max_timestamp_offset = -1;            // last offset of the first batch that has it; -1 while there is none
  uint64_t header_hash = 0;
  friend bool operator==(const IndexEntry&, const IndexEntry&) = default;
};

// Where to look: the bytes [position, end) of the segment hold the answer if the segment holds it.
struct IndexRange {
  uint32_t position = 0;
  uint32_t end = 0;
  friend bool operator==(const IndexRange&, const IndexRange&) = default;
};

// A segment's index. Copyable value; belongs to the core that owns the partition.
class SegmentIndex {
 public:
  explicit SegmentIndex(int64_t segment_base_offset = 0)
      : base_offset_(segment_base_offset), next_offset_(base_offset_) {}

  int64_t base_offset() const { return base_offset_; }
  // One past the last offset, and bytes, that add_batch() has seen.
  int64_t next_offset() const { return next_offset_; }
  uint32_t size_bytes() const { return size_bytes_; }
  // Largest timestamp in the segment and its offset; kNoTimestamp and -1 while there is none.
  int64_t max_timestamp() const { return entries_.empty() ? kNoTimestamp : entries_.back().max_timestamp_so_far; }
  int64_t max_timestamp_offset() const { return entries_.empty() ? -1 : entries_.back().max_timestamp_offset; }
  const std::vector<IndexEntry>& entries() const { return entries_; }

  // The run that holds `offset` if any does, and the one behind it: where compaction left a hole, the next batch may
  // open that one. Empty if `offset` lies outside [base offset of the first batch, next_offset).
  std::optional<IndexRange> find_offset(int64_t offset) const;
  // The first run that holds a batch with max timestamp >= `timestamp`; empty if the segment has none.
  std::optional<IndexRange> find_timestamp(int64_t timestamp) const;
  // The run that holds this position; there is one.
  size_t run_at(uint32_t position) const;
  // The run with this position, for scrub: its bytes and the hash they must have.
  IndexRange range_of(size_t entry) const;

  // The file image (docs/storage-format.md). It may be padded with anything behind its end.
  Bytes encode() const;
  // kTruncated, kCorrupt, kUnsupported as open_frame(); kCorrupt too if entries are not in order or outside the
  // segment.
  static reactor::Result<SegmentIndex> decode(ByteView file);

  friend bool operator==(const SegmentIndex&, const SegmentIndex&) = default;

 private:
  friend class SegmentIndexBuilder;

  int64_t base_offset_;
  int64_t next_offset_;
  uint32_t size_bytes_ = 0;
  std::vector<IndexEntry> entries_;
};

// Keeps the index of a growing segment. One call per batch, amortised constant time, no look at record bytes.
class SegmentIndexBuilder {
 public:
  explicit SegmentIndexBuilder(int64_t segment_base_offset) : index_(segment_base_offset) {}
  // Goes on with an index, for a segment that was not sealed. The last run continues where it stopped.
  explicit SegmentIndexBuilder(SegmentIndex index) : index_(std::move(index)) {}

  // The batch that follows in the segment, offset and leader epoch as stored. Its header is what matters. kOutOfOrder:
  // it starts before next_offset (bytes on disk may; the append path never does). kLimit: the segment would pass 4 GiB.
  reactor::Result<void> add_batch(const RecordBatchView& batch);

  // The segment ends at `position` now (a batch boundary). Forgets some runs in whole: add the batches of [returned
  // position, `position`) again, then index() is as if nothing behind had ever been written.
  uint32_t truncate(uint32_t position);

  const SegmentIndex& index() const { return index_; }

 private:
  SegmentIndex index_;
};

// The header hash of a run one batch further on; 0 before its first.
uint64_t chain_header_hash(uint64_t hash, const RecordBatchView& batch);

// The hash that a run with these bytes must have; bytes end exactly at a batch boundary, else kTruncated or kCorrupt.
reactor::Result<uint64_t> hash_of_run(ByteView run);

// What a scan over batches found.
struct BatchScan {
  enum class Outcome : uint8_t {
    kFound,     // the batch at `position`, `size` bytes, all within the given bytes
    kNeedMore,  // bytes end inside the batch at `position`; `size` is what it needs if the header was there, else 0
    kNotFound,  // bytes ended at a batch boundary, `position`, without a match
    kCorrupt,   // at `position` there is no batch
  };
  Outcome outcome = Outcome::kNotFound;
  size_t position = 0;
  size_t size = 0;
};

// Finds, in bytes that start at a batch boundary, the first batch whose last offset >= `offset`: the one that contains
// it, or the next one where compaction left a hole.
BatchScan find_batch_with_offset(ByteView bytes, int64_t offset);

// Finds the first batch with max timestamp >= `timestamp`.
BatchScan find_batch_with_timestamp(ByteView bytes, int64_t timestamp);

}  // namespace posthaste::storage
