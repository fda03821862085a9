// Hosts that live and die in a world: programs on several cores, deaths in the middle of everything, and that one seed
// is one run.
#include "reactor/simulated/world.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "reactor/buffer.h"
#include "reactor/file.h"
#include "reactor/scope.h"

namespace posthaste::reactor::simulated {
namespace {

constexpr HostOptions kSmall{.cores = 1, .pool_bytes_per_core = 256 << 10};

// Appends blocks durably to a file and says how many were acknowledged.
Task<void> append_blocks(Core& core, uint64_t& acked, uint64_t count) {
  auto file = co_await File::open(core, "/log", kOpenWrite | kOpenCreate | kOpenDirect);
  CHECK(file.has_value());
  CHECK((co_await file_system::sync_directory(core, "/")).has_value());
  Buffer block = std::move(*core.pool().allocate(kBlockBytes));
  for (uint64_t i = 0; i < count; ++i) {
    std::memset(block.data(), static_cast<int>('a' + i % 26), kBlockBytes);
    const auto written = co_await file->write(i * kBlockBytes, block.bytes(), kWriteDurable, IoClass::kJournal);
    CHECK(written.has_value());
    acked = i + 1;
  }
  CHECK((co_await file->close()).has_value());
}

// All of the first `acked` blocks are there.
bool holds(const Disk& disk, uint64_t acked) {
  const auto bytes = disk.read_file("/log");
  if (!bytes) return acked == 0;
  for (uint64_t i = 0; i < acked; ++i) {
    for (size_t at = i * kBlockBytes; at < (i + 1) * kBlockBytes; ++at) {
      if (at >= bytes->size() || (*bytes)[at] != static_cast<std::byte>('a' + i % 26)) return false;
    }
  }
  return true;
}

TEST(World, RunsAProgramToItsEnd) {
  World world(1);
  uint64_t acked = 0;
  Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) { return append_blocks(core, acked, 20); });
  host.start();
  ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 10s)) << world.log_tail();
  EXPECT_EQ(host.state(), HostState::kStopped);
  EXPECT_EQ(acked, 20U);
  EXPECT_TRUE(holds(host.disk(), 20));
  EXPECT_GT(world.elapsed(), 20 * 100us);
}

TEST(World, EveryCrashImageHoldsWhatWasAcknowledged) {
  uint64_t images = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    World world(seed, WorldOptions::instant());
    uint64_t acked = 0;
    Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) { return append_blocks(core, acked, 30); });
    host.on_submit([&](const Op&, uint64_t) {
      ++images;
      EXPECT_TRUE(holds(host.disk().crash_image(world.random(), {}), acked)) << "seed " << seed;
    });
    host.start();
    ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 10s));
    EXPECT_EQ(acked, 30U);
  }
  EXPECT_EQ(images, 20U * (30 + 5));
}

TEST(World, CrashAfterEachOperation) {
  for (uint64_t crash_at = 1; crash_at <= 12; ++crash_at) {
    World world(crash_at, WorldOptions::instant());
    uint64_t acked = 0;
    Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) { return append_blocks(core, acked, 30); });
    host.crash_after_operations(crash_at);
    host.start();
    ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 10s));
    EXPECT_EQ(host.state(), HostState::kOff);
    EXPECT_EQ(host.operations_submitted(), crash_at);
    EXPECT_TRUE(holds(host.disk(), acked));
    uint64_t again = 0;
    host.set_program([&](Core& core) { return append_blocks(core, again, 30); });
    host.start();
    ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 10s));
    EXPECT_EQ(host.state(), HostState::kStopped);
    EXPECT_TRUE(holds(host.disk(), 30));
  }
}

// A program with coroutines in every state: sleeping, waiting for mail, for memory, for a file, ready, spawned.
struct Busy {
  uint64_t rounds = 0;

  Task<void> sleeper(Core& core) {
    for (;;) {
      co_await core.sleep(Duration(core.random() % 1'000'000));
      core.log(LogLevel::kInfo, "tick", fmt::format("core={}", core.id()));
      if (core.stopping()) co_return;
    }
  }
  Task<void> writer(Core& core, int number) {
    const std::string path = fmt::format("/file-{}-{}", core.id(), number);
    auto file = co_await File::open(core, path, kOpenWrite | kOpenCreate);
    CHECK(file.has_value());
    uint64_t offset = 0;
    while (!core.stopping()) {
      auto buffer = co_await core.pool().allocate_waiting(64 << 10);
      CHECK(buffer.has_value());
      std::memset(buffer->data(), number, 100);
      const auto written = co_await file->write(offset % 100'000, buffer->bytes().first(100), 0, IoClass::kWriteBack);
      CHECK(written.has_value());
      offset += 100;
      if (core.random() % 8 == 0) CHECK((co_await file->sync()).has_value());
      co_await core.yield(CpuClass::kBackground);
      ++rounds;
    }
    CHECK((co_await file->close()).has_value());
  }
  Task<void> caller(Core& core) {
    while (!core.stopping()) {
      const auto to = static_cast<CoreId>(core.random() % core.core_count());
      const uint64_t answer = co_await on_core(core, to, [](Core& there) -> Task<uint64_t> {
        co_await there.sleep(Duration(there.random() % 50'000));
        co_return there.id();
      });
      CHECK(answer == to);
      ++rounds;
    }
  }
  Task<void> main(Core& core) {
    TaskScope scope(core);
    for (int i = 0; i < 6; ++i) scope.spawn(writer(core, i));
    for (int i = 0; i < 10; ++i) scope.spawn(caller(core));
    core.scope().spawn(sleeper(core));
    co_await core.until_stopping();
    co_await scope.join();
  }
};

uint64_t busy_run(uint64_t seed, CoreId cores, WorldOptions options) {
  World world(seed, options);
  Busy busy;
  Host& host = world.add_host({.cores = cores, .pool_bytes_per_core = 256 << 10}, "10.0.0.1",
                              [&](Core& core) { return busy.main(core); });
  host.start();
  world.run_for(5ms);
  EXPECT_GT(busy.rounds, 10U);
  host.stop();
  EXPECT_TRUE(world.run_until([&] { return !host.running(); }, 20s)) << world.log_tail();
  EXPECT_EQ(host.state(), HostState::kStopped);
  return world.trace_hash();
}

TEST(World, OneSeedIsOneRun) {
  std::set<uint64_t> hashes;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const auto cores = static_cast<CoreId>(1 + seed % 4);
    const uint64_t first = busy_run(seed, cores, WorldOptions::swarm(seed));
    // Other addresses the second time.
    const auto shift = std::make_unique<std::byte[]>(4096 * seed + 24);
    EXPECT_EQ(busy_run(seed, cores, WorldOptions::swarm(seed)), first) << "seed " << seed;
    hashes.insert(first);
  }
  EXPECT_EQ(hashes.size(), 6U);
}

TEST(World, KilledInTheMiddleOfEverythingAndStartedAgain) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    World world(seed, WorldOptions::swarm(seed));
    Busy busy;
    Host& host = world.add_host({.cores = 3, .pool_bytes_per_core = 256 << 10}, "10.0.0.1",
                                [&](Core& core) { return busy.main(core); });
    for (int life = 0; life < 4; ++life) {
      host.start();
      world.run_for(Duration(world.random().below(3'000'000)));
      if (world.random().below(2) == 0) {
        host.kill();
        EXPECT_EQ(host.state(), HostState::kKilled);
      } else {
        host.power_off();
        EXPECT_EQ(host.state(), HostState::kOff);
      }
      world.run_for(1ms);
    }
    EXPECT_EQ(host.life(), 4U);
  }
}

TEST(World, WorldMayEndWhileHostsRun) {
  World world(3);
  Busy busy;
  Host& host = world.add_host({.cores = 2, .pool_bytes_per_core = 256 << 10}, "10.0.0.1",
                              [&](Core& core) { return busy.main(core); });
  host.start();
  world.run_for(1ms);
}

Task<void> dies_deep(Core& core, int depth) {
  [[maybe_unused]] const auto held = std::make_unique<int>(depth);  // something to unwind
  if (depth > 0) {
    co_await dies_deep(core, depth - 1);
    co_return;
  }
  co_await core.sleep(1ms);
  fatal(FatalReason::kDurableWriteFailed, "the test says so");
}

TEST(World, FatalEndsTheHostAndNotTheTest) {
  World world(4);
  Busy busy;
  bool fail = true;
  Host& host =
      world.add_host({.cores = 2, .pool_bytes_per_core = 256 << 10}, "10.0.0.1", [&](Core& core) -> Task<void> {
        if (core.id() == 1 && fail) core.scope().spawn(dies_deep(core, 5));
        co_await busy.main(core);
      });
  host.start();
  ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 1s));
  EXPECT_EQ(host.state(), HostState::kFatal);
  EXPECT_EQ(host.fatal_reason(), FatalReason::kDurableWriteFailed);
  EXPECT_EQ(host.fatal_message(), "the test says so");
  fail = false;
  host.start();
  world.run_for(2ms);
  EXPECT_TRUE(host.running());
}

TEST(World, FatalInACompletionCallback) {
  World world(5);
  struct Failing : Op {
  } op;
  Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) -> Task<void> {
    op.kind = OpKind::kStat;
    op.path = "/none";
    FileStat unused;
    op.out = &unused;
    op.io_class = IoClass::kFileSystem;
    op.complete = [](Op&) { fatal(FatalReason::kJournalFull, "from a callback"); };
    core.submit(op);
    co_await core.until_stopping();
  });
  host.start();
  ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 1s));
  EXPECT_EQ(host.fatal_reason(), FatalReason::kJournalFull);
}

TEST(World, AProgramMayKillItsOwnHost) {
  World world(6);
  uint32_t lives = 0;
  Host* self = nullptr;
  Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) -> Task<void> {
    ++lives;
    co_await core.sleep(1ms);
    if (lives < 3) {
      self->kill();
      self->start();
      co_await core.until_stopping();
    }
  });
  self = &host;
  host.start();
  ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 1s));
  EXPECT_EQ(lives, 3U);
}

TEST(World, ClocksAreTheHostsOwn) {
  World world(7);
  Instant started[2];
  Instant ended[2];
  WallMillis wall[2];
  for (int i = 0; i < 2; ++i) {
    Host& host = world.add_host(kSmall, fmt::format("10.0.0.{}", i + 1), [&, i](Core& core) -> Task<void> {
      started[i] = core.fresh_now();
      co_await core.sleep(100ms);
      ended[i] = core.fresh_now();
      wall[i] = core.wall_now();
    });
    host.start();
  }
  world.run_for(1s);
  for (int i = 0; i < 2; ++i) {
    EXPECT_GE(ended[i] - started[i], 100ms);
    EXPECT_LT(ended[i] - started[i], 110ms);
  }
  EXPECT_NE(started[0].nanoseconds / 1'000'000'000, started[1].nanoseconds / 1'000'000'000);
  EXPECT_NE(wall[0].value, wall[1].value);
}

TEST(World, APausedCoreTakesNoTurn) {
  World world(8);
  std::vector<Duration> at;
  Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) -> Task<void> {
    for (int i = 0; i < 3; ++i) {
      co_await core.sleep(1ms);
      at.push_back(world.elapsed());
    }
  });
  host.start();
  world.after(1500us, [&] { host.pause(0, 500ms); });
  world.run_for(1s);
  ASSERT_EQ(at.size(), 3U);
  EXPECT_LT(at[0], 2ms);
  EXPECT_GE(at[1], 501ms);
}

// Else an operation that began on the slow disk would hold up a stop, or the other work of its core, long after.
TEST(World, WhatIsInFlightWhenTheDiskHealsEndsAsOnAHealthyDisk) {
  World world(1);
  uint64_t acked = 0;
  Host& host = world.add_host(kSmall, "10.0.0.1", [&](Core& core) { return append_blocks(core, acked, 20); });
  host.slow_disk(1'000'000);
  host.start();
  world.run_for(10s);
  EXPECT_EQ(acked, 0U);
  host.heal_disk();
  ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 10s)) << world.log_tail();
  EXPECT_EQ(acked, 20U);
  EXPECT_NE(world.log_tail().find("the disk heals; in flight"), std::string::npos) << world.log_tail();
}

TEST(World, NothingToDoEnds) {
  World world(9);
  Host& host = world.add_host(kSmall, "10.0.0.1", [](Core& core) -> Task<void> { co_await core.until_stopping(); });
  host.start();
  while (world.step()) {
  }
  EXPECT_TRUE(host.running());
  EXPECT_FALSE(world.run_until([&] { return !host.running(); }, 1s));
  host.stop();
  EXPECT_TRUE(world.run_until([&] { return !host.running(); }, 1s));
}

}  // namespace
}  // namespace posthaste::reactor::simulated
