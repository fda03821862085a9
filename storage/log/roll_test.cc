// The age of a segment at which it is rolled, with and without jitter.
#include "storage/log/roll.h"

#include <gtest/gtest.h>

#include <set>

namespace posthaste::storage {
namespace {

TEST(RollAge, WithoutJitterItIsTheSetting) {
  EXPECT_EQ(roll_age_ms({.segment_ms = 1000}, 1, 0), 1000);
  EXPECT_EQ(roll_age_ms({.segment_ms = -1, .segment_jitter_ms = 500}, 1, 0), -1);
}

TEST(RollAge, JitterTakesAnotherPartOffForEachSegment) {
  const LogConfig config{.segment_ms = 1000, .segment_jitter_ms = 400};
  std::set<int64_t> ages;
  for (Uid uid = 1; uid <= 20; ++uid) {
    for (const int64_t base_offset : {0, 70, 1234567}) {
      const int64_t age = roll_age_ms(config, uid, base_offset);
      EXPECT_GT(age, 600);
      EXPECT_LE(age, 1000);
      EXPECT_EQ(age, roll_age_ms(config, uid, base_offset));
      ages.insert(age);
    }
  }
  EXPECT_GT(ages.size(), 40U) << "of 60 segments";
}

TEST(RollAge, MoreJitterThanAgeLeavesSome) {
  for (Uid uid = 1; uid <= 100; ++uid) {
    const int64_t age = roll_age_ms({.segment_ms = 10, .segment_jitter_ms = INT64_MAX}, uid, 0);
    EXPECT_GT(age, 0);
    EXPECT_LE(age, 10);
  }
}

}  // namespace
}  // namespace posthaste::storage
