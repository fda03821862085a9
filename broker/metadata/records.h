// Records of the metadata log, in the frames and schema of Kafka's own (KRaft: frame version, record type and version
// as varints, then the record in flexible encoding), so that Kafka's tools can print it. Only the types this broker
// writes; another type or a newer version is kUnsupported, and whoever replays the log then stops rather than lose a
// change. Pure functions, any core.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/kafka/types.h"
#include "reactor/result.h"

namespace posthaste::broker {

using net::kafka::Uuid;

// A broker that takes part, with the addresses it is reached at. Type 0, version 3. A new incarnation of a broker
// begins a new leader epoch in every partition it leads: a restarted broker never leads under an epoch that it may have
// used before, and its start costs one record however many partitions there are.
struct RegisterBrokerRecord {
  struct Endpoint {
    std::string name;  // of the listener
    std::string host;
    uint16_t port = 0;
    int16_t security_protocol = 0;  // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
  };
  struct Feature {
    std::string name;
    int16_t least = 0;
    int16_t most = 0;
    friend bool operator==(const Feature&, const Feature&) = default;
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
};

// Type 2, version 0. Its partitions follow as records of their own.
struct TopicRecord {
  std::string name;
  Uuid topic_id;
  friend bool operator==(const TopicRecord&, const TopicRecord&) = default;
};

// The whole state of one partition. Type 3, version 1.
struct PartitionRecord {
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
};

// What changed in one partition; what is absent stays. Type 5, version 0. Naming a leader, the same one too, begins a
// new leader epoch.
struct PartitionChangeRecord {
  int32_t partition_id = -1;
  Uuid topic_id;
  std::optional<std::vector<int32_t>> isr;
  std::optional<int32_t> leader;  // -1: none
  friend bool operator==(const PartitionChangeRecord&, const PartitionChangeRecord&) = default;
};

// The topic, its partitions and its configuration are gone. Type 9, version 0.
struct RemoveTopicRecord {
  Uuid topic_id;
  friend bool operator==(const RemoveTopicRecord&, const RemoveTopicRecord&) = default;
};

inline constexpr int8_t kTopicResource = 2;
inline constexpr int8_t kBrokerResource = 4;  // with an empty name: the default of all brokers

// One setting of a topic or broker; no value: back to the default. Type 4, version 0.
struct ConfigRecord {
  int8_t resource_type = kTopicResource;
  std::string resource_name;
  std::string name;
  std::optional<std::string> value;
  friend bool operator==(const ConfigRecord&, const ConfigRecord&) = default;
};

// Type 12, version 0.
struct FeatureLevelRecord {
  std::string name;
  int16_t level = 0;  // 0: the feature is off
  friend bool operator==(const FeatureLevelRecord&, const FeatureLevelRecord&) = default;
};

// All producer ids below next_producer_id are given away. Type 15, version 0.
struct ProducerIdsRecord {
  int32_t broker_id = -1;
  int64_t broker_epoch = -1;
  int64_t next_producer_id = -1;
  friend bool operator==(const ProducerIdsRecord&, const ProducerIdsRecord&) = default;
};

// Records up to the next EndTransactionRecord belong together (KIP-868). Type 23, version 0. Ours: written around a
// snapshot of the image only, which is named "snapshot"; every other change is one batch and needs no frame.
struct BeginTransactionRecord {
  std::optional<std::string> name;
  friend bool operator==(const BeginTransactionRecord&, const BeginTransactionRecord&) = default;
};

// Type 24, version 0.
struct EndTransactionRecord {
  friend bool operator==(const EndTransactionRecord&, const EndTransactionRecord&) = default;
};

using MetadataRecord =
    std::variant<RegisterBrokerRecord, TopicRecord, PartitionRecord, PartitionChangeRecord, RemoveTopicRecord,
                 ConfigRecord, FeatureLevelRecord, ProducerIdsRecord, BeginTransactionRecord, EndTransactionRecord>;

// The value of one record of the metadata log (its key is null). Never fails.
std::string encode(const MetadataRecord& record);

// kUnsupported: another frame version, record type, newer record version, or a change that this broker does not know
// how to apply. kTruncated, kCorrupt: not a metadata record.
reactor::Result<MetadataRecord> decode_metadata_record(std::string_view bytes);

}  // namespace posthaste::broker
