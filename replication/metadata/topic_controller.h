// Creating and deleting topics as pure functions: an image and a request go in, records and results per topic come out.
// The caller appends the records to the metadata log as one batch, applies them to its image when they are durable, and
// only then answers. Between, no second request may be decided on the old image. It appends nothing itself.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/describe_configs.h"
#include "net/kafka/errors.h"
#include "replication/metadata/image.h"

namespace posthaste::replication {

// The broker's settings that the rules depend on.
struct TopicRules {
  int32_t num_partitions = 1;              // num.partitions: for requests with -1
  int16_t default_replication_factor = 1;  // default.replication.factor: for requests with -1
  bool delete_topic_enable = true;         // delete.topic.enable
  config::ConfigLayers layers;             // the broker's settings; filled by the controller, not by options
  config::ConfigMap defaults;              // of topics, made from `layers`: topic_config_defaults(merged(layers))
  // Ours: bounds on what one request and all requests together may create (POLICY_VIOLATION above).
  int32_t max_partitions_per_request = 10'000;
  size_t max_partitions = 1'000'000;
};

struct CreateTopic {
  struct Assignment {
    int32_t partition_index = 0;
    std::vector<int32_t> broker_ids;  // the first is the preferred leader
  };
  struct Config {
    std::string name;
    std::optional<std::string> value;
  };
  std::string name;
  int32_t num_partitions = -1;      // -1: the default; must be -1 with assignments
  int16_t replication_factor = -1;  // likewise
  std::vector<Assignment> assignments;
  std::vector<Config> configs;
  std::array<uint8_t, 16> random_id{};  // fresh random bytes: the topic's id is made of them
};

struct CreateTopicsRequest {
  std::vector<CreateTopic> topics;
  bool validate_only = false;
  std::string asked_by{};  // for the log
};

struct CreateTopicResult {
  std::string name;
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
  std::optional<std::string> message;  // for people, when error is set
  Uuid topic_id;                       // zero on error and with validate_only
  int32_t num_partitions = -1;
  int16_t replication_factor = -1;
  std::vector<config::DescribedConfig> configs;  // every key, ordered by name; empty on error
};

struct CreateTopicsOutcome {
  std::vector<MetadataRecord> records;     // empty with validate_only
  std::vector<CreateTopicResult> results;  // in the order of the request, a name that came twice once
};

// Never fails as a whole: each topic has its own result. Partitions are spread over the unfenced brokers in turn.
CreateTopicsOutcome create_topics(const MetadataImage& image, const TopicRules& rules,
                                  const CreateTopicsRequest& request);

// By name, or by id (DeleteTopics v6), never both.
struct DeleteTopic {
  std::optional<std::string> name;
  Uuid topic_id;
};

struct DeleteTopicResult {
  std::optional<std::string> name;  // nothing for an id that is not known
  Uuid topic_id;
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
  std::optional<std::string> message;
};

struct DeleteTopicsOutcome {
  std::vector<MetadataRecord> records;
  std::vector<DeleteTopicResult> results;  // in the order of the request, a topic that came twice once
  std::vector<std::string> deleted;        // names, for whoever drops what belongs to them (committed offsets)
};

DeleteTopicsOutcome delete_topics(const MetadataImage& image, const TopicRules& rules,
                                  const std::vector<DeleteTopic>& topics);

// The request that creates __consumer_offsets: compacted, `segment_bytes` (offsets.topic.segment.bytes) per segment.
CreateTopic consumer_offsets_topic(int32_t partitions, int16_t replication_factor, int32_t segment_bytes,
                                   std::array<uint8_t, 16> random_id);

}  // namespace posthaste::replication
