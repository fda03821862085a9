// What this core follows from one peer, over a connection for each core of that broker on which a partition is (OPEN),
// and a second one there for what is far behind, so that nobody's tail waits behind old segments. The leader says when
// one changes (END: kOtherCore, kFarBehind, kCaughtUp): it leaves the one connection's end, and then enters the other's
// with what its log holds by then, so that no frame is taken twice and none is left out. Owner core only. It opens no
// connection (follower_stream.h).
#pragma once
#include "replication/stream/follower.h"

namespace posthaste::replication::stream {

// No machine that brokers run on has more: a peer that names a higher one is out of its mind.
inline constexpr int32_t kLeaderCoresMax = 1024;

// Who carries what the ends of lanes say. On the follower's core.
class Lanes {
 public:
  Lanes() = default;
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;
  virtual ~Lanes() = default;
  // Asked once for each lane that is used: notified when there is something to send on it, or it is needed.
  virtual reactor::Event& lane_event(const Lane& lane) = 0;
  // The lane's end is there.
  virtual void lane_used(const Lane& lane) = 0;
};

class PeerFollower final : private LaneChanges {
 public:
  PeerFollower(storage::Engine& engine, const StreamShared& shared, Lanes& lanes);

  // As Follower's; which connection carries it is not the caller's concern. Until the leader says another one, a
  // partition is believed to be on core 0, and after that where it was.
  void follow(Replica& replica, bool is_recovering);
  reactor::Task<void> unfollow(Replica& replica);
  bool is_empty() const { return followed_.empty(); }
  // The peer has no such core (any more): what is followed there is looked for on core 0.
  void no_such_core(int32_t core);
  // Before it goes away, when all connections have ended.
  reactor::Task<void> stop();

  // Made when it is first asked for.
  Follower& end_of(const Lane& lane);
  // Of all.
  FollowerStats stats() const;

 private:
  struct Followed {
    Lane lane;
    bool is_recovering = false;
    bool is_changing = false;
    bool is_leaving = false;                   // unfollow() waits
    reactor::Instant moved_at{INT64_MIN / 2};  // to another core of the leader's
  };

  bool change_lane(Replica& replica, bool is_recovering, const Lane& to) override;
  reactor::Task<void> change(Replica& replica, Lane to);

  storage::Engine& engine_;
  reactor::Core& core_;
  const StreamShared& shared_;
  Lanes& lanes_;
  std::map<Lane, std::unique_ptr<Follower>> ends_;
  // In the order of their names, so that a run can be repeated.
  std::map<std::pair<storage::TopicId, int32_t>, std::pair<Replica*, Followed>> followed_;
  reactor::Event changed_;  // a change has ended
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::stream
