// One replica of one partition: its log, from the bytes of a produce to leased bytes for a fetch. Plain functions and
// intrusive waiters; only what must wait for a disk is a Task. Everything here is called by the owner core only.
//
// Positions of the log: log start <= high watermark <= end, and flushed <= durable <= submitted <= end, where
//   end        what append() has taken: readable, not acked
//   submitted  part of a journal commit that is being written
//   durable    part of a completed commit: may be acked; never lost again
//   flushed    also in the segment file
// It knows no leader, no ISR and no request: who acknowledges what is the broker's matter.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reactor/sync.h"
#include "reactor/task.h"
#include "storage/epoch_cache.h"
#include "storage/log_types.h"
#include "storage/segment.h"
#include "storage/table.h"

namespace posthaste::storage {

class Contributor;
class Engine;

class Partition final : public reactor::ListNode<struct DirtyTag>, public reactor::ListNode<struct WriteBackTag> {
 public:
  // From a table entry: fresh, or as recovery left it (everything flushed).
  Partition(Engine& engine, TableEntry entry, const LogConfig& config);
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;
  ~Partition();

  Uid uid() const { return uid_; }
  const TopicId& topic_id() const { return topic_id_; }
  const std::string& topic_name() const { return topic_name_; }
  int32_t partition() const { return partition_; }
  const LogConfig& config() const { return config_; }
  // Live change; holds from the next append, roll or retention pass on.
  void set_config(const LogConfig& config);

  // Offsets. hw moves with `durable` as long as follows_durable() (a lone broker, the default), else by
  // set_high_watermark().
  int64_t log_start_offset() const { return log_start_; }
  int64_t end_offset() const { return end_.offset; }
  int64_t durable_offset() const { return durable_.offset; }
  int64_t high_watermark() const { return high_watermark_; }
  bool follows_durable() const { return follows_durable_; }
  void set_follows_durable(bool follows);
  // Never backwards (ignored), never above the end.
  void set_high_watermark(int64_t offset);
  const Damage& damage() const { return damage_; }
  // Bytes of all segments, and how many segments there are.
  uint64_t size_bytes() const;
  size_t segment_count() const { return segments_.size(); }

  // Takes batches at the end of the log: validates everything first, then patches base offset and leader epoch (and the
  // timestamp of LogAppendTime topics) in `batches`, copies them to the tail in the pass that checks the CRC, and hands
  // the range to the journal. Nothing is stored unless all is valid. Durable only when wait_durable() says so.
  // Errors: kCorrupt (CRC, structure), kInvalidRecord, kInvalidTimestamp, kRecordTooLarge, kUnsupported (magic 0, 1),
  // kOutOfOrder, kFenced, kLimit (producers), as the leaves say; kStale: options.leader_epoch is older than the
  // log's; kNoMemory: no room in the tail or the journal just now, try again after Engine::wait_for_room(), `batches`
  // is unchanged then; kBusy: being truncated; kNotFound: being deleted; kDamaged.
  reactor::Result<AppendResult> append(MutableBytes batches, const AppendOptions& options, reactor::WallMillis now);

  // Calls waiter.done when the durable end, or the high watermark, is >= waiter.offset. At once if it is already.
  // No allocation. Cancel by unlinking.
  void wait_durable(OffsetWaiter& waiter) { wait_on(durable_waiters_, waiter, durable_.offset); }
  void wait_high_watermark(OffsetWaiter& waiter) { wait_on(high_watermark_waiters_, waiter, high_watermark_); }

  // Calls listener.advanced on each move of the high watermark. Returns true, and does not register, if it is already
  // above `seen_offset`: read first.
  bool add_listener(OffsetListener& listener, int64_t seen_offset);
  // The same for the end of the log (followers).
  bool add_end_listener(OffsetListener& listener, int64_t seen_offset);

  // Reads whole batches from memory; an empty optional means that a disk read is needed: use read().
  // Errors: kOutOfRange: offset below the log start or above limit_offset; kDamaged: the bytes there are known bad;
  // kNoMemory: no chunk for a disk read.
  std::optional<reactor::Result<ReadResult>> try_read(const ReadRequest& request);
  // The same, waiting for the disk. What comes from a disk is verified before it is returned (kDamaged).
  reactor::Task<reactor::Result<ReadResult>> read(ReadRequest request);

  // The first offset whose batch has a timestamp >= `timestamp`, searched up to `limit_offset`; offset -1 if none. The
  // answer names a batch's first record at or after the time where the batch is uncompressed, else its first offset.
  reactor::Task<reactor::Result<TimestampOffset>> find_timestamp(int64_t timestamp, int64_t limit_offset);
  // The largest timestamp and the offset of (the last record of) the batch that carries it.
  reactor::Task<reactor::Result<TimestampOffset>> max_timestamp();

  // Leader epochs: KIP-101.
  const EpochCache& epochs() const { return epochs_; }
  EpochEnd end_offset_for_epoch(int32_t epoch) const { return epochs_.end_offset_for(epoch, end_.offset); }
  // Starts `epoch` at the end of the log if it is newer than all known; journaled before the epoch's first batch.
  void start_epoch(int32_t epoch);

  // DeleteRecords, retention: raises the log start; durable before it returns. Whole segments below go away
  // afterwards. kOutOfRange above the high watermark; a value at or below the present one changes nothing.
  reactor::Task<reactor::Result<void>> set_log_start(int64_t offset);

  // Cuts the log so that it ends at the last batch boundary <= `offset`; durable before it returns, and what was cut
  // can not come back. Appends meanwhile are refused (kBusy). kOutOfRange below the log start.
  reactor::Task<reactor::Result<void>> truncate(int64_t offset);

  // Closes the active segment, if it holds anything.
  void roll();

  // One pass of retention.ms / retention.bytes at time `now`, and segment.ms. Durable before it returns.
  reactor::Task<reactor::Result<void>> apply_retention(reactor::WallMillis now);

  const ProducerState& producers() const { return producers_; }

 private:
  friend class Contributor;
  friend class Engine;
  friend class WriteBack;

  // A place in the log at a batch boundary. `linear` counts bytes from the start of the first segment that this object
  // ever knew; segments follow each other without gaps in it.
  struct Boundary {
    uint64_t linear = 0;
    int64_t offset = 0;
  };
  enum class Mode : uint8_t { kOpen, kTruncating, kDeleting, kStopping };
  // Journal records of one file: the last byte they hold. What lies at or below `released` needs no file.
  struct LiveRecords {
    uint64_t file_start_lsn = 0;
    uint64_t linear_end = 0;
  };

  void wait_on(reactor::IntrusiveList<OffsetWaiter>& list, OffsetWaiter& waiter, int64_t reached);

  Engine& engine_;
  const Uid uid_;
  const TopicId topic_id_;
  const std::string topic_name_;
  const int32_t partition_;
  LogConfig config_;
  uint32_t generation_;
  int64_t log_start_;
  EpochCache epochs_;
  ProducerState producers_;
  Damage damage_;
  Mode mode_ = Mode::kOpen;
  std::deque<std::shared_ptr<Segment>> segments_;
  Boundary end_;
  Boundary durable_;
  int64_t high_watermark_ = 0;
  bool follows_durable_ = true;
  reactor::IntrusiveList<OffsetWaiter> durable_waiters_;
  reactor::IntrusiveList<OffsetWaiter> high_watermark_waiters_;
  reactor::IntrusiveList<OffsetListener> listeners_;
  reactor::IntrusiveList<OffsetListener> end_listeners_;
};

}  // namespace posthaste::storage
