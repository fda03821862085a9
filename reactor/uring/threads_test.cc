// Mail, sleep and wake-up on real threads; meant for ThreadSanitizer too (preset tsan). What crosses cores here is only
// what crosses them in the product: addresses in the mail's rings, and the sleep and wake flags.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "reactor/mail.h"
#include "reactor/uring/host.h"

namespace posthaste::reactor::uring {
namespace {

constexpr size_t kPoolBytes = size_t{1} << 20;
// Of all cores together. ThreadSanitizer slows a message about tenfold; 2,000,000 is the figure for a change of mail.*.
constexpr uint64_t kMessages = 200'000;
constexpr uint64_t kPingPongs = 50'000;  // two wake-ups each
constexpr int kHostStarts = 40;
// Longer than any pause that a busy machine makes; a lost wake-up shows as one of these.
constexpr Duration kStuckAfter = 15s;

UringOptions with_profile(Profile profile) {
  UringOptions options;
  options.ring.profile = profile;
  return options;
}

// Ends the test if `progress` stands still: a lost wake-up would otherwise hang it. Looks rarely, since the look itself
// wakes the core.
class Watch final : public Timer {
 public:
  Watch(Core& core, const uint64_t& progress) : Timer(core), core_(core), progress_(progress) { again(); }

 private:
  void again() {
    arm(core_.now() + kStuckAfter, [](Timer& timer) {
      auto& self = static_cast<Watch&>(timer);
      CHECK(self.progress_ != self.before_, "core {} is stuck at {}", self.core_.id(), self.progress_);
      self.before_ = self.progress_;
      self.again();
    });
  }
  Core& core_;
  const uint64_t& progress_;
  uint64_t before_ = 0;
};

class ThreadsTest : public ::testing::TestWithParam<Profile> {
 protected:
  UringOptions uring_ = with_profile(GetParam());
};

struct alignas(64) Counter {
  uint64_t value = 0;  // touched by its core only
};

// One core sends its share to random others and to itself: each call carries its number in the sequence of its
// (sender, target, class), and the target checks that none is missing or out of order.
struct MailStorm {
  explicit MailStorm(CoreId core_count)
      : cores(core_count), next_expected(static_cast<size_t>(core_count) * core_count * kMessageClasses) {}
  CoreId cores;
  std::vector<Counter> next_expected;  // of the target, by sender and class
  Counter& expected(CoreId from, CoreId to, MessageClass message_class) {
    return next_expected[(static_cast<size_t>(to) * cores + from) * kMessageClasses +
                         static_cast<size_t>(message_class)];
  }
};

struct Sender {
  MailStorm& storm;
  Core& core;
  std::mt19937_64 random;
  std::vector<uint64_t> next_sequence;
  uint64_t answered = 0;

  Sender(MailStorm& of, Core& on)
      : storm(of), core(on), random(on.id() + 1U), next_sequence(static_cast<size_t>(of.cores) * kMessageClasses) {}

  // Starts several calls before it waits for any, so that credits run out and calls queue at the sender.
  Task<void> burst(uint64_t count) {
    struct Work {
      Sender& sender;
      CoreId from;
      MessageClass message_class;
      uint64_t sequence;
      bool slow;
      Task<uint64_t> operator()(Core& there) {
        Counter& expected = sender.storm.expected(from, there.id(), message_class);
        // A task starts in a later step than its call arrives, but in the order of arrival.
        CHECK(expected.value == sequence, "core {} from {}: {} instead of {}", there.id(), from, sequence,
              expected.value);
        ++expected.value;
        if (slow) co_await there.sleep(20us);
        co_return sequence * 3;
      }
    };
    std::vector<std::unique_ptr<RemoteCall<Work>>> calls;
    for (uint64_t i = 0; i < count; ++i) {
      const auto to = static_cast<CoreId>(random() % storm.cores);
      const auto message_class = static_cast<MessageClass>(random() % kMessageClasses);
      uint64_t& sequence = next_sequence[to * kMessageClasses + static_cast<size_t>(message_class)];
      const bool slow = random() % 256 == 0;
      calls.push_back(std::make_unique<RemoteCall<Work>>(
          core, to, message_class,
          Work{
              .sender = *this, .from = core.id(), .message_class = message_class, .sequence = sequence, .slow = slow}));
      ++sequence;
      calls.back()->start();
    }
    for (const auto& call : calls) {
      const uint64_t sequence = co_await call->reply() / 3;
      CHECK(sequence < kMessages);
      ++answered;
    }
  }

  Task<void> run(uint64_t count) {
    constexpr uint64_t kBurstMax = 600;  // over the credits of one class, which are 128
    while (count > 0) {
      const uint64_t now = std::min(count, 1 + random() % kBurstMax);
      co_await burst(now);
      count -= now;
      if (random() % 8 == 0) co_await core.sleep(Duration(static_cast<int64_t>(random() % 200'000)));
    }
  }
};

class MailStormTest : public ::testing::TestWithParam<std::tuple<Profile, CoreId>> {};

TEST_P(MailStormTest, EveryCallArrivesOnceInOrderAndIsAnswered) {
  const auto [profile, cores] = GetParam();
  MailStorm storm(cores);
  std::vector<Counter> answered(cores);
  const uint64_t each = kMessages / cores;
  const auto reports = run_host({.cores = cores, .pool_bytes_per_core = kPoolBytes}, with_profile(profile),
                                [&](Core& core) -> Task<void> {
                                  Sender sender(storm, core);
                                  Watch watch(core, sender.answered);
                                  co_await sender.run(each);
                                  answered[core.id()].value = sender.answered;
                                });
  ASSERT_TRUE(reports) << reports.error();
  uint64_t arrived = 0;
  for (const Counter& counter : storm.next_expected) arrived += counter.value;
  EXPECT_EQ(arrived, each * cores);
  for (const Counter& counter : answered) EXPECT_EQ(counter.value, each);
}

INSTANTIATE_TEST_SUITE_P(Uring, MailStormTest,
                         ::testing::Values(std::tuple(Profile::k6_1, CoreId{2}), std::tuple(Profile::k6_12, CoreId{2}),
                                           std::tuple(Profile::k6_1, CoreId{3}), std::tuple(Profile::k6_12, CoreId{4})),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param) == Profile::k6_1 ? "k6_1" : "k6_12") + "_cores_" +
                                  std::to_string(std::get<1>(info.param));
                         });

// Both cores sleep between any two messages, so each one needs a wake-up.
TEST_P(ThreadsTest, NoWakeUpIsLostInPingPong) {
  uint64_t count = 0;
  Duration took{};
  const auto reports = run_host({.cores = 2, .pool_bytes_per_core = kPoolBytes}, uring_, [&](Core& core) -> Task<void> {
    if (core.id() == 1) co_return;
    Watch watch(core, count);
    const Instant start = core.fresh_now();
    while (count < kPingPongs) {
      const uint64_t answer = co_await on_core(core, 1, [&](Core&) { return uint64_t{1}; });
      count += answer;
    }
    took = core.fresh_now() - start;
  });
  ASSERT_TRUE(reports) << reports.error();
  EXPECT_EQ(count, kPingPongs);
  const auto per_round = [](uint64_t total) { return static_cast<double>(total) / static_cast<double>(kPingPongs); };
  RecordProperty("microseconds_per_round", std::to_string(per_round(static_cast<uint64_t>(took.count())) / 1000));
  uint64_t system_calls = 0;
  for (const Host::CoreReport& report : *reports) system_calls += report.uring.ring.enters + report.uring.plain_calls;
  RecordProperty("system_calls_per_round", std::to_string(per_round(system_calls)));
}

TEST_P(ThreadsTest, HostsStartAndStopFromOutsideAtAnyMoment) {
  for (int i = 0; i < kHostStarts; ++i) {
    std::atomic<int> ended{0};
    auto host = Host::start(
        {.cores = static_cast<CoreId>(1 + i % 4), .pool_bytes_per_core = kPoolBytes}, uring_,
        [](Core& core) -> Task<void> {
          while (!core.stopping()) {
            const auto to = static_cast<CoreId>(core.random() % core.core_count());
            const bool stop = co_await on_core(core, to, [](Core& there) { return there.stopping(); });
            if (!stop && core.random() % 4 == 0) co_await core.sleep(10us);
          }
        },
        [&] { ++ended; });
    ASSERT_TRUE(host) << host.error();
    std::thread stopper([&] {
      for (int spin = 0; spin < i * 100; ++spin) std::this_thread::yield();
      (*host)->request_stop();
      (*host)->request_stop();
    });
    (*host)->wait();
    stopper.join();
    EXPECT_EQ(ended, 1);
  }
}

// A core that sleeps without any deadline is woken by a thread that is no core's.
TEST_P(ThreadsTest, AForeignThreadWakesASleepingBackend) {
  constexpr int kRounds = 20'000;
  auto wakes = WakeBoard::create(1);
  ASSERT_TRUE(wakes);
  auto backend = UringBackend::create(0, **wakes, uring_);
  ASSERT_TRUE(backend) << backend.error();
  std::atomic<int> round{0};
  std::atomic<int> seen{0};
  std::thread other([&] {
    for (int i = 1; i <= kRounds; ++i) {
      round.store(i);
      (*backend)->wake(0);
      while (seen.load() < i) std::this_thread::yield();
    }
  });
  while (seen.load() < kRounds) {
    (*backend)->wait(Instant::never());
    seen.store(round.load());
  }
  other.join();
  EXPECT_LE((*backend)->stats().wakes_received, static_cast<uint64_t>(kRounds));
}

INSTANTIATE_TEST_SUITE_P(Uring, ThreadsTest, ::testing::Values(Profile::k6_1, Profile::k6_12),
                         [](const auto& info) { return info.param == Profile::k6_1 ? "k6_1" : "k6_12"; });

}  // namespace
}  // namespace posthaste::reactor::uring
