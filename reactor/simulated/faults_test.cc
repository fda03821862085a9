// Faults of machines, clocks and links: what a program on the machine sees of them, and what its peers do.
#include <gtest/gtest.h>

#include <optional>

#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/simulated/world.h"
#include "reactor/sync.h"

namespace posthaste::reactor::simulated {
namespace {

constexpr HostOptions kSmall{.cores = 1, .pool_bytes_per_core = 64 << 10};
constexpr HostOptions kThreeCores{.cores = 3, .pool_bytes_per_core = 64 << 10};
constexpr const char* kServer = "10.0.0.1:9092";

// Everything takes the time that is said, no more: a test can say when something arrives.
WorldOptions exact() {
  WorldOptions options = WorldOptions::instant();
  options.network = {1ms, 1ms};
  options.short_receive_per_million = 0;
  options.piece_bytes_min = options.piece_bytes_max = 1000;
  options.clock_drift_ppm_max = 0;
  options.wall_offset_max = {};
  return options;
}

// A server that notes when bytes come and how its connections end, and a client that sends what it is told.
struct Talk {
  struct Connection {
    std::vector<Duration> arrivals;  // of each byte
    bool ended = false;
    std::optional<Errc> error;
  };

  World world;
  Host& server;
  Host& client;
  std::vector<Connection> accepted;
  std::vector<Socket> sockets;  // of the client, in the order of `accepted`
  std::vector<std::optional<Errc>> client_ends;
  std::vector<Duration> client_ended_at;

  explicit Talk(WorldOptions options = exact(), uint64_t seed = 1)
      : world(seed, options),
        server(world.add_host(kSmall, "10.0.0.1", [this](Core& core) { return serve(core); })),
        client(world.add_host(kSmall, "10.0.0.2", [this](Core& core) { return keep(core); })) {
    server.start();
    client.start();
    world.run_for(1ms);
  }

  Task<void> serve(Core& core) {
    auto listener = co_await Socket::listen(core, "0.0.0.0:9092", nullptr);
    CHECK(listener.has_value());
    for (;;) {
      auto socket = co_await listener->accept(nullptr);
      if (!socket) break;
      accepted.emplace_back();
      core.scope().spawn(note(*socket, accepted.size() - 1));
    }
  }
  // Answers each byte with one, so that both directions are used.
  Task<void> note(Socket socket, size_t number) {
    std::array<std::byte, 4096> bytes{};
    for (;;) {
      const auto got = co_await socket.receive(bytes);
      if (!got || *got == 0) {
        accepted[number].ended = true;
        if (!got) accepted[number].error = got.error();
        break;
      }
      accepted[number].arrivals.insert(accepted[number].arrivals.end(), *got, world.elapsed());
      const Slice slice{bytes.data(), 1};
      (void)co_await socket.send({&slice, 1});
    }
    co_await socket.close();
  }
  Task<void> keep(Core& core) { co_await core.until_stopping(); }

  // One more connection of the client; run the world until it is there.
  void connect() {
    client.core(0).scope().spawn(connect_one(client.core(0)));
    client.wake(0);
  }
  Task<void> connect_one(Core& core) {
    auto socket = co_await Socket::connect(core, kServer);
    CHECK(socket.has_value(), "{}", to_string(socket.error()));
    sockets.push_back(*socket);
    client_ends.emplace_back();
    client_ended_at.emplace_back();
    core.scope().spawn(listen_to_end(*socket, sockets.size() - 1));
  }
  Task<void> listen_to_end(Socket socket, size_t number) {
    std::array<std::byte, 64> bytes{};
    for (;;) {
      const auto got = co_await socket.receive(bytes);
      if (got && *got > 0) continue;
      client_ends[number] = got ? Errc::kConnectionClosed : got.error();
      client_ended_at[number] = world.elapsed();
      co_return;
    }
  }
  void send(size_t socket, size_t bytes) {
    client.core(0).scope().spawn(send_one(sockets[socket], bytes));
    client.wake(0);
  }
  Task<void> send_one(Socket socket, size_t count) {
    std::vector<std::byte> bytes(count);
    const Slice slice{bytes.data(), bytes.size()};
    (void)co_await socket.send({&slice, 1});
  }
  bool connected(size_t count, Duration limit = 60s) {
    return world.run_until([&] { return sockets.size() == count && accepted.size() == count; }, limit);
  }
  // How long the last of `bytes` takes to arrive.
  Duration travel(size_t socket, size_t bytes) {
    const Duration begin = world.elapsed();
    std::vector<Duration>& arrivals = accepted[socket].arrivals;
    const size_t wanted = arrivals.size() + bytes;
    send(socket, bytes);
    CHECK(world.run_until([&] { return arrivals.size() >= wanted; }, 3600s));
    return arrivals.back() - begin;
  }
};

// --- Links.

TEST(Links, EachDirectionHasALatencyOfItsOwn) {
  Talk talk;
  talk.world.network().set_link(talk.client, talk.server, {.latency = DurationRange{50ms, 50ms}});
  talk.connect();
  ASSERT_TRUE(talk.connected(1));
  EXPECT_GE(talk.world.elapsed(), 51ms) << "the client's word takes long";
  EXPECT_LT(talk.world.elapsed(), 60ms) << "the server's does not";
  const Duration there = talk.travel(0, 1);
  EXPECT_GE(there, 50ms);
  EXPECT_LT(there, 51ms);
  talk.world.network().heal();
  EXPECT_LT(talk.travel(0, 1), 2ms);
}

TEST(Links, ABandwidthIsSharedByAllConnections) {
  WorldOptions options = exact();
  options.window_bytes_min = options.window_bytes_max = 1 << 20;
  Talk talk(options);
  talk.connect();
  talk.connect();
  ASSERT_TRUE(talk.connected(2));
  talk.world.network().set_link(talk.client, talk.server, {.bytes_per_ms = 100});
  const Duration alone = talk.travel(0, 10'000);
  EXPECT_GE(alone, 100ms);
  EXPECT_LT(alone, 110ms);
  talk.send(1, 10'000);
  const Duration beside = talk.travel(0, 10'000);
  EXPECT_GE(beside, 190ms) << "the pieces of both stand in one line";
  EXPECT_LT(beside, 220ms);
}

TEST(Links, LostPacketsComeLaterAndInOrder) {
  Talk talk;
  talk.connect();
  ASSERT_TRUE(talk.connected(1));
  talk.world.network().set_link(talk.client, talk.server, {.loss_per_million = 500'000});
  Duration longest{};
  for (int i = 0; i < 20; ++i) longest = std::max(longest, talk.travel(0, 10));
  EXPECT_GE(longest, kRetransmitFirst);
  EXPECT_GT(talk.world.network().stats().packets_lost, 5U);
  EXPECT_EQ(talk.accepted[0].arrivals.size(), 200U);
  EXPECT_EQ(talk.world.network().stats().resets, 0U);
  EXPECT_FALSE(talk.accepted[0].ended);
}

TEST(Links, AConnectionWhoseFirstWordIsLostTakesSeconds) {
  int late = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Talk talk(exact(), seed);
    talk.world.network().set_link(talk.client, talk.server, {.loss_per_million = 300'000});
    talk.connect();
    ASSERT_TRUE(talk.connected(1));
    EXPECT_EQ(talk.world.elapsed() >= kConnectRetransmitFirst, talk.world.network().stats().packets_lost > 0);
    late += talk.world.elapsed() >= kConnectRetransmitFirst ? 1 : 0;
  }
  EXPECT_GE(late, 2);
  EXPECT_LE(late, 12);
}

TEST(Links, AConnectThatNeverGetsThroughTimesOut) {
  World world(1, exact());
  std::optional<Errc> error;
  Host& server = world.add_host(kSmall, "10.0.0.1", [](Core& core) -> Task<void> { co_await core.until_stopping(); });
  Host& client = world.add_host(
      kSmall, "10.0.0.2", [&](Core& core) -> Task<void> { error = (co_await Socket::connect(core, kServer)).error(); });
  server.start();
  client.start();
  world.network().clog(client, server, 3600s);
  ASSERT_TRUE(world.run_until([&] { return error.has_value(); }, world.options().connect_timeout + 1s));
  EXPECT_EQ(error, Errc::kTimedOut);
}

TEST(Links, AClogHoldsOneDirectionAndEndsByItself) {
  Talk talk;
  talk.connect();
  talk.connect();
  ASSERT_TRUE(talk.connected(2));
  const Duration begin = talk.world.elapsed();
  talk.send(0, 1);  // on its way when the clog begins
  talk.world.run_for(100us);
  talk.world.network().clog(talk.client, talk.server, 3s);
  talk.send(1, 1);  // comes into it
  talk.world.run_for(2900ms);
  EXPECT_TRUE(talk.accepted[0].arrivals.empty());
  EXPECT_TRUE(talk.accepted[1].arrivals.empty());
  talk.world.run_for(200ms);
  ASSERT_EQ(talk.accepted[0].arrivals.size(), 1U);
  ASSERT_EQ(talk.accepted[1].arrivals.size(), 1U);
  EXPECT_GE(talk.accepted[0].arrivals[0] - begin, 3s);
  EXPECT_EQ(talk.world.network().stats().resets, 0U);
}

// The one that sends hears nothing and gives up; the other has nobody to hear of it, and keeps its end.
TEST(Links, ForgottenConnectionsLoseOneDirectionAndNewOnesWork) {
  Talk talk;
  talk.connect();
  ASSERT_TRUE(talk.connected(1));
  talk.world.network().forget_connections(talk.client, talk.server);
  talk.send(0, 1);
  talk.connect();
  ASSERT_TRUE(talk.connected(2));
  EXPECT_LT(talk.travel(1, 1), 2ms);
  talk.world.run_for(talk.world.options().silence_timeout + 1s);
  EXPECT_TRUE(talk.accepted[0].arrivals.empty());
  EXPECT_EQ(talk.client_ends[0], Errc::kTimedOut);
  EXPECT_FALSE(talk.accepted[0].ended);
  EXPECT_FALSE(talk.client_ends[1].has_value());
}

TEST(Links, ADirectionThatIsNotForgottenWorks) {
  Talk talk;
  talk.connect();
  ASSERT_TRUE(talk.connected(1));
  talk.world.network().forget_connections(talk.server, talk.client);
  EXPECT_LT(talk.travel(0, 1), 2ms);
  talk.world.run_for(talk.world.options().silence_timeout + 1s);
  EXPECT_TRUE(talk.accepted[0].ended) << "nobody has taken its answer";
  EXPECT_EQ(talk.accepted[0].error, Errc::kTimedOut);
}

// --- A paused machine.

// Notes when it is awake, by the world and by its own clocks.
struct Ticker {
  struct Tick {
    Duration world{};
    Instant monotonic;
    WallMillis wall;
  };
  World* world = nullptr;
  std::vector<Tick> ticks;
  Task<void> run(Core& core) {
    while (!core.stopping()) {
      co_await core.sleep(10ms);
      ticks.push_back({world->elapsed(), core.fresh_now(), core.wall_now()});
    }
  }
  Ticker& on(World& of) {
    world = &of;
    return *this;
  }
  // The pair of ticks around the longest silence.
  std::pair<Tick, Tick> longest_gap() const {
    size_t widest = 1;
    for (size_t i = 1; i < ticks.size(); ++i) {
      if (ticks[i].world - ticks[i - 1].world > ticks[widest].world - ticks[widest - 1].world) widest = i;
    }
    return {ticks[widest - 1], ticks[widest]};
  }
};

TEST(PausedMachine, NoCoreTakesATurnAndAllContinue) {
  World world(1, exact());
  Ticker tickers[3];
  Host& host =
      world.add_host(kThreeCores, "10.0.0.1", [&](Core& core) { return tickers[core.id()].on(world).run(core); });
  host.start();
  world.run_for(100ms);
  host.pause_machine(2s);
  EXPECT_TRUE(host.machine_is_paused());
  world.run_for(1s);
  host.pause_machine(100ms);  // within the other one
  world.run_for(900ms);
  EXPECT_TRUE(host.machine_is_paused());
  for (const Ticker& ticker : tickers) EXPECT_LT(ticker.ticks.back().world, 101ms);
  world.run_for(200ms);
  EXPECT_FALSE(host.machine_is_paused());
  for (const Ticker& ticker : tickers) {
    const auto [before, after] = ticker.longest_gap();
    EXPECT_GE(after.world - before.world, 2s);
    EXPECT_GT(ticker.ticks.back().world, 2170ms) << "it goes on";
  }
}

TEST(PausedMachine, ItsClocksGoOnOrStandStill) {
  for (const PausedClocks clocks : {PausedClocks::kGoOn, PausedClocks::kStandStill}) {
    World world(2, exact());
    Ticker ticker;
    Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) { return ticker.on(world).run(core); });
    host.start();
    world.run_for(100ms);
    host.pause_machine(5s, clocks);
    world.run_for(6s);
    const auto [before, after] = ticker.longest_gap();
    EXPECT_GE(after.world - before.world, 5s);
    const Duration most = clocks == PausedClocks::kGoOn ? 5s + 20ms : 20ms;
    const Duration least = clocks == PausedClocks::kGoOn ? 5s : 10ms;
    EXPECT_GE(after.monotonic - before.monotonic, least);
    EXPECT_LE(after.monotonic - before.monotonic, most);
    EXPECT_GE(std::chrono::milliseconds(after.wall.value - before.wall.value), least - 1ms);
    EXPECT_LE(std::chrono::milliseconds(after.wall.value - before.wall.value), most);
    // A sleep that the pause cut is as long as the machine's own clock says, and timers go on being met.
    EXPECT_GT(ticker.ticks.size(), 90U);
  }
}

TEST(PausedMachine, ItsPeersHearNothingAndThenEverything) {
  Talk talk;
  talk.connect();
  ASSERT_TRUE(talk.connected(1));
  talk.server.pause_machine(10s);
  talk.send(0, 5);
  talk.connect();
  talk.world.run_for(9s);
  EXPECT_TRUE(talk.accepted[0].arrivals.empty());
  EXPECT_EQ(talk.sockets.size(), 1U) << "nobody answers";
  talk.world.run_for(2s);
  EXPECT_EQ(talk.accepted[0].arrivals.size(), 5U);
  EXPECT_TRUE(talk.connected(2, 1s));
  EXPECT_FALSE(talk.client_ends[0].has_value());
  EXPECT_EQ(talk.world.network().stats().resets, 0U);
}

TEST(PausedMachine, APeerGivesUpAndTheMachineHearsOfItLater) {
  Talk talk;
  talk.connect();
  ASSERT_TRUE(talk.connected(1));
  talk.server.pause_machine(60s);
  talk.send(0, 1);
  talk.world.run_for(40s);
  EXPECT_EQ(talk.client_ends[0], Errc::kTimedOut);
  EXPECT_FALSE(talk.accepted[0].ended);
}

TEST(PausedMachine, WhatItWasAboutToDoWaits) {
  Talk talk;
  talk.connect();
  talk.world.run_for(1100us);  // the server's answer is on its way
  talk.client.pause_machine(1s);
  talk.world.run_for(900ms);
  EXPECT_TRUE(talk.sockets.empty()) << "it has not seen the answer";
  talk.world.run_for(200ms);
  ASSERT_EQ(talk.sockets.size(), 1U);
  talk.client.pause_machine(1s);
  talk.world.network().reset_connections(talk.server);
  talk.world.run_for(900ms);
  EXPECT_FALSE(talk.client_ends[0].has_value()) << "nor the reset";
  talk.world.run_for(200ms);
  EXPECT_EQ(talk.client_ends[0], Errc::kConnectionClosed);
}

// Its peer makes room meanwhile, which would let its kernel send on.
TEST(PausedMachine, ASenderSendsNothing) {
  WorldOptions options = exact();
  options.window_bytes_min = options.window_bytes_max = 2000;
  Talk talk(options);
  talk.connect();
  ASSERT_TRUE(talk.connected(1));
  talk.send(0, 100'000);
  talk.world.run_for(5ms);
  talk.client.pause_machine(1s);
  talk.world.run_for(900ms);
  EXPECT_LT(talk.accepted[0].arrivals.size(), 20'000U);
  ASSERT_TRUE(talk.world.run_until([&] { return talk.accepted[0].arrivals.size() == 100'000; }, 5s));
}

Task<void> write_once(Core& core, uint64_t& written) {
  auto file = co_await File::open(core, "/file", kOpenWrite | kOpenCreate);
  CHECK(file.has_value());
  const std::array<std::byte, 512> bytes{};
  CHECK((co_await file->write(0, bytes, kWriteDurable, IoClass::kJournal)).has_value());
  ++written;
  co_await core.until_stopping();
  CHECK((co_await file->close()).has_value());
}

TEST(PausedMachine, ItsDiskGoesOnAndADeathEndsThePause) {
  WorldOptions options = exact();
  options.disk_write_durable = {100ms, 100ms};
  World world(3, options);
  uint64_t written = 0;
  Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) { return write_once(core, written); });
  host.start();
  world.run_for(50ms);
  host.pause_machine(10s);
  world.run_for(5s);
  EXPECT_EQ(written, 0U) << "the core has not seen it";
  EXPECT_EQ(host.disk().stat("/file")->size_bytes, 512U);
  host.power_off();
  EXPECT_FALSE(host.machine_is_paused());
  host.start();
  world.run_for(1s);
  EXPECT_EQ(written, 1U);
}

// --- Clocks.

TEST(HostClocks, TheWallClockFreezesJumpsAndGoesOnLate) {
  World world(4, exact());
  Ticker ticker;
  Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) { return ticker.on(world).run(core); });
  host.start();
  const auto shown = [&] {
    world.run_for(15ms);
    return ticker.ticks.back();
  };
  const Ticker::Tick before = shown();
  host.freeze_wall_clock();
  world.run_for(3s);
  const Ticker::Tick frozen = shown();
  EXPECT_LT(frozen.wall.value - before.wall.value, 20);
  EXPECT_GE(frozen.monotonic - before.monotonic, 3s) << "only the wall clock stands still";
  host.jump_wall_clock(-3600s);
  const Ticker::Tick back = shown();
  EXPECT_NEAR(static_cast<double>(back.wall.value), static_cast<double>(frozen.wall.value - 3'600'000), 1.0);
  host.thaw_wall_clock();
  const Ticker::Tick thawed = shown();
  EXPECT_GE(thawed.wall.value, back.wall.value);
  EXPECT_LT(thawed.wall.value - back.wall.value, 40);
  world.run_for(1s);
  const Ticker::Tick later = shown();
  EXPECT_GE(later.wall.value - thawed.wall.value, 1000);
  EXPECT_LT(later.wall.value - thawed.wall.value, 1040);
  host.jump_wall_clock(7200s);
  EXPECT_GE(shown().wall.value - later.wall.value, 7'200'000);
}

// --- A machine that is gone for ever.

TEST(LostHost, ItsDiskIsGoneAndItsPeersHearNothing) {
  Talk talk;
  talk.connect();
  ASSERT_TRUE(talk.connected(1));
  const std::array<std::byte, 4> bytes{};
  talk.server.disk().write_file("/data/file", bytes);
  talk.send(0, 1);
  talk.world.run_for(5ms);
  talk.server.lose();
  EXPECT_EQ(talk.server.state(), HostState::kLost);
  EXPECT_FALSE(talk.server.machine_is_on());
  EXPECT_TRUE(talk.server.disk().all_files().empty());
  talk.send(0, 1);
  talk.world.run_for(20s);
  EXPECT_FALSE(talk.client_ends[0].has_value()) << "silence, no reset";
  talk.world.run_for(20s);
  EXPECT_EQ(talk.client_ends[0], Errc::kTimedOut);
  EXPECT_DEATH(talk.server.start(), "is lost for ever");
}

TEST(LostHost, AMachineMayGetANewDisk) {
  World world(5, exact());
  uint64_t written = 0;
  Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) { return write_once(core, written); });
  host.start();
  world.run_for(1s);
  host.power_off();
  EXPECT_FALSE(host.disk().all_files().empty());
  host.replace_disk();
  EXPECT_TRUE(host.disk().all_files().empty());
  host.start();
  world.run_for(1s);
  EXPECT_EQ(written, 2U);
}

}  // namespace
}  // namespace posthaste::reactor::simulated
