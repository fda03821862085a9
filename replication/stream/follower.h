// The follower's end of one of the connections to a peer (Lane): the partitions that this core follows over it,
// whatever socket there is just now. Takes what the leader says to the replicas if it may be applied (rules.h), cuts
// logs to where they agree with the leader's, and says how far they are durable. Owner core only. It holds no socket
// (follower_stream.h), and does not decide whom a replica follows.
//
// Memory: none of batches; a frame is applied before the next one is received, and waits for room in the log's tail.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "reactor/scope.h"
#include "reactor/sync.h"
#include "replication/replica.h"
#include "replication/stream/connection.h"
#include "replication/stream/follower_stats.h"
#include "replication/stream/messages.h"
#include "replication/stream/rules.h"

namespace posthaste::replication::stream {

// Who is told that a partition goes on over another connection. On the follower's core.
class LaneChanges {
 public:
  LaneChanges() = default;
  LaneChanges(const LaneChanges&) = delete;
  LaneChanges& operator=(const LaneChanges&) = delete;
  virtual ~LaneChanges() = default;
  // Its subscription has ended. It must leave this end before it enters that of lane `to`. False: it stays, and is to
  // be subscribed again after a while.
  virtual bool change_lane(Replica& replica, bool is_recovering, const Lane& to) = 0;
};

class Follower {
 public:
  // `changed` is notified when there is something to send, and when it is empty or no more.
  Follower(storage::Engine& engine, const StreamShared& shared, const Lane& lane, LaneChanges& changes,
           reactor::Event& changed);
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower();

  // From now on the replica, which is a follower already, gets its log from this peer. `is_recovering`: its leader may
  // lack what was committed, and the log may be cut below its high watermark. Not while it is followed, here or by
  // another peer's (CHECK).
  void follow(Replica& replica, bool is_recovering);
  // No more. When this returns nothing here touches the replica any more, and its role or term may change, or it may be
  // deleted; before that they cannot (Replica::Copying). Nothing if it is not followed.
  reactor::Task<void> unfollow(Replica& replica);
  bool is_empty() const { return followed_.empty(); }

  // A connection has come, or gone: everything is subscribed on it anew.
  void connected(int16_t version);
  void disconnected();
  // What the leader says. False: it breaks the protocol, and the connection ends. Until apply() is done nothing else
  // may be heard on that connection.
  reactor::Task<bool> apply(const Data& message);
  bool hear(const HighWatermark& message);
  bool hear(const Diverge& message);
  bool hear(const End& message);

  // Adds what is to be sent.
  void fill(std::vector<Frame>& out);
  // When something that waits may be tried again.
  reactor::Instant retry_at() const;
  // Before it goes away: ends all, and waits for cuts that are under way.
  reactor::Task<void> stop();

  const FollowerStats& stats() const { return stats_; }

 private:
  struct Followed;
  class Busy;
  using Key = std::pair<storage::TopicId, int32_t>;
  static Key key_of(const Replica& replica);

  Followed* subscribed(int32_t subscription);
  void subscribe_now(Followed& followed);
  bool may_subscribe() const;
  bool change_lane(Followed& followed, const Lane& to);
  void subscribe_later(Followed& followed);
  void end_subscription(Followed& followed);
  void subscribe_again(Followed& followed, std::string_view why);
  Subscribe subscription_of(const Followed& followed) const;
  reactor::Task<bool> append(Followed& followed, const Data& message);
  bool may_apply(Followed& followed, const Data& message, bool is_begun);
  bool hash_is_wrong(Followed& followed, const Data& message);
  void follow_leader(Followed& followed, int64_t high_watermark, int64_t log_start);
  void follow_log_start(Followed& followed);
  reactor::Task<void> raise_log_start(Busy busy, int64_t offset);
  reactor::Task<void> cut(Busy busy, storage::EpochEnd leaders);
  reactor::Task<void> cut_to(Followed& followed, int64_t offset);
  reactor::Task<void> begin_anew(Busy busy, int64_t offset);
  reactor::Task<reactor::Result<void>> cut_log(Followed& followed, int64_t offset);
  template <class Change>
  reactor::Task<reactor::Result<void>> change_log(Followed& followed, int64_t offset, Change change);
  bool fuse_blows(Followed& followed, int64_t offset);
  void progress_due(Followed& followed);
  void await_durable(Followed& followed);
  void fill_subscriptions(std::vector<Frame>& out);
  void fill_progress(std::vector<Frame>& out);
  void say(const Message& message, std::vector<Frame>& out) const { out.push_back(encode_frame(message, version_)); }

  storage::Engine& engine_;
  reactor::Core& core_;
  const StreamShared& shared_;
  const Lane lane_;
  LaneChanges& changes_;
  reactor::Event& changed_;
  reactor::Event idle_;  // a Busy has ended
  bool is_connected_ = false;
  int16_t version_ = 0;
  int32_t newest_id_ = 0;
  int64_t credit_ = 0;  // bytes to give back
  std::map<Key, std::unique_ptr<Followed>> followed_;
  std::map<int32_t, Followed*> by_subscription_;
  std::deque<Key> to_subscribe_;
  std::deque<std::pair<reactor::Instant, Key>> retries_;  // in their order: all wait equally long
  std::vector<int32_t> to_unsubscribe_;
  std::vector<int32_t> to_acknowledge_;
  FollowerStats stats_;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::stream
