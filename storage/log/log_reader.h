// Offsets to bytes: what is served of a log, out of memory or by a read of the disk, and whether what comes from a disk
// is what was acknowledged. It changes no log: it brings chunks and indexes into memory, and notes which places of a
// file are refused. It asks the partition for what it needs to know of the log (its bytes, positions, epochs, damage).
// Belongs to the partition's core.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "reactor/task.h"
#include "storage/log/header_fields.h"
#include "storage/log/log_bytes.h"

namespace posthaste::storage {

class DiskRead;
class Engine;
class Partition;

class LogReader {
 public:
  // `partition` owns it.
  explicit LogReader(Partition& partition) : partition_(partition) {}
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  // As Partition says of the functions of these names.
  std::optional<reactor::Result<ReadResult>> try_read(const ReadRequest& request);
  reactor::Task<reactor::Result<ReadResult>> read(ReadRequest request);
  reactor::Task<reactor::Result<TimestampOffset>> find_timestamp(int64_t timestamp, int64_t limit_offset);
  reactor::Task<reactor::Result<TimestampOffset>> max_timestamp();

  // Where the batch begins that `offset` lies in, or that follows the hole around it; the end, at or behind it.
  // kDamaged, kIoError, kNoMemory.
  reactor::Task<reactor::Result<Boundary>> batch_boundary(int64_t offset);
  // Where the whole batches end, up to `offset` and to the damage. Of the segment in which that is, every batch is read
  // and checked: what is known to be damaged may not be all that is. Nothing else is at work on the log. Drops what is
  // in memory of a damaged log and not durable.
  reactor::Task<reactor::Result<Boundary>> last_whole_batch(int64_t offset);
  // Visits the headers from `position` to `to`, or to the end, which may grow meanwhile, until `visit` says false
  // (kDamaged then). The views' records are not to be touched. kBusy: the log was cut, or the segment has gone.
  reactor::Task<reactor::Result<void>> walk_headers(std::shared_ptr<Segment> segment, uint64_t position, uint64_t to,
                                                    std::function<bool(const RecordBatchView&)> visit);
  // The segment's index is whole: from the file beside a sealed segment if that is whole and of this segment, else
  // from the batches' headers.
  reactor::Task<reactor::Result<void>> ensure_index(std::shared_ptr<Segment> segment);
  // What it means that a segment's file could not be read. A file that is gone is damage; any other error may pass, is
  // logged once until a read succeeds, and is the reader's result. Success: the caller looks again.
  reactor::Result<void> read_failed(Segment& segment, uint64_t position, reactor::Errc error);
  // The log was truncated: the places where readers stopped may not be there any more.
  void forget_places() { hints_.fill({}); }

 private:
  // What a look at memory found missing.
  struct Miss {
    std::shared_ptr<Segment> segment;
    bool index = false;
    std::optional<size_t> run;  // of the index, whose hash was not compared yet
    uint64_t position = 0;      // of the first byte missing
    uint64_t bytes = 0;         // how much behind it is wanted
  };
  // Where readers stopped recently: the next one starts there and need not search the index.
  struct Hint {
    int64_t offset = -1;
    uint64_t linear = 0;
  };

  Engine& engine() const;

  // log_reader.cc
  bool peek(const std::shared_ptr<Segment>& segment, uint64_t position, MutableBytes header, Miss& miss) const;
  std::optional<reactor::Result<Boundary>> find_batch(int64_t offset, Miss& miss);
  std::optional<reactor::Result<ReadResult>> read_memory(const ReadRequest& request, Miss& miss);
  void lease(Segment& segment, uint64_t from, uint64_t to, ReadResult& result);
  reactor::Task<reactor::Result<void>> fill(Miss miss, DiskRead* by);
  reactor::Task<reactor::Result<void>> load_chunk(std::shared_ptr<Segment> segment, uint64_t position, uint64_t wanted,
                                                  DiskRead* by);

  // log_verify.cc
  bool is_verified(const Segment& segment, uint64_t from, uint64_t to) const;
  bool follows(int64_t next_offset, int64_t base_offset) const;
  std::optional<bool> joins_what_follows(const std::shared_ptr<Segment>& segment, uint64_t position,
                                         int64_t next_offset, Miss& miss) const;
  std::optional<bool> verify(const std::shared_ptr<Segment>& of, uint64_t position, int64_t expected_offset,
                             Miss& miss);
  static bool crc_matches(const Segment& segment, uint64_t position, const HeaderFields& fields);
  static void mark_verified(const Segment& segment, uint64_t position, uint64_t end);
  reactor::Errc refuse(const Segment& segment, uint64_t position, int64_t offset, std::string_view reason);
  reactor::Task<reactor::Result<void>> build_index(std::shared_ptr<Segment> segment);
  bool fits(const Segment& segment, const SegmentIndex& index) const;
  reactor::Task<reactor::Result<void>> check_run(std::shared_ptr<Segment> segment, size_t run);
  reactor::Task<reactor::Result<bool>> matches(std::shared_ptr<Segment> segment, IndexRange range, IndexEntry entry);

  Partition& partition_;
  std::array<Hint, 4> hints_{};
  uint32_t next_hint_ = 0;
};

}  // namespace posthaste::storage
