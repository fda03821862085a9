// A connection to a broker in the simulator: the order of answers, limits, versions, clusters, and every way in which
// the other side can be wrong, slow or gone.
#include "replication/peers/peer_connection.h"

#include "replication/peers/testing/peer_fixture.h"

namespace posthaste::replication::peers {
namespace {

using namespace std::chrono_literals;
using net::kafka::ApiKey;
using reactor::simulated::WorldOptions;

class PeerConnectionTest : public PeerFixture {
 protected:
  // Every answer is these bytes.
  void answer_with(std::vector<std::byte> bytes) {
    fake_.answer = [bytes = std::move(bytes)](const FakePeer::Request&) { return bytes; };
  }
  void expect_refused_peer(LossKind kind, std::string_view words) {
    begin();
    ASSERT_TRUE(until([this] { return !losses_.empty(); }));
    EXPECT_EQ(losses_.front().kind, kind);
    EXPECT_NE(losses_.front().detail.find(words), std::string::npos) << losses_.front().detail;
    world_->run_for(2s);
    EXPECT_EQ(losses_.size(), 1U) << "it is not asked again at once";
    EXPECT_EQ(connects_, 0U);
    EXPECT_EQ(fake_.open, 0U);
    ask(1);
    ASSERT_TRUE(until([this] { return all_heard(); }));
    EXPECT_EQ(outcomes_.front().none, NoAnswer::kNotConnected);
    stop();
  }
};

TEST_F(PeerConnectionTest, RequestsAreSentBesideEachOtherAndAnsweredInTheirOrder) {
  begin();
  ASSERT_TRUE(connect());
  fake_.answers_after = 1ms;
  ask(20);
  ASSERT_TRUE(until([this] { return all_heard(); }));
  for (size_t i = 0; i < outcomes_.size(); ++i) {
    EXPECT_EQ(outcomes_[i].request, i);
    EXPECT_EQ(outcomes_[i].epoch, static_cast<int32_t>(i));
  }
  EXPECT_LT(outcomes_.front().took, 3ms) << "the first one did not wait for the others";
  EXPECT_EQ(connection_->requests(), 0U);
  EXPECT_EQ(connection_->unsent_bytes(), 0U);
  stop();
  EXPECT_EQ(losses_.size(), 0U);
}

TEST_F(PeerConnectionTest, ANameIsLookedUpForEachAttempt) {
  peer_.address = "broker:9092";
  begin();
  ASSERT_TRUE(until([this] { return !losses_.empty(); }));
  EXPECT_EQ(losses_.front().kind, LossKind::kUnknownName);
  world_->names().set("broker", {"10.0.0.7", "10.0.0.1"});  // at the first one nobody answers
  ASSERT_TRUE(connect());
  world_->names().set("broker", {"10.0.0.1"});
  world_->network().reset_connections(*server_);
  ASSERT_TRUE(until([this] { return connects_ == 2; }));
  stop();
}

TEST_F(PeerConnectionTest, AResolverThatKeepsSilentIsNotWaitedForLong) {
  peer_.address = "broker:9092";
  begin();
  world_->names().silence("broker");
  ASSERT_TRUE(until([this] { return !losses_.empty(); }, 3s));
  EXPECT_EQ(losses_.front().kind, LossKind::kUnknownName);
  stop();
}

TEST_F(PeerConnectionTest, ABrokerWithoutAnApiIsRefusedByItsName) {
  std::erase_if(fake_.lists, [](const auto& api) { return api.api_key == ApiKey::kVote; });
  expect_refused_peer(LossKind::kUnsupported,
                      "it does not serve Vote version 2; is it one of controller.listener.names");
}

TEST_F(PeerConnectionTest, ABrokerOfAnOlderReleaseIsRefusedWithItsVersions) {
  fake_.lists.back().max_version = 1;
  expect_refused_peer(LossKind::kUnsupported, "it does not serve Vote version 2, but 0 to 1");
}

TEST_F(PeerConnectionTest, ABrokerOfALaterReleaseIsRefusedWithItsVersions) {
  fake_.lists.back().min_version = 3;
  fake_.lists.back().max_version = 4;
  expect_refused_peer(LossKind::kUnsupported, "it does not serve Vote version 2, but 3 to 4");
}

TEST_F(PeerConnectionTest, ABrokerOfAnotherClusterIsRefusedWithBothIds) {
  fake_.cluster_id = "d\n";
  expect_refused_peer(LossKind::kOtherCluster, "it is of cluster d?, this broker of c;");
}

TEST_F(PeerConnectionTest, AClusterThatIsNotKnownYetIsNotCompared) {
  fake_.cluster_id = "";
  begin();
  ASSERT_TRUE(connect());
  stop();
}

TEST_F(PeerConnectionTest, ABrokerThatDoesNotTellItsClusterIsTaken) {
  std::erase_if(fake_.lists, [](const auto& api) { return api.api_key == ApiKey::kDescribeCluster; });
  fake_.cluster_id = "d";
  begin();
  ASSERT_TRUE(connect());
  stop();
}

TEST_F(PeerConnectionTest, APeerThatDoesNotShakeHandsIsGivenUp) {
  fake_.answers_handshake = false;
  begin();
  ASSERT_TRUE(until([this] { return !losses_.empty(); }));
  EXPECT_EQ(losses_.front().kind, LossKind::kSilent);
  EXPECT_NE(losses_.front().detail.find("does not answer ApiVersions"), std::string::npos);
  EXPECT_LT(world_->elapsed(), 1100ms);
  stop();
}

// The place of a request that has timed out stays taken until its answer comes, and that is thrown away.
TEST_F(PeerConnectionTest, AnAnswerThatComesTooLateIsThrownAway) {
  begin();
  ASSERT_TRUE(connect());
  fake_.answers_after = 300ms;
  ask(1, 100ms);
  ASSERT_TRUE(until([this] { return all_heard(); }));
  EXPECT_EQ(outcomes_.back().none, NoAnswer::kTimedOut);
  EXPECT_GE(outcomes_.back().took, 100ms);
  EXPECT_LT(outcomes_.back().took, 101ms);
  EXPECT_EQ(connection_->requests(), 1U);
  ask(1, 1s);
  ASSERT_TRUE(until([this] { return all_heard(); }));
  EXPECT_EQ(outcomes_.back().epoch, 1) << "its own answer";
  EXPECT_EQ(connection_->requests(), 0U);
  EXPECT_EQ(losses_.size(), 0U);
  stop();
}

TEST_F(PeerConnectionTest, APeerThatNeverAnswersLosesTheConnection) {
  fake_.answer = [](const FakePeer::Request&) { return std::nullopt; };
  begin();
  ASSERT_TRUE(connect());
  const reactor::Instant begin = core_->fresh_now();
  ask(1, 1s);
  world_->run_for(2s);
  ask(1, options_.limits.silence_max);
  ASSERT_TRUE(until([this] { return all_heard(); }));
  EXPECT_EQ(outcomes_[0].none, NoAnswer::kTimedOut);
  EXPECT_EQ(outcomes_[1].none, NoAnswer::kLost);
  EXPECT_EQ(kinds(), std::vector{LossKind::kSilent});
  EXPECT_EQ(outcomes_before_loss_, 1U) << "the owner hears of it first";
  EXPECT_GE(lost_at_.back() - begin, options_.limits.silence_max);
  EXPECT_LT(lost_at_.back() - begin, options_.limits.silence_max + 10ms);
  ASSERT_TRUE(until([this] { return connects_ == 2; }));
  world_->run_for(10s);
  EXPECT_EQ(connects_, 2U) << "nothing is owed, so silence is no fault";
  stop();
}

// Each answer that is completed shows that it is alive, however long the others have waited.
TEST_F(PeerConnectionTest, APeerThatAnswersSlowlyKeepsTheConnection) {
  fake_.answers_after = 1500ms;
  begin();
  ASSERT_TRUE(connect());
  ask(6, 4s);
  ASSERT_TRUE(until([this] { return all_heard() && connection_->requests() == 0; }));
  EXPECT_EQ(outcomes_with(std::nullopt), 2U);
  EXPECT_EQ(outcomes_with(NoAnswer::kTimedOut), 4U);
  EXPECT_EQ(losses_.size(), 0U);
  stop();
}

TEST_F(PeerConnectionTest, AnAnswerPieceByPieceIsNoAnswer) {
  begin();
  ASSERT_TRUE(connect());
  std::vector<std::byte> half = vote_answer(3, 0);  // the third request of a connection, behind the handshake
  half.resize(half.size() - 3);
  fake_.answer = [&](const FakePeer::Request& request) {
    return request.number == 0 ? half : std::vector<std::byte>(1, std::byte{0});
  };
  for (int i = 0; i < 3; ++i) {
    ask(1, 4s);
    world_->run_for(1900ms);
  }
  ASSERT_TRUE(until([this] { return all_heard(); }));
  EXPECT_EQ(kinds(), std::vector{LossKind::kSilent});
  stop();
}

TEST_F(PeerConnectionTest, GarbageEndsTheConnection) {
  begin();
  std::vector<std::byte> long_answer = vote_answer(3, 0);
  storage::store_be<int32_t>(long_answer.data(), static_cast<int32_t>(options_.limits.answer_bytes_max + 1));
  std::vector<std::byte> negative = vote_answer(3, 0);
  storage::store_be<int32_t>(negative.data(), -1);
  std::vector<std::byte> without_id = vote_answer(3, 0);
  storage::store_be<int32_t>(without_id.data(), 3);
  const std::vector<std::pair<std::vector<std::byte>, std::string>> cases = {
      {vote_answer(2, 0), "an answer with id 2 where 3 is due"},
      {long_answer, "where at most"},
      {negative, "where at most"},
      {without_id, "an answer of 3 bytes"},
      {std::vector<std::byte>(1000, std::byte{0xAB}), "an answer with id"},
  };
  for (const auto& [bytes, words] : cases) {
    ASSERT_TRUE(connect());
    losses_.clear();
    answer_with(bytes);
    ask(2);
    ASSERT_TRUE(until([this] { return all_heard() && !losses_.empty(); }));
    EXPECT_EQ(losses_.front().kind, LossKind::kMalformed);
    EXPECT_NE(losses_.front().detail.find(words), std::string::npos) << losses_.front().detail;
  }
  EXPECT_EQ(outcomes_with(NoAnswer::kLost), 2 * cases.size());
  stop();
}

TEST_F(PeerConnectionTest, AnAnswerToNothingEndsTheConnection) {
  begin();
  ASSERT_TRUE(connect());
  fake_.answer = [](const FakePeer::Request& request) {
    std::vector<std::byte> twice = vote_answer(request.correlation_id, 0);
    const std::vector<std::byte> again = twice;
    twice.insert(twice.end(), again.begin(), again.end());
    return twice;
  };
  ask(1);
  ASSERT_TRUE(until([this] { return all_heard() && !losses_.empty(); }));
  EXPECT_EQ(outcomes_.front().epoch, 0) << "the first one counts";
  EXPECT_EQ(losses_.front().detail, "an answer to nothing");
  stop();
}

// What its frame says is the protocol; what is in it is the asker's business.
TEST_F(PeerConnectionTest, AnAnswerThatDoesNotParseIsTheAskersAlone) {
  begin();
  ASSERT_TRUE(connect());
  fake_.answer = [](const FakePeer::Request& request) {
    std::vector<std::byte> answer = vote_answer(request.correlation_id, 0);
    if (request.number == 0) answer[11] = std::byte{0x7F};  // the number of topics
    return answer;
  };
  ask(2);
  ASSERT_TRUE(until([this] { return all_heard(); }));
  EXPECT_EQ(outcomes_[0].none, NoAnswer::kMalformed);
  EXPECT_EQ(outcomes_[1].epoch, 0);
  EXPECT_EQ(losses_.size(), 0U);
  stop();
}

TEST_F(PeerConnectionTest, AVeryLargeAnswerComesWholeUpToTheLimit) {
  options_.limits.answer_bytes_max = 20'000;
  begin();
  const auto empty = static_cast<int32_t>(vote_answer(3, 5).size());
  for (const size_t size : {20'000UL, 20'001UL}) {
    ASSERT_TRUE(connect());
    losses_.clear();
    fake_.answer = [&](const FakePeer::Request& request) {
      // Its length prefix is not counted, and the name's length takes two bytes more than an empty one's.
      const std::string name(size + 4 - static_cast<size_t>(empty) - 2, 'n');
      return vote_answer(request.correlation_id, 5, name);
    };
    ask(1);
    ASSERT_TRUE(until([this] { return all_heard(); }));
    if (size == 20'000UL) EXPECT_EQ(outcomes_.back().epoch, 5) << losses_.size();
  }
  EXPECT_EQ(outcomes_.back().none, NoAnswer::kLost);
  EXPECT_EQ(kinds(), std::vector{LossKind::kMalformed});
  stop();
}

TEST_F(PeerConnectionTest, NoMoreRequestsThanTheLimitAreUnderWay) {
  options_.limits.requests_max = 5;
  begin();
  ASSERT_TRUE(connect());
  fake_.answers_after = 100ms;
  ask(8);
  ASSERT_TRUE(until([this] { return outcomes_.size() == 3; }, 10ms)) << "refused at once";
  EXPECT_EQ(outcomes_with(NoAnswer::kFull), 3U);
  EXPECT_FALSE(connection_->has_room());
  ASSERT_TRUE(until([this] { return all_heard(); }));
  EXPECT_EQ(outcomes_with(std::nullopt), 5U);
  EXPECT_TRUE(connection_->has_room());
  stop();
}

// Nothing that was refused or has timed out before it left goes out later.
TEST_F(PeerConnectionTest, APeerThatDoesNotReadHoldsNoMoreThanTheLimit) {
  options_.limits.unsent_bytes_max = 300'000;
  WorldOptions world;
  world.window_bytes_min = world.window_bytes_max = 20'000;
  fake_.answers_after = 1s;
  begin(true, world);
  ASSERT_TRUE(connect());
  size_t most = 0;
  for (int i = 0; i < 30; ++i) {
    ask(1, 200ms, 20'000);
    world_->run_for(1ms);
    most = std::max(most, connection_->unsent_bytes());
  }
  EXPECT_GT(most, 280'000U);
  EXPECT_LE(most, 300'000U);
  EXPECT_GE(outcomes_with(NoAnswer::kFull), 10U);
  world_->run_for(200ms);
  EXPECT_TRUE(all_heard());
  EXPECT_LT(connection_->unsent_bytes(), 60'000U) << "what was not sent yet was taken back";
  fake_.answers_after = {};
  ask(1, 2s);
  ASSERT_TRUE(until([this] { return all_heard(); }));
  EXPECT_EQ(outcomes_.back().none, std::nullopt);
  EXPECT_LT(fake_.requests, 10U);
  stop();
}

}  // namespace
}  // namespace posthaste::replication::peers
