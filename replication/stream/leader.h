// The leader's end of one connection: what a follower's core has subscribed to of the logs of this core, how far each
// was sent, and what is to be sent next. Bytes are sent as the log takes them, before this broker's own disk has them.
// Owner core only. It holds no socket (leader_stream.h), and decides neither who leads nor who is in sync.
//
// Bounded: bytes under way by the follower's window, reads from disk by kReadsMax, the rest by what is subscribed.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "reactor/scope.h"
#include "reactor/sync.h"
#include "replication/replica.h"
#include "replication/stream/messages.h"
#include "replication/stream/rules.h"
#include "replication/stream/send_order.h"
#include "replication/stream/shared.h"
#include "storage/bytes/xxh3.h"

namespace posthaste::replication::stream {

// Both ends tell each other what all bytes before hash to, each time that so many more have gone.
inline constexpr uint64_t kHashEveryBytes = 64 << 20;

// How far a follower is with one partition; `broker_epoch` is that of the connection that said so.
struct FollowerProgress {
  int32_t broker = -1;
  int64_t broker_epoch = -1;
  int64_t durable = 0;
  int64_t end = 0;
  int64_t log_start = 0;
};

// What the leader's end asks of its broker. On its core.
class LeaderHooks {
 public:
  LeaderHooks() = default;
  LeaderHooks(const LeaderHooks&) = delete;
  LeaderHooks& operator=(const LeaderHooks&) = delete;
  virtual ~LeaderHooks() = default;
  // Null: it is not here.
  virtual Replica* find(const storage::TopicId& topic, int32_t partition) = 0;
  // The broker that leads it, as far as is known; -1: not known.
  virtual int32_t leader_of(const storage::TopicId& topic, int32_t partition) = 0;
  // The core of this broker on which it is; -1: not known. Asked when it is not on this one.
  virtual int32_t core_of(const storage::TopicId& topic, int32_t partition) = 0;
  // A follower has told how far it is, in the replica's term: who is in sync may change.
  virtual void progressed(Replica& replica, const FollowerProgress& progress) = 0;
};

// What goes out next, and what must be kept until it has.
struct Outgoing {
  std::vector<Frame> frames;
  std::vector<storage::ReadResult> reads;
  uint64_t bytes = 0;  // of batches
};

class Leader {
 public:
  // `changed` is notified when there is something to send.
  Leader(const StreamShared& shared, LeaderHooks& hooks, const Open& follower, int16_t version,
         reactor::Event& changed);
  Leader(const Leader&) = delete;
  Leader& operator=(const Leader&) = delete;
  ~Leader();

  // What the follower says. False: it breaks the protocol, and the connection ends.
  bool hear(const Subscribe& message);
  bool hear(const Unsubscribe& message);
  bool hear(const Ack& message);
  bool hear(const Credit& message);

  // Adds what is to be sent, about kSendBytesMax of it.
  void fill(Outgoing& out);
  // Before it goes away: waits for reads that are under way.
  reactor::Task<void> stop();

  size_t subscriptions() const { return subscriptions_.size(); }

 private:
  struct Subscription;
  enum class Step : uint8_t { kSent, kIdle, kHeldBack, kEnded };

  void join(const Subscribe& message, Replica& replica, int64_t first_offset);
  void accept(const Subscribe& message, Replica& replica);
  reactor::Task<void> join_when_read(storage::Partition::Use use, Subscribe message);
  reactor::Task<void> end_out_of_range(storage::Partition::Use use, int32_t id);
  reactor::Task<void> read(storage::Partition::Use use, int32_t id, storage::ReadRequest request);
  static reactor::Task<int64_t> first_offset(storage::Partition& log);
  bool is_too_far(Replica& replica, int64_t offset) const;
  bool is_close(const Subscription& subscription) const;
  bool leads_in(const Replica& replica, const Subscribe& message) const;
  void refuse_missing(const Subscribe& message, const Replica* replica);
  void refuse(int32_t id, EndReason reason, int32_t leader_hint, int64_t log_start, std::string message = {});
  void end(Subscription& subscription, EndReason reason, int64_t log_start = -1);
  void forget(int32_t id);
  void has_data(Subscription& subscription);
  void has_news(Subscription& subscription);
  void count(Subscription& subscription, int64_t durable, int64_t log_end, int64_t log_start);

  void fill_data(Outgoing& out);
  Step send_data(Subscription& subscription, int64_t bytes_max, Outgoing& out);
  bool read_next(Subscription& subscription, int64_t bytes_max);
  void read_failed(Subscription& subscription, reactor::Errc error);
  void start_read(Subscription& subscription, const storage::ReadRequest& request);
  void read_is_over(Subscription& subscription);
  void add_data_frame(Subscription& subscription, storage::ReadResult read, Outgoing& out);
  void fill_news(Outgoing& out);
  void say(const Message& message, Outgoing& out) const { out.frames.push_back(encode_frame(message, version_)); }

  reactor::Core& core_;
  const CatchUpLimits limits_;
  LeaderHooks& hooks_;
  const int32_t broker_;
  const int64_t broker_epoch_;
  const StreamClass stream_class_;
  const int16_t version_;
  reactor::Event& changed_;
  Window window_;
  TurnOrder order_;
  std::map<int32_t, std::unique_ptr<Subscription>> subscriptions_;
  int32_t newest_id_ = 0;
  std::set<int32_t> news_;       // high watermark or log start may have moved
  std::deque<Message> answers_;  // DIVERGE, END: one for each that was asked for, and has ended
  std::deque<int32_t> waiting_reads_;
  uint32_t reads_ = 0;  // under way, or read and not sent yet
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::stream
