// What the quorum says of its log: where epochs end, what is durable while writes are under way, who votes where.
#include "replication/quorum/log_view.h"

#include <gtest/gtest.h>

namespace posthaste::replication::quorum {
namespace {

ReplicaKey key(NodeId id) { return {.id = id, .directory = {.low = static_cast<uint64_t>(id)}}; }

Batch batch(Offset base_offset, int32_t count, Epoch epoch) {
  return {.base_offset = base_offset, .count = count, .epoch = epoch};
}

Batch voters_batch(Offset base_offset, Epoch epoch, VoterSet voters) {
  return {.base_offset = base_offset, .epoch = epoch, .kind = BatchKind::kVoters, .voters = std::move(voters)};
}

LogView three_epochs() {
  LogView log({}, {});
  const std::vector<Batch> batches{batch(0, 10, 1), batch(10, 5, 3), batch(15, 5, 3), batch(20, 1, 6)};
  log.append(batches);
  return log;
}

TEST(LogView, AnEpochEndsWhereTheNextBegins) {
  const LogView log = three_epochs();
  EXPECT_EQ(log.end(), (LogPosition{21, 6}));
  EXPECT_EQ(log.end_of_epoch(6), (LogPosition{21, 6}));
  EXPECT_EQ(log.end_of_epoch(9), (LogPosition{21, 6}));
  EXPECT_EQ(log.end_of_epoch(5), (LogPosition{20, 3}));
  EXPECT_EQ(log.end_of_epoch(3), (LogPosition{20, 3}));
  EXPECT_EQ(log.end_of_epoch(1), (LogPosition{10, 1}));
  EXPECT_EQ(log.end_of_epoch(0), (LogPosition{0, 0}));
  EXPECT_TRUE(log.reaches({20, 3}));
  EXPECT_FALSE(log.reaches({21, 3}));
  EXPECT_FALSE(log.reaches({15, 2}));
}

TEST(LogView, WhatIsCutIsNotDurableThoughItsWriteStillCompletes) {
  LogView log({}, {});
  const std::vector<Batch> first{batch(0, 10, 1)};
  const std::vector<Batch> second{batch(10, 10, 1)};
  const std::vector<Batch> third{batch(5, 3, 2)};
  log.append(first);
  const uint64_t late = log.append(second);
  const uint64_t cut = log.truncate(5);
  const uint64_t last = log.append(third);
  log.persisted(late);
  EXPECT_EQ(log.durable_offset(), 5);
  log.persisted(cut);
  EXPECT_EQ(log.durable_offset(), 5);
  EXPECT_EQ(log.writes_under_way(), 1U);
  log.persisted(last);
  EXPECT_EQ(log.durable_offset(), 8);
  EXPECT_EQ(log.end(), (LogPosition{8, 2}));
}

TEST(LogView, KnowsTheEpochThatGoesOnBehindItsSnapshot) {
  LogView log = three_epochs();
  log.persisted(log.last_write());
  log.trim({15, 3});
  EXPECT_EQ(log.start_offset(), 15);
  EXPECT_EQ(log.end_of_epoch(3), (LogPosition{20, 3}));
  EXPECT_EQ(log.end_of_epoch(2), (LogPosition{15, 3}));
  log.trim({21, 6});
  EXPECT_EQ(log.end(), (LogPosition{21, 6}));
  EXPECT_EQ(log.end_of_epoch(6), (LogPosition{21, 6}));
  log.append(std::vector<Batch>{batch(21, 1, 6)});
  EXPECT_EQ(log.end_of_epoch(7), (LogPosition{22, 6}));
}

TEST(LogView, TakesOnlyWhatFollowsInOffsetAndEpoch) {
  const LogView log = three_epochs();
  EXPECT_TRUE(log.fits(batch(21, 1, 6)));
  EXPECT_FALSE(log.fits(batch(22, 1, 6)));
  EXPECT_FALSE(log.fits(batch(20, 1, 6)));
  EXPECT_FALSE(log.fits(batch(21, 1, 5)));
  EXPECT_FALSE(log.fits(batch(21, 0, 6)));
  EXPECT_FALSE(log.fits(voters_batch(21, 6, {})));
}

TEST(LogView, VotersCountFromTheirOffsetOnAndGoBackWithTheLog) {
  const VoterSet one({key(1)});
  const VoterSet two({key(1), key(2)});
  const VoterSet three({key(1), key(2), key(3)});
  LogView log({}, one);
  log.append(std::vector<Batch>{batch(0, 5, 1), voters_batch(5, 1, two), batch(6, 4, 1), voters_batch(10, 1, three)});
  EXPECT_EQ(log.voters().latest(), three);
  EXPECT_EQ(log.voters().at(5), one);
  EXPECT_EQ(log.voters().at(6), two);
  EXPECT_EQ(log.voters().at(10), two);
  EXPECT_EQ(log.voters().at(11), three);
  EXPECT_FALSE(log.voters().contains_since(6, key(4)));
  EXPECT_TRUE(log.voters().contains_since(6, key(3)));
  log.truncate(10);
  EXPECT_EQ(log.voters().latest(), two);
  EXPECT_EQ(log.voters().latest_offset(), 5);
  log.persisted(log.last_write());
  log.trim({8, 1});
  EXPECT_EQ(log.voters().latest(), two);
  EXPECT_EQ(log.voters().latest_offset(), kNoOffset);
}

TEST(LogView, ASnapshotReplacesAllOfIt) {
  LogView log = three_epochs();
  log.reset({50, 8}, VoterSet({key(7)}));
  EXPECT_EQ(log.end(), (LogPosition{50, 8}));
  EXPECT_EQ(log.durable_offset(), 50);
  EXPECT_EQ(log.end_of_epoch(3), (LogPosition{50, 8}));
  EXPECT_EQ(log.voters().latest(), VoterSet({key(7)}));
}

}  // namespace
}  // namespace posthaste::replication::quorum
