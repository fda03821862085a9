#include "tests/rig/toy_cluster.h"

#include <algorithm>
#include <iterator>

#include "tests/rig/toy_connection.h"
#include "tests/rig/toy_replica.h"

namespace posthaste::rig {

using reactor::Core;
using reactor::Socket;
using reactor::Task;
using namespace std::chrono_literals;

namespace {
constexpr reactor::Duration kPollPatience = 3s;  // replicas ask several times a second
}  // namespace

ToyCluster::ToyCluster(uint32_t replicas, ToyBug bug) : size_(replicas), bug_(bug) {
  for (uint32_t i = 0; i < replicas; ++i) assignment_.members.insert(i);
}

void ToyCluster::elect(uint32_t leader) {
  CHECK(assignment_.members.contains(leader), "{} is no member", leader);
  ++assignment_.term;
  assignment_.leader = leader;
  assignment_.leader_incarnation = incarnations_[leader];
}

void ToyCluster::remove(uint32_t replica) {
  assignment_.members.erase(replica);
  CHECK(!assignment_.members.empty(), "the last member is gone");
  elect(assignment_.leader == replica ? *assignment_.members.begin() : assignment_.leader);
}

// A leader that was started again has forgotten what it promised in its term: it leads in a new one.
const Assignment& ToyCluster::polled(uint32_t replica, uint64_t incarnation) {
  uint64_t& known = incarnations_[replica];
  if (known != incarnation) {
    known = incarnation;
    if (assignment_.leader == replica && assignment_.members.contains(replica)) {
      if (has(ToyBug::kTermResumed) && assignment_.term >= 0) {
        assignment_.leader_incarnation = incarnation;
      } else {
        elect(replica);
      }
    }
  }
  return assignment_;
}

void ToyCluster::look() {
  std::vector<ReplicaState> ready;
  for (const auto& [id, replica] : live_) {
    checker_.observe(replica->state());
    if (replica->ready()) ready.push_back(replica->state());
  }
  if (bug_ != ToyBug::kNone) return;  // a planted bug has to show in what it leads to
  for (const ReplicaState& leader : ready) {
    if (!leader.leads) continue;
    std::vector<ReplicaState> members;
    std::ranges::copy_if(ready, std::back_inserter(members),
                         [&](const ReplicaState& state) { return live_.at(leader.replica)->counts(state.replica); });
    checker_.in_sync(leader, members);
  }
}

namespace {

Task<void> answer_polls(Core& core, ToyCluster& cluster, Socket socket) {
  ToyConnection connection(core, socket, kPollPatience);
  while (const auto poll = co_await connection.receive()) {
    if (poll->kind != ToyKind::kPoll) break;
    const Assignment& now =
        cluster.polled(static_cast<uint32_t>(poll->number(0)), static_cast<uint64_t>(poll->number(1)));
    uint64_t members = 0;
    for (const uint32_t member : now.members) members |= uint64_t{1} << member;
    ToyMessage answer{ToyKind::kAssignment, {static_cast<uint64_t>(now.term), now.leader, now.leader_incarnation}};
    answer.numbers.push_back(members);
    if (!co_await connection.send(std::move(answer))) break;
  }
  co_await connection.close();
}

}  // namespace

Task<void> run_toy_coordinator(Core& core, ToyCluster& cluster) {
  auto listener = co_await Socket::listen(core, "0.0.0.0:7000", nullptr);
  CHECK(listener.has_value());
  for (;;) {
    auto socket = co_await listener->accept(nullptr);
    if (socket) core.scope().spawn(answer_polls(core, cluster, *socket));
  }
}

}  // namespace posthaste::rig
