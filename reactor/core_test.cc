// The loop of one core and what it owns: tasks, timers, scopes, waiting, mail, the buffer pool. Single thread, clock by
// hand.
#include "reactor/core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>

#include "reactor/buffer.h"
#include "reactor/file.h"
#include "reactor/mail.h"
#include "reactor/scope.h"
#include "reactor/sync.h"
#include "reactor/testing/manual_backend.h"

namespace posthaste::reactor {
namespace {

constexpr size_t kPoolBytes = 1 << 20;

struct OneCore {
  testing::ManualBackend backend;
  Mailroom mailroom{1};
  Core core{0, backend, mailroom, kPoolBytes};
  void turns(int count = 8) {
    for (int i = 0; i < count; ++i) core.turn();
  }
  void advance(Duration by) {
    backend.clock = backend.clock + by;
    turns();
  }
};

TEST(Core, RunsMainAndFinishes) {
  OneCore host;
  bool ran = false;
  auto main = [&]() -> Task<void> {
    ran = true;
    co_return;
  };
  host.core.start(main());
  EXPECT_FALSE(host.core.finished());
  host.turns();
  EXPECT_TRUE(ran);
  EXPECT_TRUE(host.core.finished());
}

TEST(Core, ResultPassesThroughNestedTasks) {
  OneCore host;
  int sum = 0;
  struct Nest {
    static Task<int> down(int depth) {
      if (depth == 0) co_return 0;
      co_return 1 + co_await down(depth - 1);
    }
    static Task<void> main(int& out) { out = co_await down(10'000); }
  };
  host.core.start(Nest::main(sum));
  host.turns();
  EXPECT_EQ(sum, 10'000);
}

TEST(Core, TimersFireInOrderOfDeadlineThenArming) {
  OneCore host;
  std::vector<int> order;
  auto sleeper = [&](int id, Duration for_time) -> Task<void> {
    co_await host.core.sleep(for_time);
    order.push_back(id);
  };
  auto main = [&]() -> Task<void> {
    TaskScope scope(host.core);
    scope.spawn(sleeper(1, 30ms));
    scope.spawn(sleeper(2, 10ms));
    scope.spawn(sleeper(3, 10ms));
    scope.spawn(sleeper(4, 20ms));
    co_await scope.join();
  };
  host.core.start(main());
  host.turns();
  EXPECT_EQ(host.core.sleep_deadline(), Instant{} + 10ms);
  host.advance(9ms);
  EXPECT_TRUE(order.empty());
  host.advance(100ms);
  EXPECT_EQ(order, (std::vector{2, 3, 4, 1}));
  EXPECT_TRUE(host.core.finished());
}

TEST(Core, TimerHeapSurvivesRandomArmAndCancel) {
  OneCore host;
  struct Counted : Timer {
    using Timer::Timer;
    bool fired = false;
  };
  std::mt19937_64 random(7);
  std::vector<std::unique_ptr<Counted>> timers;
  timers.reserve(500);
  for (int i = 0; i < 500; ++i) timers.push_back(std::make_unique<Counted>(host.core));
  for (int step = 0; step < 20'000; ++step) {
    Counted& timer = *timers[random() % timers.size()];
    if (random() % 3 == 0) {
      timer.cancel();
    } else {
      timer.arm(host.core.now() + Duration(random() % 1000), [](Timer& t) { static_cast<Counted&>(t).fired = true; });
    }
    if (random() % 50 == 0) {
      host.advance(Duration(random() % 100));
      for (auto& t : timers) EXPECT_TRUE(!t->armed() || t->deadline() > host.core.now());
    }
  }
}

TEST(Core, OperationCompletesItsAwaiter) {
  OneCore host;
  Result<uint64_t> got = failure(Errc::kBusy);
  auto main = [&]() -> Task<void> {
    Socket socket(host.core, FileId{3});
    std::byte byte{};
    got = co_await socket.receive({&byte, 1});
  };
  host.core.start(main());
  host.turns();
  ASSERT_EQ(host.backend.submitted.size(), 1U);
  EXPECT_EQ(host.backend.submitted[0]->kind, OpKind::kReceive);
  host.backend.complete(*host.backend.submitted[0], -static_cast<int64_t>(Errc::kConnectionClosed));
  host.turns();
  EXPECT_EQ(got.error(), Errc::kConnectionClosed);
}

TEST(Core, FileSystemOperationsGoOneAtATime) {
  OneCore host;
  auto main = [&]() -> Task<void> {
    TaskScope scope(host.core);
    auto make = [&](std::string path) -> Task<void> {
      EXPECT_TRUE((co_await file_system::make_directory(host.core, path)).has_value());
    };
    for (const char* path : {"a", "b", "c"}) scope.spawn(make(path));
    co_await scope.join();
  };
  host.core.start(main());
  for (int i = 0; i < 3; ++i) {
    host.turns();
    ASSERT_EQ(host.backend.submitted.size(), 1U);
    host.backend.complete(*host.backend.submitted[0], 0);
  }
  host.turns();
  EXPECT_TRUE(host.core.finished());
}

TEST(Core, StopWakesWaiters) {
  OneCore host;
  auto main = [&]() -> Task<void> { co_await host.core.until_stopping(); };
  host.core.start(main());
  host.turns();
  EXPECT_FALSE(host.core.finished());
  host.mailroom.request_stop();
  host.turns();
  EXPECT_TRUE(host.core.finished());
}

TEST(Core, AbandonDestroysFramesWithoutRunningThem) {
  auto host = std::make_unique<OneCore>();
  auto alive = std::make_shared<int>(0);
  auto forever = [](Core& core, std::shared_ptr<int> token) -> Task<void> {
    co_await core.sleep(1h);
    ++*token;
  };
  auto main = [](Core& core, auto& child, std::shared_ptr<int> token) -> Task<void> {
    TaskScope scope(core);
    scope.spawn(child(core, token));
    Event event(core);
    co_await event.wait();
    co_await scope.join();
  };
  host->core.start(main(host->core, forever, alive));
  host->turns();
  EXPECT_GT(alive.use_count(), 1);
  host->core.abandon();
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_EQ(*alive, 0);
}

TEST(Core, LogIsRateLimitedPerEvent) {
  OneCore host;
  for (int i = 0; i < 100; ++i) host.core.log(LogLevel::kInfo, "noise", "n=1");
  host.core.log(LogLevel::kInfo, "other", "");
  EXPECT_EQ(host.backend.lines.size(), Core::kLogLinesPerSecond + 1);
  host.advance(2s);
  host.core.log(LogLevel::kInfo, "noise", "n=2");
  EXPECT_EQ(host.backend.lines[host.backend.lines.size() - 2], "noise suppressed=90");
}

TEST(Event, WaitUntilTellsTimeoutFromEvent) {
  OneCore host;
  Event event(host.core);
  std::vector<bool> results;
  auto waiter = [&](Duration patience) -> Task<void> {
    results.push_back(co_await event.wait_until(host.core.now() + patience));
  };
  host.core.scope().spawn(waiter(10ms));
  host.core.scope().spawn(waiter(100ms));
  host.turns();
  host.advance(20ms);
  EXPECT_EQ(results, (std::vector{false}));
  event.set();
  host.turns();
  EXPECT_EQ(results, (std::vector{false, true}));
  host.advance(200ms);
  EXPECT_EQ(results.size(), 2U);
}

TEST(Semaphore, LargeRequestIsNotOvertaken) {
  OneCore host;
  Semaphore semaphore(host.core, 10);
  std::vector<int> order;
  auto take = [&](int id, uint64_t units) -> Task<void> {
    co_await semaphore.acquire(units);
    order.push_back(id);
  };
  ASSERT_TRUE(semaphore.try_acquire(6));
  host.core.scope().spawn(take(1, 8));
  host.core.scope().spawn(take(2, 1));
  host.turns();
  EXPECT_TRUE(order.empty());
  semaphore.release(6);
  host.turns();
  EXPECT_EQ(order, (std::vector{1, 2}));
  semaphore.release(9);
}

TEST(Semaphore, WhoWaitedLongEnoughLeavesAndLetsOthersPass) {
  OneCore host;
  Semaphore semaphore(host.core, 10);
  std::vector<std::pair<int, bool>> got;
  auto take = [&](int id, uint64_t units, Duration patience) -> Task<void> {
    const bool had = co_await semaphore.acquire_until(units, host.core.now() + patience);
    got.emplace_back(id, had);
  };
  ASSERT_TRUE(semaphore.try_acquire(6));
  host.core.scope().spawn(take(1, 8, 10ms));
  host.core.scope().spawn(take(2, 4, 1s));
  host.turns();
  EXPECT_TRUE(got.empty()) << "the large one stands in front";
  host.advance(20ms);
  host.turns();
  EXPECT_EQ(got, (std::vector<std::pair<int, bool>>{{1, false}, {2, true}}));
  EXPECT_EQ(semaphore.available(), 0U);
  host.advance(2s);
  EXPECT_EQ(got.size(), 2U) << "a deadline after that changes nothing";
  semaphore.release(10);
}

TEST(Semaphore, UnitsThatComeWithTheDeadlineAreNotLost) {
  OneCore host;
  Semaphore semaphore(host.core, 1);
  std::vector<bool> got;
  auto take = [&]() -> Task<void> { got.push_back(co_await semaphore.acquire_until(1, host.core.now() + 10ms)); };
  ASSERT_TRUE(semaphore.try_acquire(1));
  host.core.scope().spawn(take());
  host.turns();
  semaphore.release(1);  // it has them, and runs with the turn in which its time is up
  host.advance(10ms);
  host.turns();
  EXPECT_EQ(got, (std::vector{true}));
  EXPECT_EQ(semaphore.available(), 0U);
  semaphore.release(1);
}

TEST(Queue, BoundedAndDrainsAfterClose) {
  OneCore host;
  Queue<int> queue(host.core, 2);
  std::vector<int> got;
  auto producer = [&]() -> Task<void> {
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(co_await queue.push(i));
    queue.close();
    EXPECT_FALSE(co_await queue.push(9));
  };
  auto consumer = [&]() -> Task<void> {
    while (auto value = co_await queue.pop()) got.push_back(*value);
  };
  host.core.scope().spawn(producer());
  host.turns();
  EXPECT_EQ(queue.size(), 2U);
  host.core.scope().spawn(consumer());
  host.turns(20);
  EXPECT_EQ(got, (std::vector{0, 1, 2, 3, 4}));
}

// Several cores of one host, stepped by one thread.
struct SeveralCores {
  explicit SeveralCores(CoreId count) : mailroom(count), backends(count) {
    for (CoreId i = 0; i < count; ++i) {
      cores.push_back(std::make_unique<Core>(i, backends[i], mailroom, kPoolBytes));
    }
  }
  void turns(int count = 8) {
    for (int i = 0; i < count; ++i) {
      for (auto& core : cores) core->turn();
    }
  }
  Mailroom mailroom;
  std::vector<testing::ManualBackend> backends;
  std::vector<std::unique_ptr<Core>> cores;
};

TEST(Mail, CallRunsOnTheOtherCoreAndComesBack) {
  SeveralCores host(2);
  int answer = 0;
  auto main = [&]() -> Task<void> {
    answer = co_await on_core(*host.cores[0], 1, [](Core& there) { return there.id() * 100 + 7; });
    answer += co_await on_core(*host.cores[0], 1, [](Core& there) -> Task<int> {
      co_await there.yield();
      co_return 1000;
    });
  };
  host.cores[0]->scope().spawn(main());
  host.turns();
  EXPECT_EQ(answer, 1107);
}

TEST(Mail, MoreCallsThanCreditsKeepTheirOrder) {
  SeveralCores host(3);
  constexpr int kCalls = 5 * kMailCredits;
  std::vector<int> seen;
  auto main = [&]() -> Task<void> {
    auto work = [&seen](int n) { return [&seen, n](Core&) { seen.push_back(n); }; };
    using Call = RemoteCall<decltype(work(0))>;
    std::vector<std::unique_ptr<Call>> calls;
    for (int i = 0; i < kCalls; ++i) {
      calls.push_back(std::make_unique<Call>(*host.cores[0], 2, MessageClass::kRequest, work(i)));
      calls.back()->start();
    }
    for (auto& call : calls) co_await call->reply();
  };
  host.cores[0]->scope().spawn(main());
  host.turns(50);
  ASSERT_EQ(seen.size(), static_cast<size_t>(kCalls));
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(host.cores[0]->scope().running(), 0U);
}

TEST(Mail, WakesOnlyASleeper) {
  SeveralCores host(2);
  host.turns();
  auto main = [&]() -> Task<void> { co_await on_core(*host.cores[0], 1, [](Core&) {}); };
  host.cores[0]->scope().spawn(main());
  host.cores[0]->turn();
  EXPECT_EQ(host.backends[0].wakes, 0U);
  host.turns();
  EXPECT_EQ(host.cores[1]->sleep_deadline(), Instant::never());
  host.cores[0]->scope().spawn(main());
  host.cores[0]->turn();
  EXPECT_EQ(host.backends[0].wakes, 1U);
  EXPECT_LE(host.cores[1]->sleep_deadline(), host.cores[1]->now());
  host.turns();
}

TEST(BufferPool, RandomUseNeverOverlapsAndJoinsAgain) {
  OneCore host;
  BufferPool& pool = host.core.pool();
  std::mt19937_64 random(3);
  std::map<std::byte*, Buffer> held;
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 2 == 0 && !held.empty()) {
      auto victim = std::next(held.begin(), static_cast<long>(random() % held.size()));
      held.erase(victim);
      continue;
    }
    Result<Buffer> buffer = pool.allocate(1 + random() % (64 * 1024));
    if (!buffer) continue;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % kBlockBytes, 0U);
    auto after = held.lower_bound(buffer->data());
    if (after != held.end()) EXPECT_LE(buffer->data() + buffer->capacity(), after->first);
    if (after != held.begin()) EXPECT_LE(std::prev(after)->first + std::prev(after)->second.capacity(), buffer->data());
    held.emplace(buffer->data(), std::move(*buffer));
  }
  held.clear();
  EXPECT_EQ(pool.bytes_free(), pool.bytes_total());
  EXPECT_TRUE(pool.allocate(pool.buffer_bytes_max()).has_value());
  EXPECT_EQ(pool.allocate(pool.buffer_bytes_max() + 1).error(), Errc::kLimit);
}

// A size that is no power of two: every block is used, freed ones join up to the largest that fits, none beyond the
// end.
TEST(BufferPool, AnySizeOfWholeBlocks) {
  OneCore host;
  constexpr size_t kBlocks = 21;
  BufferPool pool(host.core, kBlocks * BufferPool::kBufferBytesMin + 100);
  EXPECT_EQ(pool.bytes_total(), kBlocks * BufferPool::kBufferBytesMin);
  EXPECT_EQ(pool.buffer_bytes_max(), 16 * BufferPool::kBufferBytesMin);
  std::vector<Buffer> all;
  all.reserve(kBlocks);
  for (size_t i = 0; i < kBlocks; ++i) all.push_back(std::move(*pool.allocate(1)));
  EXPECT_EQ(pool.allocate(1).error(), Errc::kNoMemory);
  std::ranges::shuffle(all, std::mt19937_64(5));
  all.clear();
  EXPECT_EQ(pool.bytes_free(), pool.bytes_total());
  const Buffer largest = std::move(*pool.allocate(pool.buffer_bytes_max()));
  const Buffer next = std::move(*pool.allocate(4 * BufferPool::kBufferBytesMin));
  const Buffer last = std::move(*pool.allocate(1));
  EXPECT_EQ(pool.bytes_free(), 0U);
}

TEST(BufferPool, TouchesOnlyWhatItHandsOut) {
  OneCore host;
  BufferPool pool(host.core, size_t{64} * BufferPool::kBufferBytesMin);
  const std::byte mark{0xab};
  Buffer all = std::move(*pool.allocate(pool.bytes_total()));
  const std::span<std::byte> memory = all.bytes();
  std::ranges::fill(memory, mark);
  all.release();
  {
    const Buffer one = std::move(*pool.allocate(1));
    const Buffer other = std::move(*pool.allocate(3 * BufferPool::kBufferBytesMin));
  }
  EXPECT_TRUE(std::ranges::all_of(memory, [&](std::byte b) { return b == mark; }));
}

TEST(BufferPool, PreparesMemoryAheadOfItsUseOnce) {
  constexpr size_t kUnit = size_t{2} << 20;
  OneCore host;
  auto& prepared = host.backend.prepared;
  prepared.clear();
  BufferPool pool(host.core, size_t{32} << 20);
  EXPECT_EQ(prepared.size(), 2U);
  std::array<Buffer, 64> held;
  const std::byte* const begin = prepared[0].data();
  for (Buffer& buffer : held) {
    buffer = std::move(*pool.allocate(kUnit / 4));
    const auto unit = static_cast<size_t>(buffer.data() - begin) / kUnit;
    EXPECT_EQ(prepared.size(), std::min<size_t>(unit + 3, 16));
    EXPECT_EQ(prepared[unit].data(), begin + unit * kUnit);
  }
  held = {};
  for (Buffer& buffer : held) buffer = std::move(*pool.allocate(kUnit / 4));
  EXPECT_EQ(prepared.size(), 16U);
}

// Small buffers come from the smallest pieces at its end, larger ones from those before.
TEST(BufferPool, PreparesTheFirstPiecesOfAnySize) {
  OneCore host;
  auto& prepared = host.backend.prepared;
  prepared.clear();
  const BufferPool pool(host.core, (size_t{32} << 20) + (size_t{2} << 20) + 4096);
  ASSERT_EQ(prepared.size(), 4U);
  EXPECT_EQ(prepared[0].size(), 4096U);
  EXPECT_EQ(prepared[1].data() + prepared[1].size(), prepared[0].data());
  EXPECT_EQ(prepared[2].data() + (size_t{32} << 20), prepared[1].data());
  EXPECT_EQ(prepared[3].data(), prepared[2].data() + prepared[2].size());
}

TEST(BufferPool, WaitersAreServedInOrder) {
  OneCore host;
  BufferPool& pool = host.core.pool();
  std::vector<int> order;
  Buffer first = std::move(*pool.allocate(pool.bytes_total() / 2));
  Buffer second = std::move(*pool.allocate(pool.bytes_total() / 2));
  auto wait = [&](int id, size_t size) -> Task<void> {
    Result<Buffer> buffer = co_await pool.allocate_waiting(size);
    EXPECT_TRUE(buffer.has_value());
    order.push_back(id);
    co_await host.core.sleep(1ms);
  };
  host.core.scope().spawn(wait(1, pool.bytes_total() / 2));
  host.core.scope().spawn(wait(2, 4096));
  host.turns();
  EXPECT_EQ(pool.allocate(4096).error(), Errc::kNoMemory);
  first.release();
  host.turns();
  EXPECT_EQ(order, (std::vector{1}));
  host.advance(2ms);
  EXPECT_EQ(order, (std::vector{1, 2}));
  host.advance(2ms);
  EXPECT_EQ(pool.bytes_free(), pool.bytes_total() / 2);
}

}  // namespace
}  // namespace posthaste::reactor
