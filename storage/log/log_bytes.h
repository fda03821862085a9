// The bytes of one log: its segments one behind the other, what of them lies in memory, and the tail that grows. It
// knows offsets only as far as batches carry them. It does not decide when to roll, what is durable, what is written
// where or what is served; it does no I/O. Belongs to the partition's core.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "storage/log/header_proof.h"
#include "storage/log/log_types.h"
#include "storage/log/segment.h"
#include "storage/recovery/table.h"

namespace posthaste::storage {

// A place in the log at a batch boundary. `linear` counts bytes from the start of the first segment that this object
// ever knew; segments follow each other without gaps in it.
struct Boundary {
  uint64_t linear = 0;
  int64_t offset = 0;
};

class LogBytes {
 public:
  using Segments = std::vector<std::shared_ptr<Segment>>;  // few, and one allocation less than a deque takes

  // As a table names them, all in their files, in a log that ends at `end_offset`.
  LogBytes(std::span<const SegmentEntry> segments, int64_t end_offset);

  // Oldest first, never none; the last one is the active segment.
  const Segments& segments() const { return segments_; }
  Segment& active() const { return *segments_.back(); }
  const Boundary& end() const { return end_; }
  uint64_t size_bytes() const { return end_.linear - segments_.front()->linear_start(); }
  // Bytes from `offset` to the end, at least: as far as indexes in memory tell, which they do to two runs.
  uint64_t bytes_from(int64_t offset) const;
  // For retention: each with the offset behind it.
  std::vector<SegmentSummary> summaries() const;

  // The segment that holds the byte behind `linear`, the later one where two touch; the first one for what is gone.
  std::shared_ptr<Segment> segment_of(uint64_t linear) const;
  // The last one that begins at or below `offset`, else the first.
  std::shared_ptr<Segment> segment_with(int64_t offset) const;
  // The segment that would be the last of a log that ends there. Where two touch it is the earlier one if the end lies
  // in a hole before the other one's name.
  std::shared_ptr<Segment> last_segment_up_to(const Boundary& end) const;
  // One of segments().
  std::shared_ptr<Segment> keep(const Segment& segment) const { return *find(segment); }
  // Null behind the active one.
  Segment* next_of(const Segment& segment) const;
  // How many segments are behind this one.
  size_t count_behind(const Segment& segment) const;
  // Where the segment behind this one begins, or the log ends.
  int64_t offset_behind(const Segment& segment) const;
  // A place that retention has overtaken counts as the start of what is left.
  SegmentPosition position_of(uint64_t linear) const;

  // Copies bytes of a segment out of memory; CHECK: they are there.
  static void copy_out(const Segment& segment, uint64_t position, MutableBytes into);
  // Where the batch ends that starts at `start`; its header is in memory.
  Boundary batch_end_at(const Boundary& start) const;

  // Makes sure that the tail has room for `bytes` behind the end. Changes no log state; kNoMemory leaves it as it was.
  reactor::Result<void> reserve(ChunkCache& cache, uint64_t bytes, uint64_t flushed_linear);
  // Gives back what reserve() took and no batch filled; a tail that is all flushed may leave memory then.
  void trim_tail(uint64_t flushed_linear);
  // Copies one batch to a position behind the end that is reserved, in the pass that computes its CRC; false if the CRC
  // is not the batch's.
  [[nodiscard]] bool copy_to_tail(uint64_t position, ByteView batch);
  // The next batch of what was copied becomes the log's.
  void append(const RecordBatchView& batch, reactor::WallMillis now);
  // Seals the active segment, which holds something, and opens the next one.
  void roll();

  // What lies in [from, to) is in its file and may leave memory: full chunks, and the tail's too while nothing is added
  // to it.
  void clean(uint64_t from, uint64_t to);

  // What these return is no part of the log any more, marked removed, and not in memory but for leases of readers.
  // Those below `log_start`, never `last_kept` or one behind it.
  Segments drop_below(int64_t log_start, const Segment& last_kept);
  // The log ends at `to`. CHECK: it reaches there. The last segment's index must be built again.
  Segments cut_to(const Boundary& to);
  // The log is empty and begins at `start`, where the bytes that it held end.
  Segments begin_anew(const Boundary& start);

  // The hash of the headers before an end, from a table: it proves the bytes of that segment until it has an index.
  // False: it is not of this log.
  bool adopt_proof(const HeaderProof& proof);

 private:
  Segments::const_iterator find(const Segment& segment) const;
  static bool fills_the_limit(const ChunkCache& cache, const Chunk& last, uint64_t end);
  static reactor::Result<void> move_last_block(ChunkCache& cache, Segment& segment, Chunk& last);
  void extend_tail(uint64_t bytes);
  static void let_go(Segment& segment);

  Segments segments_;
  Boundary end_;
  uint32_t tail_chunk_bytes_ = ChunkCache::kChunkBytesMin;  // of the next one: a busy tail takes larger ones
};

}  // namespace posthaste::storage
