// The requests of the quorum on Kafka's wire: Kafka's structs, and in three of them what Kafka has no field for, in
// tagged fields of our own. These structs are for connections between brokers; whoever reads one as Kafka's own struct
// (all that is served to clients does) skips the tags, and a message without them is Kafka's byte for byte.
//
// Each struct takes over the `fields` of Kafka's: what has the same name here hides what is there.
#pragma once
#include <array>

#include "net/kafka/broker_apis.h"
#include "net/kafka/fetch.h"
#include "net/kafka/quorum.h"
#include "net/kafka/quorum_epochs.h"
#include "replication/peers/handshake.h"

namespace posthaste::replication::peers::wire {

namespace kafka = net::kafka;

// Kafka counts its tags from 0 in each structure: it would take it long to come to these.
inline constexpr uint32_t kUnverifiedTag = 10'000;
inline constexpr uint32_t kVerifiedAtTag = 10'001;

// What each broker of a cluster serves to the others, always in these versions.
inline constexpr int16_t kVoteVersion = kafka::version_between_brokers(kafka::ApiKey::kVote);
inline constexpr int16_t kEpochVersion = kafka::version_between_brokers(kafka::ApiKey::kBeginQuorumEpoch);
inline constexpr int16_t kFetchVersion = kafka::version_between_brokers(kafka::ApiKey::kFetch);
inline constexpr int16_t kFetchSnapshotVersion = kafka::version_between_brokers(kafka::ApiKey::kFetchSnapshot);
inline constexpr auto kQuorumApis = std::to_array<RequiredApi>({
    {kafka::ApiKey::kFetch, kFetchVersion},
    {kafka::ApiKey::kVote, kVoteVersion},
    {kafka::ApiKey::kBeginQuorumEpoch, kEpochVersion},
    {kafka::ApiKey::kEndQuorumEpoch, kEpochVersion},
    {kafka::ApiKey::kFetchSnapshot, kFetchSnapshotVersion},
});

struct VoteResponse : kafka::VoteResponse {
  struct Topic : kafka::VoteResponse::Topic {
    struct Partition : kafka::VoteResponse::Topic::Partition {
      bool is_unverified = false;

      static constexpr void fields(auto& self, auto& field) {
        kafka::VoteResponse::Topic::Partition::fields(self, field);
        field.tagged(kUnverifiedTag, self.is_unverified, kafka::since(kVoteVersion));
      }
    };
    std::vector<Partition> partitions;
  };
  std::vector<Topic> topics;
};

struct VoteRequest : kafka::VoteRequest {
  using Response = VoteResponse;
};

struct FetchResponse : kafka::FetchResponse {
  struct Topic : kafka::FetchResponse::Topic {
    struct Partition : kafka::FetchResponse::Topic::Partition {
      bool is_unverified = false;
      int64_t verified_at = -1;

      static constexpr void fields(auto& self, auto& field) {
        kafka::FetchResponse::Topic::Partition::fields(self, field);
        field.tagged(kUnverifiedTag, self.is_unverified, kafka::since(kFetchVersion));
        field.tagged(kVerifiedAtTag, self.verified_at, kafka::since(kFetchVersion), /*absent=*/-1);
      }
    };
    kafka::Array<Partition> partitions;
  };
  kafka::Array<Topic> responses;
};

struct FetchRequest : kafka::FetchRequest {
  using Response = FetchResponse;
  struct Topic : kafka::FetchRequest::Topic {
    struct Partition : kafka::FetchRequest::Topic::Partition {
      bool is_unverified = false;

      static constexpr void fields(auto& self, auto& field) {
        kafka::FetchRequest::Topic::Partition::fields(self, field);
        field.tagged(kUnverifiedTag, self.is_unverified, kafka::since(kFetchVersion));
      }
    };
    kafka::Array<Partition> partitions;
  };
  kafka::Array<Topic> topics;
};

}  // namespace posthaste::replication::peers::wire
