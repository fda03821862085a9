// The clients of a toy cluster: producers that count what was acknowledged, and readers. They trust no replica and
// remember nothing but who led last; all answers go to the judge.
#include "tests/rig/toy_cluster.h"
#include "tests/rig/toy_connection.h"

namespace posthaste::rig {

using reactor::Core;
using reactor::Socket;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

constexpr reactor::Duration kPatience = 3s;
constexpr reactor::Duration kBetweenReads = 60ms;

reactor::Duration pause_of(Core& core) { return std::chrono::milliseconds(5 + core.random() % 60); }

// Sends until a send is not acknowledged. True: the load is over, and it was acknowledged something since.
Task<bool> produce_on(ToyConnection& connection, Core& core, ToyCluster& cluster, uint32_t& leader) {
  for (;;) {
    const uint64_t payload = cluster.new_payload();
    connection.patient_again();
    const bool last = cluster.load_over;
    if (!co_await connection.send({ToyKind::kProduce, {payload}})) co_return false;
    const auto answer = co_await connection.receive();
    if (!answer) co_return false;
    if (answer->kind != ToyKind::kAcknowledged) {
      if (answer->number(0) >= 0) leader = static_cast<uint32_t>(answer->number(1));
      co_return false;
    }
    ++cluster.acknowledged;
    cluster.checker().acknowledged(answer->number(0), payload);
    if (last) co_return true;
    co_await core.sleep(pause_of(core));
  }
}

Task<void> producer(Core& core, ToyCluster& cluster) {
  uint32_t leader = 0;
  for (bool done = false; !done;) {
    auto socket = co_await Socket::connect(core, toy_ip(leader) + kToyPort);
    if (socket) {
      const uint32_t asked = leader;
      ToyConnection connection(core, *socket, kPatience);
      done = co_await produce_on(connection, core, cluster, leader);
      co_await connection.close();
      if (asked != leader) continue;
    }
    leader = static_cast<uint32_t>(core.random() % cluster.size());
    co_await core.sleep(pause_of(core));
  }
  --cluster.producers;
}

Task<void> read_on(ToyConnection& connection, Core& core, ToyCluster& cluster) {
  int64_t next = 0;
  for (;;) {
    connection.patient_again();
    if (!co_await connection.send({ToyKind::kRead, {static_cast<uint64_t>(next)}})) co_return;
    const auto answer = co_await connection.receive();
    if (!answer || answer->kind != ToyKind::kReadAnswer) co_return;
    cluster.checker().high_watermark_shown(answer->number(0));
    for (size_t i = 1; i + 1 < answer->numbers.size(); i += 2) {
      cluster.checker().read(answer->number(i), answer->numbers[i + 1]);
      next = answer->number(i) + 1;
    }
    if (core.random() % 32 == 0) co_return;  // and asks another one, from the start
    co_await core.sleep(kBetweenReads);
  }
}

Task<void> reader(Core& core, ToyCluster& cluster) {
  for (;;) {
    const auto replica = static_cast<uint32_t>(core.random() % cluster.size());
    auto socket = co_await Socket::connect(core, toy_ip(replica) + kToyPort);
    if (socket) {
      ToyConnection connection(core, *socket, kPatience);
      co_await read_on(connection, core, cluster);
      co_await connection.close();
    }
    co_await core.sleep(pause_of(core));
  }
}

}  // namespace

Task<void> run_toy_clients(Core& core, ToyCluster& cluster, uint32_t producers) {
  reactor::TaskScope scope(core);
  for (uint32_t i = 0; i < producers; ++i) {
    ++cluster.producers;
    scope.spawn(producer(core, cluster));
    scope.spawn(reader(core, cluster));
  }
  co_await scope.join();
}

}  // namespace posthaste::rig
