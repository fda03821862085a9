// The clients of the tests' cluster: producers that count what was acknowledged, and readers of any replica. They trust
// nobody; all that they are told goes to the judge.
#include "reactor/scope.h"
#include "tests/rig/toy_connection.h"
#include "tests/streams/cluster.h"

namespace posthaste::streams {

using reactor::Core;
using reactor::Socket;
using reactor::Task;
using rig::ToyConnection;
using rig::ToyKind;
using namespace std::chrono_literals;

namespace {

constexpr reactor::Duration kPatience = 3s;
constexpr reactor::Duration kBetweenReads = 60ms;

reactor::Duration pause_of(Core& core) { return std::chrono::milliseconds(1 + core.random() % 60); }

struct Producer {
  uint32_t partition = 0;
  uint32_t leader = 0;  // believed
};

// Sends until a send is not acknowledged. True: the load is over, and it was acknowledged something since.
Task<bool> produce_on(ToyConnection& connection, Core& core, Cluster& cluster, Producer& self) {
  for (;;) {
    const uint64_t payload = cluster.new_payload();
    connection.patient_again();
    const bool last = cluster.load_over;
    if (!co_await connection.send({ToyKind::kProduce, {payload, self.partition}})) co_return false;
    const auto answer = co_await connection.receive();
    if (!answer) co_return false;
    if (answer->kind != ToyKind::kAcknowledged) {
      self.leader = static_cast<uint32_t>(answer->number(0));
      co_return false;
    }
    ++cluster.acknowledged;
    const storage::Bytes batch = batch_of(payload);
    cluster.checker(self.partition).acknowledged(answer->number(0), hash_of(batch));
    if (last) co_return true;
    co_await core.sleep(pause_of(core));
  }
}

Task<void> producer(Core& core, Cluster& cluster, Producer self) {
  for (bool done = false; !done;) {
    const uint32_t asked = self.leader;
    auto socket = co_await Socket::connect(core, client_address(asked, cluster.core_of(asked, self.partition)));
    if (socket) {
      ToyConnection connection(core, *socket, kPatience);
      done = co_await produce_on(connection, core, cluster, self);
      co_await connection.close();
    }
    if (asked == self.leader) self.leader = static_cast<uint32_t>(core.random() % cluster.nodes());
    co_await core.sleep(pause_of(core));
  }
  --cluster.producers;
}

Task<void> read_on(ToyConnection& connection, Core& core, Cluster& cluster, uint32_t partition) {
  int64_t next = 0;
  for (;;) {
    connection.patient_again();
    if (!co_await connection.send({ToyKind::kRead, {static_cast<uint64_t>(next), partition}})) co_return;
    const auto answer = co_await connection.receive();
    if (!answer || answer->kind != ToyKind::kReadAnswer) co_return;
    cluster.checker(partition).high_watermark_shown(answer->number(0));
    for (size_t i = 1; i + 2 < answer->numbers.size(); i += 3) {
      cluster.checker(partition).read(answer->number(i), answer->numbers[i + 1]);
      next = answer->number(i + 2);
    }
    if (core.random() % 32 == 0) co_return;  // and asks another one, from the start
    co_await core.sleep(kBetweenReads);
  }
}

Task<void> reader(Core& core, Cluster& cluster) {
  for (;;) {
    const auto node = static_cast<uint32_t>(core.random() % cluster.nodes());
    const auto partition = static_cast<uint32_t>(core.random() % cluster.partitions());
    auto socket = co_await Socket::connect(core, client_address(node, cluster.core_of(node, partition)));
    if (socket) {
      ToyConnection connection(core, *socket, kPatience);
      co_await read_on(connection, core, cluster, partition);
      co_await connection.close();
    }
    co_await core.sleep(pause_of(core));
  }
}

}  // namespace

Task<void> run_clients(Core& core, Cluster& cluster, uint32_t producers) {
  reactor::TaskScope scope(core);
  for (uint32_t i = 0; i < producers; ++i) {
    ++cluster.producers;
    scope.spawn(producer(core, cluster, {.partition = i % cluster.partitions()}));
    scope.spawn(reader(core, cluster));
  }
  co_await scope.join();
}

}  // namespace posthaste::streams
