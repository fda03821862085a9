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

uint64_t number(int64_t value) { return static_cast<uint64_t>(value); }

}  // namespace

Cluster::Cluster(reactor::simulated::Random& random, uint32_t nodes, uint32_t partitions)
    : random_(random), nodes_(nodes), assignments_(partitions), checkers_(partitions), disks_(nodes, 1) {
  for (Assignment& assignment : assignments_) {
    for (uint32_t node = 0; node < nodes; ++node) assignment.in_sync.emplace(node, -1);
  }
  for (uint32_t i = 0; i < partitions; ++i) elect(i);
}

void Cluster::elect(uint32_t partition) {
  Assignment& assignment = assignments_[partition];
  CHECK(!assignment.in_sync.empty());
  auto chosen = assignment.in_sync.begin();
  std::advance(chosen, static_cast<std::ptrdiff_t>(random_.below(assignment.in_sync.size())));
  ++assignment.leader_epoch;
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
  if (poll.sequence > known.sequence) {
    known.sequence = poll.sequence;
    for (const Wish& wish : poll.wishes) grant(poll, wish);
  }
  return {known.broker_epoch, assignments_};
}

// A broker that returns leads nothing until it is elected again, and an empty disk holds nothing that is committed.
void Cluster::register_again(const Poll& poll) {
  Known& known = known_[poll.node];
  over_.insert(known.incarnation);
  const bool has_another_disk = known.disk != 0 && known.disk != poll.disk;
  known = {.incarnation = poll.incarnation, .disk = poll.disk, .broker_epoch = ++broker_epochs_};
  for (uint32_t i = 0; i < partitions(); ++i) {
    Assignment& assignment = assignments_[i];
    if (has_another_disk) assignment.in_sync.erase(poll.node);
    if (assignment.in_sync.contains(poll.node)) assignment.in_sync[poll.node] = known.broker_epoch;
    if (assignment.leader == poll.node) elect(i);
  }
}

void Cluster::grant(const Poll& poll, const Wish& wish) {
  Assignment& assignment = assignments_[wish.partition];
  const bool leads = assignment.leader == poll.node && assignment.leader_epoch == wish.leader_epoch &&
                     assignment.leader_broker_epoch == known_[poll.node].broker_epoch;
  if (!leads) return;
  if (wish.joins && known_[wish.broker].broker_epoch == wish.broker_epoch) {
    if (assignment.in_sync.emplace(wish.broker, wish.broker_epoch).second) ++joins;
  }
  if (!wish.joins && wish.broker != poll.node && assignment.in_sync.size() > kInSyncMin) {
    leaves += assignment.in_sync.erase(wish.broker);
  }
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
  for (const auto& [id, node] : live_) {
    for (uint32_t i = 0; i < partitions(); ++i) {
      const rig::ReplicaState leader = node->positions(i);
      if (!leader.leads) continue;
      std::vector<rig::ReplicaState> members;
      for (const auto& [other, epoch] : node->counts(i)) {
        const auto at = live_.find(other);
        // Of that life: what another one has is not what is counted.
        if (at != live_.end() && at->second->is_open() && at->second->broker_epoch() == epoch) {
          members.push_back(at->second->positions(i));
        }
      }
      checkers_[i].in_sync(leader, members);
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
  Poll poll{.node = static_cast<uint32_t>(message.number(0)),
            .incarnation = message.numbers[1],
            .disk = message.numbers[2],
            .sequence = message.numbers[3]};
  for (size_t i = 4; i + 4 < message.numbers.size(); i += 5) {
    poll.wishes.push_back({.partition = static_cast<uint32_t>(message.number(i)),
                           .joins = message.number(i + 1) == 1,
                           .leader_epoch = message.term(i + 2),
                           .broker = static_cast<uint32_t>(message.number(i + 3)),
                           .broker_epoch = message.number(i + 4)});
  }
  return poll;
}

ToyMessage message_of(const Cluster::Answer& answer) {
  ToyMessage message{ToyKind::kAssignment, {number(answer.broker_epoch)}};
  for (const Assignment& assignment : answer.assignments) {
    message.numbers.insert(message.numbers.end(), {number(assignment.leader_epoch), assignment.leader,
                                                   number(assignment.leader_broker_epoch), assignment.in_sync.size()});
    for (const auto& [broker, epoch] : assignment.in_sync) {
      message.numbers.push_back(broker);
      message.numbers.push_back(number(epoch));
    }
  }
  return message;
}

Task<void> answer_polls(Core& core, Cluster& cluster, Socket socket) {
  ToyConnection connection(core, socket, kPollPatience);
  while (const auto message = co_await connection.receive()) {
    if (message->kind != ToyKind::kPoll) break;
    const reactor::Duration now(core.now().nanoseconds);
    if (!co_await connection.send(message_of(cluster.polled(poll_of(*message), now)))) break;
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
