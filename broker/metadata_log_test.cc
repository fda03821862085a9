// The metadata log on a real engine in the simulator: a change is whole or absent after a crash at any operation, an
// append of unknown outcome ends all changes, snapshots lose nothing and keep the log small.
#include "broker/metadata_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

#include "reactor/check.h"
#include "reactor/simulated/world.h"

namespace posthaste::broker {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using reactor::simulated::HostState;

Uuid id_of(uint32_t number) {
  Uuid id;
  id.bytes[0] = std::byte{1};
  id.bytes[1] = static_cast<std::byte>(number >> 8U);
  id.bytes[2] = static_cast<std::byte>(number);
  return id;
}

std::vector<MetadataRecord> topic_of(uint32_t number, int32_t partitions) {
  std::vector<MetadataRecord> records = {TopicRecord{fmt::format("topic-{}", number), id_of(number)}};
  for (int32_t index = 0; index < partitions; ++index) {
    PartitionRecord record;
    record.partition_id = index;
    record.topic_id = id_of(number);
    record.replicas = {1};
    record.isr = {1};
    record.leader = 1;
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    records.emplace_back(record);
  }
  return records;
}

// One machine whose program opens the folder and the log, replays, runs `body`, and closes.
class MetadataLogTest : public ::testing::Test {
 protected:
  using Body = std::function<Task<void>(Core&, MetadataLog&, MetadataImage&)>;

  MetadataLogTest() {
    engine_options_.data_directory = "/data";
    engine_options_.journal_file_bytes = uint64_t{256} << 10;
    engine_options_.commit_bytes_max = uint32_t{64} << 10;
  }

  void start(Body body) {
    body_ = std::move(body);
    const reactor::HostOptions options{.cores = 1, .pool_bytes_per_core = size_t{64} << 20};
    if (host_ == nullptr) host_ = &world_.add_host(options, "10.0.0.1", {});
    host_->set_program([this](Core& core) { return life(*this, core); });
    host_->start();
    ASSERT_TRUE(world_.run_until([this] { return !host_->running(); }, 600s)) << world_.log_tail();
  }
  void run(Body body) {
    start(std::move(body));
    ASSERT_EQ(host_->state(), HostState::kStopped) << world_.log_tail();
    ASSERT_EQ(problem_, "");
  }

  static Task<void> life(MetadataLogTest& test, Core& core) {
    test.problem_.clear();
    storage::EngineHost engine_host(test.engine_options_, 1);
    const auto recovered = co_await engine_host.recover(core);
    if (!recovered) {
      test.problem_ = "recovery: " + std::string(to_string(recovered.error()));
      co_return;
    }
    const auto engine = co_await engine_host.open(core);
    CHECK(engine, "open");
    {
      MetadataLog log(**engine);
      MetadataImage image;
      Result<void> done = co_await log.open();
      if (done) done = co_await log.replay(image, test.problem_);
      if (done) co_await test.body_(core, log, image);
      co_await log.stop();
    }
    co_await (*engine)->close();
    CHECK(co_await engine_host.close(core), "close");
  }

  reactor::simulated::World world_{5};
  storage::EngineOptions engine_options_;
  reactor::simulated::Host* host_ = nullptr;
  Body body_;
  std::string problem_;
};

// A change of 600 KB is ten commits: a power cut after any operation leaves all of it or nothing.
TEST_F(MetadataLogTest, AChangeIsWholeOrAbsentWhereverThePowerGoes) {
  constexpr int32_t kPartitions = 10'000;
  run([](Core&, MetadataLog&, MetadataImage&) -> Task<void> { co_return; });
  bool absent = false;
  bool whole = false;
  for (uint32_t operations = 1; operations < 100 && !whole; ++operations) {
    bool answered = false;
    start([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
      EXPECT_EQ(image.partition_count(), 0U);
      host_->crash_after_operations(host_->operations_submitted() + operations);
      answered = (co_await log.append(topic_of(1, kPartitions))).has_value();
    });
    host_->crash_after_operations(0);
    run([&](Core&, MetadataLog&, MetadataImage& image) -> Task<void> {
      const size_t count = image.partition_count();
      EXPECT_TRUE(count == 0 || count == kPartitions) << count << " after " << operations;
      EXPECT_EQ(image.topics().size(), count == 0 ? 0U : 1U) << operations;
      if (answered) EXPECT_EQ(count, static_cast<size_t>(kPartitions)) << operations;
      absent |= count == 0 && operations > 5;
      whole |= count != 0;
      co_return;
    });
  }
  EXPECT_TRUE(absent);
  EXPECT_TRUE(whole);
}

TEST_F(MetadataLogTest, AChangeAboveTheLimitIsRefusedAndLeavesNothing) {
  run([](Core&, MetadataLog& log, MetadataImage&) -> Task<void> {
    const int64_t before = log.end_offset();
    const Result<void> done = co_await log.append(topic_of(1, 200'000));
    EXPECT_FALSE(done.has_value());
    if (!done) EXPECT_EQ(done.error(), Errc::kTooLarge);
    EXPECT_EQ(log.end_offset(), before);
    EXPECT_TRUE(log.trusted());
    EXPECT_TRUE((co_await log.append(topic_of(2, 1))).has_value());
  });
}

// The block that the next commit must carry along is not there any more: whether the append will be in the log is open.
TEST_F(MetadataLogTest, AfterAnUnknownOutcomeNothingIsAppended) {
  run([](Core&, MetadataLog& log, MetadataImage&) -> Task<void> {
    EXPECT_TRUE((co_await log.append(topic_of(1, 3))).has_value());
  });
  engine_options_.cache_bytes_max = 1;  // the replay must not leave the block in memory
  start([&](Core& core, MetadataLog& log, MetadataImage& image) -> Task<void> {
    host_->disk().add_fault(
        {.kind = reactor::OpKind::kRead, .path_contains = ".log", .error = reactor::Errc::kNotFound, .count = 100});
    const Result<void> unknown = co_await log.append(topic_of(2, 1));
    EXPECT_FALSE(unknown.has_value());
    EXPECT_FALSE(log.trusted());
    host_->disk().clear_faults();
    const int64_t end = log.end_offset();
    const Result<void> retried = co_await log.append(topic_of(2, 1));
    EXPECT_FALSE(retried.has_value());
    EXPECT_EQ(log.end_offset(), end) << "a second record of the same topic was written";
    EXPECT_FALSE(log.wants_snapshot());
    EXPECT_FALSE((co_await log.write_snapshot(image)).has_value());
    host_->kill();
    co_await core.sleep(1s);
  });
  // A restart knows: it reads the log again and goes on.
  run([](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    if (image.topic("topic-2") == nullptr) EXPECT_TRUE((co_await log.append(topic_of(2, 1))).has_value());
    EXPECT_TRUE((co_await log.append(topic_of(3, 1))).has_value());
  });
  run([](Core&, MetadataLog&, MetadataImage& image) -> Task<void> {
    EXPECT_EQ(image.topics().size(), 3U);
    co_return;
  });
}

TEST_F(MetadataLogTest, ASnapshotStandsForAllBeforeItWhereverThePowerGoes) {
  std::vector<MetadataRecord> expected;
  run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    for (uint32_t number = 1; number <= 20; ++number) {
      for (const std::vector<MetadataRecord>& change :
           {topic_of(number, 5), std::vector<MetadataRecord>{ConfigRecord{
                                     kTopicResource, fmt::format("topic-{}", number), "retention.ms", "5"}}}) {
        EXPECT_TRUE((co_await log.append(change)).has_value());
        for (const MetadataRecord& record : change) EXPECT_TRUE(image.apply(record).has_value());
      }
    }
    expected = image.to_records();
  });
  for (uint64_t operations = 1; operations < 20; ++operations) {
    start([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
      host_->crash_after_operations(host_->operations_submitted() + operations);
      EXPECT_TRUE((co_await log.write_snapshot(image)).has_value());
    });
    host_->crash_after_operations(0);
    run([&](Core&, MetadataLog&, MetadataImage& image) -> Task<void> {
      EXPECT_EQ(image.to_records(), expected) << operations;
      co_return;
    });
  }
}

TEST_F(MetadataLogTest, TheLogStaysSmallHoweverManyChangesThereWere) {
  run([](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    int snapshots = 0;
    int64_t changes = 0;
    while (snapshots < 4 && changes < 100'000) {
      const ProducerIdsRecord record{1, 0, ++changes};
      // Few large changes instead of many small ones: what matters is bytes.
      const std::string value(20'000, 'x');
      const std::vector<MetadataRecord> change = {record, ConfigRecord{kBrokerResource, "", "key", value}};
      EXPECT_TRUE((co_await log.append(change)).has_value());
      for (const MetadataRecord& one : change) EXPECT_TRUE(image.apply(one).has_value());
      if (!log.wants_snapshot()) continue;
      EXPECT_TRUE((co_await log.write_snapshot(image)).has_value());
      EXPECT_FALSE(log.wants_snapshot());
      ++snapshots;
    }
    EXPECT_EQ(snapshots, 4);
    EXPECT_GT(changes, 100);
  });
  run([](Core&, MetadataLog&, MetadataImage& image) -> Task<void> {
    EXPECT_GT(image.next_producer_id(), 100);
    EXPECT_EQ(image.broker_configs("").at("key").size(), 20'000U);
    co_return;
  });
}

}  // namespace
}  // namespace posthaste::broker
