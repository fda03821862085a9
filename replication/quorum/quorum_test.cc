// Single steps of a member that seeds reach seldom or that must be just so: what waits for which write, what a late
// answer does, why a request is refused. Whole elections and failovers are tests/quorum's.
#include "replication/quorum/quorum.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace posthaste::replication::quorum {
namespace {

using reactor::Instant;
using namespace std::chrono_literals;

ReplicaKey key(NodeId id) { return {.id = id, .directory = {.low = static_cast<uint64_t>(id) + 100}}; }

// A member with its driver's hands: all writes complete when the test says so.
struct Member {
  explicit Member(NodeId id, VoterSet voters, bool is_unverified = false)
      : quorum({}, {.self = key(id), .voters = std::move(voters), .is_unverified = is_unverified},
               [](uint64_t) { return uint64_t{0}; }) {
    actions = quorum.start(now);
  }
  Actions& step(const Event& event) {
    actions = quorum.step(event, now);
    for (const Action& action : actions) {
      if (const auto* vote = std::get_if<PersistVote>(&action)) vote_write = vote->number;
    }
    return actions;
  }
  Actions& receive(NodeId from, Message message) { return step(Received{from, std::move(message)}); }
  Actions& after(reactor::Duration time) {
    now = now + time;
    return step(TimerFired{});
  }
  void persist_vote() { step(VotePersisted{vote_write}); }
  void persist_log() { step(LogPersisted{quorum.log().last_write()}); }
  template <class T>
  std::vector<T> sent() const {
    std::vector<T> found;
    for (const Action& action : actions) {
      const auto* send = std::get_if<Send>(&action);
      if (send != nullptr && std::holds_alternative<T>(send->message)) found.push_back(std::get<T>(send->message));
    }
    return found;
  }
  template <class T>
  Persists waits_for() const {
    for (const Action& action : actions) {
      const auto* send = std::get_if<Send>(&action);
      if (send != nullptr && std::holds_alternative<T>(send->message)) return send->after;
    }
    ADD_FAILURE() << "no such message";
    return {};
  }
  Refusal refusal() const {
    for (const Action& action : actions) {
      if (const auto* answer = std::get_if<RequestAnswered>(&action)) return answer->refusal;
    }
    ADD_FAILURE() << "no answer";
    return Refusal::kNone;
  }
  // Follows `leader` in `epoch`.
  void follow(NodeId leader, Epoch epoch) {
    receive(leader, BeginEpochRequest{.epoch = epoch, .leader = leader});
    persist_vote();
  }
  // Leads three voters, of which 2 votes for it. What it has appended is not durable yet.
  void lead() {
    after(2s);
    receive(2, VoteResponse{.voter = key(2), .is_pre_vote = true, .is_granted = true});
    persist_vote();
    receive(2, VoteResponse{.epoch = 1, .voter = key(2), .asked_epoch = 1, .is_granted = true});
    ASSERT_EQ(quorum.role(), Role::kLeader);
  }
  FetchResponse answer(LogPosition fetched, std::vector<Batch> batches, Offset high_watermark = kNoOffset) const {
    return {.epoch = quorum.epoch(),
            .leader = quorum.leader(),
            .fetched = fetched,
            .high_watermark = high_watermark,
            .batches = std::move(batches)};
  }

  Instant now{1'000'000'000};
  Quorum quorum;
  Actions actions;
  uint64_t vote_write = 0;
};

VoterSet three() { return VoterSet({key(1), key(2), key(3)}); }

TEST(Quorum, ALoneVoterLeadsWhenItsVoteIsDurableAndCommitsWhenItsLogIs) {
  Member lone(1, VoterSet({key(1)}), true);
  EXPECT_EQ(lone.quorum.role(), Role::kCandidate);
  lone.vote_write = 1;
  lone.persist_vote();
  EXPECT_EQ(lone.quorum.role(), Role::kLeader);
  EXPECT_EQ(lone.quorum.high_watermark(), 0);
  lone.persist_log();
  EXPECT_EQ(lone.quorum.high_watermark(), 2);  // the change of leader, and who votes
  EXPECT_TRUE(lone.quorum.has_committed_in_epoch());
  EXPECT_EQ(lone.quorum.deadline(), Instant::never()) << "nothing wakes who is alone";
}

TEST(Quorum, AVoteWaitsForItsWriteAndIsGivenOnce) {
  Member member(1, three());
  member.receive(2, VoteRequest{.epoch = 4, .candidate = key(2), .voter = key(1)});
  ASSERT_EQ(member.sent<VoteResponse>().size(), 1U);
  EXPECT_TRUE(member.sent<VoteResponse>()[0].is_granted);
  EXPECT_EQ(member.waits_for<VoteResponse>().vote, member.vote_write);
  member.receive(3, VoteRequest{.epoch = 4, .candidate = key(3), .voter = key(1)});
  EXPECT_FALSE(member.sent<VoteResponse>()[0].is_granted);
  member.receive(2, VoteRequest{.epoch = 4, .candidate = key(2), .voter = key(1)});
  EXPECT_TRUE(member.sent<VoteResponse>()[0].is_granted);
}

TEST(Quorum, AVoteForAnotherDirectoryOfThisMachineIsNotItsOwn) {
  Member member(1, three());
  member.receive(2, VoteRequest{.epoch = 4, .candidate = key(2), .voter = {.id = 1, .directory = {.low = 7}}});
  EXPECT_FALSE(member.sent<VoteResponse>()[0].is_granted);
}

TEST(Quorum, WhoHearsALeaderTakesNeitherVotesNorTheirEpoch) {
  Member member(1, three());
  member.follow(2, 3);
  member.receive(3, VoteRequest{.epoch = 9, .candidate = key(3), .voter = key(1)});
  EXPECT_FALSE(member.sent<VoteResponse>()[0].is_granted);
  EXPECT_EQ(member.quorum.epoch(), 3);
  member.step(ConnectionLost{.peer = 2, .is_refused = true});
  member.receive(3, VoteRequest{.epoch = 9, .candidate = key(3), .voter = key(1)});
  EXPECT_TRUE(member.sent<VoteResponse>()[0].is_granted);
}

TEST(Quorum, AVoterWhoseLeaderRefusesStandsAtOnce) {
  Member member(1, three());
  member.follow(2, 3);
  member.step(ConnectionLost{.peer = 2, .is_refused = true});
  member.after(Options{}.refused_jitter);
  EXPECT_EQ(member.quorum.role(), Role::kProspective);
}

TEST(Quorum, AFetchSaysOnlyWhatIsDurable) {
  Member member(1, three());
  member.follow(2, 3);
  const std::vector<Batch> batches{{.base_offset = 0, .epoch = 3, .kind = BatchKind::kLeaderChange}};
  member.receive(2, member.answer({}, batches));
  ASSERT_EQ(member.sent<FetchRequest>().size(), 1U);
  EXPECT_EQ(member.sent<FetchRequest>()[0].end, (LogPosition{1, 3}));
  EXPECT_EQ(member.waits_for<FetchRequest>().log, member.quorum.log().last_write());
}

TEST(Quorum, AnAnswerThatComesTwiceOrTooLateDoesNothing) {
  Member member(1, three());
  member.follow(2, 3);
  const std::vector<Batch> batches{{.base_offset = 0, .epoch = 3, .kind = BatchKind::kLeaderChange}};
  member.receive(2, member.answer({}, batches));
  member.receive(2, member.answer({}, batches));
  EXPECT_EQ(member.quorum.log().end_offset(), 1);
  FetchResponse cut = member.answer({}, {});
  cut.diverging = LogPosition{0, 0};
  member.receive(2, cut);
  EXPECT_EQ(member.quorum.log().end_offset(), 1);
}

TEST(Quorum, WhatIsCommittedIsNotCut) {
  Member member(1, three());
  member.follow(2, 3);
  member.receive(2, member.answer({}, {{.base_offset = 0, .count = 5, .epoch = 3}}, 4));
  EXPECT_EQ(member.quorum.high_watermark(), 4);
  FetchResponse cut = member.answer({5, 3}, {});
  cut.diverging = LogPosition{3, 3};
  member.receive(2, cut);
  EXPECT_EQ(member.quorum.log().end_offset(), 5);
  EXPECT_TRUE(std::ranges::any_of(member.actions,
                                  [](const Action& action) { return std::holds_alternative<AlarmRaised>(action); }));
  cut.diverging = LogPosition{4, 3};
  member.receive(2, cut);
  EXPECT_EQ(member.quorum.log().end_offset(), 4);
}

TEST(Quorum, BatchesThatDoNotFitAreNotTaken) {
  Member member(1, three());
  member.follow(2, 3);
  member.receive(2, member.answer({}, {{.base_offset = 0, .epoch = 4}}));  // of a later epoch than its leader
  EXPECT_EQ(member.quorum.log().end_offset(), 0);
  member.receive(2, member.answer({}, {{.base_offset = 0, .epoch = 2}, {.base_offset = 2, .epoch = 3}}));
  EXPECT_EQ(member.quorum.log().end_offset(), 1);
  member.receive(2, member.answer({1, 2}, {{.base_offset = 1, .epoch = 3, .kind = BatchKind::kVoters}}));
  EXPECT_EQ(member.quorum.log().end_offset(), 1);
}

TEST(Quorum, ALeaderCommitsOnlyWithARecordOfItsOwnEpoch) {
  Member leader(1, three());
  leader.lead();
  const Offset end = leader.quorum.log().end_offset();
  leader.receive(2, FetchRequest{.epoch = 1, .replica = key(2)});
  leader.persist_log();
  EXPECT_EQ(leader.quorum.high_watermark(), 0);
  leader.receive(2, FetchRequest{.epoch = 1, .replica = key(2), .end = {end, 1}});
  EXPECT_EQ(leader.quorum.high_watermark(), end);
}

TEST(Quorum, AFetchWithoutNewsWaitsForThem) {
  Member leader(1, three());
  leader.lead();
  leader.persist_log();
  const Offset end = leader.quorum.log().end_offset();
  leader.receive(2, FetchRequest{.epoch = 1, .replica = key(2), .end = {end, 1}});
  EXPECT_EQ(leader.sent<FetchResponse>().size(), 1U);  // the high watermark is news
  leader.receive(2, FetchRequest{.epoch = 1, .replica = key(2), .end = {end, 1}, .high_watermark = end});
  EXPECT_TRUE(leader.sent<FetchResponse>().empty());
  leader.step(AppendRequested{});
  EXPECT_EQ(leader.sent<FetchResponse>().size(), 1U);
  leader.receive(2, FetchRequest{.epoch = 1, .replica = key(2), .end = {end + 1, 1}, .high_watermark = end});
  leader.after(Options{}.fetch_wait_max);
  EXPECT_EQ(leader.sent<FetchResponse>().size(), 1U);
}

TEST(Quorum, ALeaderThatNoMajorityFetchesFromResigns) {
  Member leader(1, three());
  leader.lead();
  leader.after(2900ms);
  EXPECT_EQ(leader.quorum.role(), Role::kLeader);
  leader.after(200ms);
  EXPECT_EQ(leader.quorum.role(), Role::kUnattached);
  EXPECT_EQ(leader.sent<EndEpochRequest>().size(), 2U);
}

TEST(Quorum, ChangesOfVotersAreRefusedByName) {
  Member leader(1, three());
  leader.step(AddVoterRequested{key(4)});
  EXPECT_EQ(leader.refusal(), Refusal::kNotLeader);
  leader.lead();
  leader.step(AddVoterRequested{key(4)});
  EXPECT_EQ(leader.refusal(), Refusal::kNotReady);
  leader.persist_log();
  const Offset end = leader.quorum.log().end_offset();
  leader.receive(2, FetchRequest{.epoch = 1, .replica = key(2), .end = {end, 1}});
  leader.step(AddVoterRequested{key(3)});
  EXPECT_EQ(leader.refusal(), Refusal::kNoChange);
  leader.step(AddVoterRequested{{.id = 3, .directory = {.low = 9}}});
  EXPECT_EQ(leader.refusal(), Refusal::kIdInUse);
  leader.step(AddVoterRequested{key(4)});
  EXPECT_EQ(leader.refusal(), Refusal::kNotCaughtUp);
  leader.step(RemoveVoterRequested{key(2)});
  EXPECT_EQ(leader.refusal(), Refusal::kWouldStop);  // 3 has never fetched
  leader.receive(4, FetchRequest{.epoch = 1, .replica = key(4), .end = {end, 1}});
  leader.step(AddVoterRequested{key(4)});
  EXPECT_EQ(leader.refusal(), Refusal::kNone);
}

// It is not counted, so what it is to confirm could not be committed.
TEST(Quorum, NobodyWhoseDiskMayHaveLiedIsNeededForAChangeOfVoters) {
  Member leader(1, VoterSet({key(1)}));
  leader.vote_write = 1;
  leader.persist_vote();
  leader.persist_log();
  FetchRequest fetch{.epoch = 1, .replica = key(2), .end = {.offset = 2, .epoch = 1}, .is_unverified = true};
  for (int i = 0; i < 2; ++i) leader.receive(2, fetch);
  leader.step(AddVoterRequested{key(2)});
  EXPECT_EQ(leader.refusal(), Refusal::kNotCaughtUp);
  fetch.is_unverified = false;
  leader.receive(2, fetch);
  leader.step(AddVoterRequested{key(2)});
  EXPECT_EQ(leader.refusal(), Refusal::kNone);
}

TEST(Quorum, OneChangeOfVotersAtATime) {
  Member leader(1, three());
  leader.lead();
  leader.persist_log();
  const Offset end = leader.quorum.log().end_offset();
  for (const NodeId id : {2, 4}) leader.receive(id, FetchRequest{.epoch = 1, .replica = key(id), .end = {end, 1}});
  leader.step(AddVoterRequested{key(4)});
  EXPECT_EQ(leader.refusal(), Refusal::kNone);
  EXPECT_EQ(leader.quorum.voters().size(), 4U);
  leader.step(RemoveVoterRequested{key(3)});
  EXPECT_EQ(leader.refusal(), Refusal::kChangeUnderWay);
  leader.persist_log();
  for (const NodeId id : {2, 4}) leader.receive(id, FetchRequest{.epoch = 1, .replica = key(id), .end = {end + 1, 1}});
  leader.step(RemoveVoterRequested{key(3)});
  EXPECT_EQ(leader.refusal(), Refusal::kNone);
}

TEST(Quorum, ADistrustedDiskVotesWhenItHasWhatALeaderWithAMajorityHas) {
  Member member(1, three(), true);
  member.receive(3, VoteRequest{.epoch = 1, .candidate = key(3), .voter = key(1)});
  EXPECT_FALSE(member.sent<VoteResponse>()[0].is_granted);
  EXPECT_TRUE(member.sent<VoteResponse>()[0].is_unverified);
  member.follow(2, 3);
  FetchResponse answer = member.answer({}, {{.base_offset = 0, .epoch = 3}});
  answer.verified_at = 1;
  member.receive(2, answer);
  EXPECT_TRUE(member.quorum.is_unverified());  // not durable yet
  member.persist_log();
  EXPECT_FALSE(member.quorum.is_unverified());
}

TEST(Quorum, ADistrustedDiskIsTrustedAfterTwoSecondsIfNobodyIsBetterOffAndAfterTenAtLast) {
  Member alone(1, three(), true);
  alone.after(1900ms);
  EXPECT_TRUE(alone.quorum.is_unverified());
  alone.receive(2, FetchResponse{.error = FetchError::kNotLeader, .is_unverified = true});
  alone.after(100ms);
  EXPECT_FALSE(alone.quorum.is_unverified());

  Member one_of_two(1, three(), true);
  for (int i = 0; i < 99; ++i) {
    one_of_two.receive(2, FetchResponse{.error = FetchError::kNotLeader});
    one_of_two.after(100ms);
    EXPECT_TRUE(one_of_two.quorum.is_unverified());
  }
  one_of_two.after(100ms);
  EXPECT_FALSE(one_of_two.quorum.is_unverified());
}

TEST(Quorum, ALoneVoterWithADistrustedDiskAsksTheOthersFirst) {
  Quorum lone({.bootstrap = {1, 2}}, {.self = key(1), .voters = VoterSet({key(1)}), .is_unverified = true},
              [](uint64_t) { return uint64_t{0}; });
  Instant now{1'000'000'000};
  lone.start(now);
  EXPECT_EQ(lone.role(), Role::kUnattached);
  for (int i = 0; i < 30; ++i) {
    lone.step(Received{2, FetchResponse{.error = FetchError::kNotLeader}}, now);
    now = now + 100ms;
    lone.step(TimerFired{}, now);
    EXPECT_TRUE(lone.is_unverified());
  }
  now = now + 2s;
  lone.step(TimerFired{}, now);
  EXPECT_FALSE(lone.is_unverified());
  EXPECT_EQ(lone.role(), Role::kCandidate);
}

TEST(Quorum, WhoIsNotCountedHoldsNothingForTheLeader) {
  Member leader(1, three());
  leader.lead();
  leader.persist_log();
  const Offset end = leader.quorum.log().end_offset();
  leader.receive(2, FetchRequest{.epoch = 1, .replica = key(2), .end = {end, 1}, .is_unverified = true});
  EXPECT_EQ(leader.quorum.high_watermark(), 0);
  leader.receive(2, FetchRequest{.epoch = 1, .replica = key(2), .end = {end, 1}});
  EXPECT_EQ(leader.quorum.high_watermark(), end);
}

TEST(Quorum, ASnapshotThatCannotBeInstalledIsFetchedAgain) {
  Member member(1, three());
  member.follow(2, 3);
  FetchResponse behind = member.answer({}, {});
  behind.snapshot = SnapshotId{.offset = 9, .epoch = 2};
  const FetchSnapshotResponse piece{.epoch = 3, .leader = 2, .id = *behind.snapshot, .size = 5, .bytes = 5};
  for (int attempt = 0; attempt < 2; ++attempt) {
    member.receive(2, behind);
    ASSERT_EQ(member.sent<FetchSnapshotRequest>().size(), 1U);
    member.receive(2, piece);
    EXPECT_TRUE(std::holds_alternative<InstallSnapshot>(member.actions.back()));
    member.step(SnapshotFailed{*behind.snapshot});
    EXPECT_EQ(member.quorum.log().end_offset(), 0);
    member.after(Options{}.retry_backoff);
    EXPECT_EQ(member.sent<FetchRequest>().size(), 1U);
  }
}

TEST(Quorum, ALeaderSaysWhoElectedIt) {
  Member leader(1, three());
  leader.lead();
  EXPECT_EQ(leader.quorum.elected_by(), VoterSet({key(1), key(2)}));
  EXPECT_EQ(leader.quorum.why_no_append(), Refusal::kNone);
  leader.receive(3, BeginEpochRequest{.epoch = 2, .leader = 3});
  EXPECT_EQ(leader.quorum.why_no_append(), Refusal::kNotLeader);
}

// Only who was removed may have the record that removes it: without it nobody could be elected.
TEST(Quorum, WhoIsRemovedStandsUntilThatIsKnownToBeCommitted) {
  Member member(2, VoterSet({key(1), key(2)}));
  member.follow(1, 3);
  const Batch removal{.base_offset = 0, .epoch = 3, .kind = BatchKind::kVoters, .voters = VoterSet({key(1)})};
  member.receive(1, member.answer({}, {removal}));
  EXPECT_FALSE(member.quorum.is_voter());
  member.after(2s);
  EXPECT_EQ(member.quorum.role(), Role::kProspective);

  Member known(2, VoterSet({key(1), key(2)}));
  known.follow(1, 3);
  known.receive(1, known.answer({}, {removal}, 1));
  known.after(2s);
  EXPECT_EQ(known.quorum.role(), Role::kUnattached);
}

}  // namespace
}  // namespace posthaste::replication::quorum
