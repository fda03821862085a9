// What members of a "consumer" group tell each other inside JoinGroup metadata and SyncGroup assignments. A broker
// passes these bytes on unread; tools and simulated clients read and write them. Struct and versions only; bytes are
// the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"

namespace posthaste::net::kafka {

// A member's metadata: what it wants to read. Owned partitions serve cooperative rebalancing (KIP-429, KIP-792).
struct ConsumerSubscription {
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 3};

  struct TopicPartitions {
    std::string_view topic;
    std::vector<int32_t> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic, since(1));
      field(self.partitions, since(1));
    }
  };

  std::vector<std::string_view> topics;
  std::optional<Bytes> user_data;
  std::vector<TopicPartitions> owned_partitions;
  int32_t generation_id = -1;
  NullableString rack_id;

  static constexpr void fields(auto& self, auto& field) {
    field(self.topics);
    field(self.user_data, since(0).nullable());
    field(self.owned_partitions, since(1));
    field(self.generation_id, since(2));
    field(self.rack_id, since(3).nullable());
  }
};

// What the group's leader gave one member.
struct ConsumerAssignment {
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 3};

  struct TopicPartitions {
    std::string_view topic;
    std::vector<int32_t> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic);
      field(self.partitions);
    }
  };

  std::vector<TopicPartitions> assigned_partitions;
  std::optional<Bytes> user_data;

  static constexpr void fields(auto& self, auto& field) {
    field(self.assigned_partitions);
    field(self.user_data, since(0).nullable());
  }
};

// Both travel behind an int16 version. A version newer than ours is read as our newest, as Kafka's consumers do: newer
// ones only append. Any core. Fails: kTruncated, kCorrupt, kLimit, kUnsupported (a negative version).
reactor::Result<ConsumerSubscription> decode_subscription(Bytes bytes);
reactor::Result<ConsumerAssignment> decode_assignment(Bytes bytes);

// The version in front and the message. `version` is 0 to 3. Any core; cannot fail.
std::vector<std::byte> encode_subscription(const ConsumerSubscription& subscription, int16_t version);
std::vector<std::byte> encode_assignment(const ConsumerAssignment& assignment, int16_t version);

}  // namespace posthaste::net::kafka
