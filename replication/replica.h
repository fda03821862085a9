// One broker's replica of one partition: the role that it has, in which term, and what follows from that: who may
// append and read, how far the in-sync set has the log on disk (the high watermark), and who waits for that. It stands
// above the log (storage/log/partition.h), which knows none of these.
//
// high watermark <= durable of every member of the in-sync set, self included, and it never falls within a term. A
// change of role or term is one step: whoever waited under the old one has been told before the new one begins.
// Owner core only. It does not know who elects leaders, nor how other brokers get the log.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "reactor/intrusive_list.h"
#include "replication/position_marks.h"
#include "storage/engine.h"

namespace posthaste::replication {

enum class Role : uint8_t { kNone, kFollower, kLeader };

// One leader's time: the epoch that it was elected in, and the epoch under which its broker was registered then. A
// broker that returns has another one, so that acknowledgements of its life before do not count.
struct Term {
  int32_t leader_epoch = -1;
  int64_t broker_epoch = -1;
  friend bool operator==(const Term&, const Term&) = default;
};

// Another broker of the in-sync set, and below which offset it has said that its log is durable: in the life that it
// was registered for under this epoch, since another one may have found its disk empty.
struct InSyncMember {
  int32_t broker = -1;
  int64_t durable = 0;
  int64_t broker_epoch = -1;
};

// Who must have a record on disk before it counts as safe: this broker, and all of `others`.
struct InSyncSet {
  std::vector<InSyncMember> others;
  size_t size_min = 1;  // with fewer members that are agreed, self included, the high watermark stands still
  // Of `others`: asked for as members, and not known to be. They hold it back, and do not make the set large enough:
  // beside a set that is too small others may be elected, who have nothing of what these acknowledge.
  size_t wished = 0;
};

// Told of each move of a replica's high watermark, until it unlinks itself or the replica's term ends. Lives in its
// user. As with OffsetWaiter::done, what it does must not append and must not change the role.
struct HighWatermarkListener : reactor::ListNode<> {
  // `readable`: bytes of the log below the high watermark, at most; for a difference to Replica::readable_min().
  void (*advanced)(HighWatermarkListener&, uint64_t readable) = nullptr;
  // The role or term has changed, or the partition is being deleted; it is unlinked.
  void (*ended)(HighWatermarkListener&) = nullptr;
};

class Replica final : public storage::LogAttachment, private reactor::CoreOwned {
 public:
  // The replica of a log; made, without a role, when it is first asked for. Lives as long as the log.
  static Replica& of(storage::Partition& log);
  // Null if `engine` has no such log.
  static Replica* find(storage::Engine& engine, const storage::TopicId& topic, int32_t partition);

  explicit Replica(storage::Partition& log);

  // What copies a leader's log into this one, held from its first step to its last. As long as it lives the replica is
  // a follower in one term, and is not deleted (CHECK): who changes a role has the copying end first
  // (stream::Follower::unfollow). One at a time. It goes before the replica does.
  class Copying {
   public:
    explicit Copying(Replica& into);
    Copying(const Copying&) = delete;
    Copying& operator=(const Copying&) = delete;
    ~Copying() { into_.is_copied_ = false; }

   private:
    Replica& into_;
  };

  storage::Partition& log() { return log_; }
  Role role() const { return check_core(), role_; }
  const Term& term() const { return check_core(), term_; }
  int64_t high_watermark() const { return log_.high_watermark(); }
  // The high watermark has reached the start of the leader's epoch: what the terms before left is known to be safe, so
  // the end of the log may be told and what depends on all of it (coordinators) may be served.
  bool is_settled() const { return high_watermark() >= epoch_start_; }

  // Each of these ends the role that was, if it was another one: who waited is told kNotFound, listeners that it ended.
  // A term is never older than the one before, and nothing copies into the log any more (CHECK). Saying the same again
  // changes nothing.
  // Starts the epoch in the log; nothing else does. The high watermark goes on from the last one known here.
  void become_leader(const Term& term, InSyncSet in_sync);
  void become_follower(const Term& term);
  void resign();

  // Leader: another in-sync set; who stays keeps what it has acknowledged. The high watermark does not fall.
  void set_in_sync(InSyncSet in_sync);
  // Leader: `broker` has everything below `durable` on its disk. Nothing if it is not in the set, or is there under
  // another broker epoch.
  void acknowledged(int32_t broker, int64_t durable, int64_t broker_epoch = -1);
  // Follower: what the leader says; taken as far as the own log is durable, the rest when it is.
  void follow_high_watermark(int64_t offset);

  // Whether who believes that this replica leads in `leader_epoch` is right; to be asked at every read, after waits
  // too. kNotFound: it does not lead; kStale: it leads in a later epoch; kAhead: it has not heard of that epoch.
  reactor::Result<void> check_leads(int32_t leader_epoch) const;

  // Partition::append under check_leads(options.leader_epoch).
  reactor::Result<storage::AppendResult> append(storage::MutableBytes batches, const storage::AppendOptions& options,
                                                reactor::WallMillis now);

  // Calls waiter.done when the high watermark is >= waiter.offset; at once if it is. The error: kNotFound: it leads no
  // more, or is being deleted; else as Partition::wait_durable. No allocation. Cancel by unlinking.
  void wait_high_watermark(storage::OffsetWaiter& waiter);

  // Leader. Returns true, and does not register, if the high watermark is already above `seen`: read first.
  bool add_listener(HighWatermarkListener& listener, int64_t seen);
  // Bytes of the log below the high watermark, at least; see HighWatermarkListener. A truncation lowers it.
  uint64_t readable_min() const;

 private:
  // storage::LogAttachment
  void durable_advanced() override;
  void truncated() override;
  void failed(reactor::Errc error) override;
  void removed() override;

  void begin(Role role, const Term& term);
  void end_role();
  void fail_waiters(reactor::Errc error);
  void mark_durable();
  int64_t safe_offset() const;
  void advance();
  uint64_t readable_max() const;

  storage::Partition& log_;
  Role role_ = Role::kNone;
  Term term_;
  int64_t epoch_start_ = 0;
  int64_t told_ = 0;        // follower: the leader's high watermark
  bool is_copied_ = false;  // there is a Copying
  InSyncSet in_sync_;
  std::unique_ptr<PositionMarks> marks_;  // while others hold the high watermark back; null: it is the durable offset
  reactor::IntrusiveList<storage::OffsetWaiter> waiters_;
  reactor::IntrusiveList<HighWatermarkListener> listeners_;
};

}  // namespace posthaste::replication
