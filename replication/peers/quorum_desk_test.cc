// Requests of the quorum that wait for the member's answers: which answer they get, and what ends their wait without.
#include "replication/peers/quorum_desk.h"

#include <gtest/gtest.h>

#include "reactor/scope.h"
#include "reactor/simulated/world.h"

namespace posthaste::replication::peers {
namespace {

using namespace std::chrono_literals;
namespace kafka = net::kafka;
using kafka::ApiKey;
using kafka::ErrorCode;
using reactor::Core;
using reactor::Duration;
using reactor::Task;
using reactor::simulated::Host;
using reactor::simulated::World;

constexpr quorum::ReplicaKey kUs{.id = 1, .directory = {.high = 11, .low = 12}};
constexpr quorum::ReplicaKey kPeer{.id = 2, .directory = {.high = 21, .low = 22}};

struct NotingMember final : QuorumMember {
  void received(quorum::NodeId from, quorum::PeerMessage message) override {
    senders.push_back(from);
    messages.push_back(std::move(message.message));
    if (at_once) at_once();
  }
  void connection_lost(quorum::NodeId /*peer*/, bool /*is_refused*/) override {}
  std::vector<quorum::NodeId> senders;
  std::vector<quorum::Message> messages;
  std::function<void()> at_once;
};

class QuorumDeskTest : public ::testing::Test {
 protected:
  struct Served {
    net::ConnectionContext context;
    net::Request request;
    bool is_done = false;
    net::Response reply;
    Duration took{};
  };
  // A test's body, on the core of a simulated host.
  void run(std::function<Task<void>(Core&, QuorumDesk&)> body) {
    World world(1);
    const QuorumIdentity us{.cluster_id = "c", .self = kUs};
    Host& host = world.add_host({.cores = 1}, "10.0.0.1", [&](Core& core) -> Task<void> {
      QuorumDesk desk(core, us, member_, 2s);
      co_await body(core, desk);
    });
    host.start();
    ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 60s)) << world.log_tail();
  }
  static Task<void> serve(Core& core, QuorumDesk& desk, kafka::RequestHeader header, storage::Bytes body,
                          Served& served) {
    const reactor::Instant begin = core.fresh_now();
    served.request.header = header;
    served.request.body = body;
    served.reply = co_await desk.serve(served.context, served.request);
    served.took = core.fresh_now() - begin;
    served.is_done = true;
  }
  template <class Wire>
  static storage::Bytes body_of(const Wire& request, int16_t version) {
    storage::Bytes body(kafka::encoded_size(request, version).total);
    kafka::Target target{.owned = body};
    kafka::encode(request, version, target);
    return body;
  }
  static quorum::FetchRequest fetch_from(quorum::Offset end, quorum::NodeId id = kPeer.id) {
    return {.epoch = 5, .replica = {.id = id, .directory = kPeer.directory}, .end = {end, 4}};
  }
  static storage::Bytes fetch_body(const quorum::FetchRequest& fetch, const std::string& cluster_id = "c") {
    const QuorumIdentity sender{.cluster_id = cluster_id, .self = fetch.replica};
    return body_of(to_wire(fetch, sender, 500ms), wire::kFetchVersion);
  }
  static quorum::FetchResponse answer_to(const quorum::FetchRequest& fetch) {
    return {.epoch = 5, .leader = 1, .fetched = fetch.end};
  }
  static wire::FetchResponse fetch_response(const Served& served) {
    EXPECT_FALSE(served.reply.close.has_value());
    frame_ = served.reply.frame.flatten();
    const auto header = kafka::decode_response_header(kafka::Bytes(frame_).subspan(4), ApiKey::kFetch, 18);
    EXPECT_EQ(header->correlation_id, kFetch.correlation_id);
    return *kafka::decode<wire::FetchResponse>(header->body, wire::kFetchVersion);
  }
  static ErrorCode error_of(const Served& served) { return fetch_response(served).error_code; }

  static constexpr kafka::RequestHeader kFetch{
      .api = ApiKey::kFetch, .version = wire::kFetchVersion, .correlation_id = 9};
  static inline std::vector<std::byte> frame_;
  NotingMember member_;
};

TEST_F(QuorumDeskTest, ARequestWaitsForTheAnswerThatFits) {
  run([this](Core& core, QuorumDesk& desk) -> Task<void> {
    Served served;
    reactor::TaskScope scope(core);
    scope.spawn_job(serve(core, desk, kFetch, fetch_body(fetch_from(10)), served));
    co_await core.sleep(10ms);
    EXPECT_EQ(member_.senders, std::vector{kPeer.id});
    EXPECT_EQ(desk.waiting(), 1U);
    EXPECT_TRUE(served.request.body.empty()) << "it waits with its frame";
    desk.answer(kPeer.id, answer_to(fetch_from(11)), {});
    desk.answer(3, answer_to(fetch_from(10)), {});
    desk.answer(kPeer.id, quorum::BeginEpochResponse{.epoch = 5}, {});
    co_await core.sleep(10ms);
    EXPECT_FALSE(served.is_done);
    EXPECT_EQ(desk.stats().unasked, 3U);
    const storage::Bytes records(1000, std::byte{7});
    desk.answer(kPeer.id, answer_to(fetch_from(10)), records);
    co_await scope.join();
    const wire::FetchResponse response = fetch_response(served);
    EXPECT_EQ(response.error_code, ErrorCode::kNone);
    EXPECT_TRUE(std::ranges::equal(response.responses.at(0).partitions.at(0).records.whole, records));
    EXPECT_EQ(desk.waiting(), 0U);
  });
}

TEST_F(QuorumDeskTest, AVoteIsAnsweredAsItWasAskedFor) {
  run([](Core& core, QuorumDesk& desk) -> Task<void> {
    const quorum::VoteRequest vote{.epoch = 5, .candidate = kPeer, .voter = kUs, .end = {10, 4}};
    Served served;
    reactor::TaskScope scope(core);
    scope.spawn_job(serve(core, desk, {.api = ApiKey::kVote, .version = wire::kVoteVersion, .correlation_id = 9},
                          body_of(to_wire(vote, {.cluster_id = "c", .self = kPeer}), wire::kVoteVersion), served));
    co_await core.sleep(10ms);
    const quorum::VoteResponse fits{.epoch = 5, .voter = kUs, .asked_epoch = 5, .is_granted = true};
    std::array<quorum::VoteResponse, 3> others{fits, fits, fits};
    others[0].asked_epoch = 4;
    others[1].is_pre_vote = true;
    others[2].voter = kPeer;
    for (const quorum::VoteResponse& other : others) desk.answer(kPeer.id, other, {});
    EXPECT_EQ(desk.stats().unasked, 3U);
    EXPECT_EQ(desk.waiting(), 1U);
    desk.answer(kPeer.id, fits, {});
    EXPECT_EQ(desk.waiting(), 0U);
    co_await scope.join();
    EXPECT_FALSE(served.reply.close.has_value());
    EXPECT_GT(served.reply.frame.size(), 0U);
  });
}

TEST_F(QuorumDeskTest, AnAnswerMayComeWhileTheMemberIsGivenTheRequest) {
  run([this](Core& core, QuorumDesk& desk) -> Task<void> {
    member_.at_once = [&desk] { desk.answer(kPeer.id, answer_to(fetch_from(10)), {}); };
    Served served;
    co_await serve(core, desk, kFetch, fetch_body(fetch_from(10)), served);
    EXPECT_EQ(error_of(served), ErrorCode::kNone);
    EXPECT_LT(served.took, 1ms);
  });
}

TEST_F(QuorumDeskTest, WhatIsNotAnsweredInTimeIsGivenUp) {
  run([](Core& core, QuorumDesk& desk) -> Task<void> {
    Served served;
    co_await serve(core, desk, kFetch, fetch_body(fetch_from(10)), served);
    EXPECT_EQ(error_of(served), ErrorCode::kRequestTimedOut);
    EXPECT_GE(served.took, 2s);
    EXPECT_LT(served.took, 2001ms);
    EXPECT_EQ(desk.waiting(), 0U);
  });
}

TEST_F(QuorumDeskTest, ASecondRequestOfTheSameKindEndsTheWaitOfTheFirst) {
  run([](Core& core, QuorumDesk& desk) -> Task<void> {
    std::array<Served, 3> served;
    reactor::TaskScope scope(core);
    scope.spawn_job(serve(core, desk, kFetch, fetch_body(fetch_from(10, 3)), served[0]));
    scope.spawn_job(serve(core, desk, kFetch, fetch_body(fetch_from(10)), served[1]));
    co_await core.sleep(10ms);
    scope.spawn_job(serve(core, desk, kFetch, fetch_body(fetch_from(10)), served[2]));
    co_await core.sleep(10ms);
    EXPECT_FALSE(served[0].is_done) << "of another member";
    EXPECT_TRUE(served[1].is_done);
    EXPECT_EQ(error_of(served[1]), ErrorCode::kRequestTimedOut);
    desk.answer(kPeer.id, answer_to(fetch_from(10)), {});
    co_await core.sleep(10ms);
    EXPECT_EQ(error_of(served[2]), ErrorCode::kNone);
    desk.close();
    co_await scope.join();
  });
}

TEST_F(QuorumDeskTest, WhatDoesNotParseOrWasNotSettledEndsTheConnection) {
  run([this](Core& core, QuorumDesk& desk) -> Task<void> {
    storage::Bytes cut = fetch_body(fetch_from(10));
    cut.resize(cut.size() / 2);
    kafka::RequestHeader other_version = kFetch;
    other_version.version = 17;
    kafka::RequestHeader other_api = kFetch;
    other_api.api = ApiKey::kProduce;
    for (const auto& [header, body] : {std::pair(kFetch, cut), std::pair(other_version, fetch_body(fetch_from(10))),
                                       std::pair(other_api, fetch_body(fetch_from(10)))}) {
      Served served;
      co_await serve(core, desk, header, body, served);
      EXPECT_TRUE(served.reply.close.has_value());
    }
    EXPECT_TRUE(member_.messages.empty());
  });
}

TEST_F(QuorumDeskTest, WhatNoMemberCanHaveSaidIsRefusedAndDoesNotReachTheMember) {
  run([this](Core& core, QuorumDesk& desk) -> Task<void> {
    Served served;
    co_await serve(core, desk, kFetch, fetch_body(fetch_from(10), "d"), served);
    EXPECT_EQ(error_of(served), ErrorCode::kInconsistentClusterId);
    Served negative;
    co_await serve(core, desk, kFetch, fetch_body(fetch_from(-1)), negative);
    EXPECT_EQ(error_of(negative), ErrorCode::kInvalidRequest);
    EXPECT_TRUE(member_.messages.empty());
    EXPECT_EQ(desk.stats().refused, 2U);
  });
}

TEST_F(QuorumDeskTest, TheEndOfAnEpochIsAnsweredAtOnce) {
  run([this](Core& core, QuorumDesk& desk) -> Task<void> {
    const quorum::EndEpochRequest end{.epoch = 5, .leader = kPeer.id, .successors = {kUs}};
    Served served;
    co_await serve(core, desk, {.api = ApiKey::kEndQuorumEpoch, .version = wire::kEpochVersion, .correlation_id = 9},
                   body_of(to_wire(end, {.cluster_id = "c", .self = kPeer}), wire::kEpochVersion), served);
    EXPECT_FALSE(served.reply.close.has_value());
    EXPECT_GT(served.reply.frame.size(), 0U);
    EXPECT_LT(served.took, 1ms);
    EXPECT_TRUE(std::holds_alternative<quorum::EndEpochRequest>(member_.messages.at(0)));
  });
}

TEST_F(QuorumDeskTest, RecordsOfAnswersThatNobodyReadsHaveALimit) {
  run([](Core& core, QuorumDesk& desk) -> Task<void> {
    constexpr size_t kEach = size_t{1} << 20;
    constexpr size_t kFit = kQuorumRecordBytesMax / kEach;
    std::vector<Served> served(kFit + 2);
    reactor::TaskScope scope(core);
    const auto ask = [&](size_t i) -> Task<void> {
      const auto id = static_cast<quorum::NodeId>(i) + 2;
      scope.spawn_job(serve(core, desk, kFetch, fetch_body(fetch_from(10, id)), served[i]));
      co_await core.sleep(1ms);
      desk.answer(id, answer_to(fetch_from(10, id)), storage::Bytes(kEach, std::byte{7}));
      co_await core.sleep(1ms);
    };
    for (size_t i = 0; i < kFit; ++i) {
      EXPECT_EQ(desk.is_pressed(), i > kFit / 2);
      co_await ask(i);
      EXPECT_EQ(error_of(served[i]), ErrorCode::kNone);
    }
    co_await ask(kFit);
    EXPECT_EQ(error_of(served[kFit]), ErrorCode::kBrokerNotAvailable);
    EXPECT_EQ(desk.stats().crowded, 1U);
    served[0].reply = {};  // as when it is sent
    co_await ask(kFit + 1);
    EXPECT_EQ(error_of(served[kFit + 1]), ErrorCode::kNone);
    co_await scope.join();
    served.clear();
    EXPECT_FALSE(desk.is_pressed());
  });
}

TEST_F(QuorumDeskTest, NoMoreRequestsWaitThanTheLimit) {
  run([](Core& core, QuorumDesk& desk) -> Task<void> {
    std::vector<Served> served(kQuorumRequestsMax + 1);
    reactor::TaskScope scope(core);
    for (size_t i = 0; i < served.size(); ++i) {
      const auto id = static_cast<quorum::NodeId>(i) + 2;
      scope.spawn_job(serve(core, desk, kFetch, fetch_body(fetch_from(10, id)), served[i]));
    }
    co_await core.sleep(100ms);
    EXPECT_EQ(desk.waiting(), kQuorumRequestsMax);
    EXPECT_EQ(error_of(served.back()), ErrorCode::kBrokerNotAvailable);
    desk.close();
    co_await scope.join();
    EXPECT_EQ(desk.waiting(), 0U);
    EXPECT_EQ(error_of(served.front()), ErrorCode::kRequestTimedOut);
    Served late;
    co_await serve(core, desk, kFetch, fetch_body(fetch_from(10)), late);
    EXPECT_EQ(late.reply.close, net::CloseReason::kStopping);
  });
}

}  // namespace
}  // namespace posthaste::replication::peers
