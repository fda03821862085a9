// What brokers and controllers ask each other, where vectors and random messages do not look: a null that stands where
// none may, counts that lie, fields that a version lacks, what is left out when it has its default. That none of it is
// served: api_table_test.cc.
#include <gtest/gtest.h>

#include "net/kafka/broker_lifecycle.h"
#include "net/kafka/frame.h"
#include "net/kafka/quorum.h"
#include "net/kafka/quorum_epochs.h"
#include "net/kafka/reassignment.h"
#include "net/kafka/voters.h"

namespace posthaste::net::kafka {
namespace {

using reactor::Errc;

template <class M>
std::vector<std::byte> encoded(const M& message, int16_t version) {
  std::vector<std::byte> bytes(encoded_size(message, version).total);
  Target target{.owned = bytes};
  encode(message, version, target);
  return bytes;
}

template <class M>
M again(const M& message, int16_t version) {
  // What was decoded has views of these bytes.
  static std::vector<std::byte> bytes;
  bytes = encoded(message, version);
  const auto decoded = decode<M>(bytes, version);
  EXPECT_TRUE(decoded);
  return decoded ? *decoded : M{};
}

template <class M>
Errc error_of(const std::vector<std::byte>& bytes, int16_t version, size_t limit = kDecodeAllocationLimit) {
  const auto message = decode<M>(bytes, version, limit);
  return message ? Errc{} : message.error();
}

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

TEST(ClusterMessagesTest, ACountThatLiesTakesNoMemory) {
  // EndQuorumEpoch 0: no cluster id, then 2^31-1 topics; Vote 2: no cluster id, voter 0, then 2^32-2 topics.
  EXPECT_EQ(error_of<EndQuorumEpochRequest>(bytes_of({0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF}), 0), Errc::kTruncated);
  EXPECT_EQ(error_of<VoteRequest>(bytes_of({0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F}), 2), Errc::kTruncated);
  // Observers that are there, and take more than the decode may.
  DescribeQuorumResponse response;
  auto& partition = response.topics.emplace_back().partitions.emplace_back();
  partition.observers.resize(1000);
  const auto bytes = encoded(response, 2);
  using Topic = DescribeQuorumResponse::Topic;
  constexpr size_t kNeeded = sizeof(Topic) + sizeof(Topic::Partition) + 1000 * sizeof(Topic::Partition::Replica);
  EXPECT_EQ(error_of<DescribeQuorumResponse>(bytes, 2, kNeeded), Errc{});
  EXPECT_EQ(error_of<DescribeQuorumResponse>(bytes, 2, kNeeded - 1), Errc::kLimit);
}

TEST(ClusterMessagesTest, NullWhereNoneMayBeIsCorrupt) {
  EXPECT_EQ(error_of<VoteRequest>(bytes_of({0, 1, 0}), 0), Errc{}) << "no cluster id, no topics";
  EXPECT_EQ(error_of<VoteRequest>(bytes_of({0, 0, 0}), 0), Errc::kCorrupt) << "topics";
  EXPECT_EQ(error_of<EndQuorumEpochRequest>(bytes_of({0xFF, 0xFF, 0, 0, 0, 1, 0xFF, 0xFF}), 0), Errc::kCorrupt);
  FetchSnapshotResponse response;
  response.topics.emplace_back().partitions.emplace_back();
  auto bytes = encoded(response, 1);
  // From the end: no tags of message, topic and partition, then the empty records.
  ASSERT_EQ(bytes.at(bytes.size() - 4), std::byte{1});
  bytes.at(bytes.size() - 4) = std::byte{0};
  EXPECT_EQ(error_of<FetchSnapshotResponse>(bytes, 1), Errc::kCorrupt) << "records";
}

TEST(ClusterMessagesTest, AVersionDropsWhatItCannotSay) {
  VoteRequest vote;
  vote.voter_id = 3;
  auto& asked = vote.topics.emplace_back().partitions.emplace_back();
  asked.voter_directory_id.bytes[0] = std::byte{1};
  asked.pre_vote = true;
  EXPECT_TRUE(again(vote, 2).topics[0].partitions[0].pre_vote);
  EXPECT_FALSE(again(vote, 1).topics[0].partitions[0].pre_vote);
  EXPECT_EQ(again(vote, 1).topics[0].partitions[0].voter_directory_id, asked.voter_directory_id);
  EXPECT_EQ(again(vote, 0).voter_id, -1);
  EXPECT_TRUE(again(vote, 0).topics[0].partitions[0].voter_directory_id.is_zero());

  VoteResponse answer;
  answer.node_endpoints.push_back({.node_id = 1, .host = "host", .port = 65535});
  EXPECT_EQ(again(answer, 1).node_endpoints.at(0).port, 65535);
  EXPECT_TRUE(again(answer, 0).node_endpoints.empty());
}

TEST(ClusterMessagesTest, WhatHasItsDefaultIsLeftOutOfTheTags) {
  FetchSnapshotRequest request;
  auto& partition = request.topics.emplace_back().partitions.emplace_back();
  const size_t least = encoded(request, 1).size();
  partition.replica_directory_id.bytes[15] = std::byte{1};
  EXPECT_EQ(encoded(request, 1).size(), least + 2 + sizeof(Uuid)) << "tag, size, id";
  EXPECT_EQ(encoded(request, 0).size(), least);
  request.cluster_id = "";
  EXPECT_EQ(again(request, 1).cluster_id, "") << "empty is not null";

  FetchSnapshotResponse response;
  auto& piece = response.topics.emplace_back().partitions.emplace_back();
  const size_t without = encoded(response, 1).size();
  piece.current_leader.leader_epoch = 1;
  EXPECT_EQ(encoded(response, 1).size(), without + 2 + 9) << "tag, size, two numbers and no tags";
}

TEST(ClusterMessagesTest, NullIsNotEmpty) {
  BrokerHeartbeatRequest beat;
  const size_t least = encoded(beat, 2).size();
  EXPECT_EQ(again(beat, 2).cordoned_log_dirs, std::nullopt);
  beat.cordoned_log_dirs.emplace();
  EXPECT_EQ(encoded(beat, 2).size(), least + 3) << "tag, size, an empty array";
  EXPECT_EQ(again(beat, 2).cordoned_log_dirs, std::vector<Uuid>());
  EXPECT_EQ(again(beat, 1).cordoned_log_dirs, std::nullopt);

  AlterPartitionReassignmentsRequest alter;
  auto& partition = alter.topics.emplace_back().partitions.emplace_back();
  EXPECT_EQ(again(alter, 1).topics[0].partitions[0].replicas, std::nullopt) << "ends a reassignment";
  partition.replicas.emplace();
  EXPECT_EQ(again(alter, 1).topics[0].partitions[0].replicas, std::vector<int32_t>());

  ElectLeadersRequest elect;
  EXPECT_TRUE(again(elect, 0).topic_partitions.has_value()) << "no partition, as Kafka's class is made";
  elect.topic_partitions.reset();
  EXPECT_FALSE(again(elect, 0).topic_partitions.has_value()) << "all of them";
}

TEST(ClusterMessagesTest, AnAbsentLeaderIsNotLeaderZero) {
  UpdateRaftVoterResponse answer;
  const size_t least = encoded(answer, 0).size();
  EXPECT_EQ(again(answer, 0).current_leader.leader_id, -1);
  answer.current_leader.leader_id = 0;
  EXPECT_GT(encoded(answer, 0).size(), least);
  EXPECT_EQ(again(answer, 0).current_leader.leader_id, 0);
}

TEST(ClusterMessagesTest, ASnapshotsBytesAreSpliced) {
  const std::vector<std::byte> piece(100, std::byte{0xAB});
  FetchSnapshotResponse response;
  response.topics.emplace_back().partitions.emplace_back().unaligned_records.whole = piece;
  const Frame frame = encode_response(response, 1, 7);
  ASSERT_EQ(frame.splices.size(), 1U);
  EXPECT_EQ(frame.splices[0].bytes.data(), piece.data());
  const auto bytes = frame.flatten();
  const auto header = decode_response_header(Bytes(bytes).subspan(kFrameLengthSize), ApiKey::kFetchSnapshot, 1);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->correlation_id, 7);
  const auto back = decode<FetchSnapshotResponse>(header->body, 1);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->topics.at(0).partitions.at(0).unaligned_records.size(), piece.size());
}

}  // namespace
}  // namespace posthaste::net::kafka
