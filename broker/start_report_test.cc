// What a start says while it takes long, and that a usual one says nothing.
#include "broker/start_report.h"

#include <algorithm>
#include <charconv>

#include "broker/testing/simulated_broker.h"

namespace posthaste::broker::testing {
namespace {

class StartReportTest : public BrokerTest {
 protected:
  struct Line {
    std::string text;
    int64_t after_ms = 0;
  };
  // Of all starts until now.
  std::vector<Line> lines() const {
    std::vector<Line> found;
    for (const std::string& line : world_.log_lines()) {
      if (!line.contains("starting step=")) continue;
      constexpr std::string_view kTime = "after_ms=";
      const size_t at = line.find(kTime);
      EXPECT_NE(at, std::string::npos) << line;
      Line& last = found.emplace_back(Line{.text = line});
      std::from_chars(line.data() + at + kTime.size(), line.data() + line.size(), last.after_ms);
    }
    return found;
  }
  // Ends by SIGKILL with records in the journal.
  void leave_a_journal() {
    start();
    run([](Client& client) -> Task<void> {
      EXPECT_EQ(co_await client.create_topic("t", 3), ErrorCode::kNone);
      for (int i = 0; i < 30; ++i) {
        const auto made = co_await client.produce("t", i % 3, make_batch({std::string(30'000, 'x')}));
        EXPECT_EQ(made.error, ErrorCode::kNone);
      }
    });
    broker_->kill();
  }
};

TEST_F(StartReportTest, AUsualStartSaysNothingOfItsSteps) {
  leave_a_journal();
  start();
  ASSERT_TRUE(ready_) << shared_->failure();
  EXPECT_EQ(lines().size(), 0U);
}

TEST_F(StartReportTest, AStartOnASlowDiskSaysWhatItIsAt) {
  leave_a_journal();
  broker_->slow_disk(50);
  start();
  ASSERT_TRUE(ready_) << shared_->failure();
  const std::vector<Line> said = lines();
  ASSERT_GE(said.size(), 2U) << world_.log_tail();
  EXPECT_LT(said.front().after_ms, 1'000);
  for (size_t i = 1; i < said.size(); ++i) EXPECT_GE(said[i].after_ms, said[i - 1].after_ms + 1'000);
  const auto says = [&said](std::string_view text) {
    return std::ranges::any_of(said, [&](const Line& line) { return line.text.contains(text); });
  };
  EXPECT_TRUE(says("opening the journal"));
  EXPECT_TRUE(says(" journal files")) << "how far it is";
}

}  // namespace
}  // namespace posthaste::broker::testing
