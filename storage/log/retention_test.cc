// Retention: each rule alone, their order, and what is never deleted.
#include "storage/log/retention.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace posthaste::storage {
namespace {

using reactor::WallMillis;

constexpr int64_t kNow = 1'000'000;
constexpr int64_t kAllAcked = 1'000'000;

// `count` segments of 100 bytes and 10 offsets each; the newest record of segment i has timestamp 1000 * i.
std::vector<SegmentSummary> make_segments(int64_t count) {
  std::vector<SegmentSummary> segments;
  for (int64_t i = 0; i < count; ++i) {
    segments.push_back({.base_offset = 10 * i,
                        .next_offset = 10 * i + 10,
                        .size_bytes = 100,
                        .max_timestamp = 1000 * i,
                        .last_append = WallMillis{kNow}});
  }
  return segments;
}

constexpr RetentionRules kForever{.retention_ms = -1, .retention_bytes = -1};

TEST(Retention, NothingIsDeletedWithoutARule) {
  const auto decision = decide_retention(make_segments(5), kForever, 0, kAllAcked, WallMillis{kNow});
  EXPECT_EQ(decision.delete_count, 0U);
  EXPECT_EQ(decision.log_start_offset, 0);
  EXPECT_EQ(decision.reason, RetentionReason::kNone);
  EXPECT_FALSE(decision.roll_active);
  EXPECT_EQ(decide_retention({}, {}, 7, 7, WallMillis{kNow}).log_start_offset, 7);
}

TEST(Retention, AgeIsCountedFromTheLargestTimestampAndIsStrict) {
  const auto deleted = [](int64_t now) {
    return decide_retention(make_segments(5), {.retention_ms = 500}, 0, kAllAcked, WallMillis{now}).delete_count;
  };
  EXPECT_EQ(deleted(500), 0U);
  EXPECT_EQ(deleted(501), 1U);
  EXPECT_EQ(deleted(2500), 2U);
  EXPECT_EQ(deleted(2501), 3U);
}

TEST(Retention, TheActiveSegmentIsRolledNotDeleted) {
  const auto decision = decide_retention(make_segments(3), {.retention_ms = 500}, 0, kAllAcked, WallMillis{kNow});
  EXPECT_EQ(decision.delete_count, 2U);
  EXPECT_EQ(decision.log_start_offset, 20);
  EXPECT_TRUE(decision.roll_active);
  auto segments = make_segments(3);
  segments[2].size_bytes = 0;
  EXPECT_FALSE(decide_retention(segments, {.retention_ms = 500}, 0, kAllAcked, WallMillis{kNow}).roll_active);
  segments = make_segments(3);
  segments[1].max_timestamp = kNow;
  EXPECT_FALSE(decide_retention(segments, {.retention_ms = 500}, 0, kAllAcked, WallMillis{kNow}).roll_active);
  EXPECT_FALSE(decide_retention(make_segments(3), {.retention_ms = 500}, 0, 29, WallMillis{kNow}).roll_active);
}

TEST(Retention, SizeKeepsAtLeastTheLimit) {
  const auto deleted = [](int64_t limit) {
    return decide_retention(make_segments(5), {.retention_ms = -1, .retention_bytes = limit}, 0, kAllAcked,
                            WallMillis{kNow})
        .delete_count;
  };
  EXPECT_EQ(deleted(500), 0U);
  EXPECT_EQ(deleted(401), 0U);
  EXPECT_EQ(deleted(400), 1U);
  EXPECT_EQ(deleted(101), 3U);
  EXPECT_EQ(deleted(0), 4U);
  EXPECT_EQ(deleted(INT64_MAX), 0U);
}

TEST(Retention, SizeCountsWhatAgeHasLeft) {
  const auto decision =
      decide_retention(make_segments(5), {.retention_ms = 500, .retention_bytes = 300}, 0, kAllAcked, WallMillis{1501});
  EXPECT_EQ(decision.delete_count, 2U);
  EXPECT_EQ(decision.reason, RetentionReason::kAge);
  const auto more =
      decide_retention(make_segments(5), {.retention_ms = 500, .retention_bytes = 200}, 0, kAllAcked, WallMillis{1501});
  EXPECT_EQ(more.delete_count, 3U);
  EXPECT_EQ(more.reason, RetentionReason::kSize);
}

TEST(Retention, SegmentsBelowTheLogStartGo) {
  const auto start_at = [](int64_t log_start) {
    return decide_retention(make_segments(5), kForever, log_start, kAllAcked, WallMillis{kNow});
  };
  EXPECT_EQ(start_at(9).delete_count, 0U);
  EXPECT_EQ(start_at(9).log_start_offset, 9);
  EXPECT_EQ(start_at(10).delete_count, 1U);
  EXPECT_EQ(start_at(35).delete_count, 3U);
  EXPECT_EQ(start_at(35).log_start_offset, 35);
  EXPECT_EQ(start_at(35).reason, RetentionReason::kLogStart);
  EXPECT_EQ(start_at(50).delete_count, 4U) << "the active segment stays";
}

TEST(Retention, NothingAboveTheHighWatermarkGoes) {
  EXPECT_EQ(decide_retention(make_segments(5), {.retention_ms = 1}, 0, 19, WallMillis{kNow}).delete_count, 1U);
  EXPECT_EQ(decide_retention(make_segments(5), {.retention_ms = 1}, 0, 20, WallMillis{kNow}).delete_count, 2U);
}

TEST(Retention, AFutureStampHoldsItsSegmentAndAllBehindIt) {
  auto segments = make_segments(5);
  segments[1].max_timestamp = kNow + 1;
  auto decision = decide_retention(segments, {.retention_ms = 0}, 0, kAllAcked, WallMillis{kNow});
  EXPECT_EQ(decision.delete_count, 1U);
  EXPECT_TRUE(decision.future_timestamp);
  segments[1].max_timestamp = INT64_MAX;
  decision = decide_retention(segments, {.retention_ms = 0}, 0, kAllAcked, WallMillis{kNow});
  EXPECT_EQ(decision.delete_count, 1U);
  EXPECT_FALSE(
      decide_retention(make_segments(5), {.retention_ms = 0}, 0, kAllAcked, WallMillis{kNow}).future_timestamp);
}

TEST(Retention, WithoutTimestampsTheTimeOfTheLastAppendCounts) {
  auto segments = make_segments(3);
  segments[0].max_timestamp = kNoTimestamp;
  segments[0].last_append = WallMillis{kNow - 100};
  EXPECT_EQ(decide_retention(segments, {.retention_ms = 100}, 0, kAllAcked, WallMillis{kNow}).delete_count, 0U);
  EXPECT_EQ(decide_retention(segments, {.retention_ms = 99}, 0, kAllAcked, WallMillis{kNow}).delete_count, 2U);
}

TEST(Retention, AlwaysASafePrefix) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    std::mt19937_64 random(seed);
    auto segments = make_segments(1 + static_cast<int64_t>(random() % 8));
    uint64_t total = 0;
    for (SegmentSummary& segment : segments) {
      segment.max_timestamp = static_cast<int64_t>(random() % 2000) - 1;
      segment.size_bytes = random() % 200;
      total += segment.size_bytes;
    }
    const RetentionRules rules{.retention_ms = static_cast<int64_t>(random() % 1500) - 1,
                               .retention_bytes = static_cast<int64_t>(random() % 1000) - 1};
    const auto log_start = static_cast<int64_t>(random() % 80);
    const auto high_watermark = static_cast<int64_t>(random() % 90);
    const auto decision = decide_retention(segments, rules, log_start, high_watermark, WallMillis{1000});
    ASSERT_LT(decision.delete_count, segments.size());
    ASSERT_GE(decision.log_start_offset, log_start);
    uint64_t left = total;
    for (size_t i = 0; i < decision.delete_count; ++i) {
      left -= segments[i].size_bytes;
      ASSERT_LE(segments[i].next_offset, high_watermark) << seed;
      ASSERT_LE(segments[i].next_offset, decision.log_start_offset) << seed;
      const bool old = rules.retention_ms >= 0 && 1000 - segments[i].max_timestamp > rules.retention_ms;
      const bool surplus = rules.retention_bytes >= 0 && left >= static_cast<uint64_t>(rules.retention_bytes);
      ASSERT_TRUE(old || segments[i].max_timestamp < 0 || surplus || segments[i].next_offset <= log_start) << seed;
    }
  }
}

}  // namespace
}  // namespace posthaste::storage
