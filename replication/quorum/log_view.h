// What the quorum keeps of its log: where it begins and ends, which epoch begins where, which voters it names, and how
// much of it is durable. The records are the driver's. Writes are numbered here; they complete in order.
#pragma once
#include <deque>
#include <span>
#include <vector>

#include "replication/quorum/voters.h"

namespace posthaste::replication::quorum {

class LogView {
 public:
  // A log that begins behind `snapshot` (offset 0: there is none) under these voters, without any record yet.
  LogView(SnapshotId snapshot, VoterSet voters);

  Offset start_offset() const { return snapshot_.offset; }
  LogPosition end() const;
  Offset end_offset() const { return end_offset_; }
  // Everything below is on disk, and stays there whatever writes are under way.
  Offset durable_offset() const { return durable_offset_; }
  SnapshotId snapshot() const { return snapshot_; }
  const VoterHistory& voters() const { return voters_; }
  uint64_t last_write() const { return last_write_; }
  size_t writes_under_way() const { return writes_.size(); }

  // Where the last records of an epoch of at most `epoch` end, and which epoch that is. Epochs before the log's
  // beginning: the beginning.
  LogPosition end_of_epoch(Epoch epoch) const;
  // The log holds, or held before its snapshot, the record before `position`: whoever ends there may go on from here.
  bool reaches(LogPosition position) const {
    return position.offset <= end_of_epoch(position.epoch).offset &&
           end_of_epoch(position.epoch).epoch == position.epoch;
  }

  // Whether `batch` fits behind the end: the next offset, no epoch of before.
  bool fits(const Batch& batch) const;
  // The batches fit. Both return the number of the write.
  uint64_t append(std::span<const Batch> batches);
  // Between the beginning and the end.
  uint64_t truncate(Offset to);
  // Write `number`, and all before it, has completed.
  void persisted(uint64_t number);
  // Records were there at the start: durable at once.
  void recovered(const Batch& batch);

  // The log below `snapshot` goes; it reaches up to there.
  void trim(SnapshotId snapshot);
  // Nothing is left but `snapshot`.
  void reset(SnapshotId snapshot, VoterSet voters);

 private:
  struct EpochStart {
    Epoch epoch = 0;
    Offset offset = 0;
  };
  struct Write {
    uint64_t number = 0;
    Offset end = 0;
  };
  void take(const Batch& batch);

  SnapshotId snapshot_;
  Offset end_offset_;
  Offset durable_offset_;
  std::vector<EpochStart> epochs_;  // beyond the snapshot, ascending in both
  VoterHistory voters_;
  std::deque<Write> writes_;
  uint64_t last_write_ = 0;
};

}  // namespace posthaste::replication::quorum
