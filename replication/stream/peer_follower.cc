#include "replication/stream/peer_follower.h"

#include <fmt/format.h>

namespace posthaste::replication::stream {

using reactor::Task;

namespace {

std::pair<storage::TopicId, int32_t> key_of(Replica& replica) {
  return {replica.log().topic_id(), replica.log().partition()};
}

}  // namespace

PeerFollower::PeerFollower(storage::Engine& engine, const StreamShared& shared, Lanes& lanes)
    : engine_(engine), core_(shared.core), shared_(shared), lanes_(lanes), changed_(shared.core), scope_(shared.core) {}

Follower& PeerFollower::end_of(const Lane& lane) {
  std::unique_ptr<Follower>& end = ends_[lane];
  if (end != nullptr) return *end;
  end = std::make_unique<Follower>(engine_, shared_, lane, static_cast<LaneChanges&>(*this), lanes_.lane_event(lane));
  lanes_.lane_used(lane);
  return *end;
}

void PeerFollower::follow(Replica& replica, bool is_recovering) {
  const auto [at, is_new] = followed_.try_emplace(key_of(replica), &replica, Followed{.is_recovering = is_recovering});
  CHECK(is_new, "it is followed already");
  end_of(at->second.second.lane).follow(replica, is_recovering);
}

Task<void> PeerFollower::unfollow(Replica& replica) {
  const auto at = followed_.find(key_of(replica));
  if (at == followed_.end()) co_return;
  Followed& followed = at->second.second;
  CHECK(!followed.is_leaving, "it is asked for twice");
  followed.is_leaving = true;
  while (followed.is_changing) co_await changed_.wait();
  co_await end_of(followed.lane).unfollow(replica);
  followed_.erase(at);
}

bool PeerFollower::change_lane(Replica& replica, bool, const Lane& to) {
  Followed& followed = followed_.at(key_of(replica)).second;
  if (followed.is_changing || followed.is_leaving) return true;
  if (to.core >= kLeaderCoresMax) return false;
  if (to.core != followed.lane.core) {
    // Two cores that name each other, as while a partition is made there, are not asked in turn without a pause.
    if (core_.now() - followed.moved_at < shared_.times.retry_after) return false;
    followed.moved_at = core_.now();
  }
  followed.is_changing = true;
  scope_.spawn_job(change(replica, to));
  return true;
}

Task<void> PeerFollower::change(Replica& replica, Lane to) {
  Followed& followed = followed_.at(key_of(replica)).second;
  co_await end_of(followed.lane).unfollow(replica);
  followed.lane = to;
  core_.log(reactor::LogLevel::kInfo, "replication.stream_class",
            fmt::format("partition={}-{} to={} leaders_core={}", replica.log().topic_name(), replica.log().partition(),
                        to.stream_class == StreamClass::kLive ? "live" : "catch-up", to.core));
  if (!followed.is_leaving) end_of(to).follow(replica, followed.is_recovering);
  followed.is_changing = false;
  changed_.notify_all();
}

void PeerFollower::no_such_core(int32_t core) {
  if (core == 0) return;
  for (auto& [key, entry] : followed_) {
    auto& [replica, followed] = entry;
    if (followed.lane.core != core || followed.is_changing || followed.is_leaving) continue;
    followed.is_changing = true;
    scope_.spawn_job(change(*replica, {.core = 0, .stream_class = followed.lane.stream_class}));
  }
}

Task<void> PeerFollower::stop() {
  for (auto& [key, entry] : followed_) entry.second.is_leaving = true;
  co_await scope_.join();
  for (const auto& [lane, end] : ends_) co_await end->stop();
  followed_.clear();
}

FollowerStats PeerFollower::stats() const {
  FollowerStats sum;
  for (const auto& [lane, end] : ends_) sum += end->stats();
  return sum;
}

}  // namespace posthaste::replication::stream
