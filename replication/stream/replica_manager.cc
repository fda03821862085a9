#include "replication/stream/replica_manager.h"

#include <fmt/format.h>

#include <algorithm>

#include "replication/planted_bugs.h"

namespace posthaste::replication::stream {

using reactor::planted;
using reactor::Task;

namespace {

LeaderLog log_of_replica(Replica& replica) {
  const storage::Partition& log = replica.log();
  const auto latest = log.epochs().latest();
  CHECK(latest && latest->epoch == replica.term().leader_epoch, "a leader without an epoch of its own");
  return {.high_watermark = log.high_watermark(), .end = log.end_offset(), .epoch_start = latest->start_offset};
}

}  // namespace

ReplicaManager::ReplicaManager(StreamShared& shared, storage::Engine& engine, LocalBroker us,
                               ReplicaManagerHooks& hooks, const IsrTimes& times)
    : CoreOwned(shared.core),
      shared_(shared),
      core_(shared.core),
      engine_(engine),
      us_(std::move(us)),
      hooks_(hooks),
      isr_(us_.broker, *this, times),
      changed_(shared.core),
      scope_(shared.core) {}

ReplicaManager::~ReplicaManager() = default;

PartitionKey ReplicaManager::key_of(Replica& replica) {
  return {Uuid{.bytes = replica.log().topic_id()}, replica.log().partition()};
}

void ReplicaManager::registered(int64_t broker_epoch) {
  check_core();
  CHECK(us_.broker_epoch == -1 && managed_.empty(), "it is registered already");
  us_.broker_epoch = broker_epoch;
}

// --- The image.

void ReplicaManager::broker_changed(int32_t broker, std::optional<BrokerLife> life, std::string address) {
  check_core();
  isr_.broker_changed(broker, life, core_.now());
  if (broker == us_.broker) return;
  Peer& peer = peers_[broker];
  peer.life = life;
  peer.address = std::move(address);
  const int64_t epoch = life ? life->broker_epoch : INT64_MAX;
  if (peer.stream != nullptr) peer.stream->peer_changed(peer.address, epoch);
  for (const std::unique_ptr<LeaderStream>& stream : served_) {
    const std::optional<Open>& follower = stream->follower();
    if (follower && follower->from_broker == broker && follower->from_broker_epoch < epoch) stream->end();
  }
}

void ReplicaManager::assign(Replica& replica, ReplicaAssignment assignment) {
  check_core();
  CHECK(us_.broker_epoch != -1 && !is_over_, "roles are for who is registered");
  Managed& managed = managed_[key_of(replica)];
  CHECK(managed.replica == nullptr || managed.replica == &replica, "two replicas of one partition");
  CHECK(!managed.is_leaving, "it is going away");
  managed.replica = &replica;
  managed.wanted = std::move(assignment);
  if (managed.is_changing || goes_on(managed)) return;
  if (managed.follows == -1) return take_role(managed);
  managed.is_changing = true;
  scope_.spawn_job(change(managed));
}

// It follows in that term already. Whether its leader has recovered meanwhile does not matter: the follower's log may
// still part from that of a leader that was elected uncleanly.
bool ReplicaManager::goes_on(const Managed& managed) const {
  const ReplicaAssignment& wanted = managed.wanted;
  return managed.follows != -1 && wanted.role == Role::kFollower && wanted.leader == managed.follows &&
         wanted.term == managed.replica->term();
}

Task<void> ReplicaManager::change(Managed& managed) {
  co_await let_go(managed);
  if (!managed.is_leaving) take_role(managed);
  managed.is_changing = false;
  changed_.notify_all();
}

Task<void> ReplicaManager::let_go(Managed& managed) {
  if (managed.follows == -1) co_return;
  co_await stream_of(managed.follows).follower().unfollow(*managed.replica);
  managed.follows = -1;
}

// In one step: nothing is followed, so that the role may change.
void ReplicaManager::take_role(Managed& managed) {
  const ReplicaAssignment& wanted = managed.wanted;
  Replica& replica = *managed.replica;
  CHECK(managed.follows == -1, "a role changes while its leader's log is copied");
  if (wanted.role == Role::kLeader) {
    const PartitionKey key = key_of(replica);
    CHECK(wanted.term.broker_epoch == us_.broker_epoch && wanted.led.term == wanted.term, "of another life");
    managed.is_led = true;
    isr_.lead(key, wanted.led, core_.now());
    return replica.become_leader(wanted.term, isr_.in_sync(key));
  }
  lead_no_more(managed);
  if (wanted.role == Role::kNone) return replica.resign();
  CHECK(wanted.leader != us_.broker, "it is to follow itself");
  replica.become_follower(wanted.term);
  stream_of(wanted.leader).follower().follow(replica, wanted.is_recovering);
  managed.follows = wanted.leader;
}

void ReplicaManager::lead_no_more(Managed& managed) {
  if (std::exchange(managed.is_led, false)) isr_.leave(key_of(*managed.replica));
}

Task<void> ReplicaManager::release(Replica& replica) {
  check_core();
  const auto at = managed_.find(key_of(replica));
  if (at == managed_.end()) co_return;
  Managed& managed = at->second;
  managed.is_leaving = true;
  while (managed.is_changing) co_await changed_.wait();
  co_await let_go(managed);
  lead_no_more(managed);
  replica.resign();
  managed_.erase(at);
}

// --- What followers want, and say.

Replica* ReplicaManager::find(const storage::TopicId& topic, int32_t partition) {
  const auto at = managed_.find({Uuid{.bytes = topic}, partition});
  return at == managed_.end() ? nullptr : at->second.replica;
}

int32_t ReplicaManager::leader_of(const storage::TopicId& topic, int32_t partition) {
  const auto at = managed_.find({Uuid{.bytes = topic}, partition});
  if (at == managed_.end()) return hooks_.leader_of(topic, partition);
  return at->second.wanted.role == Role::kLeader ? us_.broker : at->second.wanted.leader;
}

int32_t ReplicaManager::core_of(const storage::TopicId& topic, int32_t partition) {
  return hooks_.core_of(topic, partition);
}

void ReplicaManager::progressed(Replica& replica, const FollowerProgress& progress) {
  isr_.progressed(key_of(replica), progress, log_of_replica(replica), core_.now());
}

// --- Who counts.

LeaderLog ReplicaManager::log_of(const PartitionKey& key) { return log_of_replica(*managed_.at(key).replica); }

void ReplicaManager::in_sync_changed(const PartitionKey& key) {
  if (planted(kBugs["isr-wish-comes-late"])) return;
  managed_.at(key).replica->set_in_sync(isr_.in_sync(key));
}

// --- Connections.

FollowerStream& ReplicaManager::stream_of(int32_t broker) {
  Peer& peer = peers_[broker];
  if (peer.stream == nullptr) {
    peer.stream = std::make_unique<FollowerStream>(shared_, engine_, us_,
                                                   FollowerStream::Peer{.broker = broker, .address = peer.address});
    scope_.spawn_job(peer.stream->run());
  }
  return *peer.stream;
}

const FollowerStream* ReplicaManager::stream_to(int32_t broker) const {
  const auto peer = peers_.find(broker);
  return peer == peers_.end() ? nullptr : peer->second.stream.get();
}

FollowerStats ReplicaManager::follower_stats() const {
  FollowerStats sum;
  for (const auto& [broker, peer] : peers_) {
    if (peer.stream != nullptr) sum += peer.stream->follower().stats();
  }
  return sum;
}

void ReplicaManager::serve(reactor::Socket socket, Open open) {
  check_core();
  const auto peer = peers_.find(open.from_broker);
  const bool is_over =
      peer != peers_.end() && peer->second.life && open.from_broker_epoch < peer->second.life->broker_epoch;
  if (is_over_ || us_.broker_epoch == -1 || is_over) return scope_.spawn_job(refuse(socket));
  for (const std::unique_ptr<LeaderStream>& stream : served_) {
    const std::optional<Open>& older = stream->follower();
    if (older && older->from_broker == open.from_broker && older->core == open.core && older->to_core == open.to_core &&
        older->stream_class == open.stream_class) {
      stream->end();
    }
  }
  served_.push_back(
      std::make_unique<LeaderStream>(shared_, socket, us_, static_cast<LeaderHooks&>(*this), std::move(open)));
  scope_.spawn_job(run_stream(served_.back()));
}

Task<void> ReplicaManager::run_stream(std::unique_ptr<LeaderStream>& stream) {
  co_await stream->run();
  std::erase_if(served_, [&](const std::unique_ptr<LeaderStream>& one) { return &one == &stream; });
}

Task<void> ReplicaManager::refuse(reactor::Socket socket) { co_await socket.close_discarding(); }

Task<void> ReplicaManager::stop() {
  check_core();
  is_over_ = true;
  // Who changes its role is between two streams.
  const auto changes = [](const auto& entry) { return entry.second.is_changing; };
  while (std::ranges::any_of(managed_, changes)) co_await changed_.wait();
  for (const auto& [broker, peer] : peers_) {
    if (peer.stream != nullptr) peer.stream->end();
  }
  for (const std::unique_ptr<LeaderStream>& stream : served_) stream->end();
  co_await scope_.join();
  for (auto& [key, managed] : managed_) {
    lead_no_more(managed);
    managed.replica->resign();
  }
  managed_.clear();
}

}  // namespace posthaste::replication::stream
