// No start hangs: each operation of a start fails once, and a stop comes at any moment of it. Every such start ends, in
// "ready" or with a reason, on all cores, and the folder starts again afterwards.
#include <gtest/gtest.h>

#include "broker/testing/simulated_broker.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using reactor::Errc;
using reactor::OpKind;
using reactor::simulated::HostState;
using reactor::simulated::World;

constexpr reactor::CoreId kStartCores = 3;
constexpr reactor::Duration kEndsWithin = 30s;

// One broker in a world of its own.
class Trial {
 public:
  explicit Trial(uint64_t seed) : world_(seed) {
    options_.data_folder = "/data";
    options_.listeners.push_back({.host = kBrokerIp, .port = kBrokerPort});
    options_.engine.journal_file_bytes = uint64_t{256} << 10;
    options_.engine.commit_bytes_max = uint32_t{64} << 10;
    options_.engine.tail_bytes_max = uint64_t{4} << 20;
    options_.engine.cache_bytes_max = uint64_t{1} << 20;
    options_.engine.streams = 2;  // owned by cores 0 and 2
    options_.connection.request_memory_bytes = uint64_t{4} << 20;
    options_.fetch_memory_bytes = uint64_t{4} << 20;
    host_ = &world_.add_host({.cores = kStartCores, .pool_bytes_per_core = size_t{32} << 20}, kBrokerIp, {});
  }

  void begin() {
    shared_ = std::make_shared<BrokerHost>();
    ready_ = false;
    shared_->on_ready = [this](const ReadyReport&) { ready_ = true; };
    host_->set_program(make_broker_program(options_, shared_));
    host_->start();
  }
  // Ready, or over.
  bool settles() {
    return world_.run_until([this] { return ready_ || !host_->running(); }, kEndsWithin);
  }
  bool ends() {
    return world_.run_until([this] { return !host_->running(); }, kEndsWithin);
  }
  std::string describe() {
    return fmt::format("ready={} state={} failure={} fatal={}\n{}", ready_, static_cast<int>(host_->state()),
                       shared_->failure(), host_->fatal_message(), world_.log_tail(60));
  }
  // A life without faults.
  void lives_again() {
    host_->disk().clear_faults();
    if (host_->running()) {
      host_->stop();
      ASSERT_TRUE(ends()) << describe();
    }
    begin();
    ASSERT_TRUE(settles() && ready_) << describe();
    host_->stop();
    ASSERT_TRUE(ends()) << describe();
    ASSERT_EQ(host_->state(), HostState::kStopped) << describe();
  }

  World world_;
  BrokerOptions options_;
  std::shared_ptr<BrokerHost> shared_;
  reactor::simulated::Host* host_ = nullptr;
  bool ready_ = false;
};

struct Fault {
  OpKind kind;
  Errc error;
  const char* name;
};

constexpr Fault kFaults[] = {
    {OpKind::kOpen, Errc::kPermission, "open"},
    {OpKind::kOpen, Errc::kTooManyFiles, "open_too_many"},
    {OpKind::kRead, Errc::kIoError, "read"},
    {OpKind::kWrite, Errc::kNoSpace, "write"},
    {OpKind::kSync, Errc::kIoError, "sync"},
    {OpKind::kAllocate, Errc::kNoSuchOperation, "allocate"},
    {OpKind::kTruncate, Errc::kNoSpace, "truncate"},
    {OpKind::kRename, Errc::kPermission, "rename"},
    {OpKind::kMakeDirectory, Errc::kNoSpace, "make_directory"},
    {OpKind::kListDirectory, Errc::kIoError, "list_directory"},
    {OpKind::kStat, Errc::kIoError, "stat"},
};

class StartFailures : public ::testing::TestWithParam<Fault> {
 protected:
  // Lets the n-th operation of the kind fail, for each n that a start comes to.
  void each_once(bool used_folder) {
    constexpr uint32_t kOperationsMax = 200;
    for (uint32_t skip = 0; skip < kOperationsMax; ++skip) {
      SCOPED_TRACE(fmt::format("operation {} of the kind", skip));
      Trial trial(skip + 1);
      if (used_folder) trial.lives_again();
      if (HasFatalFailure()) return;
      const uint64_t injected = trial.host_->disk().stats().errors_injected;
      trial.host_->disk().add_fault({.kind = GetParam().kind, .error = GetParam().error, .skip = skip});
      trial.begin();
      ASSERT_TRUE(trial.settles()) << "it hangs: " << trial.describe();
      if (!trial.ready_) {
        ASSERT_FALSE(trial.shared_->failure().empty() && trial.host_->fatal_message().empty()) << trial.describe();
        if (trial.host_->state() == HostState::kStopped) {
          ASSERT_NE(trial.world_.log_tail(400).find("cannot_start"), std::string::npos) << trial.describe();
        }
      }
      const bool fired = trial.host_->disk().stats().errors_injected > injected;
      trial.lives_again();
      if (HasFatalFailure() || !fired) return;
    }
  }
};

TEST_P(StartFailures, AFirstStartThatMeetsAnErrorEnds) { each_once(false); }
TEST_P(StartFailures, ALaterStartThatMeetsAnErrorEnds) { each_once(true); }

INSTANTIATE_TEST_SUITE_P(EachOperation, StartFailures, ::testing::ValuesIn(kFaults),
                         [](const auto& info) { return info.param.name; });

TEST(Starts, AStopAtAnyMomentOfAStartIsAStop) {
  for (uint64_t moment = 0; moment < 60; ++moment) {
    SCOPED_TRACE(moment);
    Trial trial(moment + 1);
    if (moment % 2 == 1) trial.lives_again();
    if (::testing::Test::HasFatalFailure()) return;
    trial.begin();
    trial.world_.run_for(moment * 500us);
    trial.host_->stop();
    ASSERT_TRUE(trial.ends()) << trial.describe();
    EXPECT_EQ(trial.host_->state(), HostState::kStopped) << trial.describe();
    EXPECT_EQ(trial.shared_->failure(), "") << "what was asked for is no failure";
    trial.lives_again();
  }
}

}  // namespace
}  // namespace posthaste::broker::testing
