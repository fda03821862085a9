#include "tests/streams/node.h"

#include <algorithm>

#include "replication/stream/stream_acceptor.h"
#include "storage/engine.h"

namespace posthaste::streams {

using reactor::Core;
using reactor::Socket;
using reactor::Task;
using replication::BrokerLife;
using replication::InSyncMember;
using replication::LedPartition;
using replication::Replica;
using replication::Role;
using replication::Term;
using replication::stream::ReplicaAssignment;
using rig::ToyConnection;
using rig::ToyKind;
using rig::ToyMessage;
using namespace std::chrono_literals;

namespace {

constexpr reactor::Duration kPollEvery = 100ms;
constexpr reactor::Duration kPollPatience = 700ms;
constexpr reactor::Duration kRetry = 50ms;
constexpr reactor::Duration kOpenPatience = 2s;
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

replication::IsrTimes isr_times(uint64_t draw) {
  return {.lag_max = 1s + std::chrono::milliseconds(draw % 2000), .image_overdue = 2s};
}

Task<void> close(Socket socket) { co_await socket.close_discarding(); }

}  // namespace

NodeLife::NodeLife(Core& core)
    : incarnation(core.random() | 1),
      draw(core.random()),
      store(small_store(core.random()), core.core_count()),
      nodes(core.core_count()) {}

Node::Node(Core& core, Cluster& cluster, uint32_t id, NodeLife& life)
    : core_(core),
      cluster_(cluster),
      id_(id),
      life_(life),
      shared_(core, {}, limits_of(life.draw), kLargeFrameBytes),
      partitions_(cluster.partitions()),
      tasks_(core) {
  life_.nodes[core_.id()] = this;
  cluster_.lives(id_, core_.id(), *this);
}

Node::~Node() {
  life_.nodes[core_.id()] = nullptr;
  cluster_.gone(id_, core_.id());
}

Task<void> Node::run() {
  co_await open();
  auto clients = co_await Socket::listen(core_, "0.0.0.0:" + std::to_string(7000 + core_.id()), nullptr);
  CHECK(clients.has_value());
  if (core_.id() == 0) {
    auto peers = co_await Socket::listen(core_, "0.0.0.0:9000", nullptr);
    CHECK(peers.has_value());
    tasks_.spawn_job(accept_peers(*peers));
  }
  tasks_.spawn_job(accept_clients(*clients));
  tasks_.spawn_job(look_loop());
  tasks_.spawn_job(delete_now_and_then());
  tasks_.spawn_job(poll_loop());
  co_await tasks_.join();
}

Task<void> Node::open() {
  if (core_.id() == 0) {
    const auto recovered = co_await life_.store.recover(core_);
    CHECK(recovered.has_value(), "no store: {}", life_.store.error_text());
    life_.is_recovered = true;
  }
  while (!life_.is_recovered) co_await core_.sleep(1ms);
  engine_ = *co_await life_.store.open(core_);
  for (uint32_t i = 0; i < partitions_.size(); ++i) {
    if (cluster_.core_of(id_, i) == core_.id()) co_await open_partition(i);
  }
  manager_.emplace(shared_, *engine_,
                   replication::stream::LocalBroker{.cluster_id = "rig",
                                                    .broker = static_cast<int32_t>(id_),
                                                    .core = static_cast<int32_t>(core_.id()),
                                                    .cores = static_cast<int32_t>(core_.core_count())},
                   static_cast<replication::stream::ReplicaManagerHooks&>(*this), isr_times(life_.draw / 7));
}

Task<void> Node::open_partition(uint32_t i) {
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

// --- What the coordinator says, and is asked.

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
  std::optional<replication::AlterIsrRequest> request = manager_->isr().take_request(core_.now());
  const bool asks = request.has_value();
  const uint64_t number = asks ? cluster_.keep(std::move(*request)) : 0;
  std::optional<ToyMessage> message;
  if (co_await connection.send({ToyKind::kPoll, {id_, life_.incarnation, cluster_.disk_of(id_), number}})) {
    message = co_await connection.receive();
  }
  const Cluster::Answer answer = message ? cluster_.answer(message->numbers[0]) : Cluster::Answer{};
  if (answer.broker_epoch < 0) {
    if (asks) manager_->isr().unanswered(core_.now());
    co_return false;
  }
  assigned(answer);
  if (asks) manager_->isr().answered(answer.results, core_.now());
  co_return true;
}

void Node::assigned(const Cluster::Answer& answer) {
  if (manager_->us().broker_epoch == -1) manager_->registered(answer.broker_epoch);
  for (const auto& [node, epoch] : answer.broker_epochs) {
    manager_->broker_changed(static_cast<int32_t>(node), BrokerLife{.broker_epoch = epoch, .is_active = true},
                             node_ip(node) + ":9000");
  }
  for (uint32_t i = 0; i < partitions_.size(); ++i) {
    Partition& partition = partitions_[i];
    if (partition.assignment == answer.assignments[i]) continue;
    partition.assignment = answer.assignments[i];
    if (partition.replica != nullptr) manager_->assign(*partition.replica, role_of(*partition.assignment));
  }
}

ReplicaAssignment Node::role_of(const Assignment& assignment) const {
  const Term term{.leader_epoch = assignment.leader_epoch, .broker_epoch = assignment.leader_broker_epoch};
  if (assignment.leader != id_) {
    return {.role = Role::kFollower, .term = term, .leader = static_cast<int32_t>(assignment.leader)};
  }
  // Else it is meant as it was in an earlier life.
  if (assignment.leader_broker_epoch != manager_->us().broker_epoch) return {.term = term};
  LedPartition led{
      .term = term, .partition_epoch = assignment.partition_epoch, .min_isr = static_cast<int32_t>(kInSyncMin)};
  std::vector<int32_t> replicas;
  replicas.reserve(cluster_.nodes());
  for (uint32_t node = 0; node < cluster_.nodes(); ++node) replicas.push_back(static_cast<int32_t>(node));
  std::vector<int32_t> isr;
  isr.reserve(assignment.in_sync.size());
  for (const auto& [node, epoch] : assignment.in_sync) isr.push_back(static_cast<int32_t>(node));
  led.replicas = replicas;
  led.isr = isr;
  return {.role = Role::kLeader, .term = term, .led = led};
}

int32_t Node::leader_of(const storage::TopicId&, int32_t partition) {
  const std::optional<Assignment>& known = partitions_[static_cast<size_t>(partition)].assignment;
  return known ? static_cast<int32_t>(known->leader) : -1;
}

int32_t Node::core_of(const storage::TopicId&, int32_t partition) {
  return static_cast<int32_t>(cluster_.core_of(id_, static_cast<uint32_t>(partition)));
}

std::map<uint32_t, int64_t> Node::counts(uint32_t partition) {
  std::map<uint32_t, int64_t> counted{{id_, broker_epoch()}};
  for (const InSyncMember& member : manager_->isr().in_sync({{}, static_cast<int32_t>(partition)}).others) {
    counted.emplace(static_cast<uint32_t>(member.broker), member.broker_epoch);
  }
  return counted;
}

// --- Followers of this broker.

Task<void> Node::accept_peers(Socket listener) {
  const auto serve = [this](Core& there, Socket socket, replication::stream::Open open) {
    Node* const node = life_.nodes[there.id()];
    if (node != nullptr && node->is_open()) return node->serve_peer(socket, std::move(open));
    there.scope().spawn_job(close(socket));
  };
  for (;;) {
    auto socket = co_await listener.accept(nullptr);
    if (!socket) continue;
    tasks_.spawn_job(replication::stream::accept_stream(core_, *socket, static_cast<int32_t>(core_.core_count()),
                                                        kOpenPatience, serve));
  }
}

void Node::serve_peer(Socket socket, replication::stream::Open open) { manager_->serve(socket, std::move(open)); }

Task<void> run_node(Core& core, Cluster& cluster, uint32_t id, std::shared_ptr<NodeLife> life) {
  Node node(core, cluster, id, *life);
  co_await node.run();
}

}  // namespace posthaste::streams
