#include "tests/streams/cluster.h"

#include <algorithm>
#include <iterator>

#include "reactor/scope.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/bytes/xxh3.h"
#include "tests/rig/toy_connection.h"
#include "tests/streams/node.h"

namespace posthaste::streams {

using reactor::Core;
using reactor::Socket;
using reactor::Task;
using rig::ToyConnection;
using rig::ToyKind;
using rig::ToyMessage;
using namespace std::chrono_literals;

namespace {

constexpr reactor::Duration kPollPatience = 3s;
constexpr reactor::Duration kLeaderSilence = 1500ms;

using net::kafka::ErrorCode;

}  // namespace

Cluster::Cluster(reactor::simulated::Random& random, uint32_t nodes, uint32_t partitions)
    : random_(random), nodes_(nodes), assignments_(partitions), checkers_(partitions), disks_(nodes, 1) {
  for (Assignment& assignment : assignments_) {
    for (uint32_t node = 0; node < nodes; ++node) assignment.in_sync.emplace(node, -1);
  }
  for (uint32_t i = 0; i < partitions; ++i) elect(i);
  for (uint32_t node = 0; node < nodes; ++node) {
    cores_.push_back(static_cast<uint32_t>(random_.between(1, 3)));
    placed_.emplace_back();
    for (uint32_t i = 0; i < partitions; ++i)
      placed_[node].push_back(static_cast<uint32_t>(random_.below(cores_[node])));
  }
}

Node* Cluster::node_of(uint32_t id, uint32_t partition) const {
  const auto at = live_.find({id, core_of(id, partition)});
  return at == live_.end() ? nullptr : at->second;
}

bool Cluster::all_live() const {
  size_t cores = 0;
  for (const uint32_t of_node : cores_) cores += of_node;
  return live_.size() == cores;
}

std::shared_ptr<NodeLife> Cluster::life_of(uint32_t id, Core& core) {
  if (core.id() != 0) return lives_[id].lock();
  auto life = std::make_shared<NodeLife>(core);
  lives_[id] = life;
  return life;
}

void Cluster::elect(uint32_t partition) {
  Assignment& assignment = assignments_[partition];
  CHECK(!assignment.in_sync.empty());
  auto chosen = assignment.in_sync.begin();
  std::advance(chosen, static_cast<std::ptrdiff_t>(random_.below(assignment.in_sync.size())));
  ++assignment.leader_epoch;
  ++assignment.partition_epoch;
  assignment.leader = chosen->first;
  assignment.leader_broker_epoch = chosen->second;
}

void Cluster::replace_silent(reactor::Duration now) {
  for (uint32_t i = 0; i < partitions(); ++i) {
    if (now - known_[assignments_[i].leader].heard_at > kLeaderSilence) elect(i);
  }
}

Cluster::Answer Cluster::polled(const Poll& poll, reactor::Duration now) {
  if (over_.contains(poll.incarnation)) return {};
  Known& known = known_[poll.node];
  if (known.incarnation != poll.incarnation) register_again(poll);
  known.heard_at = now;
  Answer answer{.broker_epoch = known.broker_epoch};
  if (poll.request != 0) {
    for (const replication::IsrChange& change : requests_.at(poll.request).changes) {
      answer.results.push_back(decide(poll, change));
      if (answer.results.back().error != ErrorCode::kNone) ++refusals;
    }
  }
  answer.assignments = assignments_;
  for (const auto& [node, other] : known_) {
    if (other.broker_epoch >= 0) answer.broker_epochs.emplace(node, other.broker_epoch);
  }
  return answer;
}

// A broker that returns leads nothing until it is elected again, and an empty disk holds nothing that is committed.
void Cluster::register_again(const Poll& poll) {
  Known& known = known_[poll.node];
  over_.insert(known.incarnation);
  const bool has_another_disk = known.disk != 0 && known.disk != poll.disk;
  known = {.incarnation = poll.incarnation, .disk = poll.disk, .broker_epoch = ++broker_epochs_};
  for (uint32_t i = 0; i < partitions(); ++i) {
    Assignment& assignment = assignments_[i];
    ++assignment.partition_epoch;
    if (has_another_disk) assignment.in_sync.erase(poll.node);
    if (assignment.in_sync.contains(poll.node)) assignment.in_sync[poll.node] = known.broker_epoch;
    if (assignment.leader == poll.node) elect(i);
  }
}

// Compare and set, by the epochs of partition, leader and members.
replication::IsrChangeResult Cluster::decide(const Poll& poll, const replication::IsrChange& change) {
  replication::IsrChangeResult result{.topic_id = change.topic_id, .index = change.index};
  Assignment& assignment = assignments_[static_cast<size_t>(change.index)];
  const bool leads = assignment.leader == poll.node && assignment.leader_epoch == change.leader_epoch &&
                     assignment.leader_broker_epoch == known_[poll.node].broker_epoch;
  const bool are_eligible = std::ranges::all_of(change.isr, [&](const auto& member) {
    return known_[static_cast<uint32_t>(member.broker)].broker_epoch == member.broker_epoch;
  });
  if (!leads) {
    result.error = ErrorCode::kFencedLeaderEpoch;
  } else if (change.partition_epoch != assignment.partition_epoch) {
    result.error = ErrorCode::kInvalidUpdateVersion;
  } else if (!are_eligible) {
    result.error = ErrorCode::kIneligibleReplica;
  } else if (change.isr.size() < kInSyncMin) {
    result.error = ErrorCode::kOperationNotAttempted;
  } else {
    grant(assignment, change);
  }
  return result;
}

void Cluster::grant(Assignment& assignment, const replication::IsrChange& change) {
  std::map<uint32_t, int64_t> in_sync;
  for (const auto& member : change.isr) in_sync.emplace(static_cast<uint32_t>(member.broker), member.broker_epoch);
  for (const auto& [broker, epoch] : in_sync) joins += assignment.in_sync.contains(broker) ? 0 : 1;
  for (const auto& [broker, epoch] : assignment.in_sync) leaves += in_sync.contains(broker) ? 0 : 1;
  assignment.in_sync = std::move(in_sync);
  ++assignment.partition_epoch;
}

bool Cluster::may_wipe(uint32_t node) const {
  return std::ranges::all_of(assignments_, [&](const Assignment& assignment) {
    return std::ranges::any_of(assignment.in_sync, [&](const auto& member) {
      const auto known = known_.find(member.first);
      return member.first != node && known != known_.end() && known->second.disk == disks_[member.first];
    });
  });
}

void Cluster::wiped(uint32_t node) {
  ++disks_[node];
  ++wipes;
}

void Cluster::look() {
  for (uint32_t i = 0; i < partitions(); ++i) {
    for (uint32_t id = 0; id < nodes_; ++id) {
      Node* const node = node_of(id, i);
      if (node == nullptr || !node->positions(i).leads) continue;
      std::vector<rig::ReplicaState> members;
      for (const auto& [other, epoch] : node->counts(i)) {
        const Node* const member = node_of(other, i);
        // Of that life: what another one has is not what is counted.
        if (member != nullptr && member->is_open() && member->broker_epoch() == epoch) {
          members.push_back(member->positions(i));
        }
      }
      checkers_[i].in_sync(node->positions(i), members);
    }
  }
}

std::optional<std::string> Cluster::violated() const {
  for (uint32_t i = 0; i < partitions(); ++i) {
    if (checkers_[i].violated()) return "partition " + std::to_string(i) + ": " + *checkers_[i].violated();
  }
  return std::nullopt;
}

storage::Bytes batch_of(uint64_t payload) {
  storage::RecordBatchBuilder builder({});
  const size_t records = 1 + payload % 3;
  const size_t value_bytes = payload % 37 == 0 ? 20'000 : 20 + payload * 7919 % 900;
  std::string value(value_bytes, 'v');
  value += std::to_string(payload);
  for (size_t i = 0; i < records; ++i) builder.add({.timestamp = 1, .value = storage::bytes_of(value)});
  return builder.finish();
}

uint64_t hash_of(storage::ByteView batch) { return storage::xxh3_64(batch.subspan(storage::kBatchCrcCoverageStart)); }

namespace {

Poll poll_of(const ToyMessage& message) {
  return {.node = static_cast<uint32_t>(message.number(0)),
          .incarnation = message.numbers[1],
          .disk = message.numbers[2],
          .request = message.numbers[3]};
}

Task<void> answer_polls(Core& core, Cluster& cluster, Socket socket) {
  ToyConnection connection(core, socket, kPollPatience);
  while (const auto message = co_await connection.receive()) {
    if (message->kind != ToyKind::kPoll) break;
    const reactor::Duration now(core.now().nanoseconds);
    const uint64_t answer = cluster.keep(cluster.polled(poll_of(*message), now));
    if (!co_await connection.send({ToyKind::kAssignment, {answer}})) break;
  }
  co_await connection.close();
}

Task<void> look_for_silence(Core& core, Cluster& cluster) {
  for (;;) {
    co_await core.sleep(200ms);
    cluster.replace_silent(reactor::Duration(core.now().nanoseconds));
  }
}

}  // namespace

Task<void> run_coordinator(Core& core, Cluster& cluster) {
  auto listener = co_await Socket::listen(core, "0.0.0.0:7000", nullptr);
  CHECK(listener.has_value());
  core.scope().spawn_job(look_for_silence(core, cluster));
  for (;;) {
    auto socket = co_await listener->accept(nullptr);
    if (socket) core.scope().spawn(answer_polls(core, cluster, *socket));
  }
}

}  // namespace posthaste::streams
