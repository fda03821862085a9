// Mail, sleep and wake-up on real threads; meant for ThreadSanitizer too (preset tsan). What crosses cores here is only
// what crosses them in the product: addresses in the mail's rings, and the sleep and wake flags.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <latch>
#include <random>
#include <thread>

#include "reactor/mail.h"
#include "reactor/uring/host.h"

namespace posthaste::reactor::uring {
namespace {

constexpr size_t kPoolBytes = size_t{1} << 20;
// Of all cores of one storm; POSTHASTE_MAIL_MESSAGES says another number. The four storms are 2,000,000 calls and what
// their handlers send on.
constexpr uint64_t kMessages = 500'000;
constexpr uint64_t kBurstMax = 600;      // over the credits of one class, which are 128
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

// Calls between all pairs of cores, of both classes. Each carries its number in the sequence of its (sender, target,
// class); the target checks that none is missing or out of order, the sender that each reply is that of its call.
struct MailStorm {
  explicit MailStorm(CoreId core_count)
      : cores(core_count),
        sent(static_cast<size_t>(core_count) * core_count * kMessageClasses),
        arrived(sent.size()),
        answered(core_count) {}
  CoreId cores;
  std::vector<Counter> sent;      // touched by the sender's core
  std::vector<Counter> arrived;   // by the target's
  std::vector<Counter> answered;  // by the sender's: replies to whatever it has sent

  size_t index(CoreId from, CoreId to, MessageClass message_class) const {
    return (static_cast<size_t>(from) * cores + to) * kMessageClasses + static_cast<size_t>(message_class);
  }
  static uint64_t sum(const std::vector<Counter>& counters) {
    uint64_t total = 0;
    for (const Counter& counter : counters) total += counter.value;
    return total;
  }
};

enum class Errand : uint8_t { kAnswer, kSleep, kAskOn };

// What one call does at its target.
struct Message {
  MailStorm& storm;
  CoreId from;
  CoreId to;
  MessageClass message_class;
  uint64_t sequence;
  Errand errand = Errand::kAnswer;
  CoreId ask = 0;  // with kAskOn: whom

  static Message next(MailStorm& storm, CoreId from, CoreId to, MessageClass message_class) {
    return {storm, from, to, message_class, storm.sent[storm.index(from, to, message_class)].value++};
  }
  // No two calls of a storm have the same.
  uint64_t reply() const {
    return (sequence * storm.cores * storm.cores * kMessageClasses) + storm.index(from, to, message_class);
  }
  void check_reply(uint64_t found) const {
    CHECK(found == reply(), "core {}: the reply of core {} is {} instead of {}", from, to, found, reply());
    ++storm.answered[from].value;
  }
  Task<uint64_t> operator()(Core& there) {
    Counter& expected = storm.arrived[storm.index(from, to, message_class)];
    // A task starts in a later step than its call arrives, but in the order of arrival.
    CHECK(expected.value == sequence && there.id() == to, "core {} from {}: {} instead of {}", there.id(), from,
          sequence, expected.value);
    ++expected.value;
    if (errand == Errand::kSleep) co_await there.sleep(20us);
    if (errand == Errand::kAskOn) {
      const Message onward = next(storm, to, ask, MessageClass::kPush);
      onward.check_reply(co_await on_core(there, ask, onward, MessageClass::kPush));
    }
    co_return reply();
  }
};

// What one core sends.
struct Sender {
  MailStorm& storm;
  Core& core;
  std::mt19937_64 random;
  uint64_t bursts = 0;

  Sender(MailStorm& of, Core& on) : storm(of), core(on), random(on.id() + 1U) {}

  CoreId any_core() { return static_cast<CoreId>(random() % storm.cores); }

  Message any_message() {
    Message message =
        Message::next(storm, core.id(), any_core(), static_cast<MessageClass>(random() % kMessageClasses));
    if (random() % 256 == 0) message.errand = Errand::kSleep;
    // A handler may start only calls of a higher class.
    if (message.message_class == MessageClass::kRequest && random() % 4 == 0) {
      message.errand = Errand::kAskOn;
      message.ask = any_core();
    }
    return message;
  }

  // Starts several calls before it waits for any, so that credits run out and calls queue at the sender.
  Task<void> burst(uint64_t count) {
    std::vector<std::pair<Message, std::unique_ptr<RemoteCall<Message>>>> calls;
    for (uint64_t i = 0; i < count; ++i) {
      const Message message = any_message();
      calls.emplace_back(message,
                         std::make_unique<RemoteCall<Message>>(core, message.to, message.message_class, message));
      calls.back().second->start();
    }
    for (const auto& [message, call] : calls) message.check_reply(co_await call->reply());
    if (++bursts % 8 == 0) co_await core.sleep(Duration(static_cast<int64_t>(random() % 200'000)));
  }

  Task<void> run(uint64_t count) {
    while (count > 0) {
      const uint64_t now = std::min(count, 1 + random() % kBurstMax);
      co_await burst(now);
      count -= now;
    }
  }
};

// Calls of a storm, all cores together, without those that handlers start.
uint64_t messages_wanted() {
  const char* const wanted = ::getenv("POSTHASTE_MAIL_MESSAGES");
  return wanted == nullptr ? kMessages : ::strtoull(wanted, nullptr, 10);
}

class MailStormTest : public ::testing::TestWithParam<std::tuple<Profile, CoreId>> {};

TEST_P(MailStormTest, EveryCallArrivesOnceInOrderAndIsAnswered) {
  const auto [profile, cores] = GetParam();
  MailStorm storm(cores);
  const uint64_t each = messages_wanted() / cores;
  const auto reports = run_host({.cores = cores, .pool_bytes_per_core = kPoolBytes}, with_profile(profile),
                                [&](Core& core) -> Task<void> {
                                  Sender sender(storm, core);
                                  Watch watch(core, storm.answered[core.id()].value);
                                  co_await sender.run(each);
                                });
  ASSERT_TRUE(reports) << reports.error();
  const uint64_t sent = MailStorm::sum(storm.sent);
  EXPECT_GT(sent, each * cores) << "no handler asked on";
  EXPECT_EQ(MailStorm::sum(storm.arrived), sent);
  EXPECT_EQ(MailStorm::sum(storm.answered), sent);
  RecordProperty("calls", std::to_string(sent));
}

// The end is asked for while credits are out and calls queue everywhere.
TEST_P(MailStormTest, AStopInTheMiddleLeavesNoCallWithoutAnAnswer) {
  const auto [profile, cores] = GetParam();
  MailStorm storm(cores);
  std::latch in_the_middle(cores);
  auto host = Host::start({.cores = cores, .pool_bytes_per_core = kPoolBytes}, with_profile(profile),
                          [&](Core& core) -> Task<void> {
                            Sender sender(storm, core);
                            Watch watch(core, storm.answered[core.id()].value);
                            co_await sender.burst(kBurstMax);
                            in_the_middle.count_down();
                            while (!core.stopping()) co_await sender.burst(kBurstMax);
                          });
  ASSERT_TRUE(host) << host.error();
  in_the_middle.wait();
  (*host)->request_stop();
  (*host)->wait();
  const uint64_t sent = MailStorm::sum(storm.sent);
  EXPECT_GE(sent, kBurstMax * cores);
  EXPECT_EQ(MailStorm::sum(storm.arrived), sent);
  EXPECT_EQ(MailStorm::sum(storm.answered), sent);
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
      std::this_thread::sleep_for(std::chrono::microseconds(50 * i));  // before, while and after the cores begin
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
