// Hosts that connect, talk and die at random moments, by seed.
#include <gtest/gtest.h>

#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/simulated/network.h"
#include "reactor/simulated/world.h"
#include "reactor/sync.h"

namespace posthaste::reactor::simulated {
namespace {

constexpr HostOptions kSmall{.cores = 1, .pool_bytes_per_core = 64 << 10};

// Hosts that connect, talk, and die at random moments, for ever: nothing may hang, leak or trip over a stale socket.
TEST(SimulatedNetwork, RandomDeathsAndPartitionsLeaveNothingBehind) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    WorldOptions options = WorldOptions::swarm(seed);
    options.reset_per_million = 500;
    options.silence_timeout = 2s;
    options.connect_timeout = 1s;
    options.wake_up.least = 50us;  // fewer echoes a second: this is about ends
    options.wake_up.most = 500us;
    World world(seed, options);
    std::vector<Host*> hosts;
    uint64_t echoes = 0;
    const auto answer = [&](Socket socket) -> Task<void> {
      std::byte byte{};
      const Slice slice{&byte, 1};
      for (;;) {
        const auto got = co_await socket.receive({&byte, 1});
        if (!got || *got == 0) break;
        if (!co_await socket.send({&slice, 1})) break;
      }
      co_await socket.close();
    };
    const auto serve = [&](Core& core, Socket listener) -> Task<void> {
      for (;;) {
        auto socket = co_await listener.accept(nullptr);
        if (!socket) break;
        core.scope().spawn(answer(*socket));
      }
      co_await listener.close();
    };
    // A machine that loses power between a question and its answer says nothing: whoever waits needs a time-out.
    const auto give_up = [](Core& core, Socket socket, reactor::Event& done) -> Task<void> {
      if (!co_await done.wait_until(core.now() + 2s)) co_await socket.shutdown();
    };
    const auto talk = [&](Core& core) -> Task<void> {
      while (!core.stopping()) {
        const auto& to = *hosts[core.random() % hosts.size()];
        auto socket = co_await Socket::connect(core, to.ip() + ":7");
        if (!socket) {
          co_await core.sleep(1ms);
          continue;
        }
        TaskScope watch(core);
        reactor::Event done(core);
        watch.spawn(give_up(core, *socket, done));
        std::byte byte{};
        const Slice slice{&byte, 1};
        for (int i = 0; i < 5; ++i) {
          if (!co_await socket->send({&slice, 1})) break;
          if (!co_await socket->receive_all({&byte, 1})) break;
          ++echoes;
        }
        done.set();
        co_await watch.join();
        co_await socket->close();
      }
    };
    const auto program = [&](Core& core) -> Task<void> {
      auto listener = co_await Socket::listen(core, "0.0.0.0:7", nullptr);
      CHECK(listener.has_value());
      core.scope().spawn(serve(core, *listener));
      TaskScope scope(core);
      for (int i = 0; i < 4; ++i) scope.spawn(talk(core));
      co_await core.until_stopping();
      co_await listener->shutdown();
      co_await scope.join();
    };
    for (int i = 0; i < 3; ++i) hosts.push_back(&world.add_host(kSmall, fmt::format("10.0.0.{}", i + 1), program));
    for (Host* host : hosts) host->start();
    for (int round = 0; round < 60; ++round) {
      world.run_for(Duration(world.random().below(30'000'000)));
      Host& host = *hosts[world.random().below(3)];
      Host& other = *hosts[world.random().below(3)];
      switch (world.random().below(6)) {
        case 0:
          host.kill();
          break;
        case 1:
          host.power_off();
          break;
        case 2:
          if (&host != &other) world.network().block(host, other);
          break;
        case 3:
          world.network().heal();
          break;
        default:
          if (!host.running()) host.start();
      }
    }
    world.network().heal();
    world.options().reset_per_million = 0;
    for (Host* host : hosts) {
      if (!host->running()) host->start();
    }
    world.run_for(3s);  // longer than any timeout
    const uint64_t before = echoes;
    world.run_for(500ms);
    EXPECT_GT(echoes, before + 10) << "alive again, seed " << seed;
    for (Host* host : hosts) host->stop();
    EXPECT_TRUE(
        world.run_until([&] { return !hosts[0]->running() && !hosts[1]->running() && !hosts[2]->running(); }, 60s))
        << "seed " << seed;
    world.run_for(10s);
    EXPECT_EQ(world.network().open_endpoints(), 0U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace posthaste::reactor::simulated
