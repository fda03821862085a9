// The judge of the model world sees each kind of wrong, and nothing wrong in what is right; the model's disk loses what
// it must.
#include "tests/quorum/checker.h"

#include <gtest/gtest.h>

namespace posthaste::quorum_model {
namespace {

quorum::ReplicaKey key(quorum::NodeId id) { return {.id = id, .directory = {.low = 1}}; }

Log empty_log() { return {.snapshot = std::make_shared<Snapshot>(), .entries = {}}; }

void add(Log& log, quorum::Epoch epoch, uint64_t body, quorum::VoterSet voters = {}) {
  quorum::Batch batch{.base_offset = log.end(), .epoch = epoch, .voters = std::move(voters), .body = body};
  if (!batch.voters.empty()) batch.kind = quorum::BatchKind::kVoters;
  const uint64_t chain = chain_of(log.chain(), batch);
  log.entries.push_back({std::move(batch), chain});
}

Log log_of(std::initializer_list<quorum::Epoch> epochs) {
  Log log = empty_log();
  for (const quorum::Epoch epoch : epochs) add(log, epoch, 7);
  return log;
}

TEST(QuorumChecker, AnEpochHasOneLeader) {
  Checker checker;
  checker.became_leader(key(1), 3, empty_log());
  checker.became_leader(key(2), 4, empty_log());
  EXPECT_FALSE(checker.violated());
  checker.became_leader(key(2), 3, empty_log());
  EXPECT_TRUE(checker.violated());
}

TEST(QuorumChecker, ALeaderHoldsWhatEarlierEpochsCommitted) {
  Checker checker;
  EXPECT_TRUE(checker.committed(key(1), 5, log_of({1, 1, 5}), 0, 3));
  checker.became_leader(key(2), 4, log_of({1}));  // of an earlier epoch: it cannot know, and can commit nothing
  EXPECT_FALSE(checker.violated());
  checker.became_leader(key(3), 6, log_of({1, 1, 5}));
  EXPECT_FALSE(checker.violated());
  checker.became_leader(key(4), 7, log_of({1, 1}));
  EXPECT_TRUE(checker.violated());
}

TEST(QuorumChecker, WhatIsCommittedIsCommittedEverywhere) {
  Checker checker;
  EXPECT_TRUE(checker.committed(key(1), 1, log_of({1, 1}), 0, 2));
  EXPECT_FALSE(checker.committed(key(2), 1, log_of({1, 1, 1}), 0, 2));
  EXPECT_FALSE(checker.violated());
  checker.committed(key(3), 2, log_of({1, 2}), 0, 2);
  EXPECT_TRUE(checker.violated());
}

TEST(QuorumChecker, LogsThatAgreeAtARecordAgreeBeforeIt) {
  Checker checker;
  const Log one = log_of({1, 1, 3});
  Log other = log_of({1});
  add(other, 1, 8);
  add(other, 3, 7);
  checker.appended(one, 0);
  checker.appended(log_of({1, 1, 3}), 2);
  EXPECT_FALSE(checker.violated());
  checker.appended(other, 2);
  EXPECT_TRUE(checker.violated());
}

TEST(QuorumChecker, AVoteIsGivenOnce) {
  Checker checker;
  checker.voted(key(1), 3, key(2));
  checker.voted(key(1), 3, key(2));
  checker.voted(key(1), 4, key(3));
  EXPECT_FALSE(checker.violated());
  checker.voted(key(1), 3, key(3));
  EXPECT_TRUE(checker.violated());
}

TEST(QuorumChecker, VotersChangeByOneWhenThoseBeforeAreCommitted) {
  const quorum::VoterSet one({key(1)});
  const quorum::VoterSet two({key(1), key(2)});
  const quorum::VoterSet three({key(1), key(2), key(3)});
  Log log = empty_log();
  add(log, 1, 0, two);
  {
    Checker checker;
    checker.changed_voters(log, one, true);
    EXPECT_FALSE(checker.violated());
  }
  {
    Checker checker;
    checker.changed_voters(log, one, false);
    EXPECT_TRUE(checker.violated());
  }
  add(log, 1, 0, three);
  {
    Checker checker;
    checker.changed_voters(log, two, true);  // the set of two is not committed
    EXPECT_TRUE(checker.violated());
  }
  {
    Checker checker;
    checker.changed_voters(log, one, true);
    EXPECT_TRUE(checker.violated());
  }
}

TEST(QuorumChecker, ASnapshotSaysWhoVotes) {
  const quorum::VoterSet voters({key(1)});
  Log log = log_of({1});
  add(log, 1, 0, voters);
  Snapshot snapshot{.id = {.offset = 2, .epoch = 1}, .voters = voters, .chain = log.chain()};
  Checker checker;
  checker.committed(key(1), 1, log, 0, 2);
  checker.wrote_snapshot(snapshot);
  EXPECT_FALSE(checker.violated());
  snapshot.voters = {};
  checker.wrote_snapshot(snapshot);
  EXPECT_TRUE(checker.violated());
}

TEST(ModelDisk, ACrashKeepsTheFirstOfTheWritesUnderWay) {
  Disk disk(std::make_shared<Snapshot>());
  const Log written = log_of({1, 1, 2});
  disk.votes_under_way.push_back({1, {.epoch = 4}});
  disk.votes_under_way.push_back({2, {.epoch = 5}});
  disk.writes_under_way.push_back({1, AppendWrite{written.entries}});
  disk.writes_under_way.push_back({2, TruncateWrite{1}});
  Disk all = disk;
  disk.crash(1, 1);
  EXPECT_EQ(disk.vote.epoch, 4);
  EXPECT_EQ(disk.log.end(), 3);
  all.crash(2, 2);
  EXPECT_EQ(all.vote.epoch, 5);
  EXPECT_EQ(all.log.end(), 1);
}

}  // namespace
}  // namespace posthaste::quorum_model
