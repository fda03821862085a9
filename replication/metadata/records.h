// Records of the metadata log, in the frames and schema of Kafka's own (KRaft: frame version, record type and version
// as varints, then the record in flexible encoding), so that Kafka's tools can print it. Each record states its fields
// once, as a message does; it is written in the newest version it has. Only the types this broker writes; another type
// or a newer version is kUnsupported, and whoever replays the log then stops rather than lose a change. Pure functions,
// any core.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/kafka/codec.h"
#include "reactor/result.h"

namespace posthaste::replication {

using net::kafka::since;
using net::kafka::Uuid;
using net::kafka::VersionRules;

// Versions 0 to `newest`, all flexible.
constexpr VersionRules metadata_versions(int16_t newest) {
  return {.codec_min = 0, .codec_max = newest, .first_flexible = 0};
}

// A broker that takes part, with the addresses it is reached at. A new incarnation of a broker
// begins a new leader epoch in every partition it leads: a restarted broker never leads under an epoch that it may have
// used before, and its start costs one record however many partitions there are.
struct RegisterBrokerRecord {
  static constexpr uint32_t kType = 0;
  static constexpr VersionRules kRules = metadata_versions(3);

  struct Endpoint {
    std::string name;  // of the listener
    std::string host;
    uint16_t port = 0;
    int16_t security_protocol = 0;  // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
    friend bool operator==(const Endpoint&, const Endpoint&) = default;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.host);
      field(self.port);
      field(self.security_protocol);
    }
  };
  struct Feature {
    std::string name;
    int16_t least = 0;
    int16_t most = 0;
    friend bool operator==(const Feature&, const Feature&) = default;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.least);
      field(self.most);
    }
  };
  int32_t broker_id = -1;
  bool is_migrating = false;  // always false; part of the schema
  Uuid incarnation_id;
  int64_t broker_epoch = -1;
  std::vector<Endpoint> endpoints;
  std::vector<Feature> features;
  std::optional<std::string> rack;
  bool fenced = true;
  bool in_controlled_shutdown = false;
  std::vector<Uuid> log_dirs;
  friend bool operator==(const RegisterBrokerRecord&, const RegisterBrokerRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.broker_id);
    field(self.is_migrating, since(2));
    field(self.incarnation_id);
    field(self.broker_epoch);
    field(self.endpoints);
    field(self.features);
    field(self.rack, since(0).nullable());
    field(self.fenced);
    field(self.in_controlled_shutdown, since(1));
    field.tagged(0, self.log_dirs, since(3));
  }
};

// Its partitions follow as records of their own.
struct TopicRecord {
  static constexpr uint32_t kType = 2;
  static constexpr VersionRules kRules = metadata_versions(0);

  std::string name;
  Uuid topic_id;
  friend bool operator==(const TopicRecord&, const TopicRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.name);
    field(self.topic_id);
  }
};

// The whole state of one partition.
struct PartitionRecord {
  static constexpr uint32_t kType = 3;
  static constexpr VersionRules kRules = metadata_versions(1);

  int32_t partition_id = -1;
  Uuid topic_id;
  std::vector<int32_t> replicas;
  std::vector<int32_t> isr;
  std::vector<int32_t> removing_replicas;
  std::vector<int32_t> adding_replicas;
  int32_t leader = -1;
  int8_t leader_recovery_state = 0;
  int32_t leader_epoch = -1;
  int32_t partition_epoch = -1;
  std::vector<Uuid> directories;
  friend bool operator==(const PartitionRecord&, const PartitionRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.partition_id);
    field(self.topic_id);
    field(self.replicas);
    field(self.isr);
    field(self.removing_replicas);
    field(self.adding_replicas);
    field(self.leader);
    field.tagged(0, self.leader_recovery_state, since(0));
    field(self.leader_epoch);
    field(self.partition_epoch);
    field(self.directories, since(1));
  }
};

// What changed in one partition; what is absent stays. Naming a leader, the same one too, begins a
// new leader epoch.
struct PartitionChangeRecord {
  static constexpr uint32_t kType = 5;
  static constexpr VersionRules kRules = metadata_versions(0);

  int32_t partition_id = -1;
  Uuid topic_id;
  std::optional<std::vector<int32_t>> isr;
  std::optional<int32_t> leader;  // -1: none
  friend bool operator==(const PartitionChangeRecord&, const PartitionChangeRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.partition_id);
    field(self.topic_id);
    field.tagged(0, self.isr, since(0));
    field.tagged(1, self.leader, since(0));
  }
};

// The topic, its partitions and its configuration are gone.
struct RemoveTopicRecord {
  static constexpr uint32_t kType = 9;
  static constexpr VersionRules kRules = metadata_versions(0);

  Uuid topic_id;
  friend bool operator==(const RemoveTopicRecord&, const RemoveTopicRecord&) = default;

  static constexpr void fields(auto& self, auto& field) { field(self.topic_id); }
};

inline constexpr int8_t kTopicResource = 2;
inline constexpr int8_t kBrokerResource = 4;  // with an empty name: the default of all brokers

// One setting of a topic or broker; no value: back to the default.
struct ConfigRecord {
  static constexpr uint32_t kType = 4;
  static constexpr VersionRules kRules = metadata_versions(0);

  int8_t resource_type = kTopicResource;
  std::string resource_name;
  std::string name;
  std::optional<std::string> value;
  friend bool operator==(const ConfigRecord&, const ConfigRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.resource_type);
    field(self.resource_name);
    field(self.name);
    field(self.value, since(0).nullable());
  }
};

struct FeatureLevelRecord {
  static constexpr uint32_t kType = 12;
  static constexpr VersionRules kRules = metadata_versions(0);

  std::string name;
  int16_t level = 0;  // 0: the feature is off
  friend bool operator==(const FeatureLevelRecord&, const FeatureLevelRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.name);
    field(self.level);
  }
};

// All producer ids below next_producer_id are given away.
struct ProducerIdsRecord {
  static constexpr uint32_t kType = 15;
  static constexpr VersionRules kRules = metadata_versions(0);

  int32_t broker_id = -1;
  int64_t broker_epoch = -1;
  int64_t next_producer_id = -1;
  friend bool operator==(const ProducerIdsRecord&, const ProducerIdsRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.broker_id);
    field(self.broker_epoch);
    field(self.next_producer_id);
  }
};

// Records up to the next EndTransactionRecord belong together (KIP-868). Ours: written around a
// snapshot of the image only, which is named "snapshot"; every other change is one batch and needs no frame.
struct BeginTransactionRecord {
  static constexpr uint32_t kType = 23;
  static constexpr VersionRules kRules = metadata_versions(0);

  std::optional<std::string> name;
  friend bool operator==(const BeginTransactionRecord&, const BeginTransactionRecord&) = default;

  static constexpr void fields(auto& self, auto& field) { field.tagged(0, self.name, since(0).nullable()); }
};

struct EndTransactionRecord {
  static constexpr uint32_t kType = 24;
  static constexpr VersionRules kRules = metadata_versions(0);

  friend bool operator==(const EndTransactionRecord&, const EndTransactionRecord&) = default;

  static constexpr void fields(auto&, auto&) {}
};

using MetadataRecord =
    std::variant<RegisterBrokerRecord, TopicRecord, PartitionRecord, PartitionChangeRecord, RemoveTopicRecord,
                 ConfigRecord, FeatureLevelRecord, ProducerIdsRecord, BeginTransactionRecord, EndTransactionRecord>;

// The value of one record of the metadata log (its key is null). Never fails.
std::string encode(const MetadataRecord& record);

// kUnsupported: another frame version, record type, newer record version, or a change that this broker does not know
// how to apply. kTruncated, kCorrupt: not a metadata record.
reactor::Result<MetadataRecord> decode_metadata_record(std::string_view bytes);

}  // namespace posthaste::replication
