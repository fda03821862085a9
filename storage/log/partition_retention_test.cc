// Retention and DeleteRecords, carried out: what goes of a log and of its folder, in this life and the next.
#include <gtest/gtest.h>

#include "storage/testing/store_test.h"

namespace posthaste::storage {
namespace {

using reactor::Core;
using reactor::Errc;
using reactor::Task;
using reactor::WallMillis;
using testing::batch_at;
using testing::kNow;

class PartitionRetentionTest : public testing::StoreTest {
 protected:
  static constexpr int64_t kHour = 3'600'000;
  // An offset a segment, each an hour younger than the one before; the last is not sealed. The third is the last one
  // below the high watermark.
  static Task<void> make(Core& core, Partition& log, int64_t high_watermark = 3) {
    for (int64_t offset = 0; offset < 5; ++offset) {
      if (offset > 0) log.roll();
      RecordBatchBuilder builder({.base_offset = offset, .leader_epoch = 1});
      builder.add({.timestamp = kNow.value + offset * kHour, .value = bytes_of("an hour")});
      EXPECT_TRUE(log.append_replicated(builder.finish(), kNow).has_value());
    }
    co_await durable(core, log);
    log.set_high_watermark(high_watermark);
  }
  static Task<void> retain(Partition& log, const RetentionRules& rules, int64_t now, int64_t log_start) {
    LogConfig config = log.config();
    config.retention = rules;
    log.set_config(config);
    EXPECT_TRUE((co_await log.apply_retention({now})).has_value());
    EXPECT_EQ(log.log_start_offset(), log_start);
  }
  static std::string path(int64_t base) { return fmt::format("/data/t-0/{:020}.log", base); }
};

TEST_F(PartitionRetentionTest, SegmentsThatAreTooOldGoWithTheirFiles) {
  life_until_power_off([this](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log, 5);
    co_await core.sleep(std::chrono::seconds(1));
    EXPECT_TRUE(host_.disk().read_file(path(0)).has_value());
    co_await retain(log, {.retention_ms = kHour}, kNow.value + kHour, 0);
    co_await retain(log, {.retention_ms = kHour}, kNow.value + 2 * kHour + 1, 2);
    EXPECT_EQ(log.segment_count(), 3U);
    EXPECT_EQ((co_await log.read({.offset = 1, .limit_offset = 5})).error(), Errc::kOutOfRange);
    co_await core.sleep(std::chrono::seconds(1));
    EXPECT_FALSE(host_.disk().read_file(path(0)).has_value() || host_.disk().read_file(path(1)).has_value());
    EXPECT_TRUE(host_.disk().read_file(path(2)).has_value());
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    EXPECT_EQ(log.log_start_offset(), 2);
    EXPECT_EQ(log.segment_count(), 3U);
    EXPECT_TRUE((co_await read_from(log, 2)).has_value());
  });
}

// Their flushes wait for removals: others have the disk for longer than the files that go.
TEST_F(PartitionRetentionTest, FilesGoOneByOneWithRestsBetween) {
  life([this](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log, 5);
    co_await core.sleep(std::chrono::seconds(1));
    const reactor::Instant before = core.now();
    for (int i = 0; i < 10; ++i) (void)co_await reactor::file_system::unlink(core, "/data/nothing");
    const reactor::Duration ten_unlinks = core.now() - before;
    co_await retain(log, {.retention_ms = kHour}, kNow.value + 4 * kHour + 1, 4);
    const reactor::Instant begin = core.now();
    while (host_.disk().read_file(path(0)) || host_.disk().read_file(path(3))) {
      co_await core.sleep(std::chrono::microseconds(100));
    }
    EXPECT_GT(core.now() - begin, 3 * ten_unlinks);
  });
}

TEST_F(PartitionRetentionTest, TheOldestGoUntilTheLogIsSmallEnough) {
  life([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log, 5);
    const auto one = static_cast<int64_t>(log.size_bytes() / 5);
    co_await retain(log, {.retention_ms = -1, .retention_bytes = 3 * one + 1}, kNow.value, 1);
    co_await retain(log, {.retention_ms = -1, .retention_bytes = 3 * one}, kNow.value, 2);
    EXPECT_EQ(log.size_bytes(), static_cast<uint64_t>(3 * one));
  });
}

TEST_F(PartitionRetentionTest, NothingAboveTheHighWatermarkGoes) {
  life([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    co_await retain(log, {.retention_ms = 1}, kNow.value + 100 * kHour, 3);
    co_await retain(log, {.retention_ms = 1, .retention_bytes = 0}, kNow.value + 100 * kHour, 3);
    EXPECT_EQ((co_await log.set_log_start(4)).error(), Errc::kOutOfRange);
    EXPECT_EQ(log.log_start_offset(), 3);
    log.set_high_watermark(4);
    EXPECT_TRUE((co_await log.set_log_start(4)).has_value());
    EXPECT_EQ(log.log_start_offset(), 4);
  });
}

// The active segment goes too, a pass later: it is sealed first.
TEST_F(PartitionRetentionTest, WhenAllIsTooOldTheLogIsEmptyAfterTwoPasses) {
  life([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log, 5);
    co_await retain(log, {.retention_ms = kHour}, kNow.value + 100 * kHour, 4);
    co_await durable(core, log);
    co_await core.sleep(std::chrono::seconds(1));
    co_await retain(log, {.retention_ms = kHour}, kNow.value + 100 * kHour, 5);
    EXPECT_EQ(log.size_bytes(), 0U);
    EXPECT_EQ(log.end_offset(), 5);
  });
}

// A log start inside a segment, or a batch, moves no bytes.
TEST_F(PartitionRetentionTest, ALogStartInsideASegmentKeepsTheSegment) {
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    for (int64_t offset = 0; offset < 4; ++offset) {
      EXPECT_TRUE(log.append_replicated(batch_at(offset, 1, "v"), kNow).has_value());
    }
    co_await durable(core, log);
    log.set_high_watermark(4);
    EXPECT_TRUE((co_await log.set_log_start(2)).has_value());
    EXPECT_TRUE((co_await log.set_log_start(1)).has_value()) << "it never goes back";
    EXPECT_EQ(log.log_start_offset(), 2);
    EXPECT_EQ(log.segment_count(), 1U);
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    EXPECT_EQ(log.log_start_offset(), 2);
    EXPECT_EQ((co_await log.read({.offset = 1, .limit_offset = 4})).error(), Errc::kOutOfRange);
    EXPECT_TRUE((co_await log.read({.offset = 2, .limit_offset = 4})).has_value());
  });
}

}  // namespace
}  // namespace posthaste::storage
