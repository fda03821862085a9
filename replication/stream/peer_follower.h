// What this core follows from one peer, over two connections: most of it live, and what is far behind by the other one,
// so that nobody's tail waits behind old segments. The leader says when one changes (END: kFarBehind, kCaughtUp): it
// leaves the one connection's end, and then enters the other's with what its log holds by then, so that no frame is
// taken twice and none is left out. Owner core only. It opens no connection (follower_stream.h).
#pragma once
#include "replication/stream/follower.h"

namespace posthaste::replication::stream {

class PeerFollower final : private ClassChanges {
 public:
  // Each event is notified when there is something to send on that connection, or it is needed.
  PeerFollower(storage::Engine& engine, const StreamShared& shared, reactor::Event& live, reactor::Event& catch_up);

  // As Follower's; which connection carries it is not the caller's concern.
  void follow(Replica& replica, bool is_recovering);
  reactor::Task<void> unfollow(Replica& replica);
  // Before it goes away, when both connections have ended.
  reactor::Task<void> stop();

  Follower& end_of(StreamClass stream_class) { return stream_class == StreamClass::kLive ? live_ : catch_up_; }
  // Of both.
  FollowerStats stats() const;

 private:
  struct Followed {
    StreamClass stream_class = StreamClass::kLive;
    bool is_changing = false;
    bool is_leaving = false;  // unfollow() waits
  };

  void change_class(Replica& replica, bool is_recovering) override;
  reactor::Task<void> change(Replica& replica, bool is_recovering);

  reactor::Core& core_;
  Follower live_;
  Follower catch_up_;
  std::map<const Replica*, Followed> followed_;
  reactor::Event changed_;  // a change has ended
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::stream
