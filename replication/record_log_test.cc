// The driver of logs of records on a real engine in the simulator, with the high watermark held back by hand: what is
// replayed and when, the order and the kinds of outcomes, terms that end while something waits, crashes in between.
#include "replication/record_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

#include "reactor/check.h"
#include "reactor/simulated/world.h"
#include "storage/batch/record_batch_builder.h"

namespace posthaste::replication {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::Instant;
using reactor::Result;
using reactor::Task;
using reactor::simulated::HostState;

constexpr storage::TopicId kTopic = {std::byte{7}};

storage::Bytes batch_of(std::string_view value, int count = 1) {
  storage::RecordBatchBuilder builder;
  for (int i = 0; i < count; ++i) builder.add({.timestamp = 1, .value = storage::bytes_of(value)});
  return builder.finish();
}

// Keeps the first word of each value.
struct Reader : RecordLogReader {
  std::vector<std::string> values;
  int loads = 0;

  void begin_load() override {
    ++loads;
    values.clear();
  }
  void replay(const storage::RecordView& record) override {
    const std::string_view text = storage::text_of(*record.value);
    values.emplace_back(text.substr(0, text.find(' ')));
  }
};

// Outcomes in the order in which they were told: "value", "value:error" of what the log has, "value!error" of what not.
struct Told {
  std::vector<std::string> all;

  RecordLog::Done note(std::string value) {
    return [this, value = std::move(value)](const RecordLog::Outcome& outcome) {
      if (outcome.result) return all.push_back(value);
      all.push_back(
          fmt::format("{}{}{}", value, outcome.base_offset < 0 ? '!' : ':', to_string(outcome.result.error())));
    };
  }
};

using Words = std::vector<std::string>;

// One machine whose program opens the folder and the log, runs `body`, and closes.
class RecordLogTest : public ::testing::Test {
 protected:
  struct Life {
    Core& core;
    storage::Engine& engine;
    storage::Partition& partition;
    Reader& reader;
    RecordLog& log;
    replication::InSyncSet in_sync;

    // Another replica acknowledges nothing but what acknowledge() says; or it is gone.
    void hold(bool held) {
      in_sync.others.clear();
      if (held) in_sync.others.push_back({.broker = 2});
      replication::Replica::of(partition).set_in_sync(in_sync);
    }
    void acknowledge(int64_t offset) { replication::Replica::of(partition).acknowledged(2, offset); }
    Task<Result<void>> lead(int32_t epoch) {
      replication::Replica::of(partition).become_leader({.leader_epoch = epoch}, in_sync);
      return log.lead(epoch);
    }
  };
  using Body = std::function<Task<void>(Life&)>;

  RecordLogTest() {
    options_.data_directory = "/data";
    options_.journal_file_bytes = uint64_t{256} << 10;
    options_.commit_bytes_max = uint32_t{64} << 10;
  }

  void start(Body body) {
    body_ = std::move(body);
    const reactor::HostOptions options{.cores = 1, .pool_bytes_per_core = size_t{64} << 20};
    if (host_ == nullptr) host_ = &world_.add_host(options, "10.0.0.1", {});
    host_->set_program([this](Core& core) { return run_life(*this, core); });
    host_->start();
    ASSERT_TRUE(world_.run_until([this] { return !host_->running(); }, 600s)) << world_.log_tail();
  }
  void run(Body body) {
    start(std::move(body));
    ASSERT_EQ(host_->state(), HostState::kStopped) << world_.log_tail();
  }

  static Task<void> run_life(RecordLogTest& test, Core& core) {
    storage::EngineHost engine_host(test.options_, 1);
    const auto recovered = co_await engine_host.recover(core);
    CHECK(recovered, "recovery");
    const auto engine = co_await engine_host.open(core);
    CHECK(engine, "open");
    storage::Partition* partition = (*engine)->find(kTopic, 0);
    if (partition == nullptr) {
      const auto made = co_await (*engine)->create_partition({.topic_id = kTopic, .topic_name = "records"});
      CHECK(made, "create");
      partition = *made;
    }
    {
      Reader reader;
      RecordLog log(core, **engine, *partition, reader);
      Life life{core, **engine, *partition, reader, log, {}};
      co_await test.body_(life);
      co_await log.stop();
    }
    co_await (*engine)->close();
    CHECK(co_await engine_host.close(core), "close");
  }

  // Waits until `told` has `count` outcomes.
  static Task<void> all_told(Core& core, const Told& told, size_t count) {
    const Instant patience = core.now() + 60s;
    while (told.all.size() < count && core.now() < patience) co_await core.sleep(1ms);
  }
  // In the background, for as long as the body runs.
  static Task<void> lead_into(Life& life, int32_t epoch, std::optional<Result<void>>& result) {
    result = co_await life.lead(epoch);
  }

  reactor::simulated::World world_{7};
  storage::EngineOptions options_;
  reactor::simulated::Host* host_ = nullptr;
  Body body_;
};

TEST_F(RecordLogTest, ReplaysInPiecesWhatItAppended) {
  constexpr int kRecords = 200;
  const std::string padding(20'000, 'x');
  run([&](Life& life) -> Task<void> {
    EXPECT_TRUE((co_await life.lead(0)).has_value());
    EXPECT_EQ(life.reader.loads, 1);
    Told told;
    for (int i = 0; i < kRecords; ++i) {
      life.log.append(batch_of(fmt::format("{} {}", i, padding)), Instant::never(), told.note(std::to_string(i)));
      if (i % 20 == 0) co_await all_told(life.core, told, static_cast<size_t>(i) + 1);
    }
    co_await all_told(life.core, told, kRecords);
    EXPECT_EQ(told.all.size(), static_cast<size_t>(kRecords));
    for (size_t i = 0; i < told.all.size(); ++i) EXPECT_EQ(told.all[i], std::to_string(i));
    EXPECT_TRUE(life.reader.values.empty());  // its own appends are not replayed
  });
  run([&](Life& life) -> Task<void> {
    EXPECT_TRUE((co_await life.lead(1)).has_value());
    EXPECT_EQ(life.reader.loads, 1);
    EXPECT_EQ(life.reader.values.size(), static_cast<size_t>(kRecords));
    for (size_t i = 0; i < life.reader.values.size(); ++i) EXPECT_EQ(life.reader.values[i], std::to_string(i));
  });
}

TEST_F(RecordLogTest, ARefusedAppendIsNotInTheLogAndHoldsNothingUp) {
  run([](Life& life) -> Task<void> {
    EXPECT_TRUE((co_await life.lead(0)).has_value());
    Told told;
    life.log.append(batch_of("a"), Instant::never(), told.note("a"));
    storage::Bytes rotten = batch_of("b");
    rotten.back() ^= std::byte{1};
    life.log.append(std::move(rotten), Instant::never(), told.note("b"));
    life.log.append(batch_of("c"), Instant::never(), told.note("c"));
    co_await all_told(life.core, told, 3);
    EXPECT_EQ(told.all, (Words{"a", "b!corrupt", "c"}));
    EXPECT_TRUE((co_await life.lead(1)).has_value());
    EXPECT_EQ(life.reader.values, (Words{"a", "c"}));
  });
}

TEST_F(RecordLogTest, WhatWaitsWhenTheTermEndsIsToldOnceAndIsInDoubt) {
  run([](Life& life) -> Task<void> {
    EXPECT_TRUE((co_await life.lead(0)).has_value());
    Told told;
    life.log.append(batch_of("a"), Instant::never(), told.note("a"));
    co_await all_told(life.core, told, 1);
    life.hold(true);
    life.log.append(batch_of("b"), Instant::never(), told.note("b"));
    life.log.append(batch_of("c"), Instant::never(), told.note("c"));
    co_await life.core.sleep(1s);
    EXPECT_EQ(life.partition.end_offset(), 3);
    life.log.append(batch_of("d"), Instant::never(), told.note("d"));  // its turn to be written has not come
    life.log.resign();
    EXPECT_EQ(told.all, (Words{"a"}));  // nobody is told inside the call
    EXPECT_FALSE(life.log.leads());
    life.acknowledge(3);
    co_await life.core.sleep(1s);
    EXPECT_EQ(told.all, (Words{"a", "b:cancelled", "c:cancelled", "d!cancelled"}));
    EXPECT_EQ(life.partition.end_offset(), 3);
  });
}

TEST_F(RecordLogTest, ANewerTermLeadsWhenAllBeforeItIsSafeAndSeesWhatTheLogHolds) {
  run([](Life& life) -> Task<void> {
    EXPECT_TRUE((co_await life.lead(0)).has_value());
    Told told;
    life.log.append(batch_of("a"), Instant::never(), told.note("a"));
    co_await all_told(life.core, told, 1);
    life.hold(true);
    life.log.append(batch_of("b"), Instant::never(), told.note("b"));
    life.log.append(batch_of("c"), Instant::never(), told.note("c"));
    co_await life.core.sleep(1s);
    life.log.resign();
    co_await all_told(life.core, told, 3);
    // Another leader has cut off what it does not have.
    EXPECT_TRUE((co_await life.partition.truncate(2)).has_value());
    reactor::TaskScope scope(life.core);
    std::optional<Result<void>> led;
    scope.spawn(lead_into(life, 5, led));
    co_await life.core.sleep(10s);
    EXPECT_FALSE(led.has_value());
    EXPECT_EQ(life.log.phase(), RecordLog::Phase::kLoading);
    EXPECT_EQ(life.reader.loads, 1) << "what is not safe was read";
    life.acknowledge(2);
    co_await scope.join();
    EXPECT_TRUE(led && led->has_value());
    EXPECT_TRUE(life.log.leads());
    EXPECT_EQ(life.reader.loads, 2);
    EXPECT_EQ(life.reader.values, (Words{"a", "b"}));
    life.hold(false);
    life.log.append(batch_of("e"), Instant::never(), told.note("e"));
    co_await all_told(life.core, told, 4);
    EXPECT_EQ(told.all.back(), "e");
    EXPECT_EQ(life.partition.epochs().latest()->epoch, 5);
  });
}

TEST_F(RecordLogTest, ALoadThatIsOvertakenReadsNothingMore) {
  const std::string padding(20'000, 'x');
  run([&](Life& life) -> Task<void> {
    EXPECT_TRUE((co_await life.lead(0)).has_value());
    Told told;
    for (int i = 0; i < 200; ++i) {
      life.log.append(batch_of(fmt::format("{} {}", i, padding)), Instant::never(), told.note(""));
      if (i % 20 == 0) co_await all_told(life.core, told, static_cast<size_t>(i) + 1);
    }
    co_await all_told(life.core, told, 200);
    reactor::TaskScope scope(life.core);
    // Once while it waits for the high watermark, once between two pieces, once by resigning.
    life.hold(true);
    life.log.append(batch_of("last"), Instant::never(), told.note("last"));
    co_await life.core.sleep(1s);
    std::optional<Result<void>> first;
    scope.spawn(lead_into(life, 1, first));
    co_await life.core.sleep(1s);
    std::optional<Result<void>> second;
    scope.spawn(lead_into(life, 2, second));
    co_await life.core.sleep(1s);
    EXPECT_TRUE(first && !first->has_value() && first->error() == Errc::kCancelled);
    EXPECT_EQ(life.reader.loads, 1);
    life.acknowledge(201);
    const Instant patience = life.core.now() + 60s;
    while (life.reader.values.empty() && life.core.now() < patience)
      co_await life.core.yield(reactor::CpuClass::kForeground);
    const size_t read = life.reader.values.size();
    EXPECT_GT(read, 0U);
    EXPECT_LT(read, 201U);
    life.log.resign();
    co_await scope.join();
    EXPECT_TRUE(second && !second->has_value() && second->error() == Errc::kCancelled);
    EXPECT_EQ(life.reader.values.size(), read);
    EXPECT_EQ(life.reader.loads, 2);
    EXPECT_TRUE((co_await life.lead(3)).has_value());
    EXPECT_EQ(life.reader.values.size(), 201U);
  });
}

TEST_F(RecordLogTest, WhatWasToldSurvivesACrashAtAnyOperation) {
  run([](Life&) -> Task<void> { co_return; });
  Words told_before;
  int appended = 0;
  for (uint32_t operations = 1; operations < 40; ++operations) {
    Told told;
    start([&](Life& life) -> Task<void> {
      EXPECT_TRUE((co_await life.lead(static_cast<int32_t>(operations))).has_value());
      host_->crash_after_operations(host_->operations_submitted() + operations % 8 + 1);
      for (;;) {
        const std::string value = std::to_string(appended++);
        life.log.append(batch_of(value), Instant::never(), told.note(value));
        co_await life.core.sleep(100us);
      }
    });
    host_->crash_after_operations(0);
    told_before.insert(told_before.end(), told.all.begin(), told.all.end());
    run([&](Life& life) -> Task<void> {
      EXPECT_TRUE((co_await life.lead(static_cast<int32_t>(operations))).has_value());
      const Words& values = life.reader.values;
      // Ascending, and every one that was told is among them.
      EXPECT_TRUE(std::ranges::is_sorted(values, {}, [](const std::string& word) { return std::stoi(word); }));
      for (const std::string& value : told_before) {
        EXPECT_EQ(std::ranges::count(values, value), 1) << value << " after " << operations;
      }
      EXPECT_LE(values.size(), static_cast<size_t>(appended));
    });
  }
  EXPECT_GT(told_before.size(), 20U);
}

}  // namespace
}  // namespace posthaste::replication
