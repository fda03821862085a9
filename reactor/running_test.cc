// Who runs what: the rank of work over every kind of wait, the order of classes, and that a core's things are its own.
#include "reactor/running.h"

#include <gtest/gtest.h>

#include "reactor/file.h"
#include "reactor/mail.h"
#include "reactor/simulated/world.h"
#include "reactor/sync.h"

namespace posthaste::reactor {
namespace {

using simulated::Host;
using simulated::World;

constexpr HostOptions kTwoCores = {.cores = 2, .pool_bytes_per_core = 64 << 10};

// Runs `body` as core 0's program; core 1 serves.
void run_on_core_0(std::function<Task<void>(Core&)> body) {
  World world(5);
  bool over = false;
  Host& host = world.add_host(kTwoCores, "10.0.0.1", [&](Core& core) -> Task<void> {
    if (core.id() == 0) {
      co_await body(core);
      over = true;
    }
    co_await core.until_stopping();
  });
  host.start();
  EXPECT_TRUE(world.run_until([&] { return over; }, 10s)) << world.log_tail();
  host.stop();
  EXPECT_TRUE(world.run_until([&] { return !host.running(); }, 10s)) << world.log_tail();
}

constexpr Rank kRank = rank_of(MessageClass::kRequest);

TEST(Running, WorkKeepsItsRankOverEveryWait) {
  int waits = 0;
  run_on_core_0([&](Core& home) -> Task<void> {
    const auto handler = [&](Core& core) -> Task<void> {
      const auto check = [&] {
        EXPECT_EQ(running_now.rank, kRank);
        EXPECT_EQ(running_now.core, &core);
        ++waits;
      };
      check();
      co_await core.yield();
      check();
      co_await core.sleep(1ms);
      check();
      Event event(core);
      EXPECT_FALSE(co_await event.wait_until(core.now() + 1ms));
      check();
      Semaphore semaphore(core, 1);
      co_await semaphore.acquire(1);
      EXPECT_FALSE(co_await semaphore.acquire_until(1, core.now() + 1ms));
      check();
      // Woken by work of another rank.
      TaskScope scope(core);
      const auto wake = [](Core& on, Event& waited, Semaphore& freed) -> Task<void> {
        EXPECT_EQ(running_now.rank, kJobRank);
        co_await on.yield();
        waited.set();
        freed.release(1);
      };
      scope.spawn_job(wake(core, event, semaphore));
      co_await event.wait();
      check();
      co_await semaphore.acquire(1);
      check();
      co_await scope.join();
      check();
      EXPECT_FALSE((co_await file_system::list_directory(core, "/none")).has_value());
      check();
      const auto child = [&check]() -> Task<void> {
        check();
        co_return;
      };
      scope.spawn(child());
      co_await scope.join();
      co_await on_core(core, 0, [](Core&) { EXPECT_EQ(running_now.rank, kRank + 1); }, MessageClass::kPush);
      check();
    };
    for (const CoreId to : {CoreId{0}, CoreId{1}}) {
      co_await on_core(home, to, handler);
      EXPECT_EQ(running_now.rank, kJobRank) << "the caller has its own again";
    }
  });
  EXPECT_EQ(waits, 2 * 11);
}

Task<void> nothing(Core&) { co_return; }

TEST(Running, AHandlerMayNotCallItsOwnClassOrALowerOne) {
  for (const CoreId to : {CoreId{0}, CoreId{1}}) {
    const auto call = [to](MessageClass inner) {
      run_on_core_0([=](Core& core) -> Task<void> {
        co_await on_core(core, 1, [=](Core& there) -> Task<void> {
          co_await there.sleep(1ms);
          co_await on_core(there, to, nothing, inner);
        });
      });
    };
    EXPECT_DEATH(call(MessageClass::kRequest), "work of rank 2 starts a call of rank 2");
    EXPECT_DEATH(call(MessageClass::kControl), "work of rank 2 starts a call of rank 1");
    call(MessageClass::kPush);
  }
}

struct Owned : CoreOwned {
  using CoreOwned::CoreOwned;
};

TEST(Running, WhatACoreOwnsIsUsedThereOnly) {
  const auto use_on = [](CoreId user) {
    run_on_core_0([user](Core& core) -> Task<void> {
      const Owned owned(core);
      co_await on_core(core, user, [&owned](Core&) { owned.check_core(); });
    });
  };
  use_on(0);
  EXPECT_DEATH(use_on(1), "used on another core than its own");
}

}  // namespace
}  // namespace posthaste::reactor
