#include "tests/streams/node.h"

#include <algorithm>

#include "storage/engine.h"

namespace posthaste::streams {

using reactor::Core;
using reactor::Socket;
using reactor::Task;
using replication::InSyncSet;
using replication::Replica;
using replication::Role;
using replication::Term;
using replication::stream::FollowerProgress;
using replication::stream::FollowerStream;
using rig::ToyConnection;
using rig::ToyKind;
using rig::ToyMessage;
using namespace std::chrono_literals;

namespace {

constexpr reactor::Duration kPollEvery = 100ms;
constexpr reactor::Duration kPollPatience = 700ms;
constexpr reactor::Duration kRetry = 50ms;
// Two frames of a turn's length: those of several leaders wait for each other.
constexpr size_t kLargeFrameBytes = 1 << 20;

storage::EngineOptions small_store(uint64_t draw) {
  storage::EngineOptions options;
  options.data_directory = "/data";
  options.journal_file_bytes = 4096 * (24 + draw % 40);
  options.journal_files = 4;
  options.commit_bytes_max = 64 << 10;
  options.staging_bytes = 16 * 4096;
  options.gather_bytes_min = draw % 2 == 0 ? 4096 : 1 << 20;
  options.tail_bytes_max = 512 << 10;
  options.cache_bytes_max = 512 << 10;
  options.read_ahead_bytes = static_cast<uint32_t>(4096 << draw % 5);
  options.reserve_bytes_max = 64 << 10;
  return options;
}

// So small that who comes late, or with an empty disk, is far behind: an index tells it to some 128 KiB.
replication::stream::CatchUpLimits limits_of(uint64_t draw) {
  const uint64_t far_bytes = draw % 8 == 0 ? UINT64_MAX : 1 + draw / 64 % (48 << 10);
  return {.far_bytes = far_bytes,
          .close_bytes = draw % 8 < 4 ? 0 : std::min<uint64_t>(far_bytes / 2, 64 << 10),
          .at_once = static_cast<uint32_t>(1 + draw / 16 % 3)};
}

Term term_of(const Assignment& assignment) {
  return {.leader_epoch = assignment.leader_epoch, .broker_epoch = assignment.leader_broker_epoch};
}

}  // namespace

Node::Node(Core& core, Cluster& cluster, uint32_t id, storage::EngineHost& store)
    : core_(core),
      cluster_(cluster),
      id_(id),
      store_(store),
      incarnation_(core.random() | 1),
      lag_max_(1s + std::chrono::milliseconds(core.random() % 2000)),
      us_{.cluster_id = "rig", .broker = static_cast<int32_t>(id)},
      shared_(core, {}, limits_of(core.random()), kLargeFrameBytes),
      partitions_(cluster.partitions()),
      tasks_(core) {
  cluster_.lives(id_, *this);
}

Node::~Node() { cluster_.gone(id_); }

Task<void> Node::run() {
  co_await open();
  auto peers = co_await Socket::listen(core_, "0.0.0.0:9000", nullptr);
  auto clients = co_await Socket::listen(core_, "0.0.0.0:7000", nullptr);
  CHECK(peers.has_value() && clients.has_value());
  tasks_.spawn_job(accept_peers(*peers));
  tasks_.spawn_job(accept_clients(*clients));
  tasks_.spawn_job(look_loop());
  tasks_.spawn_job(delete_now_and_then());
  tasks_.spawn_job(poll_loop());
  co_await tasks_.join();
}

Task<void> Node::open() {
  const auto recovered = co_await store_.recover(core_);
  CHECK(recovered.has_value(), "no store: {}", store_.error_text());
  engine_ = *co_await store_.open(core_);
  for (uint32_t i = 0; i < partitions_.size(); ++i) {
    const auto number = static_cast<int32_t>(i);
    storage::Partition* log = engine_->find(storage::TopicId{}, number);
    storage::LogConfig config;
    config.segment_bytes = 64 << 10;
    if (log == nullptr) {
      auto made = co_await engine_->create_partition({.topic_name = "t", .partition = number, .config = config});
      CHECK(made.has_value());
      log = *made;
    }
    log->set_config(config);
    partitions_[i].replica = &Replica::of(*log);
  }
  is_open_ = true;
}

// --- What the coordinator says.

Task<void> Node::poll_loop() {
  for (;;) {
    auto socket = co_await Socket::connect(core_, kCoordinatorAddress);
    if (socket) {
      ToyConnection connection(core_, *socket, kPollPatience);
      while (co_await poll(connection)) {
        co_await core_.sleep(kPollEvery);
        connection.patient_again();
      }
      co_await connection.close();
    }
    co_await core_.sleep(kRetry);
  }
}

Task<bool> Node::poll(ToyConnection& connection) {
  ToyMessage message{ToyKind::kPoll, {id_, incarnation_, cluster_.disk_of(id_), ++polls_}};
  for (const Wish& wish : wishes()) {
    message.numbers.insert(message.numbers.end(),
                           {wish.partition, wish.joins ? 1U : 0U, static_cast<uint64_t>(wish.leader_epoch), wish.broker,
                            static_cast<uint64_t>(wish.broker_epoch)});
  }
  if (!co_await connection.send(std::move(message))) co_return false;
  const auto answer = co_await connection.receive();
  if (!answer || answer->number(0) < 0) co_return false;
  co_await assigned(*answer);
  co_return true;
}

Task<void> Node::assigned(const ToyMessage& message) {
  registered(message.number(0));
  size_t at = 1;
  for (Partition& partition : partitions_) {
    Assignment next{.leader_epoch = message.term(at),
                    .leader = static_cast<uint32_t>(message.number(at + 1)),
                    .leader_broker_epoch = message.number(at + 2)};
    const auto members = static_cast<size_t>(message.number(at + 3));
    for (at += 4; next.in_sync.size() < members; at += 2) {
      next.in_sync.emplace(static_cast<uint32_t>(message.number(at)), message.number(at + 1));
    }
    co_await take_role(partition, std::move(next));
  }
}

void Node::registered(int64_t broker_epoch) {
  if (us_.broker_epoch >= 0) return;
  us_.broker_epoch = broker_epoch;
  for (uint32_t node = 0; node < cluster_.nodes(); ++node) {
    if (node == id_) continue;
    streams_[node] = std::make_unique<FollowerStream>(
        shared_, *engine_, us_, FollowerStream::Peer{static_cast<int32_t>(node), node_ip(node) + ":9000"});
    tasks_.spawn_job(streams_[node]->run());
  }
}

bool Node::leads(const Partition& partition) const {
  return partition.replica != nullptr && partition.replica->role() == Role::kLeader;
}

FollowerStream& Node::stream_to(uint32_t node) { return *streams_.at(node); }

// The stream lets go of the replica first; then the role changes in one step.
Task<void> Node::take_role(Partition& partition, Assignment next) {
  if (next == partition.assignment && next.in_sync == partition.counted) co_return;
  const bool is_new_term = term_of(next) != term_of(partition.assignment);
  if (is_new_term && partition.replica->role() == Role::kFollower) {
    co_await stream_to(partition.assignment.leader).follower().unfollow(*partition.replica);
  }
  const Assignment before = std::exchange(partition.assignment, std::move(next));
  const Assignment& assignment = partition.assignment;
  partition.counted = assignment.in_sync;
  const bool is_here = assignment.leader == id_ && assignment.leader_broker_epoch == us_.broker_epoch;
  if (is_here) {
    if (is_new_term) partition.followers.clear();
    for (const auto& [broker, epoch] : assignment.in_sync) {
      if (!before.in_sync.contains(broker) || is_new_term) partition.followers[broker].caught_up_at = core_.now();
    }
    partition.replica->become_leader(term_of(assignment), in_sync_set(partition));
  } else if (is_new_term && assignment.leader != id_) {
    partition.replica->become_follower(term_of(assignment));
    stream_to(assignment.leader).follower().follow(*partition.replica, false);
  } else if (is_new_term) {
    partition.replica->resign();  // it is meant as it was in an earlier life
  }
}

// --- Whom a leader counts.

InSyncSet Node::in_sync_set(const Partition& partition) const {
  InSyncSet in_sync{.size_min = kInSyncMin};
  for (const auto& [broker, epoch] : partition.counted) {
    if (broker == id_) continue;
    const auto known = partition.followers.find(broker);
    const bool is_heard = known != partition.followers.end() && known->second.progress.broker_epoch == epoch;
    in_sync.others.push_back({.broker = static_cast<int32_t>(broker),
                              .durable = is_heard ? known->second.progress.durable : 0,
                              .broker_epoch = epoch});
  }
  return in_sync;
}

Replica* Node::find(const storage::TopicId&, int32_t partition) {
  return is_open_ && static_cast<size_t>(partition) < partitions_.size()
             ? partitions_[static_cast<size_t>(partition)].replica
             : nullptr;
}

int32_t Node::leader_of(const storage::TopicId&, int32_t partition) {
  return static_cast<int32_t>(partitions_[static_cast<size_t>(partition)].assignment.leader);
}

void Node::progressed(Replica& replica, const FollowerProgress& progress) {
  Partition& partition = partitions_[static_cast<size_t>(replica.log().partition())];
  Follower& follower = partition.followers[static_cast<uint32_t>(progress.broker)];
  if (progress.broker_epoch < follower.progress.broker_epoch) return;  // of a life before
  follower.progress = progress;
}

std::vector<Wish> Node::wishes() {
  std::vector<Wish> wishes;
  for (uint32_t i = 0; i < partitions_.size(); ++i) {
    if (!leads(partitions_[i])) continue;
    wish_leaves(i, wishes);
    wish_joins(i, wishes);
  }
  return wishes;
}

// Who is to join counts from before it is asked for: the answer may be lost.
void Node::wish_joins(uint32_t number, std::vector<Wish>& wishes) {
  Partition& partition = partitions_[number];
  const storage::Partition& log = partition.replica->log();
  const int64_t all_committed = std::max(log.high_watermark(), log.epochs().latest()->start_offset);
  for (const auto& [broker, follower] : partition.followers) {
    const FollowerProgress& progress = follower.progress;
    const bool is_member = partition.assignment.in_sync.contains(broker);
    if (is_member || progress.broker_epoch < 0 || progress.durable < all_committed) continue;
    wishes.push_back({.partition = number,
                      .joins = true,
                      .leader_epoch = partition.assignment.leader_epoch,
                      .broker = broker,
                      .broker_epoch = progress.broker_epoch});
    partition.counted[broker] = progress.broker_epoch;
  }
  partition.replica->set_in_sync(in_sync_set(partition));
}

void Node::wish_leaves(uint32_t number, std::vector<Wish>& wishes) {
  Partition& partition = partitions_[number];
  for (const auto& [broker, epoch] : partition.assignment.in_sync) {
    if (broker == id_) continue;
    Follower& follower = partition.followers[broker];
    const bool is_caught_up = follower.progress.broker_epoch == epoch &&
                              follower.progress.durable >= partition.replica->log().durable_offset();
    if (is_caught_up) follower.caught_up_at = core_.now();
    if (core_.now() - follower.caught_up_at < lag_max_) continue;
    wishes.push_back({.partition = number,
                      .leader_epoch = partition.assignment.leader_epoch,
                      .broker = broker,
                      .broker_epoch = epoch});
  }
}

// --- Followers of this broker.

Task<void> Node::accept_peers(Socket listener) {
  for (;;) {
    auto socket = co_await listener.accept(nullptr);
    if (!socket) continue;
    if (us_.broker_epoch < 0) {
      co_await socket->close();
    } else {
      tasks_.spawn_job(serve_peer(*socket));
    }
  }
}

Task<void> Node::serve_peer(Socket socket) {
  replication::stream::LeaderStream stream(shared_, socket, us_, *this);
  co_await stream.run();
}

Task<void> run_node(Core& core, Cluster& cluster, uint32_t id) {
  storage::EngineHost store(small_store(core.random()), 1);
  Node node(core, cluster, id, store);
  co_await node.run();
}

}  // namespace posthaste::streams
