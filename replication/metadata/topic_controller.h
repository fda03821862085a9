// Creating and deleting topics as pure decisions: an image and a request go in, records and results per topic come out.
// The caller appends the records to the metadata log as one batch, applies them to its image when they are durable, and
// only then answers. Between, no second request may be decided on the old image. It appends nothing itself.
//
// A request may name thousands of topics, each of which stands for itself. So it is decided topic by topic, and its
// caller may commit what is decided so far as a change of its own and go on with the image that this led to
// (replication/controller.h). What holds for a request as a whole holds across such pieces too.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/describe_configs.h"
#include "net/kafka/errors.h"
#include "replication/metadata/image.h"
#include "replication/metadata/replica_placer.h"

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
  std::string asked_by{};    // for the log
  bool with_configs = true;  // results show the settings of topics, which is most of what deciding takes
};

struct CreateTopicResult {
  std::string name;
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
  std::optional<std::string> message;  // for people, when error is set
  Uuid topic_id;                       // zero on error and with validate_only
  int32_t num_partitions = -1;
  int16_t replication_factor = -1;
  std::vector<config::DescribedConfig> configs;  // every key, ordered by name; empty on error, and if nobody wants them
};

struct CreateTopicsOutcome {
  std::vector<MetadataRecord> records;     // empty with validate_only
  std::vector<CreateTopicResult> results;  // in the order of the request, a name that came twice once
};

// Decides a CreateTopics request. Never fails as a whole: each topic has its own result. Partitions are placed as
// replica_placer.h says. Like the other two of its kind (TopicDeletion, PartitionGrowth, ConfigChanges) it is used
// so: note_next() until all_noted(); then decide_next() until all_decided(), with begin_piece() before the first one
// and before whatever follows a commit.
class TopicCreation {
 public:
  using Outcome = CreateTopicsOutcome;
  // Topics created so far.
  struct SoFar {
    std::set<std::string, std::less<>> names;
    std::map<std::string, std::string> by_key;  // collision key -> name
    std::set<Uuid> ids;
    int64_t partitions = 0;
    // Of these, what the image does not have: of this piece, or nothing is created.
    size_t topics_ahead = 0;
    int64_t partitions_ahead = 0;
  };

  // `request` outlives it.
  explicit TopicCreation(const CreateTopicsRequest& request) : request_(request) {}

  // Takes note of one topic, so that one that is named twice is known.
  bool all_noted() const { return noted_ == request_.topics.size(); }
  void note_next(const MetadataImage& image);
  // Decides about one topic, and adds to `outcome` what follows.
  bool all_decided() const { return decided_ == request_.topics.size(); }
  void decide_next(const MetadataImage& image, const TopicRules& rules, CreateTopicsOutcome& outcome);
  // What was decided is in the image from now on, or was refused and is not created. The brokers are this image's.
  void begin_piece(const MetadataImage& image);

 private:
  const CreateTopicsRequest& request_;
  std::map<std::string_view, size_t> times_;
  ReplicaPlacer placer_;
  SoFar so_far_;
  size_t noted_ = 0;
  size_t decided_ = 0;
};

// By name, or by id (DeleteTopics v6), never both.
struct DeleteTopic {
  std::optional<std::string> name;
  Uuid topic_id;
};

struct DeleteTopicResult {
  std::optional<std::string> name;  // nothing for an id that is not known or comes twice
  Uuid topic_id;
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
  std::optional<std::string> message;
};

struct DeleteTopicsOutcome {
  std::vector<MetadataRecord> records;
  std::vector<DeleteTopicResult> results;  // in the order of the request, less those that share an answer
  std::vector<std::string> deleted;        // names, for whoever drops what belongs to them (committed offsets)
};

// Decides a DeleteTopics request; see TopicCreation. What is named twice is answered as in Kafka: a name or an id that
// comes more than once is refused in one answer and means no topic. A name that comes once, of a topic that is named by
// its id too, is refused; an id that comes once is then answered with it.
class TopicDeletion {
 public:
  using Outcome = DeleteTopicsOutcome;
  // One name, or one id.
  struct Mention {
    size_t times = 0;
    const Mention* other = nullptr;  // the id of a name's topic, the name of an id's
    Uuid topic_id;                   // of a name's topic
    bool is_answered = false;
  };

  // `topics` outlive it.
  explicit TopicDeletion(const std::vector<DeleteTopic>& topics) : topics_(topics) {}

  // On one image for all of them: a topic may be named by its name and by its id.
  bool all_noted() const { return noted_ == topics_.size(); }
  void note_next(const MetadataImage& image);
  bool all_decided() const { return decided_ == topics_.size(); }
  void decide_next(const MetadataImage& image, const TopicRules& rules, DeleteTopicsOutcome& outcome);
  void begin_piece(const MetadataImage& /*image*/) { removed_.clear(); }

 private:
  const std::vector<DeleteTopic>& topics_;
  std::map<std::string_view, Mention> names_;
  std::map<Uuid, Mention> ids_;
  std::set<Uuid> removed_;  // of this piece
  size_t noted_ = 0;
  size_t decided_ = 0;
};

// The request that creates __consumer_offsets: compacted, `segment_bytes` (offsets.topic.segment.bytes) per segment.
CreateTopic consumer_offsets_topic(int32_t partitions, int16_t replication_factor, int32_t segment_bytes,
                                   std::array<uint8_t, 16> random_id);

}  // namespace posthaste::replication
