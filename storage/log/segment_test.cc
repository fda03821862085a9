// What a segment keeps apart from what every segment has: made when it is needed, freed when nothing needs it.
#include "storage/log/segment.h"

#include <gtest/gtest.h>

#include "storage/testing/log_parts.h"

namespace posthaste::storage {
namespace {

using SegmentTest = testing::LogPartsTest;

TEST_F(SegmentTest, AnIdleOneHasNothingApart) {
  Segment segment(7, 100);
  EXPECT_EQ(segment.base_offset(), 7);
  EXPECT_EQ(segment.linear_end(), 100U);
  EXPECT_EQ(segment.extras(), nullptr);
  EXPECT_EQ(segment.access(), nullptr);
  EXPECT_FALSE(segment.has_bad_run());
  EXPECT_EQ(segment.run_state(3), Segment::RunState::kUnknown);
  segment.cut_extras();
  segment.drop_access();
  EXPECT_EQ(segment.extras(), nullptr) << "to look makes nothing";
}

TEST_F(SegmentTest, AccessStaysWhileSomebodyUsesItOrWaits) {
  Segment segment(0, 0);
  Segment::Access& access = segment.make_access(core_);
  EXPECT_EQ(&segment.make_access(core_), &access);
  ASSERT_TRUE(access.gate.try_acquire(1));
  segment.drop_access();
  ASSERT_EQ(segment.access(), &access) << "somebody is inside";
  access.gate.release(1);
  access.loads.push_back({0, 4096});
  segment.drop_access();
  ASSERT_EQ(segment.access(), &access) << "a read is under way";
  access.loads.clear();
  segment.file_users = 1;
  segment.drop_access();
  ASSERT_EQ(segment.access(), &access) << "somebody needs the file";
  segment.file_users = 0;
  segment.drop_access();
  EXPECT_EQ(segment.access(), nullptr);
}

TEST_F(SegmentTest, ACutForgetsWhatLiesBehind) {
  Segment segment(0, 0);
  segment.size = 1000;
  Segment::Extras& extras = segment.make_extras();
  extras.refused = {10, 500, 900};
  extras.producer_snapshot = Bytes(3);
  extras.proof = HeaderProof{.segment_base = 0, .position = 600, .hash = 5};
  segment.size = 600;
  segment.cut_extras();
  EXPECT_EQ(extras.refused, (std::vector<uint64_t>{10, 500}));
  EXPECT_TRUE(extras.producer_snapshot.empty());
  EXPECT_TRUE(extras.proof.has_value());
  segment.size = 599;
  segment.cut_extras();
  EXPECT_FALSE(extras.proof.has_value());
}

TEST_F(SegmentTest, AnotherIndexForgetsWhatWasComparedWithTheOneBefore) {
  Segment segment(5, 0);
  segment.set_run_state(2, Segment::RunState::kBad);
  EXPECT_TRUE(segment.has_bad_run());
  EXPECT_EQ(segment.run_state(1), Segment::RunState::kUnknown);
  segment.set_index(SegmentIndexBuilder(5), false);
  EXPECT_FALSE(segment.has_bad_run());
  EXPECT_EQ(segment.run_state(2), Segment::RunState::kGood) << "an index that does not vouch is not compared";
  EXPECT_DEATH(segment.set_index(SegmentIndexBuilder(6), true), "an index from 6 for a segment from 5");
}

}  // namespace
}  // namespace posthaste::storage
