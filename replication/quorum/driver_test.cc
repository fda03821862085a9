// A member on a real store: a lone voter through starts, kills, power cuts and bad vote files, and what one of three
// says and when.
#include "replication/quorum/driver.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "replication/quorum/record_batches.h"
#include "replication/quorum/testing/driver_fixture.h"

namespace posthaste::replication::quorum {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::Task;
using testing::batch_of;
using testing::DriverTest;
using testing::key;
using testing::Member;
using Values = std::vector<std::string>;

VoterSet three() { return VoterSet({key(1), key(2), key(3)}); }

// --- A lone voter ----------------------------------------------------------------------------------------------------

TEST_F(DriverTest, ALoneVoterLeadsAtOnceAndCommitsWhatIsDurable) {
  run([](Core& core, Member& member) -> Task<void> {
    const auto began = core.now();
    co_await leads(core, member);
    EXPECT_LT(core.now() - began, 100ms);
    EXPECT_EQ(member.user.role.role, Role::kLeader);
    EXPECT_EQ(member.user.high_watermark, 2);  // who leads, who votes
    const Driver::Appended appended = co_await append(core, member, "a");
    EXPECT_TRUE(appended.result.has_value());
    EXPECT_EQ(appended.base_offset, 2);
    EXPECT_EQ(member.log.durable_offset(), 3);
    EXPECT_EQ(member.log.high_watermark(), 3);
    EXPECT_EQ(member.user.high_watermark, 3);
    EXPECT_TRUE(member.transport.sent.empty());
  });
}

TEST_F(DriverTest, EachStartBeginsAnEpochAndKeepsTheLog) {
  for (Epoch epoch = 1; epoch <= 4; ++epoch) {
    run([epoch](Core& core, Member& member) -> Task<void> {
      co_await leads(core, member);
      EXPECT_EQ(member.user.role.epoch, epoch);
      EXPECT_EQ((co_await values(member)).size(), static_cast<size_t>(epoch - 1));
      EXPECT_EQ(member.driver.quorum().log().end().epoch, epoch);
      EXPECT_EQ(member.driver.quorum().voters(), VoterSet({key(1)}));
      EXPECT_TRUE((co_await append(core, member, "x")).result.has_value());
      EXPECT_EQ(member.log.end_offset(), 2 * epoch + 1);
    });
  }
}

// Its machine has lost power: nobody else is known who could know better.
TEST_F(DriverTest, ALoneVoterTrustsItsDiskAtOnceAfterAPowerLoss) {
  run([](Core& core, Member& member) -> Task<void> {
    co_await leads(core, member);
    EXPECT_TRUE((co_await append(core, member, "a")).result.has_value());
    co_return;
  });
  options_.is_unverified = true;
  run([](Core& core, Member& member) -> Task<void> {
    const auto began = core.now();
    co_await leads(core, member);
    EXPECT_LT(core.now() - began, 100ms);
    EXPECT_FALSE(member.driver.quorum().is_unverified());
    EXPECT_EQ(co_await values(member), Values{"a"});
  });
}

// The log of a broker of before: epoch 0, no control batch, no vote file.
TEST_F(DriverTest, AnOlderLogGoesOn) {
  options_.first_voters = {};
  run([](Core& core, Member& member) -> Task<void> {
    storage::Bytes batch = batch_of("old");
    EXPECT_TRUE(member.log.append(batch, {.leader_epoch = 0, .from_client = false}, core.wall_now()).has_value());
    co_await core.sleep(100ms);
  });
  ASSERT_TRUE(host_.disk().read_file("/data/quorum.vote").has_value());
  reactor::simulated::Disk left;
  for (const std::string& path : host_.disk().all_files()) {
    if (!path.ends_with("quorum.vote")) left.write_file(path, *host_.disk().read_file(path));
  }
  host_.disk() = std::move(left);
  options_.first_voters = VoterSet({key(1)});
  run([](Core& core, Member& member) -> Task<void> {
    co_await leads(core, member);
    EXPECT_TRUE((co_await append(core, member, "new")).result.has_value());
    EXPECT_EQ(co_await values(member), (Values{"old", "new"}));
  });
}

// Each life appends until it dies at some operation of its own; the next one has all that was answered.
TEST_F(DriverTest, WhatWasAnsweredStaysWhereverALifeEnds) {
  Values answered;
  int deaths = 0;
  for (uint64_t life = 1; life <= 160; ++life) {
    const uint64_t dies_at = 1 + life * 37 % 300;
    host_.on_submit([&](const reactor::Op&, uint64_t index) {
      if (index == dies_at) life % 2 == 0 ? host_.kill() : host_.crash_after_operations(index);
    });
    start([&](Core& core, Member& member) -> Task<void> {
      co_await leads(core, member);
      const Values there = co_await values(member);
      for (const std::string& value : answered) {
        EXPECT_EQ(std::ranges::count(there, value), 1) << value << " in life " << life;
      }
      for (int i = 0; i < 20; ++i) {
        const std::string value = std::to_string(life) + "-" + std::to_string(i);
        if ((co_await append(core, member, value)).result) answered.push_back(value);
      }
    });
    EXPECT_EQ(problem_, "") << "life " << life;
    if (host_.state() != reactor::simulated::HostState::kStopped) ++deaths;
  }
  host_.on_submit({});
  EXPECT_GT(deaths, 50);
  EXPECT_GT(answered.size(), 500U);
  run([&](Core& core, Member& member) -> Task<void> {
    co_await leads(core, member);
    const Values there = co_await values(member);
    for (const std::string& value : answered) EXPECT_EQ(std::ranges::count(there, value), 1) << value;
  });
}

TEST_F(DriverTest, AVoteFileThatCannotSayHowItVotedIsRefusedByName) {
  run([](Core& core, Member& member) -> Task<void> { co_await leads(core, member); });
  const std::string path = "/data/quorum.vote";
  const storage::Bytes whole = *host_.disk().read_file(path);
  ASSERT_TRUE(host_.disk().flip_bit(path, 40, 3));
  ASSERT_TRUE(host_.disk().flip_bit(path, 4096 + 40, 3));
  EXPECT_NE(refusal().find(path), std::string::npos) << problem_;
  host_.disk().write_file(path, whole);
  options_.self.directory.low = 7;
  EXPECT_NE(refusal().find("another data folder"), std::string::npos) << problem_;
  options_.self = key(1);
  run([](Core& core, Member& member) -> Task<void> { co_await leads(core, member); });
}

TEST_F(DriverTest, AVoteFileThatIsGoneIsMadeAnewOnlyWhereNobodyElseVotes) {
  run([](Core& core, Member& member) -> Task<void> { co_await leads(core, member); });
  const auto lose_vote = [this] {
    reactor::simulated::Disk left;
    for (const std::string& path : host_.disk().all_files()) {
      if (!path.ends_with("quorum.vote")) left.write_file(path, *host_.disk().read_file(path));
    }
    host_.disk() = std::move(left);
  };
  lose_vote();
  run([](Core& core, Member& member) -> Task<void> {
    co_await leads(core, member);
    EXPECT_EQ(member.user.role.epoch, 2);
    // It gets a voter beside it, which then is silent.
    const LogPosition end = member.driver.quorum().log().end();
    member.driver.received(2, {FetchRequest{.epoch = 2, .replica = key(2), .end = end}, {}});
    const Driver::Changed changed = co_await member.driver.add_voter(key(2));
    EXPECT_EQ(changed.refusal, Refusal::kNone);
    EXPECT_EQ(changed.result.error(), Errc::kCancelled);
  });
  lose_vote();
  EXPECT_NE(refusal().find("quorum.vote is missing"), std::string::npos) << problem_;
}

TEST_F(DriverTest, AFullDiskRefusesAnAppendAndNothingElse) {
  host_.disk().options().capacity_bytes = uint64_t{4} << 20;
  engine_options_.journal_files = 4;
  run([](Core& core, Member& member) -> Task<void> {
    co_await leads(core, member);
    const std::string large(200'000, 'x');
    Errc error{};
    for (int i = 0; i < 100 && error == Errc{}; ++i) {
      const Offset end = member.log.end_offset();
      const Driver::Appended appended = co_await append(core, member, large);
      if (appended.result) continue;
      error = appended.result.error();
      EXPECT_EQ(appended.base_offset, kNoOffset);
      EXPECT_EQ(member.log.end_offset(), end);
    }
    EXPECT_EQ(error, Errc::kNoSpace);
    EXPECT_FALSE(member.driver.has_failed());
    EXPECT_EQ(member.driver.quorum().role(), Role::kLeader);
  });
  host_.disk().options().capacity_bytes = uint64_t{400} << 20;
  run([](Core& core, Member& member) -> Task<void> {
    co_await leads(core, member);
    EXPECT_TRUE((co_await append(core, member, "small")).result.has_value());
  });
}

TEST_F(DriverTest, AVoteThatCannotBeWrittenEndsTheMember) {
  start([this](Core& core, Member& member) -> Task<void> {
    host_.disk().add_fault({.kind = reactor::OpKind::kWrite, .path_contains = "quorum.vote", .error = Errc::kIoError});
    co_await until(core, [&] { return member.driver.has_failed(); });
    EXPECT_EQ(member.user.failure, Errc::kIoError);
    EXPECT_NE(member.user.role.role, Role::kLeader);
    const Driver::Appended appended = co_await append(core, member, "a");
    EXPECT_EQ(appended.result.error(), Errc::kDamaged);
  });
}

// --- One of three ----------------------------------------------------------------------------------------------------

class OneOfThree : public DriverTest {
 protected:
  OneOfThree() { options_.first_voters = three(); }
  // 2 leads in `epoch`.
  static void follow(Member& member, Epoch epoch) {
    member.driver.received(2, {BeginEpochRequest{.epoch = epoch, .leader = 2}, {}});
  }
  static FetchResponse answer(Member& member, Epoch epoch, Offset high_watermark = kNoOffset) {
    return {
        .epoch = epoch, .leader = 2, .fetched = member.driver.quorum().log().end(), .high_watermark = high_watermark};
  }
  // It leads in epoch 1: 2 has voted for it.
  static Task<void> elect(Core& core, Member& member) {
    co_await core.sleep(2500ms);
    member.driver.received(2, {VoteResponse{.voter = key(2), .is_pre_vote = true, .is_granted = true}, {}});
    co_await core.sleep(20ms);
    member.driver.received(2, {VoteResponse{.epoch = 1, .voter = key(2), .asked_epoch = 1, .is_granted = true}, {}});
    co_await until(core, [&] { return member.user.role.role == Role::kLeader; });
  }
  static const FetchRequest* fetch_of(Member& member) { return member.transport.last<FetchRequest>(); }
  // Two batches of the leader's, committed.
  static Task<void> fill(Core& core, Member& member) {
    follow(member, 3);
    member.driver.received(2, {answer(member, 3, 1), batch_of("a", 0, 3)});
    member.driver.received(2, {answer(member, 3), batch_of("b", 1, 3)});
    co_await until(core, [&] { return fetch_of(member) != nullptr && fetch_of(member)->end.offset == 2; });
  }
};

TEST_F(OneOfThree, AFetchSaysOnlyWhatIsDurable) {
  run([this](Core& core, Member& member) -> Task<void> {
    follow(member, 3);
    co_await until(core, [&] { return fetch_of(member) != nullptr; });
    host_.slow_disk(100);
    member.driver.received(2, {answer(member, 3), batch_of("a", 0, 3)});
    EXPECT_EQ(member.driver.quorum().log().end_offset(), 1);
    while (member.log.durable_offset() < 1) {
      EXPECT_EQ(fetch_of(member)->end.offset, 0);
      co_await core.sleep(100us);
    }
    co_await until(core, [&] { return fetch_of(member)->end.offset == 1; });
    EXPECT_EQ(co_await values(member), Values{"a"});
  });
}

TEST_F(OneOfThree, DamagedBatchesAreNotTaken) {
  run([](Core& core, Member& member) -> Task<void> {
    follow(member, 3);
    storage::Bytes rotten = batch_of("a", 0, 3);
    rotten.back() ^= std::byte{1};
    member.driver.received(2, {answer(member, 3), rotten});
    rotten.resize(20);
    member.driver.received(2, {answer(member, 3), rotten});
    co_await core.sleep(10ms);
    EXPECT_EQ(member.log.end_offset(), 0);
    EXPECT_EQ(member.driver.quorum().log().end_offset(), 0);
  });
}

// What is committed is told when it is there; a cut leaves what is committed and lets the new leader's records follow.
TEST_F(OneOfThree, ALogIsCutAndGoesOnUnderAnotherLeader) {
  run([this](Core& core, Member& member) -> Task<void> {
    co_await fill(core, member);
    EXPECT_EQ(member.user.high_watermark, 1);
    member.driver.received(3, {BeginEpochRequest{.epoch = 4, .leader = 3}, {}});
    co_await until(core, [&] { return fetch_of(member)->epoch == 4; });
    FetchResponse diverging = answer(member, 4);
    diverging.leader = 3;
    diverging.diverging = LogPosition{.offset = 1, .epoch = 3};
    host_.slow_disk(5);
    member.driver.received(3, {diverging, {}});
    // The cut is on its way; what comes for behind it waits, and counts for nothing yet.
    FetchResponse next = answer(member, 4, 2);
    next.leader = 3;
    member.driver.received(3, {next, batch_of("c", 1, 4)});
    EXPECT_EQ(member.driver.quorum().high_watermark(), 2);
    EXPECT_EQ(member.user.high_watermark, 1);
    co_await until(core, [&] { return member.user.high_watermark == 2; });
    EXPECT_EQ(co_await values(member), (Values{"a", "c"}));
    EXPECT_EQ(member.log.epochs().epoch_for(1), 4);
  });
  run([](Core&, Member& member) -> Task<void> {
    EXPECT_EQ(co_await values(member), (Values{"a", "c"}));
    EXPECT_EQ(member.driver.quorum().log().end(), (LogPosition{.offset = 2, .epoch = 4}));
  });
}

// The log knows an epoch of which no record came: a leader that never had it may go on under an older one.
TEST_F(OneOfThree, AnEpochThatWroteNothingIsInNobodysWay) {
  run([](Core& core, Member& member) -> Task<void> {
    co_await fill(core, member);
    member.log.start_epoch(7);
    member.driver.received(2, {answer(member, 3, 3), batch_of("c", 2, 3)});
    co_await until(core, [&] { return member.user.high_watermark == 3; });
    EXPECT_EQ(co_await values(member), (Values{"a", "b", "c"}));
    EXPECT_EQ(member.log.epochs().latest()->epoch, 3);
  });
}

TEST_F(OneOfThree, ALeaderThatGoesLeavesAnAppendInDoubt) {
  run([](Core& core, Member& member) -> Task<void> {
    co_await elect(core, member);
    // Nobody fetches: it is not committed, and after a while this one leads no more.
    const Driver::Appended appended = co_await append(core, member, "a");
    EXPECT_EQ(appended.base_offset, 2);
    EXPECT_EQ(appended.result.error(), Errc::kCancelled);
    const Driver::Appended refused = co_await append(core, member, "b");
    EXPECT_EQ(refused.base_offset, kNoOffset);
    EXPECT_EQ(refused.result.error(), Errc::kNotFound);
  });
}

// More than one waits for the same, and none of them takes the core for itself.
TEST_F(OneOfThree, AppendsBeyondWhatMayBeUncommittedWaitAndAreRefusedInTime) {
  run([](Core& core, Member& member) -> Task<void> {
    co_await elect(core, member);
    storage::RecordBatchBuilder many({});
    for (Offset i = 0; i < kUncommittedMax; ++i) many.add({.timestamp = 1, .value = storage::bytes_of("x")});
    reactor::TaskScope scope(core);
    size_t ended = 0;
    const auto one = [&](storage::Bytes batch, Errc expected) -> Task<void> {
      const Driver::Appended appended = co_await member.driver.append(std::move(batch), core.now() + 500ms);
      EXPECT_EQ(appended.result.error(), expected);
      ++ended;
    };
    const auto began = core.now();
    scope.spawn_job(one(many.finish(), Errc::kCancelled));  // in the log, and never committed
    co_await core.sleep(10ms);
    const uint64_t turns = core.stats().turns;
    for (int i = 0; i < 3; ++i) scope.spawn_job(one(batch_of("y"), Errc::kNoMemory));
    co_await until(core, [&] { return ended == 3; });
    EXPECT_LT(core.stats().turns - turns, 20'000U);
    EXPECT_GE(core.now() - began, 500ms);
    co_await scope.join();
  });
}

// The record that begins an epoch is Kafka's: who leads, who may vote, who has.
TEST_F(OneOfThree, ALeaderSendsItsLogAsItIsStored) {
  run([](Core& core, Member& member) -> Task<void> {
    co_await elect(core, member);
    member.driver.received(2, {FetchRequest{.epoch = 1, .replica = key(2)}, {}});
    co_await until(core, [&] { return member.transport.last<FetchResponse>() != nullptr; });
    const auto batches = describe_all(member.transport.sent.back().message.payload);
    EXPECT_TRUE(batches.has_value());
    EXPECT_EQ(batches->size(), 2U);
    if (batches->size() != 2) co_return;
    EXPECT_EQ((*batches)[0].kind, BatchKind::kLeaderChange);
    EXPECT_EQ((*batches)[0].epoch, 1);
    EXPECT_EQ((*batches)[1].kind, BatchKind::kVoters);
    EXPECT_EQ((*batches)[1].voters, three());
    // 2 has them: they are committed.
    member.driver.received(2, {FetchRequest{.epoch = 1, .replica = key(2), .end = {.offset = 2, .epoch = 1}}, {}});
    co_await until(core, [&] { return member.user.high_watermark == 2; });
  });
}

// --- Snapshots -------------------------------------------------------------------------------------------------------

class DriverSnapshotTest : public OneOfThree {
 protected:
  // The machine loses power at each operation of an installation over a log that ends at `before`; a start finds
  // either. How many starts had to end what was begun.
  int installation_is_ended(Offset before) {
    const reactor::simulated::Disk disk = host_.disk();
    int ended = 0;
    for (uint64_t operations = 1; operations < 200; ++operations) {
      host_.disk() = disk;
      bool is_over = false;
      start([&](Core& core, Member& member) -> Task<void> {
        host_.crash_after_operations(host_.operations_submitted() + operations);
        co_await offer(core, member);
        is_over = true;
      });
      run([&](Core& core, Member& member) -> Task<void> {
        const Offset end = member.driver.quorum().log().end_offset();
        EXPECT_TRUE(end == before || end == 9) << end;
        EXPECT_EQ(member.log.end_offset(), end);
        ended += end == 9 && !is_over ? 1 : 0;
        follow(member, 3);
        co_await until(core, [&] { return fetch_of(member) != nullptr && fetch_of(member)->epoch == 3; });
        EXPECT_EQ(fetch_of(member)->end.offset, end);
      });
      if (is_over) return ended;
    }
    ADD_FAILURE() << "it takes too many operations";
    return ended;
  }
  // A leader's snapshot of offset 9, in pieces.
  static Task<void> offer(Core& core, Member& member) {
    testing::FileSnapshots leaders(core, "/leader");
    static_cast<void>(co_await reactor::file_system::make_directory(core, "/leader"));
    const std::string state(350, 's');
    const SnapshotId id{.offset = 9, .epoch = 2};
    EXPECT_TRUE((co_await leaders.write(id, three(), storage::bytes_of(state))).has_value());
    follow(member, 3);
    FetchResponse behind = answer(member, 3);
    behind.snapshot = id;
    member.driver.received(2, {behind, {}});
    size_t answered = 0;
    while (member.user.installed.empty()) {
      const auto* asked = member.transport.last<FetchSnapshotRequest>();
      if (asked == nullptr || member.transport.sent.size() == answered) {
        co_await core.sleep(100us);
        continue;
      }
      answered = member.transport.sent.size();
      const auto piece = co_await leaders.read(id, asked->position);
      member.driver.received(
          2,
          {FetchSnapshotResponse{.epoch = 3, .leader = 2, .id = id, .position = asked->position, .size = piece->size},
           piece->bytes});
    }
  }
};

TEST_F(DriverSnapshotTest, ALeadersSnapshotStandsForAllBeforeIt) {
  run([](Core& core, Member& member) -> Task<void> {
    co_await fill(core, member);
    member.transport.sent.clear();
    co_await offer(core, member);
    EXPECT_EQ(member.log.log_start_offset(), 9);
    EXPECT_EQ(member.log.end_offset(), 9);
    EXPECT_EQ(member.user.high_watermark, 9);
    EXPECT_EQ(member.driver.quorum().voters(), three());
    member.driver.received(2, {answer(member, 3, 10), batch_of("j", 9, 3)});
    co_await until(core, [&] { return member.user.high_watermark == 10; });
  });
  run([](Core&, Member& member) -> Task<void> {
    EXPECT_EQ(co_await values(member), Values{"j"});
    EXPECT_EQ(member.user.high_watermark, 9);
    EXPECT_EQ(member.driver.quorum().log().snapshot(), (SnapshotId{.offset = 9, .epoch = 2}));
  });
}

TEST_F(DriverSnapshotTest, AnInstallationThatIsCutShortIsEndedByTheNextStart) {
  run([](Core& core, Member& member) -> Task<void> { co_await fill(core, member); });
  EXPECT_GT(installation_is_ended(2), 0);
}

// The log is longer than the snapshot, and of a leader that lost.
TEST_F(DriverSnapshotTest, AnInstallationOverALongerLogIsEndedToo) {
  run([](Core& core, Member& member) -> Task<void> {
    follow(member, 1);
    storage::Bytes batches;
    for (Offset offset = 0; offset < 12; ++offset) {
      const storage::Bytes next = batch_of("lost", offset, 1);
      batches.insert(batches.end(), next.begin(), next.end());
    }
    member.driver.received(2, {answer(member, 1), batches});
    co_await until(core, [&] { return member.log.durable_offset() == 12; });
  });
  EXPECT_GT(installation_is_ended(12), 0);
}

TEST_F(DriverSnapshotTest, ALoneVotersLogThatItsSnapshotDoesNotReachIsRefused) {
  options_.first_voters = VoterSet({key(1)});
  run([](Core& core, Member& member) -> Task<void> {
    co_await leads(core, member);
    EXPECT_TRUE((co_await member.snapshots.write({.offset = 9, .epoch = 1}, VoterSet({key(1)}), {})).has_value());
  });
  EXPECT_NE(refusal().find("records are missing"), std::string::npos) << problem_;
}

TEST_F(DriverSnapshotTest, ASnapshotLetsTheLogBeforeItGo) {
  options_.first_voters = VoterSet({key(1)});
  run([](Core& core, Member& member) -> Task<void> {
    co_await leads(core, member);
    for (int i = 0; i < 5; ++i) EXPECT_TRUE((co_await append(core, member, "x")).result.has_value());
    const SnapshotId id{.offset = member.user.high_watermark, .epoch = 1};
    const VoterSet voters = member.driver.quorum().voters_at(id.offset);
    EXPECT_TRUE((co_await member.snapshots.write(id, voters, {})).has_value());
    member.driver.snapshot_written(id);
    co_await until(core, [&] { return member.log.log_start_offset() == id.offset; });
  });
  run([](Core& core, Member& member) -> Task<void> {
    co_await leads(core, member);
    EXPECT_EQ(member.log.log_start_offset(), 7);
    EXPECT_EQ(member.driver.quorum().voters(), VoterSet({key(1)}));
    EXPECT_TRUE((co_await append(core, member, "y")).result.has_value());
  });
}

}  // namespace
}  // namespace posthaste::replication::quorum
