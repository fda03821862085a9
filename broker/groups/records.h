// Keys and values of __consumer_offsets in Kafka's schema (group-coordinator records, Kafka 4.3), so that a partition
// written by either can be read by the other. Each record states its fields once, as a message does. Only the records
// of classic groups and of offsets; those of consumer, share and streams groups are recognised as kUnsupported. Pure
// functions, any core.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/kafka/codec.h"
#include "reactor/result.h"

namespace posthaste::broker {

using net::kafka::between;
using net::kafka::OwnedBytes;
using net::kafka::since;
using net::kafka::VersionRules;

struct OffsetCommitKey {
  static constexpr int16_t kType = 1;
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 0};

  std::string group;
  std::string topic;
  int32_t partition = 0;
  friend auto operator<=>(const OffsetCommitKey&, const OffsetCommitKey&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.group);
    field(self.topic);
    field(self.partition);
  }
};

struct GroupMetadataKey {
  static constexpr int16_t kType = 2;
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 0};

  std::string group;

  static constexpr void fields(auto& self, auto& field) { field(self.group); }
};

struct OffsetCommitValue {
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 4, .first_flexible = 4};

  int64_t offset = -1;
  int32_t leader_epoch = -1;
  std::string metadata;
  int64_t commit_timestamp = -1;  // wall milliseconds
  int64_t expire_timestamp = -1;  // -1: by retention
  friend bool operator==(const OffsetCommitValue&, const OffsetCommitValue&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.offset);
    field(self.leader_epoch, since(3));
    field(self.metadata);
    field(self.commit_timestamp);
    field(self.expire_timestamp, between(1, 1));
  }
};

struct GroupMetadataValue {
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 4, .first_flexible = 4};

  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
    std::string client_id;
    std::string client_host;
    int32_t rebalance_timeout_ms = -1;  // -1: as the session
    int32_t session_timeout_ms = 0;
    OwnedBytes subscription;
    OwnedBytes assignment;
    friend bool operator==(const Member&, const Member&) = default;

    static constexpr void fields(auto& self, auto& field) {
      field(self.member_id);
      field(self.group_instance_id, since(3).nullable());
      field(self.client_id);
      field(self.client_host);
      field(self.rebalance_timeout_ms, since(1));
      field(self.session_timeout_ms);
      field(self.subscription);
      field(self.assignment);
    }
  };
  std::string protocol_type;
  int32_t generation = 0;
  std::optional<std::string> protocol;
  std::optional<std::string> leader;
  int64_t current_state_timestamp = -1;  // wall milliseconds
  std::vector<Member> members;
  friend bool operator==(const GroupMetadataValue&, const GroupMetadataValue&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.protocol_type);
    field(self.generation);
    field(self.protocol, since(0).nullable());
    field(self.leader, since(0).nullable());
    field(self.current_state_timestamp, since(2));
    field(self.members);
  }
};

using GroupRecordKey = std::variant<OffsetCommitKey, GroupMetadataKey>;

std::string encode(const OffsetCommitKey& key);
std::string encode(const GroupMetadataKey& key);
// Version 3 (with leader epoch), or 1 when an explicit expiry is set, as Kafka writes them.
std::string encode(const OffsetCommitValue& value);
// Version 3.
std::string encode(const GroupMetadataValue& value);

// kUnsupported for a record type that is not a classic group's; kTruncated or kCorrupt for bytes that are not a key.
reactor::Result<GroupRecordKey> decode_group_key(std::string_view bytes);
// Versions 0 to 4; kUnsupported above.
reactor::Result<OffsetCommitValue> decode_offset_value(std::string_view bytes);
// Versions 0 to 4; kUnsupported above.
reactor::Result<GroupMetadataValue> decode_group_value(std::string_view bytes);

}  // namespace posthaste::broker
