// Which requests exist, which versions of them the codec knows and which of those we advertise: one table for the whole
// program. It does not hold the messages themselves (produce.h, fetch.h, ...).
#pragma once
#include <cstdint>
#include <string_view>

namespace posthaste::net::kafka {

// Every API key of Kafka 4.3, served or not, so that a log line can name what a client asked for.
enum class ApiKey : int16_t {
  kProduce = 0,
  kFetch = 1,
  kListOffsets = 2,
  kMetadata = 3,
  kLeaderAndIsr = 4,
  kStopReplica = 5,
  kUpdateMetadata = 6,
  kControlledShutdown = 7,
  kOffsetCommit = 8,
  kOffsetFetch = 9,
  kFindCoordinator = 10,
  kJoinGroup = 11,
  kHeartbeat = 12,
  kLeaveGroup = 13,
  kSyncGroup = 14,
  kDescribeGroups = 15,
  kListGroups = 16,
  kSaslHandshake = 17,
  kApiVersions = 18,
  kCreateTopics = 19,
  kDeleteTopics = 20,
  kDeleteRecords = 21,
  kInitProducerId = 22,
  kOffsetForLeaderEpoch = 23,
  kAddPartitionsToTxn = 24,
  kAddOffsetsToTxn = 25,
  kEndTxn = 26,
  kWriteTxnMarkers = 27,
  kTxnOffsetCommit = 28,
  kDescribeAcls = 29,
  kCreateAcls = 30,
  kDeleteAcls = 31,
  kDescribeConfigs = 32,
  kAlterConfigs = 33,
  kAlterReplicaLogDirs = 34,
  kDescribeLogDirs = 35,
  kSaslAuthenticate = 36,
  kCreatePartitions = 37,
  kCreateDelegationToken = 38,
  kRenewDelegationToken = 39,
  kExpireDelegationToken = 40,
  kDescribeDelegationToken = 41,
  kDeleteGroups = 42,
  kElectLeaders = 43,
  kIncrementalAlterConfigs = 44,
  kAlterPartitionReassignments = 45,
  kListPartitionReassignments = 46,
  kOffsetDelete = 47,
  kDescribeClientQuotas = 48,
  kAlterClientQuotas = 49,
  kDescribeUserScramCredentials = 50,
  kAlterUserScramCredentials = 51,
  kVote = 52,
  kBeginQuorumEpoch = 53,
  kEndQuorumEpoch = 54,
  kDescribeQuorum = 55,
  kAlterPartition = 56,
  kUpdateFeatures = 57,
  kEnvelope = 58,
  kFetchSnapshot = 59,
  kDescribeCluster = 60,
  kDescribeProducers = 61,
  kBrokerRegistration = 62,
  kBrokerHeartbeat = 63,
  kUnregisterBroker = 64,
  kDescribeTransactions = 65,
  kListTransactions = 66,
  kAllocateProducerIds = 67,
  kConsumerGroupHeartbeat = 68,
  kConsumerGroupDescribe = 69,
  kControllerRegistration = 70,
  kGetTelemetrySubscriptions = 71,
  kPushTelemetry = 72,
  kAssignReplicasToDirs = 73,
  kListConfigResources = 74,
  kDescribeTopicPartitions = 75,
  kShareGroupHeartbeat = 76,
  kShareGroupDescribe = 77,
  kShareFetch = 78,
  kShareAcknowledge = 79,
  kAddRaftVoter = 80,
  kRemoveRaftVoter = 81,
  kUpdateRaftVoter = 82,
  kInitializeShareGroupState = 83,
  kReadShareGroupState = 84,
  kWriteShareGroupState = 85,
  kDeleteShareGroupState = 86,
  kReadShareGroupStateSummary = 87,
  kStreamsGroupHeartbeat = 88,
  kStreamsGroupDescribe = 89,
  kDescribeShareGroupOffsets = 90,
  kAlterShareGroupOffsets = 91,
  kDeleteShareGroupOffsets = 92,
};

// Kafka's name, or "Unknown" for a key that Kafka 4.3 does not define.
std::string_view to_string(ApiKey key) noexcept;

struct ApiInfo {
  ApiKey key{};
  std::string_view name;
  int16_t codec_min = 0;  // versions that encode and decode know
  int16_t codec_max = 0;
  int16_t advertised_min = 0;  // versions that ApiVersions lists; everything in here must be served in full
  int16_t advertised_max = 0;
  int16_t first_flexible = 0;             // KIP-482: compact lengths and tagged fields from here on
  int16_t first_by_topic_id = INT16_MAX;  // KIP-516: an id stands where the topic's name was

  constexpr bool codec_knows(int16_t version) const { return codec_min <= version && version <= codec_max; }
  constexpr bool advertises(int16_t version) const { return advertised_min <= version && version <= advertised_max; }
  constexpr bool is_flexible(int16_t version) const { return version >= first_flexible; }
  constexpr bool is_by_topic_id(int16_t version) const { return version >= first_by_topic_id; }
};

// In key order. The versions that name topics by id alone are advertised as one set, with the Metadata that tells the
// ids: clients send ids that nobody has told them otherwise. Produce starts at 0 because librdkafka stops compressing
// when it does not (KAFKA-18659).
inline constexpr ApiInfo kApis[] = {
    {ApiKey::kProduce, "Produce", 0, 13, 0, 13, 9, 13},
    {ApiKey::kFetch, "Fetch", 4, 18, 4, 18, 12, 13},
    {ApiKey::kListOffsets, "ListOffsets", 1, 11, 1, 11, 6},
    {ApiKey::kMetadata, "Metadata", 0, 13, 0, 13, 9},
    {ApiKey::kOffsetCommit, "OffsetCommit", 2, 10, 2, 10, 8, 10},
    {ApiKey::kOffsetFetch, "OffsetFetch", 1, 10, 1, 10, 6, 10},
    {ApiKey::kFindCoordinator, "FindCoordinator", 0, 6, 0, 4, 3},
    {ApiKey::kJoinGroup, "JoinGroup", 0, 9, 0, 9, 6},
    {ApiKey::kHeartbeat, "Heartbeat", 0, 4, 0, 4, 4},
    {ApiKey::kLeaveGroup, "LeaveGroup", 0, 5, 0, 5, 4},
    {ApiKey::kSyncGroup, "SyncGroup", 0, 5, 0, 5, 4},
    {ApiKey::kDescribeGroups, "DescribeGroups", 0, 6, 0, 5, 5},
    {ApiKey::kListGroups, "ListGroups", 0, 5, 0, 5, 3},
    {ApiKey::kApiVersions, "ApiVersions", 0, 4, 0, 4, 3},
    {ApiKey::kCreateTopics, "CreateTopics", 2, 7, 2, 7, 5},
    {ApiKey::kDeleteTopics, "DeleteTopics", 1, 6, 1, 6, 4},
    {ApiKey::kDeleteRecords, "DeleteRecords", 0, 2, 0, 2, 2},
    {ApiKey::kInitProducerId, "InitProducerId", 0, 6, 0, 4, 2},
    {ApiKey::kOffsetForLeaderEpoch, "OffsetForLeaderEpoch", 2, 4, 2, 4, 4},
    {ApiKey::kDescribeConfigs, "DescribeConfigs", 1, 4, 1, 4, 4},
    {ApiKey::kAlterConfigs, "AlterConfigs", 0, 2, 0, 2, 2},
    {ApiKey::kDescribeLogDirs, "DescribeLogDirs", 1, 5, 1, 5, 2},
    {ApiKey::kCreatePartitions, "CreatePartitions", 0, 3, 0, 3, 2},
    {ApiKey::kDeleteGroups, "DeleteGroups", 0, 2, 0, 2, 2},
    {ApiKey::kIncrementalAlterConfigs, "IncrementalAlterConfigs", 0, 1, 0, 1, 1},
    {ApiKey::kOffsetDelete, "OffsetDelete", 0, 0, 0, 0, INT16_MAX},
    {ApiKey::kDescribeCluster, "DescribeCluster", 0, 2, 0, 1, 0},
    {ApiKey::kDescribeProducers, "DescribeProducers", 0, 0, 0, 0, 0},
    {ApiKey::kDescribeTopicPartitions, "DescribeTopicPartitions", 0, 0, 0, 0, 0},
};

// The row of `key`, or null if the codec has no messages for it.
constexpr const ApiInfo* find_api(ApiKey key) {
  for (const ApiInfo& info : kApis) {
    if (info.key == key) return &info;
  }
  return nullptr;
}

}  // namespace posthaste::net::kafka
