// One replica of one partition: its log, from the bytes of a produce to leased bytes for a fetch. Plain functions and
// intrusive waiters; only what must wait for a disk is a Task. Everything here is called by the owner core only.
//
// Positions of the log: log start <= high watermark <= durable, and flushed <= durable <= submitted <= end, where
//   end        what append() has taken: readable, not acked
//   submitted  part of a journal commit that is being written
//   durable    part of a completed commit: may be acked; never lost again
//   flushed    also in the segment file
// It is made of parts: LogBytes (segments and tail), CommitState (the last three positions), LogReader, OffsetWaiters;
// this class lets them work together, and is all that anyone outside storage/ sees of them. It knows no leader, no ISR
// and no request. The high watermark is the replica's (replication/replica.h); the log only keeps what it was given, on
// disk too, and removes nothing above it.
#pragma once
#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reactor/sync.h"
#include "reactor/task.h"
#include "storage/journal/journal_format.h"
#include "storage/log/commit_state.h"
#include "storage/log/epoch_cache.h"
#include "storage/log/log_attachment.h"
#include "storage/log/log_bytes.h"
#include "storage/log/log_reader.h"
#include "storage/log/log_types.h"
#include "storage/log/offset_waiters.h"
#include "storage/log/segment.h"
#include "storage/recovery/table.h"

namespace posthaste::storage {

class Engine;

// What of a partition is in the file system beside the bytes of its log: for SegmentFiles, which makes and removes it.
struct PartitionFolder {
  bool is_created = false;
  bool was_tried = false;           // there may be one, though it is not known to be durable
  bool is_removing_doomed = false;  // by one at a time: a name must not be used between two
  std::vector<std::string> doomed;  // files of removed segments, to be unlinked before their names are used again
};

// How far WriteBack is to write a partition, and whether it is at it.
struct WriteBackGoal {
  uint64_t linear = 0;
  bool partial = false;  // also the block that it ends in
  bool running = false;
};

// On its core's lists of partitions with bytes for the journal, with bytes to write back, and queued for that.
class Partition final : private reactor::CoreOwned,
                        public std::enable_shared_from_this<Partition>,
                        public reactor::ListNode<struct DirtyTag>,
                        public reactor::ListNode<struct UnflushedTag>,
                        public reactor::ListNode<struct WriteBackTag> {
 public:
  // Counts the tasks that use this object across a wait: it is neither deleted nor truncated meanwhile. A task that is
  // spawned gets its own as an argument: it counts from then on, not from when it first runs.
  class Use {
   public:
    explicit Use(Partition& of) : partition_(of.shared_from_this()) { ++partition_->users_; }
    Use(Use&& other) noexcept = default;
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (partition_ == nullptr) return;
      --partition_->users_;
      partition_->changed_.notify_all();
    }
    Partition& partition() const { return *partition_; }

   private:
    std::shared_ptr<Partition> partition_;
  };

  // From a table entry: fresh, or as recovery left it (everything flushed).
  Partition(Engine& engine, const TableEntry& entry, const LogConfig& config);
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;
  ~Partition();

  reactor::Core& core() const;
  Uid uid() const { return uid_; }
  const TopicId& topic_id() const { return topic_id_; }
  const std::string& topic_name() const { return topic_name_; }
  int32_t partition() const { return partition_; }
  const LogConfig& config() const { return *config_; }
  // Live change; holds from the next append, roll or retention pass on.
  void set_config(const LogConfig& config);

  int64_t log_start_offset() const { return check_core(), log_start_; }
  int64_t end_offset() const { return check_core(), bytes_.end().offset; }
  int64_t durable_offset() const { return check_core(), commit_.durable().offset; }
  // The last high watermark that was set; after a start, the last one that a table has kept.
  int64_t high_watermark() const { return check_core(), high_watermark_; }
  // For what stands above the log. Never backwards (ignored), never above the durable offset (CHECK).
  void set_high_watermark(int64_t offset);
  // What stands above the log (log_attachment.h); null: nothing so far. One for the log's whole life.
  LogAttachment* attachment() const { return check_core(), attachment_.get(); }
  void attach(std::unique_ptr<LogAttachment> attachment);
  // Why nothing may wait here any more: kNotFound: being deleted; kStopping.
  std::optional<reactor::Errc> closed() const;
  const Damage& damage() const { return damage_; }
  // Bytes that have become durable, counted from some start: for differences. Retention does not lower it, a truncation
  // does.
  uint64_t durable_position() const { return commit_.durable().linear; }
  // Bytes from `offset` to the end, at least; that and no more without a look at a disk (LogBytes).
  uint64_t bytes_from(int64_t offset) const { return check_core(), bytes_.bytes_from(offset); }
  // Bytes of all segments, and how many segments there are.
  uint64_t size_bytes() const { return bytes_.size_bytes(); }
  size_t segment_count() const { return bytes_.segments().size(); }

  // Takes batches at the end of the log: validates everything first, then patches base offset and leader epoch (and the
  // timestamp of LogAppendTime topics) in `batches`, copies them to the tail in the pass that checks the CRC, and hands
  // the range to the journal. Nothing is stored unless all is valid. Durable only when wait_durable() says so.
  // Errors: kCorrupt (CRC, structure), kMalformed, kTimeOutOfRange, kTooLarge, kUnsupported (magic 0, 1),
  // kOutOfOrder, kFenced, kLimit (producers), as the leaves say; kStale: options.leader_epoch is older than the
  // log's; kNoMemory: no room in the tail or the journal just now, try again after Engine::wait_for_room(), `batches`
  // is unchanged then; kNoSpace: the disk is full; kBusy: being truncated; kNotFound: being deleted; kDamaged,
  // also if its producers could not be read again after a truncation; kIoError: its last block cannot be read just now.
  reactor::Result<AppendResult> append(MutableBytes batches, const AppendOptions& options, reactor::WallMillis now);
  // A client's batch was refused before append() saw it, for a reason that passes: what its producer sent behind it may
  // not be taken before it (ProducerState::refused). append() notes its own.
  void refused(ByteView batch, reactor::WallMillis now);

  // Takes batches as their leader has stored them: offsets and leader epochs are theirs, nothing is changed in them.
  // Offsets ascend; there may be holes before, between and inside the batches, where the leader has removed records. A
  // batch of a newer epoch starts that epoch, and those of `leader_epochs` before it, where the leader says that they
  // began: they may have written only what is a hole now. Without that an epoch starts at the end of what stands before
  // it, and no replica keeps by this log's word what the epoch's leader never had. Producers are remembered as of
  // `now`, their sequences not checked: the leader has done that. All or nothing is stored, durable only when
  // wait_durable() says so. Errors as those of append() that are not about producers and timestamps; kStale: a batch is
  // of an older epoch than what stands before it, in the log or in `batches`; kOutOfOrder: its base offset is below the
  // end of what stands before it; kMalformed also: no epoch, or an offset that nothing can follow.
  reactor::Result<AppendResult> append_replicated(ByteView batches, reactor::WallMillis now,
                                                  std::span<const EpochEntry> leader_epochs = {});

  // Calls waiter.done when the durable end is >= waiter.offset. At once if it is already. No allocation. Cancel by
  // unlinking.
  void wait_durable(OffsetWaiter& waiter);

  // Calls listener.advanced on each move of the end of the log (followers), and when it is deleted. Returns true, and
  // does not register, if it is already above `seen_offset`: read first.
  bool add_end_listener(OffsetListener& listener, int64_t seen_offset);

  // Reads whole batches from memory; an empty optional means that a disk read is needed: use read().
  // Errors: kOutOfRange: offset below the log start or above limit_offset; kDamaged: the bytes there are known bad;
  // kNoMemory: no chunk for a disk read.
  std::optional<reactor::Result<ReadResult>> try_read(const ReadRequest& request) {
    return check_core(), reader_.try_read(request);
  }
  // The same, waiting for the disk. What comes from a disk is verified before it is returned (kDamaged).
  reactor::Task<reactor::Result<ReadResult>> read(ReadRequest request) { return check_core(), reader_.read(request); }

  // The first offset from the log start on with a timestamp >= `timestamp`, below `limit_offset`; offset -1 if none. Of
  // a compressed batch with such a time it is the first offset that is not below the log start.
  reactor::Task<reactor::Result<TimestampOffset>> find_timestamp(int64_t timestamp, int64_t limit_offset) {
    return check_core(), reader_.find_timestamp(timestamp, limit_offset);
  }
  // The largest timestamp and the last offset of the batch that carries it, which may be below the log start.
  reactor::Task<reactor::Result<TimestampOffset>> max_timestamp() { return check_core(), reader_.max_timestamp(); }

  // Leader epochs: KIP-101.
  const EpochCache& epochs() const { return epochs_; }
  // As Kafka, never below the log start.
  EpochEnd end_offset_for_epoch(int32_t epoch) const {
    EpochEnd end = epochs_.end_offset_for(epoch, bytes_.end().offset);
    if (end.end_offset != kNoEndOffset) end.end_offset = std::max(end.end_offset, log_start_);
    return end;
  }
  // Starts `epoch` at the end of the log if it is newer than all known; journaled before the epoch's first batch.
  void start_epoch(int32_t epoch);

  // DeleteRecords, retention: raises the log start; durable before it returns. Whole segments below go away
  // afterwards. kOutOfRange above the high watermark; a value at or below the present one changes nothing.
  reactor::Task<reactor::Result<void>> set_log_start(int64_t offset);

  // Cuts the log so that it ends at `offset`, or where the batch begins that `offset` lies in; durable before it
  // returns, and what was cut can not come back. At the end or behind it no record goes, but epochs that have written
  // nothing do, as in Kafka: another leader may continue under an older one. A damaged log, or one whose batch at
  // `offset` cannot be found, ends with the last batch below that is whole, and is damaged no more. Appends meanwhile
  // are refused (kBusy). kOutOfRange below the log start; kDamaged, kIoError, kNoMemory: it may have been cut, but what
  // it knew of producers could not be read again: it takes no append until this or reset() has succeeded.
  reactor::Task<reactor::Result<void>> truncate(int64_t offset);

  // Forgets all records, epochs and producers, and all damage: the log is empty and begins at `offset`, which may lie
  // below, in or above what it held. Durable before it returns, and nothing of before can come back. Appends meanwhile
  // are refused (kBusy); waiters for an offset get kStale. kOutOfRange: not an offset; kIoError: its last block cannot
  // be read just now, or a file not be removed, and nothing is changed; kBusy, kNotFound, kStopping as append().
  reactor::Task<reactor::Result<void>> reset(int64_t offset);

  // Closes the active segment, if it holds anything.
  void roll();

  // One pass of retention.ms / retention.bytes at time `now`, and segment.ms. Durable before it returns.
  reactor::Task<reactor::Result<void>> apply_retention(reactor::WallMillis now);

  const ProducerState& producers() const { return producers_; }

  // From here on: for the parts of the engine.
  enum class Mode : uint8_t { kOpen, kTruncating, kDeleting, kStopping };
  Mode mode() const { return mode_; }
  Engine& engine() const { return engine_; }
  const LogBytes& bytes() const { return bytes_; }
  const CommitState& commit() const { return commit_; }
  LogReader& reader() { return reader_; }
  // Where the first hole in the offsets begins (OffsetOrder).
  int64_t holes_from() const { return holes_from_; }
  // What journal records belong to: those of an earlier one are dead.
  uint32_t generation() const { return generation_; }
  std::string directory() const;
  std::string segment_path(const Segment& segment, std::string_view extension) const;
  PartitionFolder& folder() { return folder_; }
  WriteBackGoal& write_back_goal() { return write_back_goal_; }
  // Notified when something has moved that a background step may wait for.
  reactor::Event& changed() { return changed_; }
  // The last block's beginning is being read, for the journal.
  bool is_loading_prefix() const { return loading_prefix_; }

  // The journal's: as CommitState says. Those who wait for what has become durable are woken.
  CommitState::Submitted submit(RecordWriter& writer, std::vector<ChunkLease>& referred);
  void submitted_is_durable(const CommitState::Submitted& submitted, const CommitPlace& place);
  void meta_queued() { commit_.meta_queued(); }
  void meta_durable(uint64_t lsn, bool applies_later);
  // What a durable META record says is so in memory now. Until then no table is made of the partition.
  void meta_applied();
  // Write-back's: the segment files hold everything below `linear`.
  void flushed_to(uint64_t linear);

  // Tables: what one says of this partition, once its CREATE record is durable.
  bool is_created() const { return created_; }
  void set_created() { created_ = true; }
  TableEntry table_entry();

  // A deletion, in this order. kStopping, kBusy: it is being cut or deleted already.
  reactor::Result<void> begin_deletion();
  // What is on its way to the journal has arrived there, or never will; changed() is notified.
  bool is_settled_for_deletion() const;
  void announce_deletion();
  // After its record is durable: nothing waits any more. What tables say until its files are gone.
  TableEntry end_deletion();
  bool is_in_use() const { return users_ > 0 || write_back_goal_.running; }

  // Waits until all that was appended is durable and flushed, no META record is under way and no write-back runs. Of a
  // damaged log what is durable: the rest can not become so any more.
  reactor::Task<reactor::Result<void>> quiesce();
  // No appends, no waiters any more: the engine stops.
  void stop();

 private:
  // partition.cc
  void fail_waiters(reactor::Errc error);

  // partition_append.cc
  reactor::Result<void> check_mode() const;
  reactor::Result<void> check_open() const;
  using BatchViews = reactor::RecycledVector<RecordBatchView>;
  static reactor::Result<BatchViews> whole_batches(ByteView bytes);
  reactor::Result<BatchViews> check_batches(MutableBytes batches, const AppendOptions& options, reactor::WallMillis now,
                                            AppendResult& duplicate) const;
  reactor::Result<AppendResult> append_now(MutableBytes batches, const AppendOptions& options, reactor::WallMillis now);
  reactor::Result<BatchViews> check_replicated(ByteView batches) const;
  reactor::Result<void> make_room(uint64_t bytes, bool from_client, reactor::WallMillis now);
  reactor::Result<void> admit(uint64_t bytes, bool from_client);
  reactor::Result<void> reserve(uint64_t bytes);
  void publish(ByteView batches, reactor::WallMillis now, std::span<const EpochEntry> leader_epochs = {});
  void follow_epochs(const RecordBatchView& batch, std::span<const EpochEntry> leader_epochs);
  void start_epoch_at(int32_t epoch, int64_t offset);
  void note_hole();
  void count_new_producers(size_t before);
  void tell_if_producers_were_pushed_out();
  bool roll_is_due(uint64_t bytes, reactor::WallMillis now) const;

  // partition_commit.cc: between the tail and the journal
  // Everything below `offset` is durable: wakes those who wait for it.
  void acknowledge(int64_t offset);
  reactor::Task<void> load_prefix(Use use);
  reactor::Task<reactor::Result<uint64_t>> read_prefix(const Use& use, Segment& segment, uint64_t block, Chunk& chunk);
  void snapshot_producers();
  void damage_from(int64_t offset, std::string reason);

  // partition_retention.cc
  void doom(const LogBytes::Segments& gone);
  void remove_segments_below_log_start();
  reactor::Task<void> remove_gone(Use use, LogBytes::Segments gone);

  // partition_truncate.cc
  reactor::Task<reactor::Result<void>> alone(reactor::Task<reactor::Result<void>> work);
  reactor::Task<reactor::Result<void>> cut(int64_t offset);
  void cut_memory(const Boundary& to);
  void go_on_from(const Boundary& at);
  reactor::Task<reactor::Result<void>> rebuild_producers();

  // partition_reset.cc
  reactor::Task<reactor::Result<void>> remove_derived(int64_t from_base);
  reactor::Task<reactor::Result<void>> start_over(int64_t offset);
  LogBytes::Segments forget_all(int64_t offset);

  Engine& engine_;
  const Uid uid_;
  const TopicId topic_id_;
  const std::string topic_name_;
  const int32_t partition_;
  uint32_t generation_;
  std::shared_ptr<const LogConfig> config_;  // Engine::share
  int64_t log_start_;
  EpochCache epochs_;
  int64_t holes_from_;  // OffsetOrder; below the end
  ProducerState producers_;
  Damage damage_;
  PartitionFolder folder_;
  LogBytes bytes_;
  CommitState commit_;
  LogReader reader_;
  Mode mode_ = Mode::kOpen;
  bool loading_prefix_ = false;
  bool prefix_failing_ = false;  // it could not be read and is tried again; nothing can be journaled until then
  bool created_ = false;         // the CREATE record is durable
  bool producers_known_ = true;  // false while they are rebuilt
  WriteBackGoal write_back_goal_;
  // Producer state for tables: of the durable log, and of an end that is not durable yet.
  struct ProducerSnapshot {
    Bytes bytes;  // empty: there are none
    Boundary at;
    bool valid = false;
  };
  ProducerSnapshot stable_producers_;
  ProducerSnapshot next_producers_;
  uint64_t pushed_out_to_tell_ = 1;
  uint32_t users_ = 0;
  int64_t high_watermark_ = 0;
  std::unique_ptr<LogAttachment> attachment_;
  OffsetWaiters waiters_;   // for durable offsets, and for the end
  reactor::Event changed_;  // something that a background step may wait for
};

}  // namespace posthaste::storage
