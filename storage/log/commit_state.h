// How much of a log is on the disk: what the journal has taken of it, what a completed commit has made durable, what
// its segment files hold, and which journal records it still needs. The rules here are those that keep acknowledged
// bytes safe (docs/storage-format.md, "The full-page rule"). It reads the log's bytes and changes none; it notifies no
// waiters and does no I/O. Belongs to the partition's core.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "storage/journal/journal_format.h"
#include "storage/log/log_bytes.h"

namespace posthaste::storage {

// Where a commit lies, for those whose records it holds.
struct CommitPlace {
  uint64_t lsn = 0;
  uint64_t file_start_lsn = 0;
};

// What a partition's journal records say beside its bytes.
struct RecordSource {
  Uid uid = 0;
  uint32_t generation = 0;
  int64_t high_watermark = 0;
  size_t gather_bytes_min = 0;  // EngineOptions
};

// flushed <= durable <= submitted <= end of the log, in bytes. Durable and submitted exist twice: as a count of bytes,
// which may lie inside a batch that one commit could not hold, and as the last batch boundary at or before it.
// Write-back goes by bytes, not by boundaries: a journal file must come free whatever batch is half in it.
class CommitState {
 public:
  // What one sub-block took.
  struct Submitted {
    bool any = false;
    bool more = false;          // not all was taken: no room, or only the rest of a batch was due
    bool needs_prefix = false;  // nothing can be taken before the last block's beginning is in memory
    uint32_t rolls = 0;
    uint64_t linear_end = 0;
    Boundary boundary;
  };
  // What has moved.
  struct Advance {
    bool bytes = false;
    bool boundary = false;
  };
  // A sub-block with less room is not worth starting a record in: a whole prefix and some data must fit.
  static constexpr size_t kRecordRoomMin = RecordWriter::data_record_bytes(kBlock + 512);

  // All of a log that ends at `end` is durable and in its files. `bytes` outlives it.
  CommitState(const LogBytes& bytes, const Boundary& end, uint64_t last_meta_lsn,
              const std::optional<HeaderProof>& proof);
  CommitState(const CommitState&) = delete;
  CommitState& operator=(const CommitState&) = delete;

  uint64_t flushed_linear() const { return flushed_linear_; }
  uint64_t durable_linear() const { return durable_linear_; }
  uint64_t submitted_linear() const { return submitted_linear_; }
  const Boundary& durable() const { return durable_; }
  const Boundary& submitted() const { return submitted_; }
  // The segment that the next record is of, and the last one whose name is durable.
  Segment& submitting() const { return *submitting_; }
  const Segment& durable_segment() const { return *durable_segment_; }
  // The next commit continues a batch that an earlier one has begun.
  bool is_in_batch() const { return submitted_linear_ > submitted_.linear; }
  // All that was appended, and every roll, is durable.
  bool is_all_durable() const { return durable_.linear == bytes_.end().linear && submitting_ == &bytes_.active(); }
  bool is_all_flushed() const { return flushed_linear_ == bytes_.end().linear; }
  // The full-page rule: the next data record carries its block's earlier bytes.
  bool is_prefix_due() const { return prefix_due_; }

  // Moves what fits into the commit being built; of a log that is inside a batch, the rest of that batch only: then
  // other partitions have their turn. The caller calls made_durable() later, and keeps `referred` until then.
  Submitted submit(const RecordSource& source, RecordWriter& writer, std::vector<ChunkLease>& referred);
  // What a submit() took is durable. In the order of the submits.
  Advance made_durable(const Submitted& submitted, const CommitPlace& place);
  // The segment files hold everything below `linear`. CHECK: it is durable.
  void flushed_to(uint64_t linear);
  // Retention has removed what lies below `linear`, which is durable.
  void dropped_below(uint64_t linear);

  // META records: queued or in a commit under way; durable; what it says is so in memory. `applies_later`: that comes
  // by meta_applied(), in the same turn; until then no table is made.
  void meta_queued() { ++metas_pending_; }
  void meta_durable(uint64_t lsn, bool applies_later);
  void meta_applied();
  uint32_t metas_pending() const { return metas_pending_; }
  uint32_t metas_unapplied() const { return metas_unapplied_; }
  uint64_t last_meta_lsn() const { return last_meta_lsn_; }
  // Rolls that no commit has taken: they count as pending.
  size_t rolls_to_submit() const { return bytes_.count_behind(*submitting_); }

  // Journal records that end at or before this are not needed any more. If the flushed end lies inside a block, a
  // record that was built already shares the block and has no prefix: then the block's older records stay.
  uint64_t released_linear() const;
  // The start of the oldest journal file that is needed; `bound_lsn` if none before it is.
  uint64_t oldest_needed_lsn(uint64_t bound_lsn) const;
  // Of the oldest file that holds records of what is not flushed or not released; nothing: none does.
  std::optional<uint64_t> oldest_live_lsn() const;

  // A place that is durable, in a segment that is: where two segments touch, the earlier one until its ROLL is durable.
  SegmentPosition durable_position_of(uint64_t linear) const;
  // What the headers before the durable end hash to, if that is known.
  const std::optional<HeaderProof>& durable_proof() const { return durable_proof_; }
  // The active segment's headers are known again up to its end, which is the durable one.
  void know_proof_of_end();

  // Before the bytes are cut: rolls that were not taken never will be. CHECK: nothing is under way.
  void before_cut();
  // After it: all of what is left is durable and flushed, and no record of before is needed.
  void go_on_from(const Boundary& end);

 private:
  // Journal records of one file: the last byte they hold. What lies at or below `released` needs no file.
  struct LiveRecords {
    uint64_t file_start_lsn = 0;
    uint64_t linear_end = 0;
  };
  // What the headers before an end hash to that commits under way will make durable.
  struct SubmittedProof {
    uint64_t linear_end = 0;
    HeaderProof proof;
  };

  bool submit_roll(const RecordSource& source, RecordWriter& writer, Submitted& submitted);
  size_t submit_range(const RecordSource& source, RecordWriter& writer, std::vector<ChunkLease>& referred,
                      Submitted& submitted, uint64_t until);
  bool is_prefix_in_memory() const;
  void advance_submitted(uint64_t linear);

  const LogBytes& bytes_;
  uint64_t flushed_linear_;
  uint64_t durable_linear_;
  uint64_t submitted_linear_;
  Boundary durable_;
  Boundary submitted_;
  Boundary batch_end_;        // if is_in_batch(): of that batch, whose header may have left memory
  Segment* submitting_;       // holds submitted_linear_, also where two segments touch
  Segment* durable_segment_;  // the last one whose ROLL is durable
  std::vector<LiveRecords> live_;
  std::optional<HeaderProof> durable_proof_;
  reactor::RecycledVector<SubmittedProof> submitted_proofs_;
  uint64_t last_meta_lsn_;
  uint32_t metas_pending_ = 0;
  uint32_t metas_unapplied_ = 0;
  bool prefix_due_;
};

}  // namespace posthaste::storage
