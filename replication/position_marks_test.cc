// What the marks say of an offset encloses what is so.
#include "replication/position_marks.h"

#include <gtest/gtest.h>

#include <random>

namespace posthaste::replication {
namespace {

TEST(PositionMarks, TellWhatIsBelowAndAbove) {
  PositionMarks marks;
  EXPECT_EQ(marks.least(5), 0U);
  EXPECT_EQ(marks.most(5), UINT64_MAX);
  marks.add(10, 1000);
  marks.add(20, 3000);
  EXPECT_EQ(marks.least(9), 0U);
  EXPECT_EQ(marks.most(9), 1000U);
  EXPECT_EQ(marks.least(10), 1000U);
  EXPECT_EQ(marks.most(10), 1000U);
  EXPECT_EQ(marks.least(15), 1000U);
  EXPECT_EQ(marks.most(15), 3000U);
  EXPECT_EQ(marks.least(21), 3000U);
  EXPECT_EQ(marks.most(21), UINT64_MAX);
  marks.forget_below(15);
  EXPECT_EQ(marks.least(15), 1000U);
  EXPECT_EQ(marks.most(15), 3000U);
}

// Each offset has ten bytes; commits of any size, far more than there are marks.
TEST(PositionMarks, EncloseTheTruthWhateverIsForgotten) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    PositionMarks marks;
    int64_t durable = 0;
    int64_t asked = 0;
    marks.add(0, 0);
    for (int step = 0; step < 300; ++step) {
      durable += static_cast<int64_t>(random() % 7);
      marks.add(durable, static_cast<uint64_t>(durable) * 10);
      if (random() % 20 == 0) {
        asked += static_cast<int64_t>(random() % static_cast<uint64_t>(durable - asked + 1));
        marks.forget_below(asked);
      }
      const int64_t offset = asked + static_cast<int64_t>(random() % static_cast<uint64_t>(durable - asked + 1));
      ASSERT_LE(marks.least(offset), static_cast<uint64_t>(offset) * 10);
      ASSERT_GE(marks.most(offset), static_cast<uint64_t>(offset) * 10);
      ASSERT_EQ(marks.most(durable), static_cast<uint64_t>(durable) * 10) << "the newest mark stays";
    }
  }
}

}  // namespace
}  // namespace posthaste::replication
