// The quorum's messages over Kafka's wire: random ones survive it, what no member could have said does not get in, and
// whoever reads them as Kafka's own sees what Kafka's fields say.
#include "replication/peers/quorum_wire.h"

#include <gtest/gtest.h>

#include <functional>
#include <tuple>

#include "net/kafka/frame.h"
#include "reactor/simulated/random.h"
#include "storage/bytes/bytes.h"

namespace posthaste::replication::peers {
namespace {

namespace kafka = net::kafka;
using kafka::ErrorCode;
using quorum::FetchError;
using reactor::simulated::Random;

constexpr quorum::ReplicaKey kUs{.id = 1, .directory = {.high = 11, .low = 12}};
constexpr quorum::ReplicaKey kPeer{.id = 2, .directory = {.high = 21, .low = 22}};
constexpr int kRounds = 2000;

const QuorumIdentity& us() {
  static const QuorumIdentity identity{.cluster_id = "c", .self = kUs};
  return identity;
}
const QuorumIdentity& peer() {
  static const QuorumIdentity identity{.cluster_id = "c", .self = kPeer};
  return identity;
}

// All fields: one that is added to a message does not compile here before it is compared.
auto fields(const quorum::VoteRequest& m) {
  const auto& [a, b, c, d, e] = m;
  return std::tuple(a, b, c, d, e);
}
auto fields(const quorum::VoteResponse& m) {
  const auto& [a, b, c, d, e, f, g] = m;
  return std::tuple(a, b, c, d, e, f, g);
}
auto fields(const quorum::BeginEpochRequest& m) {
  const auto& [a, b] = m;
  return std::tuple(a, b);
}
auto fields(const quorum::BeginEpochResponse& m) {
  const auto& [a] = m;
  return std::tuple(a);
}
auto fields(const quorum::EndEpochRequest& m) {
  const auto& [a, b, c] = m;
  return std::tuple(a, b, c);
}
auto fields(const quorum::FetchRequest& m) {
  const auto& [a, b, c, d, e] = m;
  return std::tuple(a, b, c, d, e);
}
auto fields(const quorum::FetchResponse& m) {
  const auto& [a, b, c, d, e, f, g, h, i, batches] = m;
  return std::tuple(a, b, c, d, e, f, g, h, i, batches.size());
}
auto fields(const quorum::FetchSnapshotRequest& m) {
  const auto& [a, b, c, d] = m;
  return std::tuple(a, b, c, d);
}
auto fields(const quorum::FetchSnapshotResponse& m) {
  const auto& [a, b, c, d, e, f, g, h] = m;
  return std::tuple(a, b, c, d, e, f, g, h);
}

class QuorumWire : public ::testing::Test {
 protected:
  int32_t epoch() { return static_cast<int32_t>(some(INT32_MAX)); }
  int64_t offset() { return static_cast<int64_t>(some(INT64_MAX)); }
  int64_t maybe_offset() { return random_.below(4) == 0 ? quorum::kNoOffset : offset(); }
  int32_t leader() { return random_.below(3) == 0 ? quorum::kNobody : epoch(); }
  bool flip() { return random_.below(2) == 0; }
  quorum::LogPosition position(int32_t epoch_max) {
    return {.offset = offset(), .epoch = static_cast<int32_t>(some(static_cast<uint64_t>(epoch_max)))};
  }
  quorum::DirectoryId directory() { return {.high = random_.next(), .low = 1 + random_.below(1000)}; }
  quorum::VoteRequest vote_request() {
    const int32_t at = std::max(epoch(), 1);
    const bool is_pre_vote = flip();
    return {.epoch = at,
            .candidate = kPeer,
            .voter = kUs,
            .end = position(is_pre_vote ? at : at - 1),
            .is_pre_vote = is_pre_vote};
  }
  quorum::FetchRequest fetch_request() {
    const int32_t at = epoch();
    return {
        .epoch = at, .replica = kPeer, .end = position(at), .high_watermark = maybe_offset(), .is_unverified = flip()};
  }
  quorum::FetchSnapshotRequest snapshot_request() {
    return {.epoch = epoch(), .replica = kPeer, .id = position(INT32_MAX), .position = some(INT64_MAX / 2)};
  }
  // The bytes of a request, read as the receiver does.
  template <class Wire>
  Wire over_the_wire(const Wire& request, int16_t version) {
    frame_ = kafka::encode_request(request, version, 5, "test").flatten();
    // Behind length, key, version, id, client id and an empty section of tags.
    constexpr size_t kHeaderBytes = 4 + 2 + 2 + 4 + 2 + 4 + 1;
    auto read = kafka::decode<Wire>(kafka::Bytes(frame_).subspan(kHeaderBytes), version);
    EXPECT_TRUE(read.has_value());
    return read.value_or(Wire{});
  }
  template <class Wire>
  Wire answer_over_the_wire(const Wire& answer, int16_t version) {
    frame_ = kafka::encode_response(answer, version, 5).flatten();
    const auto header = kafka::decode_response_header(kafka::Bytes(frame_).subspan(4), Wire::kKey, version);
    EXPECT_TRUE(header.has_value() && header->correlation_id == 5);
    auto read = kafka::decode<Wire>(header->body, version);
    EXPECT_TRUE(read.has_value());
    return read.value_or(Wire{});
  }

  // Below `limit`, of all magnitudes, with both ends.
  uint64_t some(uint64_t limit) {
    const uint64_t kind = random_.below(8);
    if (kind == 0) return 0;
    if (kind == 1) return limit;
    const uint64_t below = random_.below(64);
    return std::min(limit, random_.next() >> below);
  }

  Random random_{20};
  std::vector<std::byte> frame_;
};

TEST_F(QuorumWire, RequestsSurviveTheWire) {
  for (int i = 0; i < kRounds; ++i) {
    const quorum::VoteRequest vote = vote_request();
    const auto got_vote = from_wire(over_the_wire(to_wire(vote, peer()), wire::kVoteVersion), us());
    ASSERT_TRUE(got_vote.has_value()) << got_vote.error().why;
    EXPECT_EQ(fields(*got_vote), fields(vote));

    const quorum::BeginEpochRequest begin{.epoch = epoch(), .leader = kPeer.id};
    const auto got_begin = from_wire(over_the_wire(to_wire(begin, peer(), kUs.id), wire::kEpochVersion), us());
    ASSERT_TRUE(got_begin.has_value()) << got_begin.error().why;
    EXPECT_EQ(fields(*got_begin), fields(begin));

    quorum::EndEpochRequest end{.epoch = epoch(), .leader = kPeer.id};
    for (uint64_t n = random_.below(quorum::kVotersMax + 1); n > 0; --n) {
      end.successors.push_back({.id = epoch(), .directory = directory()});
    }
    const auto got_end = from_wire(over_the_wire(to_wire(end, peer()), wire::kEpochVersion), us());
    ASSERT_TRUE(got_end.has_value()) << got_end.error().why;
    EXPECT_EQ(fields(*got_end), fields(end));

    const quorum::FetchRequest fetch = fetch_request();
    const auto got_fetch =
        from_wire(over_the_wire(to_wire(fetch, peer(), std::chrono::milliseconds(500)), wire::kFetchVersion), us());
    ASSERT_TRUE(got_fetch.has_value()) << got_fetch.error().why;
    EXPECT_EQ(fields(*got_fetch), fields(fetch));

    const quorum::FetchSnapshotRequest piece = snapshot_request();
    const auto got_piece = from_wire(over_the_wire(to_wire(piece, peer()), wire::kFetchSnapshotVersion), us());
    ASSERT_TRUE(got_piece.has_value()) << got_piece.error().why;
    EXPECT_EQ(fields(*got_piece), fields(piece));
    EXPECT_EQ(sender_of(*got_vote) + sender_of(*got_begin) + sender_of(*got_end) + sender_of(*got_fetch) +
                  sender_of(*got_piece),
              5 * kPeer.id);
  }
}

TEST_F(QuorumWire, AnswersSurviveTheWire) {
  for (int i = 0; i < kRounds; ++i) {
    const quorum::VoteRequest asked = vote_request();
    quorum::VoteResponse vote{.epoch = epoch(),
                              .leader = leader(),
                              .voter = asked.voter,
                              .asked_epoch = asked.epoch,
                              .is_pre_vote = asked.is_pre_vote,
                              .is_unverified = flip()};
    vote.is_granted = vote.epoch <= asked.epoch && !vote.is_unverified && flip();
    const auto got_vote = from_wire(answer_over_the_wire(to_wire(vote), wire::kVoteVersion), asked);
    ASSERT_TRUE(got_vote.has_value()) << got_vote.error().why;
    EXPECT_EQ(fields(*got_vote), fields(vote));

    const quorum::BeginEpochResponse begin{.epoch = epoch()};
    const auto got_begin =
        from_wire(answer_over_the_wire(to_wire(begin), wire::kEpochVersion), quorum::BeginEpochRequest{});
    ASSERT_TRUE(got_begin.has_value());
    EXPECT_EQ(fields(*got_begin), fields(begin));
    const auto heard = answer_over_the_wire(end_epoch_heard(begin.epoch), wire::kEpochVersion);
    EXPECT_EQ(heard.topics.at(0).partitions.at(0).leader_epoch, begin.epoch);
  }
}

TEST_F(QuorumWire, FetchesAndTheirRecordsSurviveTheWire) {
  for (int i = 0; i < kRounds; ++i) {
    const std::string text(random_.below(200), 'r');
    const kafka::Bytes records = std::as_bytes(std::span(text));
    const quorum::FetchRequest asked = fetch_request();
    quorum::FetchResponse fetch{.epoch = epoch(),
                                .leader = leader(),
                                .error = static_cast<FetchError>(random_.below(3)),
                                .fetched = asked.end,
                                .high_watermark = maybe_offset(),
                                .verified_at = maybe_offset(),
                                .is_unverified = flip()};
    const bool is_plain = fetch.error == FetchError::kNone;
    const uint64_t mark = is_plain ? random_.below(3) : 0;
    if (mark == 1) fetch.diverging = position(INT32_MAX);
    if (mark == 2) fetch.snapshot = position(INT32_MAX);
    const kafka::Bytes carried = is_plain && mark == 0 ? records : kafka::Bytes{};
    const auto got = from_wire(answer_over_the_wire(to_wire(fetch, carried), wire::kFetchVersion), asked);
    ASSERT_TRUE(got.has_value()) << got.error().why;
    EXPECT_EQ(fields(got->message), fields(fetch));
    EXPECT_TRUE(std::ranges::equal(got->records, carried));

    const quorum::FetchSnapshotRequest wanted = snapshot_request();
    quorum::FetchSnapshotResponse piece{.epoch = epoch(),
                                        .leader = leader(),
                                        .error = static_cast<FetchError>(random_.below(4)),
                                        .id = wanted.id,
                                        .position = wanted.position};
    const kafka::Bytes part = piece.error == FetchError::kNone ? records : kafka::Bytes{};
    piece.bytes = part.size();
    piece.size = wanted.position + part.size() + random_.below(100);
    const auto got_piece = from_wire(answer_over_the_wire(to_wire(piece, part), wire::kFetchSnapshotVersion), wanted);
    ASSERT_TRUE(got_piece.has_value()) << got_piece.error().why;
    EXPECT_EQ(fields(got_piece->message), fields(piece));
    EXPECT_TRUE(std::ranges::equal(got_piece->records, part));
  }
}

// A broker of Kafka would understand them, and lose only what it has no field for.
TEST_F(QuorumWire, WithoutOurTagsAMessageIsKafkasByteForByteAndItsReadersSkipThem) {
  for (int i = 0; i < 200; ++i) {
    quorum::FetchRequest request = fetch_request();
    for (const bool is_unverified : {false, true}) {
      request.is_unverified = is_unverified;
      const auto ours = kafka::encode_request(to_wire(request, peer(), std::chrono::milliseconds(500)),
                                              wire::kFetchVersion, 5, "test")
                            .flatten();
      const auto header = kafka::decode_request_header(kafka::Bytes(ours).subspan(4));
      ASSERT_TRUE(header.has_value());
      const auto theirs = kafka::decode<kafka::FetchRequest>(header->body, wire::kFetchVersion);
      ASSERT_TRUE(theirs.has_value());
      EXPECT_EQ(theirs->topics.at(0).partitions.at(0).fetch_offset, request.end.offset);
      EXPECT_EQ(theirs->topics.at(0).partitions.at(0).high_watermark, request.high_watermark);
      EXPECT_EQ(theirs->topics.at(0).partitions.at(0).partition_max_bytes,
                static_cast<int32_t>(quorum::kPayloadBytesMax));
      EXPECT_EQ(theirs->max_wait_ms, 500);
      const auto again = kafka::encode_request(*theirs, wire::kFetchVersion, 5, "test").flatten();
      EXPECT_EQ(ours == again, !is_unverified);
    }
  }
  for (const bool is_tagged : {false, true}) {
    const quorum::FetchResponse fetch{.epoch = 3, .leader = 1, .verified_at = is_tagged ? 7 : quorum::kNoOffset};
    const auto ours = kafka::encode_response(to_wire(fetch, {}), wire::kFetchVersion, 5).flatten();
    const kafka::Bytes body = kafka::Bytes(ours).subspan(4 + 4 + 1);
    const auto theirs = kafka::decode<kafka::FetchResponse>(body, wire::kFetchVersion);
    ASSERT_TRUE(theirs.has_value());
    EXPECT_EQ(theirs->responses.at(0).partitions.at(0).current_leader.leader_epoch, 3);
    EXPECT_EQ(ours == kafka::encode_response(*theirs, wire::kFetchVersion, 5).flatten(), !is_tagged);

    const quorum::VoteResponse vote{.epoch = 3, .leader = 1, .asked_epoch = 3, .is_unverified = is_tagged};
    const auto our_vote = kafka::encode_response(to_wire(vote), wire::kVoteVersion, 5).flatten();
    const auto their_vote =
        kafka::decode<kafka::VoteResponse>(kafka::Bytes(our_vote).subspan(4 + 4 + 1), wire::kVoteVersion);
    ASSERT_TRUE(their_vote.has_value());
    EXPECT_EQ(our_vote == kafka::encode_response(*their_vote, wire::kVoteVersion, 5).flatten(), !is_tagged);
  }
}

// Changes one thing of a good request and expects what Kafka answers to that.
template <class Wire>
void expect_refused(const Wire& good, const std::vector<std::pair<std::function<void(Wire&)>, ErrorCode>>& cases) {
  const auto taken = from_wire(good, us());
  ASSERT_TRUE(taken.has_value()) << taken.error().why;
  for (size_t i = 0; i < cases.size(); ++i) {
    Wire bad = good;
    cases[i].first(bad);
    const auto got = from_wire(bad, us());
    ASSERT_FALSE(got.has_value()) << "case " << i;
    EXPECT_EQ(got.error().error, cases[i].second) << "case " << i << ": " << got.error().why;
    EXPECT_FALSE(got.error().why.empty());
    const auto answer = refusal_of<typename Wire::Response>(got.error().error);
    EXPECT_EQ(answer.error_code, cases[i].second);
  }
}

TEST_F(QuorumWire, AVoteThatNoMemberAsksForIsRefused) {
  using Request = wire::VoteRequest;
  const auto good = to_wire(quorum::VoteRequest{.epoch = 5, .candidate = kPeer, .voter = kUs, .end = {10, 4}}, peer());
  const auto at = [](Request& r) -> auto& { return r.topics[0].partitions[0]; };
  expect_refused<Request>(
      good,
      {{[](Request& r) { r.cluster_id = "d"; }, ErrorCode::kInconsistentClusterId},
       {[](Request& r) { r.cluster_id.reset(); }, ErrorCode::kInconsistentClusterId},
       {[](Request& r) { r.topics.clear(); }, ErrorCode::kInvalidRequest},
       {[](Request& r) { r.topics.push_back(r.topics[0]); }, ErrorCode::kInvalidRequest},
       {[](Request& r) { r.topics[0].topic_name = "orders"; }, ErrorCode::kInvalidRequest},
       {[](Request& r) { r.topics[0].partitions.clear(); }, ErrorCode::kInvalidRequest},
       {[&](Request& r) { r.topics[0].partitions.push_back(at(r)); }, ErrorCode::kInvalidRequest},
       {[&](Request& r) { at(r).partition_index = 1; }, ErrorCode::kInvalidRequest},
       {[&](Request& r) { at(r).replica_epoch = -1; }, ErrorCode::kInvalidRequest},
       {[&](Request& r) { at(r).last_offset = -1; }, ErrorCode::kInvalidRequest},
       {[&](Request& r) { at(r).last_offset_epoch = -1; }, ErrorCode::kInvalidRequest},
       {[&](Request& r) { at(r).last_offset_epoch = 5; }, ErrorCode::kInvalidRequest},
       {[&](Request& r) { (at(r).pre_vote = true, at(r).last_offset_epoch = 6); }, ErrorCode::kInvalidRequest},
       {[&](Request& r) { at(r).replica_id = -1; }, ErrorCode::kInvalidRequest},
       {[&](Request& r) { at(r).replica_id = kUs.id; }, ErrorCode::kInvalidRequest},
       {[&](Request& r) { at(r).replica_directory_id = {}; }, ErrorCode::kInvalidRequest},
       {[](Request& r) { r.voter_id = 3; }, ErrorCode::kInvalidVoterKey},
       {[&](Request& r) { at(r).voter_directory_id = at(r).replica_directory_id; }, ErrorCode::kInvalidVoterKey}});
}

TEST_F(QuorumWire, ABeginningOrEndThatNoLeaderSendsIsRefused) {
  using Begin = kafka::BeginQuorumEpochRequest;
  const auto begin = to_wire(quorum::BeginEpochRequest{.epoch = 5, .leader = kPeer.id}, peer(), kUs.id);
  const auto at = [](auto& r) -> auto& { return r.topics[0].partitions[0]; };
  expect_refused<Begin>(
      begin, {{[](Begin& r) { r.cluster_id = "d"; }, ErrorCode::kInconsistentClusterId},
              {[](Begin& r) { r.topics[0].topic_name = "orders"; }, ErrorCode::kInvalidRequest},
              {[&](Begin& r) { at(r).partition_index = 1; }, ErrorCode::kInvalidRequest},
              {[&](Begin& r) { at(r).leader_epoch = -1; }, ErrorCode::kInvalidRequest},
              {[&](Begin& r) { at(r).leader_id = -1; }, ErrorCode::kInvalidRequest},
              {[&](Begin& r) { at(r).leader_id = kUs.id; }, ErrorCode::kInvalidRequest},
              {[](Begin& r) { r.voter_id = 3; }, ErrorCode::kInvalidVoterKey},
              {[&](Begin& r) { at(r).voter_directory_id.bytes[3] = std::byte{1}; }, ErrorCode::kInvalidVoterKey}});

  using End = kafka::EndQuorumEpochRequest;
  const quorum::EndEpochRequest resigned{.epoch = 5, .leader = kPeer.id, .successors = {kUs, kPeer}};
  const auto successor = [&](End& r) -> auto& { return at(r).preferred_candidates[0]; };
  expect_refused<End>(to_wire(resigned, peer()),
                      {{[](End& r) { r.cluster_id = "d"; }, ErrorCode::kInconsistentClusterId},
                       {[](End& r) { r.topics[0].topic_name = "orders"; }, ErrorCode::kInvalidRequest},
                       {[&](End& r) { at(r).leader_epoch = -1; }, ErrorCode::kInvalidRequest},
                       {[&](End& r) { at(r).leader_id = kUs.id; }, ErrorCode::kInvalidRequest},
                       {[&](End& r) { successor(r).candidate_id = -1; }, ErrorCode::kInvalidRequest},
                       {[&](End& r) { successor(r).candidate_directory_id = {}; }, ErrorCode::kInvalidRequest},
                       {[&](End& r) { at(r).preferred_candidates.resize(quorum::kVotersMax + 1, successor(r)); },
                        ErrorCode::kInvalidRequest}});
}

TEST_F(QuorumWire, AFetchThatNoReplicaSendsIsRefused) {
  using Fetch = wire::FetchRequest;
  const auto at = [](auto& r) -> auto& { return r.topics[0].partitions[0]; };
  const quorum::FetchRequest fetch{.epoch = 5, .replica = kPeer, .end = {10, 4}};
  expect_refused<Fetch>(to_wire(fetch, peer(), std::chrono::milliseconds(500)),
                        {{[](Fetch& r) { r.cluster_id = "d"; }, ErrorCode::kInconsistentClusterId},
                         {[](Fetch& r) { r.topics[0].topic_id = {}; }, ErrorCode::kInvalidRequest},
                         {[&](Fetch& r) { at(r).partition = 1; }, ErrorCode::kInvalidRequest},
                         {[&](Fetch& r) { at(r).current_leader_epoch = -1; }, ErrorCode::kInvalidRequest},
                         {[&](Fetch& r) { at(r).fetch_offset = -1; }, ErrorCode::kInvalidRequest},
                         {[&](Fetch& r) { at(r).last_fetched_epoch = -1; }, ErrorCode::kInvalidRequest},
                         {[&](Fetch& r) { at(r).last_fetched_epoch = 6; }, ErrorCode::kInvalidRequest},
                         {[&](Fetch& r) { at(r).high_watermark = -2; }, ErrorCode::kInvalidRequest},
                         {[](Fetch& r) { r.replica_state.replica_id = -1; }, ErrorCode::kInvalidRequest},
                         {[](Fetch& r) { r.replica_state.replica_id = kUs.id; }, ErrorCode::kInvalidRequest},
                         {[&](Fetch& r) { at(r).replica_directory_id = {}; }, ErrorCode::kInvalidRequest}});

  using Piece = kafka::FetchSnapshotRequest;
  const quorum::FetchSnapshotRequest piece{.epoch = 5, .replica = kPeer, .id = {10, 4}, .position = 100};
  expect_refused<Piece>(to_wire(piece, peer()),
                        {{[](Piece& r) { r.cluster_id = "d"; }, ErrorCode::kInconsistentClusterId},
                         {[](Piece& r) { r.topics[0].name = "orders"; }, ErrorCode::kInvalidRequest},
                         {[&](Piece& r) { at(r).partition = 1; }, ErrorCode::kInvalidRequest},
                         {[&](Piece& r) { at(r).current_leader_epoch = -1; }, ErrorCode::kInvalidRequest},
                         {[&](Piece& r) { at(r).position = -1; }, ErrorCode::kInvalidRequest},
                         {[&](Piece& r) { at(r).snapshot_id.end_offset = -1; }, ErrorCode::kInvalidRequest},
                         {[&](Piece& r) { at(r).snapshot_id.epoch = -1; }, ErrorCode::kInvalidRequest},
                         {[](Piece& r) { r.replica_id = kUs.id; }, ErrorCode::kInvalidRequest},
                         {[&](Piece& r) { at(r).replica_directory_id = {}; }, ErrorCode::kInvalidRequest}});
}

// Changes one thing of a good answer.
template <class Wire, class Asked>
void expect_no_answer(const Wire& good, const Asked& asked,
                      const std::vector<std::pair<std::function<void(Wire&)>, ErrorCode>>& cases) {
  const auto taken = from_wire(good, asked);
  ASSERT_TRUE(taken.has_value()) << taken.error().why;
  for (size_t i = 0; i < cases.size(); ++i) {
    Wire bad = good;
    cases[i].first(bad);
    const auto got = from_wire(bad, asked);
    ASSERT_FALSE(got.has_value()) << "case " << i;
    EXPECT_EQ(got.error().error, cases[i].second) << "case " << i << ": " << got.error().why;
  }
}

TEST_F(QuorumWire, AnAnswerThatNoMemberGivesIsNoAnswer) {
  using Vote = wire::VoteResponse;
  const quorum::VoteRequest asked{.epoch = 5, .candidate = kUs, .voter = kPeer, .end = {10, 4}};
  const auto at = [](auto& r) -> auto& { return r.topics[0].partitions[0]; };
  expect_no_answer<Vote>(
      to_wire(quorum::VoteResponse{.epoch = 5, .voter = kPeer, .asked_epoch = 5, .is_granted = true}), asked,
      {{[](Vote& r) { r.error_code = ErrorCode::kInconsistentClusterId; }, ErrorCode::kInconsistentClusterId},
       {[&](Vote& r) { at(r).error_code = ErrorCode::kInvalidVoterKey; }, ErrorCode::kInvalidVoterKey},
       {[&](Vote& r) { at(r).error_code = ErrorCode::kFencedLeaderEpoch; }, ErrorCode::kCorruptMessage},
       {[&](Vote& r) { at(r).leader_epoch = 6; }, ErrorCode::kCorruptMessage},
       {[&](Vote& r) { at(r).leader_epoch = -1; }, ErrorCode::kCorruptMessage},
       {[&](Vote& r) { at(r).leader_id = -2; }, ErrorCode::kCorruptMessage},
       {[&](Vote& r) { at(r).is_unverified = true; }, ErrorCode::kCorruptMessage},
       {[](Vote& r) { r.topics.clear(); }, ErrorCode::kCorruptMessage}});

  using Begin = kafka::BeginQuorumEpochResponse;
  expect_no_answer<Begin>(
      to_wire(quorum::BeginEpochResponse{.epoch = 5}), quorum::BeginEpochRequest{},
      {{[](Begin& r) { r.error_code = ErrorCode::kInvalidVoterKey; }, ErrorCode::kInvalidVoterKey},
       {[&](Begin& r) { at(r).error_code = ErrorCode::kBrokerNotAvailable; }, ErrorCode::kBrokerNotAvailable},
       {[&](Begin& r) { at(r).leader_epoch = -1; }, ErrorCode::kCorruptMessage},
       {[](Begin& r) { r.topics.clear(); }, ErrorCode::kCorruptMessage}});
}

TEST_F(QuorumWire, AFetchsAnswerThatNoLeaderGivesIsNoAnswer) {
  using Fetch = wire::FetchResponse;
  const auto in = [](Fetch& r) -> auto& { return r.responses[0].partitions[0]; };
  const storage::Bytes records(10, std::byte{1});
  expect_no_answer<Fetch>(
      to_wire(quorum::FetchResponse{.epoch = 5, .leader = 2}, records), quorum::FetchRequest{},
      {{[](Fetch& r) { r.error_code = ErrorCode::kRequestTimedOut; }, ErrorCode::kRequestTimedOut},
       {[&](Fetch& r) { in(r).error_code = ErrorCode::kSnapshotNotFound; }, ErrorCode::kSnapshotNotFound},
       {[&](Fetch& r) { in(r).error_code = ErrorCode::kNotLeaderOrFollower; }, ErrorCode::kCorruptMessage},
       {[&](Fetch& r) { in(r).diverging_epoch = {.epoch = 1, .end_offset = 5}; }, ErrorCode::kCorruptMessage},
       {[&](Fetch& r) { in(r).snapshot_id = {.end_offset = 5, .epoch = -1}; }, ErrorCode::kCorruptMessage},
       {[&](Fetch& r) {
          in(r).records = {};
          in(r).error_code = ErrorCode::kNotLeaderOrFollower;
          in(r).diverging_epoch = {.epoch = 1, .end_offset = 5};
        },
        ErrorCode::kCorruptMessage},
       {[&](Fetch& r) { in(r).current_leader = {}; }, ErrorCode::kCorruptMessage},
       {[&](Fetch& r) { in(r).high_watermark = -2; }, ErrorCode::kCorruptMessage},
       {[&](Fetch& r) { in(r).verified_at = -2; }, ErrorCode::kCorruptMessage},
       {[](Fetch& r) { r.responses[0].topic_id = {}; }, ErrorCode::kCorruptMessage}});

  using Piece = kafka::FetchSnapshotResponse;
  const auto at = [](auto& r) -> auto& { return r.topics[0].partitions[0]; };
  const quorum::FetchSnapshotRequest wanted{.epoch = 5, .replica = kUs, .id = {10, 4}, .position = 100};
  const quorum::FetchSnapshotResponse piece{
      .epoch = 5, .leader = 2, .id = {10, 4}, .position = 100, .size = 110, .bytes = 10};
  expect_no_answer<Piece>(
      to_wire(piece, records), wanted,
      {{[](Piece& r) { r.error_code = ErrorCode::kInvalidRequest; }, ErrorCode::kInvalidRequest},
       {[](Piece& r) { r.topics[0].name = "orders"; }, ErrorCode::kCorruptMessage},
       {[&](Piece& r) { at(r).error_code = ErrorCode::kPositionOutOfRange; }, ErrorCode::kPositionOutOfRange},
       {[&](Piece& r) { at(r).error_code = ErrorCode::kSnapshotNotFound; }, ErrorCode::kCorruptMessage},
       {[&](Piece& r) { at(r).snapshot_id.epoch = 3; }, ErrorCode::kCorruptMessage},
       {[&](Piece& r) { at(r).position = 90; }, ErrorCode::kCorruptMessage},
       {[&](Piece& r) { at(r).size = 109; }, ErrorCode::kCorruptMessage},
       {[&](Piece& r) { at(r).size = -1; }, ErrorCode::kCorruptMessage},
       {[&](Piece& r) { at(r).current_leader.leader_epoch = -1; }, ErrorCode::kCorruptMessage}});
}

}  // namespace
}  // namespace posthaste::replication::peers
