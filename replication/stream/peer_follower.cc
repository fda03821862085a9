#include "replication/stream/peer_follower.h"

#include <fmt/format.h>

namespace posthaste::replication::stream {

using reactor::Task;

PeerFollower::PeerFollower(storage::Engine& engine, const StreamShared& shared, reactor::Event& live,
                           reactor::Event& catch_up)
    : core_(shared.core),
      live_(engine, shared, StreamClass::kLive, *this, live),
      catch_up_(engine, shared, StreamClass::kCatchUp, *this, catch_up),
      changed_(shared.core),
      scope_(shared.core) {}

void PeerFollower::follow(Replica& replica, bool is_recovering) {
  const bool is_new = followed_.try_emplace(&replica).second;
  CHECK(is_new, "it is followed already");
  live_.follow(replica, is_recovering);
}

Task<void> PeerFollower::unfollow(Replica& replica) {
  const auto at = followed_.find(&replica);
  if (at == followed_.end()) co_return;
  Followed& followed = at->second;
  CHECK(!followed.is_leaving, "it is asked for twice");
  followed.is_leaving = true;
  while (followed.is_changing) co_await changed_.wait();
  co_await end_of(followed.stream_class).unfollow(replica);
  followed_.erase(at);
}

void PeerFollower::change_class(Replica& replica, bool is_recovering) {
  Followed& followed = followed_.at(&replica);
  if (followed.is_changing || followed.is_leaving) return;
  followed.is_changing = true;
  scope_.spawn_job(change(replica, is_recovering));
}

Task<void> PeerFollower::change(Replica& replica, bool is_recovering) {
  Followed& followed = followed_.at(&replica);
  co_await end_of(followed.stream_class).unfollow(replica);
  const bool is_live = followed.stream_class == StreamClass::kLive;
  followed.stream_class = is_live ? StreamClass::kCatchUp : StreamClass::kLive;
  core_.log(reactor::LogLevel::kInfo, "replication.stream_class",
            fmt::format("partition={}-{} to={}", replica.log().topic_name(), replica.log().partition(),
                        is_live ? "catch-up" : "live"));
  if (!followed.is_leaving) end_of(followed.stream_class).follow(replica, is_recovering);
  followed.is_changing = false;
  changed_.notify_all();
}

Task<void> PeerFollower::stop() {
  for (auto& [replica, followed] : followed_) followed.is_leaving = true;
  co_await scope_.join();
  co_await live_.stop();
  co_await catch_up_.stop();
  followed_.clear();
}

FollowerStats PeerFollower::stats() const {
  FollowerStats sum = live_.stats();
  sum += catch_up_.stats();
  return sum;
}

}  // namespace posthaste::replication::stream
