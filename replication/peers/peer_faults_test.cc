// A connection to a broker in the simulator, when machines and what lies between them fail: who hears of what, how
// soon, and that nothing is left behind.
#include <set>

#include "replication/peers/testing/peer_fixture.h"

namespace posthaste::replication::peers {
namespace {

using namespace std::chrono_literals;
using reactor::simulated::Random;
using reactor::simulated::WorldOptions;

using PeerFaultsTest = PeerFixture;

// Its machine answers that nobody listens: so its process is gone, and the owner may act on that.
TEST_F(PeerFaultsTest, AProcessThatDiesIsKnownToBeGoneAtOnce) {
  begin();
  ASSERT_TRUE(connect());
  world_->run_for(2s);
  const reactor::Duration before = world_->elapsed();
  server_->kill();
  ASSERT_TRUE(until([this] { return losses_.size() == 2; }));
  EXPECT_LT(world_->elapsed() - before, 5ms);
  EXPECT_EQ(kinds(), (std::vector{LossKind::kClosed, LossKind::kRefused}));
  server_->start();
  ASSERT_TRUE(until([this] { return connects_ == 2; }, 2s));
  stop();
}

TEST_F(PeerFaultsTest, AMachineThatIsGoneIsUnreachableAndNotRefused) {
  begin();
  ASSERT_TRUE(connect());
  server_->power_off();
  ask(1, 1s);
  ASSERT_TRUE(until([this] { return losses_.size() == 2; }));
  EXPECT_EQ(outcomes_.at(0).none, NoAnswer::kTimedOut);
  EXPECT_EQ(kinds(), (std::vector{LossKind::kSilent, LossKind::kUnreachable}));
  stop();
}

TEST_F(PeerFaultsTest, AClogDelaysAndALongOneEndsTheConnection) {
  begin();
  ASSERT_TRUE(connect());
  world_->network().clog(*server_, *client_, 500ms);
  ask(3, 1s);
  ASSERT_TRUE(until([this] { return all_heard(); }));
  EXPECT_EQ(outcomes_with(std::nullopt), 3U);
  EXPECT_EQ(losses_.size(), 0U);
  world_->network().clog(*server_, *client_, 10s);
  ask(3, 1s);
  ASSERT_TRUE(until([this] { return losses_.size() == 1; }));
  EXPECT_EQ(losses_.front().kind, LossKind::kSilent);
  EXPECT_EQ(outcomes_with(NoAnswer::kTimedOut), 3U);
  ASSERT_TRUE(until([this] { return connects_ == 2; }));
  stop();
}

// One direction only, in turn: what is asked does not arrive, what is answered does not.
TEST_F(PeerFaultsTest, OneWayLossIsHeardOfByEachWhoAsks) {
  for (const bool is_asking_blocked : {true, false}) {
    begin();
    ASSERT_TRUE(connect());
    auto& from = is_asking_blocked ? *client_ : *server_;
    auto& to = is_asking_blocked ? *server_ : *client_;
    world_->network().block(from, to);
    ask(4, 500ms);
    ASSERT_TRUE(until([this] { return all_heard(); }, 600ms));
    EXPECT_EQ(outcomes_with(NoAnswer::kTimedOut), 4U);
    ASSERT_TRUE(until([this] { return losses_.size() >= 2; }));
    EXPECT_EQ(losses_[0].kind, LossKind::kSilent);
    EXPECT_EQ(losses_[1].kind, LossKind::kUnreachable);
    world_->network().heal();
    ASSERT_TRUE(until([this] { return connects_ == 2; }, 3s));
    const size_t requests = fake_.requests;
    ask(4);
    ASSERT_TRUE(until([this] { return all_heard(); }));
    EXPECT_EQ(fake_.requests, requests + 4) << "nothing is sent again";
    stop();
    forget();
    client_->kill();
  }
}

TEST_F(PeerFaultsTest, ALargeAnswerOverASlowLinkIsWaitedFor) {
  begin();
  ASSERT_TRUE(connect());
  world_->network().set_link(*server_, *client_, {.bytes_per_ms = 30});
  fake_.answer = [](const FakePeer::Request& request) {
    std::vector<std::byte> answer = vote_answer(request.correlation_id, 5);
    answer.resize(300'000);  // what stands behind a message is ignored
    storage::store_be<int32_t>(answer.data(), static_cast<int32_t>(answer.size() - 4));
    return answer;
  };
  ask(1, kWhileConnected);
  ASSERT_TRUE(until([this] { return all_heard(); }, 25s));
  EXPECT_EQ(outcomes_.back().epoch, 5);
  EXPECT_GE(outcomes_.back().took, 9s);
  EXPECT_EQ(losses_.size(), 0U);
  stop();
}

TEST_F(PeerFaultsTest, AResetIsHeardOfOnceByTheOwnerAndByEachWhoAsks) {
  fake_.answers_after = 100ms;
  begin();
  ASSERT_TRUE(connect());
  ask(10);
  world_->run_for(1ms);
  world_->network().reset_connections(*server_);
  ASSERT_TRUE(until([this] { return all_heard(); }, 1ms));
  EXPECT_EQ(outcomes_with(NoAnswer::kLost), 10U);
  EXPECT_EQ(kinds(), std::vector{LossKind::kClosed});
  EXPECT_EQ(outcomes_before_loss_, 0U);
  ASSERT_TRUE(until([this] { return connects_ == 2; }));
  stop();
}

// Attempts come more and more rarely, and not in step.
TEST_F(PeerFaultsTest, AttemptsBackOff) {
  begin(false);
  world_->run_for(1s);
  const size_t in_first = losses_.size();
  EXPECT_GE(in_first, 4U);
  EXPECT_LE(in_first, 8U);
  world_->run_for(20s);
  const size_t in_later = losses_.size() - in_first;
  std::set<reactor::Duration> gaps;
  for (size_t i = in_first + 1; i < losses_.size(); ++i) gaps.insert(lost_at_[i] - lost_at_[i - 1]);
  EXPECT_GE(*gaps.begin(), 500ms);
  EXPECT_LE(*gaps.rbegin(), 1001ms);
  EXPECT_GE(*gaps.rbegin() - *gaps.begin(), 200ms);
  EXPECT_GE(in_later, 20U);
  EXPECT_LE(in_later, 40U);
  stop();
}

TEST_F(PeerFaultsTest, ThousandsOfReconnectsLeaveNothingBehind) {
  options_.times.retry_min = options_.times.retry_max = 1ms;
  begin();
  for (size_t i = 1; i <= 3000; ++i) {
    ASSERT_TRUE(until([this, i] { return connects_ == i && fake_.open == 1; })) << i;
    ask(3);
    if (i % 3 != 0) {
      ASSERT_TRUE(until([this] { return all_heard(); }));
    }
    ASSERT_LE(world_->network().open_endpoints(), 3U) << "a listener, two ends";
    world_->network().reset_connections(i % 2 == 0 ? *server_ : *client_);
    ASSERT_TRUE(until([this] { return all_heard(); }));
  }
  EXPECT_EQ(losses_.size(), 3000U);
  stop();
}

TEST_F(PeerFaultsTest, CloseEndsEverythingAtOnceWhereverItStands) {
  enum class At : uint8_t { kResolving, kConnecting, kShakingHands, kAsking, kWaitingToRetry };
  for (const At at : {At::kResolving, At::kConnecting, At::kShakingHands, At::kAsking, At::kWaitingToRetry}) {
    peer_.address = at == At::kResolving ? "broker:9092" : at == At::kConnecting ? "10.9.9.9:9092" : "10.0.0.1:9092";
    fake_.answers_handshake = at != At::kShakingHands;
    fake_.answer = [](const FakePeer::Request&) { return std::nullopt; };
    begin(at != At::kWaitingToRetry);
    world_->names().silence("broker");
    world_->run_for(at == At::kWaitingToRetry ? 5s : 500ms);
    if (at == At::kAsking) ask(10, 3s);
    world_->run_for(10ms);
    stop();
    EXPECT_EQ(outcomes_with(NoAnswer::kLost), at == At::kAsking ? 10U : 0U);
    EXPECT_EQ(losses_.empty(), at != At::kWaitingToRetry) << "nobody is told of the end that was asked for";
    forget();
  }
}

// Any faults, any answers, any moment: each request is heard of once, what is under way is within its limits, and when
// all heals there is a connection again.
TEST_F(PeerFaultsTest, WhateverHappensEachRequestIsHeardOfOnce) {
  std::set<std::optional<NoAnswer>> seen;
  std::set<LossKind> lost;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    WorldOptions world = WorldOptions::swarm(seed);
    options_.limits.requests_max = 4;
    options_.limits.unsent_bytes_max = 30'000;
    begin(true, world, seed);
    Random random(seed);
    fake_.answer = [&random](const FakePeer::Request& request) -> std::optional<std::vector<std::byte>> {
      const uint64_t kind = random.below(60);
      if (kind == 0) return std::nullopt;
      if (kind == 1) return vote_answer(request.correlation_id + 1, 0);
      if (kind == 2) return std::vector<std::byte>(random.below(40), std::byte{9});
      return vote_answer(request.correlation_id, static_cast<int32_t>(request.number));
    };
    for (int i = 0; i < 150; ++i) {
      const auto pause = reactor::Duration(random.between(0, 200'000'000));
      world_->run_for(pause);
      if (connection_ == nullptr) continue;
      ask(random.below(4), reactor::Duration(random.between(0, 1'000'000'000)), random.below(20) == 0 ? 20'000 : 0);
      const uint64_t fault = random.below(60);
      auto& network = world_->network();
      if (fault == 0) network.block(*server_, *client_);
      if (fault == 1) network.block(*client_, *server_);
      if (fault == 2) network.clog(*server_, *client_, 2s);
      if (fault < 10 && fault > 5) network.heal();
      if (fault == 10) network.reset_connections(*server_);
      if (fault == 11) network.forget_connections(*server_, *client_);
      if (fault == 12 && server_->running()) server_->kill();
      if (fault == 13 && server_->running()) server_->pause_machine(3s);
      if (fault > 55 && !server_->running()) server_->start();
      ASSERT_LE(connection_->requests(), 4U);
      ASSERT_LE(connection_->unsent_bytes(), 30'000U);
    }
    world_->network().heal();
    if (!server_->running()) server_->start();
    ASSERT_TRUE(until([this] { return all_heard() && connection_->is_connected(); })) << "seed " << seed;
    stop();
    for (const Outcome& outcome : outcomes_) seen.insert(outcome.none);
    for (const Loss& loss : losses_) lost.insert(loss.kind);
    forget();
  }
  EXPECT_EQ(seen.size(), 5U) << "an answer, and every reason for none but one that does not parse";
  EXPECT_TRUE(lost.contains(LossKind::kRefused) && lost.contains(LossKind::kUnreachable) &&
              lost.contains(LossKind::kClosed) && lost.contains(LossKind::kSilent) &&
              lost.contains(LossKind::kMalformed));
}

}  // namespace
}  // namespace posthaste::replication::peers
