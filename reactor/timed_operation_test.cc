// Operations that are given up, over the simulated backend: in time, too late, no longer wanted.
#include "reactor/timed_operation.h"

#include <gtest/gtest.h>

#include <optional>

#include "reactor/file.h"
#include "reactor/names.h"
#include "reactor/scope.h"
#include "reactor/simulated/world.h"

namespace posthaste::reactor {
namespace {

using simulated::Host;
using simulated::World;

constexpr const char* kNowhere = "10.9.9.9:1";
constexpr const char* kServer = "10.0.0.1:7";
constexpr HostOptions kSmall{.cores = 1};

struct Attempt {
  std::optional<Errc> error;
  Duration took{};
};

Task<void> connect_to_nowhere(Core& core, Duration patience, Event& over, Attempt& attempt) {
  const Instant begin = core.fresh_now();
  attempt.error = (co_await Socket::connect(core, kNowhere, begin + patience, over)).error();
  attempt.took = core.fresh_now() - begin;
}

TEST(TimedOperation, AConnectThatGetsNoAnswerCostsThePatienceAndNoMore) {
  World world(1);
  Attempt attempt;
  Host& host = world.add_host(kSmall, "10.0.0.2", [&](Core& core) -> Task<void> {
    Event over(core);
    co_await connect_to_nowhere(core, 300ms, over, attempt);
  });
  host.start();
  ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 10s));
  EXPECT_EQ(attempt.error, Errc::kTimedOut);
  EXPECT_GE(attempt.took, 300ms);
  EXPECT_LT(attempt.took, 310ms);
  EXPECT_EQ(world.network().open_endpoints(), 0U);
}

TEST(TimedOperation, WhatNobodyWantsAnyMoreEndsAtOnce) {
  World world(2);
  world.names().silence("server");
  Attempt attempt;
  std::optional<Errc> resolved;
  Duration took{};
  Host& host = world.add_host(kSmall, "10.0.0.2", [&](Core& core) -> Task<void> {
    Event over(core);
    TaskScope scope(core);
    auto look_up = [&]() -> Task<void> {
      resolved = (co_await resolve(core, "server", core.now() + 10s, over)).error();
    };
    scope.spawn(connect_to_nowhere(core, 10s, over, attempt));
    scope.spawn(look_up());
    co_await core.sleep(100ms);
    over.set();
    const Instant begin = core.fresh_now();
    co_await scope.join();
    took = core.fresh_now() - begin;
  });
  host.start();
  ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 20s));
  EXPECT_EQ(attempt.error, Errc::kCancelled);
  EXPECT_EQ(resolved, Errc::kCancelled);
  EXPECT_LT(took, 1ms);
  EXPECT_EQ(world.network().open_endpoints(), 0U);
}

// The deadline falls before, into and behind the time that a connect takes: it leads to a socket or to none.
TEST(TimedOperation, ADeadlineThatRacesWithSuccessLeaksNothing) {
  size_t connected = 0;
  size_t given_up = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    World world(seed);
    Host& server = world.add_host(kSmall, "10.0.0.1", [](Core& core) -> Task<void> {
      auto listener = co_await Socket::listen(core, kServer, nullptr);
      CHECK(listener.has_value());
      co_await core.until_stopping();
      co_await listener->close();
    });
    server.start();
    world.run_for(5ms);
    Host& host = world.add_host(kSmall, "10.0.0.2", [&](Core& core) -> Task<void> {
      Event over(core);
      const Instant deadline = core.fresh_now() + Duration(world.random().between(0, 600'000));
      auto socket = co_await Socket::connect(core, kServer, deadline, over);
      if (socket) {
        ++connected;
        co_await socket->close();
      } else {
        EXPECT_EQ(socket.error(), Errc::kTimedOut);
        ++given_up;
      }
    });
    host.start();
    world.run_for(100ms);
    server.stop();
    ASSERT_TRUE(world.run_until([&] { return !host.running() && !server.running(); }, 10s));
    ASSERT_EQ(world.network().open_endpoints(), 0U) << "seed " << seed;
  }
  EXPECT_GT(connected, 30U);
  EXPECT_GT(given_up, 30U);
}

}  // namespace
}  // namespace posthaste::reactor
