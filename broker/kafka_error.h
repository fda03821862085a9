// Kafka's error codes, as the state machines of this room speak them. The numbers are the protocol's; the comments of
// the protocol tell which of them a client retries. This file does not map reactor::Errc: that is one exhaustive switch
// in the request handlers.
#pragma once
#include <cstdint>

namespace posthaste::broker {

// The subset that this room's pure state machines answer with. Wire value: the underlying int16.
enum class KafkaError : int16_t {
  kUnknownServerError = -1,
  kNone = 0,
  kUnknownTopicOrPartition = 3,
  kOffsetMetadataTooLarge = 12,
  kCoordinatorLoadInProgress = 14,  // retriable: the partition's records are still being replayed
  kCoordinatorNotAvailable = 15,    // retriable
  kNotCoordinator = 16,             // retriable: look the coordinator up again
  kInvalidTopic = 17,
  kIllegalGeneration = 22,
  kInconsistentGroupProtocol = 23,
  kInvalidGroupId = 24,
  kUnknownMemberId = 25,
  kInvalidSessionTimeout = 26,
  kRebalanceInProgress = 27,
  kInvalidCommitOffsetSize = 28,
  kTopicAlreadyExists = 36,
  kInvalidPartitions = 37,
  kInvalidReplicationFactor = 38,
  kInvalidReplicaAssignment = 39,
  kInvalidConfig = 40,
  kInvalidRequest = 42,
  kPolicyViolation = 44,
  kNonEmptyGroup = 68,
  kGroupIdNotFound = 69,
  kTopicDeletionDisabled = 73,
  kMemberIdRequired = 79,
  kGroupMaxSizeReached = 81,
  kFencedInstanceId = 82,
  kGroupSubscribedToTopic = 86,
  kUnknownTopicId = 100,
};

constexpr int16_t code(KafkaError error) noexcept { return static_cast<int16_t>(error); }

}  // namespace posthaste::broker
