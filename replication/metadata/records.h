// Records of the metadata log, in the frames and schema of Kafka's own (KRaft: frame version, record type and version
// as varints, then the record in flexible encoding), so that Kafka's tools can print it. Each record states its fields
// once, as a message does; it is written in the newest version it has, or in the oldest that can say what it says where
// it tells which (written_version), so that what a lone broker writes can be read by the releases before this one. Only
// the types this broker writes; another type or a newer version is kUnsupported, and whoever replays the log then stops
// rather than lose a change. Pure functions, any core.
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

// Fields that Kafka's records do not have stand in tagged fields from here on: Kafka's tools skip what they do not
// know.
inline constexpr uint32_t kFirstOwnTag = 1000;

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
  // Ours: it went down with its machine and without an orderly stop, so that a disk which lies may have lost what it
  // acknowledged. Its replicas keep their places in ISR and ELR, as unverified ones.
  bool is_unverified = false;
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
    field.tagged(kFirstOwnTag, self.is_unverified, since(0));
  }
};

// The broker of this registration is forgotten: it will not come back.
struct UnregisterBrokerRecord {
  static constexpr uint32_t kType = 1;
  static constexpr VersionRules kRules = metadata_versions(0);

  int32_t broker_id = -1;
  int64_t broker_epoch = -1;
  friend bool operator==(const UnregisterBrokerRecord&, const UnregisterBrokerRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.broker_id);
    field(self.broker_epoch);
  }
};

// What changed in a registration; what is absent stays.
struct BrokerRegistrationChangeRecord {
  static constexpr uint32_t kType = 17;
  static constexpr VersionRules kRules = metadata_versions(2);

  enum class Fenced : int8_t { kUnfence = -1, kUnchanged = 0, kFence = 1 };
  enum class ControlledShutdown : int8_t { kUnchanged = 0, kEnter = 1 };

  int32_t broker_id = -1;
  int64_t broker_epoch = -1;
  Fenced fenced = Fenced::kUnchanged;
  ControlledShutdown in_controlled_shutdown = ControlledShutdown::kUnchanged;
  std::vector<Uuid> log_dirs;
  friend bool operator==(const BrokerRegistrationChangeRecord&, const BrokerRegistrationChangeRecord&) = default;

  int16_t written_version() const {
    if (!log_dirs.empty()) return 2;
    return in_controlled_shutdown == ControlledShutdown::kUnchanged ? 0 : 1;
  }

  static constexpr void fields(auto& self, auto& field) {
    field(self.broker_id);
    field(self.broker_epoch);
    field.tagged(0, self.fenced, since(0));
    field.tagged(1, self.in_controlled_shutdown, since(1));
    field.tagged(2, self.log_dirs, since(2));
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

// The whole state of one partition. Its eligible leader replicas (ELR) left the ISR when too few were left in it, and
// hold all that was committed (KIP-966); the last known ELR is who led last, once nobody does.
struct PartitionRecord {
  static constexpr uint32_t kType = 3;
  static constexpr VersionRules kRules = metadata_versions(2);

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
  std::vector<int32_t> elr;
  std::vector<int32_t> last_known_elr;
  std::vector<int32_t> unverified;  // ours: of ISR and ELR (RegisterBrokerRecord)
  friend bool operator==(const PartitionRecord&, const PartitionRecord&) = default;

  int16_t written_version() const { return elr.empty() && last_known_elr.empty() ? 1 : 2; }

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
    field.tagged(1, self.elr, since(2).nullable());
    field.tagged(2, self.last_known_elr, since(2).nullable());
    field.tagged(kFirstOwnTag, self.unverified, since(0));
  }
};

// What changed in one partition; what is absent stays. Naming a leader, the same one too, begins a
// new leader epoch.
struct PartitionChangeRecord {
  static constexpr uint32_t kType = 5;
  static constexpr VersionRules kRules = metadata_versions(2);

  int32_t partition_id = -1;
  Uuid topic_id;
  std::optional<std::vector<int32_t>> isr{};
  std::optional<int32_t> leader{};  // -1: none
  std::optional<std::vector<int32_t>> replicas{};
  std::optional<std::vector<int32_t>> removing_replicas{};
  std::optional<std::vector<int32_t>> adding_replicas{};
  std::optional<int8_t> leader_recovery_state{};
  std::optional<std::vector<int32_t>> elr{};
  std::optional<std::vector<int32_t>> last_known_elr{};
  std::optional<std::vector<Uuid>> directories{};
  std::optional<std::vector<int32_t>> unverified{};  // ours
  friend bool operator==(const PartitionChangeRecord&, const PartitionChangeRecord&) = default;

  int16_t written_version() const {
    if (elr || last_known_elr) return 2;
    return directories ? 1 : 0;
  }

  static constexpr void fields(auto& self, auto& field) {
    field(self.partition_id);
    field(self.topic_id);
    field.tagged(0, self.isr, since(0));
    field.tagged(1, self.leader, since(0));
    field.tagged(2, self.replicas, since(0));
    field.tagged(3, self.removing_replicas, since(0));
    field.tagged(4, self.adding_replicas, since(0));
    field.tagged(5, self.leader_recovery_state, since(0));
    field.tagged(6, self.elr, since(2));
    field.tagged(7, self.last_known_elr, since(2));
    field.tagged(8, self.directories, since(1));
    field.tagged(kFirstOwnTag, self.unverified, since(0));
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

// The partitions of a topic (of an empty name: of all topics that have no min.insync.replicas of their own) have
// another effective minimum of in-sync replicas: who left the ISR under the one before may not hold all that is
// committed under this one. So their ELR is cleared; but where nobody leads, nothing is committed, and it stays.
struct ClearElrRecord {
  static constexpr uint32_t kType = 28;
  static constexpr VersionRules kRules = metadata_versions(0);

  std::string topic_name;
  friend bool operator==(const ClearElrRecord&, const ClearElrRecord&) = default;

  static constexpr void fields(auto& self, auto& field) { field(self.topic_name); }
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
    std::variant<RegisterBrokerRecord, UnregisterBrokerRecord, BrokerRegistrationChangeRecord, TopicRecord,
                 PartitionRecord, PartitionChangeRecord, RemoveTopicRecord, ConfigRecord, FeatureLevelRecord,
                 ClearElrRecord, ProducerIdsRecord, BeginTransactionRecord, EndTransactionRecord>;

// The value of one record of the metadata log (its key is null). Never fails.
std::string encode(const MetadataRecord& record);

// kUnsupported: another frame version, record type, newer record version, or a change that this broker does not know
// how to apply. kTruncated, kCorrupt: not a metadata record.
reactor::Result<MetadataRecord> decode_metadata_record(std::string_view bytes);

}  // namespace posthaste::replication
