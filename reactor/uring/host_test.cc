// The real host: programs on pinned threads start, talk and end together.
#include "reactor/uring/host.h"

#include <gtest/gtest.h>
#include <sched.h>

#include "reactor/file.h"
#include "reactor/mail.h"

namespace posthaste::reactor::uring {
namespace {

constexpr size_t kPoolBytes = size_t{1} << 20;
constexpr int kRoundTrips = 1000;

UringOptions with_profile(Profile profile) {
  UringOptions options;
  options.ring.profile = profile;
  return options;
}

class HostTest : public ::testing::TestWithParam<Profile> {
 protected:
  HostOptions cores(CoreId count) { return {.cores = count, .pool_bytes_per_core = kPoolBytes}; }
  UringOptions uring_ = with_profile(GetParam());
};

TEST_P(HostTest, RunsOneProgramPerCoreAndEnds) {
  std::atomic<uint32_t> ran{0};
  const auto reports = run_host(cores(3), uring_, [&](Core& core) -> Task<void> {
    co_await core.sleep(1ms);
    ran |= 1U << core.id();
  });
  ASSERT_TRUE(reports) << reports.error();
  EXPECT_EQ(ran, 7U);
  EXPECT_EQ(reports->size(), 3U);
  EXPECT_EQ(reports->front().profile, GetParam());
}

TEST_P(HostTest, ThreadsAreBoundToOneProcessorUnlessToldOtherwise) {
  const auto processors = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    CHECK(::sched_getaffinity(0, sizeof set, &set) == 0);
    return CPU_COUNT(&set);
  };
  const int allowed = processors();
  for (const bool pinned : {true, false}) {
    uring_.pin_threads = pinned;
    std::atomic<int> seen{0};
    const auto reports = run_host(cores(1), uring_, [&](Core&) -> Task<void> {
      seen = processors();
      co_return;
    });
    ASSERT_TRUE(reports) << reports.error();
    EXPECT_EQ(seen, pinned ? 1 : allowed);
  }
}

TEST_P(HostTest, EndsOnRequestStop) {
  auto host = Host::start(cores(2), uring_, [](Core& core) -> Task<void> { co_await core.until_stopping(); });
  ASSERT_TRUE(host) << host.error();
  (*host)->request_stop();
  (*host)->wait();
  (*host)->request_stop();
}

TEST_P(HostTest, ACoreThatIsDoneAnswersMailOfTheOthers) {
  std::atomic<uint32_t> answers{0};
  const auto reports = run_host(cores(2), uring_, [&](Core& core) -> Task<void> {
    if (core.id() == 0) co_return;
    co_await core.sleep(5ms);
    for (int i = 0; i < 100; ++i) {
      answers += co_await on_core(core, 0, [](Core& there) -> Task<uint32_t> {
        co_await there.sleep(10us);
        co_return 1;
      });
    }
  });
  ASSERT_TRUE(reports) << reports.error();
  EXPECT_EQ(answers, 100U);
}

TEST_P(HostTest, EchoOverLoopback) {
  const auto reports = run_host(cores(1), uring_, [&](Core& core) -> Task<void> {
    std::string bound;
    Result<Socket> listener = co_await Socket::listen(core, "127.0.0.1:0", &bound);
    CHECK(listener);
    TaskScope scope(core);
    auto serve = [&]() -> Task<void> {
      std::string peer;
      Result<Socket> socket = co_await listener->accept(&peer);
      CHECK(socket && peer.starts_with("127.0.0.1:"));
      for (;;) {
        Result<Slice> got = co_await socket->receive_small();
        CHECK(got);
        if (got->size == 0) break;
        Result<void> sent = co_await socket->send(std::span(&*got, 1));
        CHECK(sent);
        core.backend().recycle(*got);
      }
      co_await socket->close();
    };
    scope.spawn(serve());
    Result<Socket> client = co_await Socket::connect(core, bound);
    CHECK(client);
    std::vector<std::byte> out(3000, std::byte{7});
    std::vector<std::byte> in(out.size());
    const Slice slice{out.data(), out.size()};
    for (int i = 0; i < kRoundTrips; ++i) {
      Result<void> sent = co_await client->send(std::span(&slice, 1));
      CHECK(sent);
      Result<void> received = co_await client->receive_all(in);
      CHECK(received && in == out);
    }
    co_await client->close();
    co_await scope.join();
    co_await listener->close();
  });
  ASSERT_TRUE(reports) << reports.error();
  const UringStats& stats = reports->front().uring;
  RecordProperty("system_calls_per_round_trip", std::to_string(static_cast<double>(stats.ring.enters) / kRoundTrips));
  RecordProperty("entries_per_round_trip", std::to_string(static_cast<double>(stats.ring.entries) / kRoundTrips));
}

INSTANTIATE_TEST_SUITE_P(Uring, HostTest, ::testing::Values(Profile::k6_1, Profile::k6_12),
                         [](const auto& info) { return info.param == Profile::k6_1 ? "k6_1" : "k6_12"; });

}  // namespace
}  // namespace posthaste::reactor::uring
