// A partition that goes from one connection of a peer to another, without any connection: what the leader says is put
// into the ends by hand.
#include "replication/stream/testing/stream_fixture.h"

namespace posthaste::replication::stream {
namespace {

using namespace std::chrono_literals;
using reactor::Task;

using PeerFollowerTest = StreamFixture;

// A follower's ends without connections.
struct NoConnections final : Lanes {
  explicit NoConnections(reactor::Core& core) : event(core) {}
  reactor::Event& lane_event(const Lane&) override { return event; }
  void lane_used(const Lane&) override {}
  reactor::Event event;
};

constexpr Lane kLive{};
constexpr Lane kCatchUp{.stream_class = StreamClass::kCatchUp};

// The leader has sent it to the other connection, and before it goes its role ends.
TEST_F(PeerFollowerTest, WhoIsBetweenItsConnectionsCanLeave) {
  begin();
  append_as_of(follower_, 1);
  on(follower_, [&]() -> Task<void> {
    NoConnections no_connections(*follower_.core);
    PeerFollower follower(*follower_.engine, *follower_.shared, no_connections);
    follower_.replica->become_follower({.leader_epoch = 4, .broker_epoch = 100});
    follower.follow(*follower_.replica, false);
    follower.end_of(kLive).connected(0);
    std::vector<Frame> sent;
    follower.end_of(kLive).fill(sent);
    const End end{.subscription = 1, .reason = EndReason::kFarBehind};
    EXPECT_FALSE(follower.end_of(kCatchUp).hear(end)) << "it makes no sense there";
    EXPECT_TRUE(follower.end_of(kLive).hear(end));
    co_await follower.unfollow(*follower_.replica);
    follower_.replica->become_follower({.leader_epoch = 5, .broker_epoch = 100});
    co_await follower_.core->sleep(1s);
    EXPECT_TRUE(follower.end_of(kLive).is_empty());
    EXPECT_TRUE(follower.end_of(kCatchUp).is_empty());
    co_await follower.stop();
  });
}

// The leader names another core; the one there names the first one again, and is not asked in turn without a pause.
TEST_F(PeerFollowerTest, WhoIsOnAnotherCoreIsFollowedThere) {
  begin();
  on(follower_, [&]() -> Task<void> {
    NoConnections no_connections(*follower_.core);
    PeerFollower follower(*follower_.engine, *follower_.shared, no_connections);
    follower_.replica->become_follower({.leader_epoch = 4, .broker_epoch = 100});
    follower.follow(*follower_.replica, false);
    const Lane other{.core = 3};
    std::vector<Frame> sent;
    for (const Lane& lane : {kLive, other}) follower.end_of(lane).connected(0);
    follower.end_of(kLive).fill(sent);
    EXPECT_TRUE(follower.end_of(kLive).hear(End{.subscription = 1, .reason = EndReason::kOtherCore, .core_hint = 3}));
    co_await follower_.core->sleep(1ms);
    EXPECT_TRUE(follower.end_of(kLive).is_empty());
    EXPECT_FALSE(follower.end_of(other).is_empty());
    follower.end_of(other).fill(sent);
    EXPECT_TRUE(follower.end_of(other).hear(End{.subscription = 1, .reason = EndReason::kOtherCore, .core_hint = 0}));
    co_await follower_.core->sleep(1ms);
    EXPECT_FALSE(follower.end_of(other).is_empty()) << "it stays for a while";
    EXPECT_TRUE(follower.end_of(kLive).is_empty());
    follower.no_such_core(3);
    co_await follower_.core->sleep(1ms);
    EXPECT_FALSE(follower.end_of(kLive).is_empty()) << "the peer has come back with fewer cores";
    co_await follower.unfollow(*follower_.replica);
    EXPECT_TRUE(follower.is_empty());
    co_await follower.stop();
  });
}

}  // namespace
}  // namespace posthaste::replication::stream
