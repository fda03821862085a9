// Streams between hosts: what they carry, how they end, and what partitions, resets and deaths look like.
#include "reactor/simulated/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "reactor/buffer.h"
#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/simulated/world.h"
#include "reactor/sync.h"

namespace posthaste::reactor::simulated {
namespace {

constexpr HostOptions kSmall{.cores = 1, .pool_bytes_per_core = 64 << 10};
constexpr const char* kServer = "10.0.0.1:9092";

std::byte pattern(uint64_t at) { return static_cast<std::byte>(mix64(at) & 0xffU); }

// Answers every byte with itself until the stream ends.
Task<void> echo_connection(Socket socket, uint64_t& ended, std::optional<Errc>& last) {
  std::array<std::byte, 3000> bytes{};
  for (;;) {
    const auto got = co_await socket.receive(bytes);
    if (!got || *got == 0) {
      last = got ? std::nullopt : std::optional(got.error());
      break;
    }
    const Slice slice{bytes.data(), *got};
    const auto sent = co_await socket.send({&slice, 1});
    if (!sent) {
      last = sent.error();
      break;
    }
  }
  ++ended;
  co_await socket.close();
}

// A world with a server and a client host; the client's program is the test's.
struct Pair {
  World world;
  Host& server;
  Host& client;
  uint64_t ended = 0;        // server connections
  std::optional<Errc> last;  // why the last one ended
  Pair(uint64_t seed, WorldOptions options, Program client_program)
      : world(seed, options),
        server(world.add_host(kSmall, "10.0.0.1", [this](Core& core) { return serve(core); })),
        client(world.add_host(kSmall, "10.0.0.2", std::move(client_program))) {
    server.start();
    world.run_for(10ms);
    client.start();
  }
  Task<void> serve(Core& core) {
    std::string bound;
    auto listener = co_await Socket::listen(core, "0.0.0.0:9092", &bound);
    CHECK(listener.has_value());
    core.scope().spawn(accept_all(core, *listener));
    co_await core.until_stopping();
    co_await listener->shutdown();
  }
  Task<void> accept_all(Core& core, Socket listener) {
    for (;;) {
      std::string peer;
      auto socket = co_await listener.accept(&peer);
      if (!socket) break;
      CHECK(peer.starts_with("10.0.0.") || peer.starts_with("127.0.0.1:"));
      core.scope().spawn(echo_connection(*socket, ended, last));
    }
    co_await listener.close();
  }
  bool client_done(Duration limit) {
    return world.run_until([&] { return !client.running(); }, limit);
  }
};

Task<void> send_pattern(Socket& socket, uint64_t total) {
  std::vector<std::byte> bytes(7000);
  for (uint64_t at = 0; at < total;) {
    const auto piece = std::min<uint64_t>(bytes.size(), total - at);
    for (size_t i = 0; i < piece; ++i) bytes[i] = pattern(at + i);
    const Slice slices[] = {{bytes.data(), piece / 3}, {bytes.data() + piece / 3, piece - piece / 3}};
    CHECK((co_await socket.send(slices)).has_value());
    at += piece;
  }
}

Task<void> receive_pattern(Core& core, Socket& socket, uint64_t total) {
  std::array<std::byte, 1999> bytes{};  // more than a select buffer
  for (uint64_t at = 0; at < total;) {
    size_t got = 0;
    if (core.random() % 3 == 0) {
      const auto selected = co_await socket.receive_small();
      CHECK(selected.has_value());
      got = selected->size;
      std::memcpy(bytes.data(), selected->data, got);
      core.backend().recycle(*selected);
    } else if (core.random() % 2 == 0) {
      const auto wanted = std::min<uint64_t>(bytes.size(), total - at);
      CHECK((co_await socket.receive_all(std::span(bytes).first(wanted))).has_value());
      got = wanted;
    } else {
      const auto received = co_await socket.receive(bytes);
      CHECK(received.has_value());
      got = *received;
    }
    CHECK(got > 0);
    for (size_t i = 0; i < got; ++i) CHECK(bytes[i] == pattern(at + i), "byte {}", at + i);
    at += got;
  }
}

uint64_t echo_run(uint64_t seed) {
  constexpr uint64_t kBytes = 200'000;
  constexpr int kConnections = 5;
  int finished = 0;
  const auto connection = [&](Core& core) -> Task<void> {
    auto socket = co_await Socket::connect(core, kServer);
    CHECK(socket.has_value());
    TaskScope scope(core);
    scope.spawn(send_pattern(*socket, kBytes));
    scope.spawn(receive_pattern(core, *socket, kBytes));
    co_await scope.join();
    co_await socket->close();
    ++finished;
  };
  Pair pair(seed, WorldOptions::swarm(seed), [&](Core& core) -> Task<void> {
    TaskScope scope(core);
    for (int i = 0; i < kConnections; ++i) scope.spawn(connection(core));
    co_await scope.join();
  });
  EXPECT_TRUE(pair.client_done(3600s)) << "seed " << seed << "\n" << pair.world.log_tail();
  EXPECT_EQ(finished, kConnections);
  pair.server.stop();
  EXPECT_TRUE(pair.world.run_until([&] { return !pair.server.running(); }, 60s));
  EXPECT_EQ(pair.ended, static_cast<uint64_t>(kConnections));
  EXPECT_FALSE(pair.last.has_value()) << "orderly ends only";
  EXPECT_EQ(pair.world.network().open_endpoints(), 0U) << "seed " << seed;
  return pair.world.trace_hash();
}

TEST(SimulatedNetwork, EveryByteArrivesInOrderWhateverTheSeed) {
  for (uint64_t seed = 1; seed <= 25; ++seed) echo_run(seed);
  EXPECT_EQ(echo_run(7), echo_run(7));
  EXPECT_NE(echo_run(7), echo_run(8));
}

TEST(SimulatedNetwork, LatencyIsPaid) {
  WorldOptions options;
  options.network = {5ms, 5ms};
  options.network_spike_per_million = 0;
  Duration round_trip{};
  Pair pair(1, options, [&](Core& core) -> Task<void> {
    auto socket = co_await Socket::connect(core, kServer);
    CHECK(socket.has_value());
    const Instant begin = core.fresh_now();
    std::byte byte{1};
    const Slice slice{&byte, 1};
    CHECK((co_await socket->send({&slice, 1})).has_value());
    CHECK((co_await socket->receive_all({&byte, 1})).has_value());
    round_trip = core.fresh_now() - begin;
    co_await socket->close();
  });
  ASSERT_TRUE(pair.client_done(10s));
  EXPECT_GE(round_trip, 10ms - 1us);
  EXPECT_LT(round_trip, 11ms);
}

// Connects, then receives until the stream ends in some way; tells how and when.
struct Listening {
  std::optional<Result<uint64_t>> end;
  Result<uint64_t> sent = failure(Errc::kBusy);
  Duration at{};
  bool connected = false;
  bool send_too = false;
  World* world = nullptr;  // set once there is one
  Task<void> run(Core& core) {
    auto socket = co_await Socket::connect(core, kServer);
    CHECK(socket.has_value(), "{}", to_string(socket.error()));
    connected = true;
    std::byte byte{1};
    if (send_too) {
      co_await core.sleep(100ms);
      const Slice slice{&byte, 1};
      const auto done = co_await socket->send({&slice, 1});
      sent = done ? Result<uint64_t>(1) : failure(done.error());
    }
    end = co_await socket->receive({&byte, 1});
    at = world->elapsed();
    co_await socket->close();
  }
};

TEST(SimulatedNetwork, ADeadProcessIsKnownAtOnce) {
  Listening client;
  Pair pair(2, {}, [&](Core& core) { return client.run(core); });
  client.world = &pair.world;
  ASSERT_TRUE(pair.world.run_until([&] { return client.connected; }, 1s));
  pair.world.run_for(10ms);
  const Duration killed = pair.world.elapsed();
  pair.server.kill();
  ASSERT_TRUE(pair.client_done(1s));
  EXPECT_EQ(client.end->value_or(99), 0U) << "the kernel closes what the process left";
  EXPECT_LT(client.at - killed, 100ms);
}

TEST(SimulatedNetwork, AVanishedMachineIsSilentUntilDataTimesOut) {
  Listening client;
  client.send_too = true;
  Pair pair(3, {}, [&](Core& core) { return client.run(core); });
  client.world = &pair.world;
  ASSERT_TRUE(pair.world.run_until([&] { return client.connected; }, 1s));
  pair.world.run_for(10ms);
  pair.server.power_off();
  pair.world.run_for(20s);
  EXPECT_TRUE(client.sent.has_value()) << "the window took it";
  EXPECT_FALSE(client.end.has_value());
  ASSERT_TRUE(pair.client_done(20s));
  EXPECT_EQ(client.end->error(), Errc::kTimedOut);
  EXPECT_EQ(pair.world.network().stats().silence_timeouts, 1U);
}

Task<void> send_bytes(Socket& socket, std::span<std::byte> bytes) {
  const Slice slice{bytes.data(), bytes.size()};
  CHECK((co_await socket.send({&slice, 1})).has_value());
}

// A send may read its bytes at any time before it completes, and what was given back to the pool holds garbage.
TEST(SimulatedNetwork, MemoryFreedBeforeItsSendEndsIsNoticed) {
  for (const Duration late : {Duration(0), Duration(1ms)}) {
    WorldOptions options;
    options.send_read = {late, late};
    std::vector<std::byte> in(1000);
    const std::vector<std::byte> sent(in.size(), std::byte{7});
    Pair pair(4, options, [&](Core& core) -> Task<void> {
      auto socket = co_await Socket::connect(core, kServer);
      CHECK(socket.has_value());
      Buffer buffer = std::move(*core.pool().allocate(sent.size()));
      std::ranges::copy(sent, buffer.data());
      TaskScope scope(core);
      scope.spawn(send_bytes(*socket, buffer.bytes()));
      co_await core.sleep(500us);
      buffer.release();
      CHECK((co_await socket->receive_all(in)).has_value());
      co_await scope.join();
      co_await socket->close();
    });
    ASSERT_TRUE(pair.client_done(1s));
    EXPECT_EQ(in == sent, late == Duration(0));
  }
}

TEST(SimulatedNetwork, AMachineThatIsBackAnswersWithReset) {
  Listening client;
  client.send_too = true;
  Pair pair(4, {}, [&](Core& core) { return client.run(core); });
  client.world = &pair.world;
  ASSERT_TRUE(pair.world.run_until([&] { return client.connected; }, 1s));
  pair.server.power_off();
  pair.world.run_for(2s);
  EXPECT_FALSE(client.end.has_value());
  pair.server.start();
  ASSERT_TRUE(pair.client_done(1s));
  EXPECT_EQ(client.end->error(), Errc::kConnectionClosed);
}

TEST(SimulatedNetwork, ConnectIsRefusedByAMachineAndTimesOutInTheVoid) {
  for (const bool machine_on : {true, false}) {
    WorldOptions options;
    options.connect_timeout = 5s;
    World world(5, options);
    Host& server = world.add_host(kSmall, "10.0.0.1", [](Core&) -> Task<void> { co_return; });
    if (machine_on) server.start();
    world.run_for(1s);  // its program has ended
    std::optional<Errc> refused;
    std::optional<Errc> nowhere;
    Host& client = world.add_host(kSmall, "10.0.0.2", [&](Core& core) -> Task<void> {
      refused = (co_await Socket::connect(core, kServer)).error();
      nowhere = (co_await Socket::connect(core, "10.9.9.9:1")).error();
    });
    client.start();
    ASSERT_TRUE(world.run_until([&] { return !client.running(); }, 60s));
    EXPECT_EQ(refused, machine_on ? Errc::kConnectionRefused : Errc::kTimedOut);
    EXPECT_EQ(nowhere, Errc::kTimedOut);
    EXPECT_EQ(world.network().open_endpoints(), 0U);
  }
}

TEST(SimulatedNetwork, APartitionStallsAndHealsWithoutLoss) {
  constexpr uint64_t kBytes = 3'000'000;
  WorldOptions options;
  options.window_bytes_min = options.window_bytes_max = 8192;
  Pair pair(6, options, [&](Core& core) -> Task<void> {
    auto socket = co_await Socket::connect(core, kServer);
    CHECK(socket.has_value());
    TaskScope scope(core);
    scope.spawn(send_pattern(*socket, kBytes));
    scope.spawn(receive_pattern(core, *socket, kBytes));
    co_await scope.join();
    co_await socket->close();
  });
  Network& network = pair.world.network();
  for (int i = 0; i < 6; ++i) {
    pair.world.run_for(3ms);
    ASSERT_TRUE(pair.client.running());
    // One direction, the other, or both: TCP needs both to make progress.
    if (i % 3 != 1) network.block(pair.client, pair.server);
    if (i % 3 != 0) network.block(pair.server, pair.client);
    pair.world.run_for(100ms);
    const uint64_t before = network.stats().bytes_delivered;
    pair.world.run_for(1s);
    EXPECT_EQ(network.stats().bytes_delivered, before) << "blocked";
    if (i % 2 == 0) {
      network.heal();
    } else {
      network.unblock(pair.client, pair.server);
      network.unblock(pair.server, pair.client);
    }
  }
  ASSERT_TRUE(pair.client_done(60s));
  EXPECT_EQ(network.stats().resets, 0U);
}

TEST(SimulatedNetwork, ALongPartitionBreaksTheSender) {
  Listening client;
  client.send_too = true;
  Pair pair(7, {}, [&](Core& core) { return client.run(core); });
  client.world = &pair.world;
  ASSERT_TRUE(pair.world.run_until([&] { return client.connected; }, 1s));
  pair.world.network().partition({&pair.client}, {&pair.server});
  EXPECT_FALSE(pair.client_done(29s));
  ASSERT_TRUE(pair.client_done(5s));
  EXPECT_EQ(client.end->error(), Errc::kTimedOut);
  EXPECT_EQ(pair.ended, 0U) << "the server has not heard";
  pair.world.network().heal();
  ASSERT_TRUE(pair.world.run_until([&] { return pair.ended == 1; }, 60s));
}

TEST(SimulatedNetwork, ResetsBreakBothSides) {
  WorldOptions options;
  options.reset_per_million = 1'000'000;
  Listening client;
  client.send_too = true;
  Pair pair(8, options, [&](Core& core) { return client.run(core); });
  client.world = &pair.world;
  ASSERT_TRUE(pair.client_done(10s));
  EXPECT_EQ(client.end->error(), Errc::kConnectionClosed);
  ASSERT_TRUE(pair.world.run_until([&] { return pair.ended == 1; }, 1s));
  EXPECT_EQ(pair.last, Errc::kConnectionClosed);
  EXPECT_EQ(pair.world.network().stats().resets_injected, 1U);
  pair.world.options().reset_per_million = 0;
  Listening second;
  second.world = &pair.world;
  pair.client.set_program([&](Core& core) { return second.run(core); });
  pair.client.start();
  ASSERT_TRUE(pair.world.run_until([&] { return second.connected; }, 1s));
  pair.world.network().reset_connections(pair.server);
  ASSERT_TRUE(pair.client_done(1s));
  EXPECT_EQ(second.end->error(), Errc::kConnectionClosed);
}

TEST(SimulatedNetwork, AFullBacklogMakesConnectWait) {
  WorldOptions options;
  options.accept_backlog = 2;
  World world(9, options);
  bool accept = false;
  Host& server = world.add_host(kSmall, "10.0.0.1", [&](Core& core) -> Task<void> {
    auto listener = co_await Socket::listen(core, "10.0.0.1:9092", nullptr);
    CHECK(listener.has_value());
    while (!accept) co_await core.sleep(10ms);
    for (int i = 0; i < 4; ++i) {
      auto socket = co_await listener->accept(nullptr);
      CHECK(socket.has_value());
      co_await socket->close();
    }
    co_await listener->close();
  });
  int connected = 0;
  const auto one = [&](Core& core) -> Task<void> {
    auto socket = co_await Socket::connect(core, kServer);
    CHECK(socket.has_value());
    ++connected;
    co_await socket->close();
  };
  Host& client = world.add_host(kSmall, "10.0.0.2", [&](Core& core) -> Task<void> {
    TaskScope scope(core);
    for (int i = 0; i < 4; ++i) scope.spawn(one(core));
    co_await scope.join();
  });
  server.start();
  world.run_for(1ms);
  client.start();
  world.run_for(5s);
  EXPECT_EQ(connected, 2);
  accept = true;
  ASSERT_TRUE(world.run_until([&] { return !server.running() && !client.running(); }, 10s));
  EXPECT_EQ(connected, 4);
  EXPECT_EQ(world.network().open_endpoints(), 0U);
}

}  // namespace
}  // namespace posthaste::reactor::simulated
