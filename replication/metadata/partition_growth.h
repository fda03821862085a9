// More partitions for topics that exist (CreatePartitions) as a pure decision, like topic_controller.h: an image and a
// request go in, records and results per topic come out, topic by topic. It appends nothing itself.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replication/metadata/topic_controller.h"

namespace posthaste::replication {

struct GrowTopic {
  std::string name;
  int32_t count = 0;                                             // that the topic is to have
  std::optional<std::vector<std::vector<int32_t>>> assignments;  // replicas of the new partitions, in order
};

struct GrowTopicsRequest {
  std::vector<GrowTopic> topics;
  bool validate_only = false;
  std::string asked_by{};  // for the log
};

struct GrowTopicResult {
  std::string name;
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
  std::optional<std::string> message;
};

struct GrowTopicsOutcome {
  std::vector<MetadataRecord> records;   // empty with validate_only
  std::vector<GrowTopicResult> results;  // in the order of the request, a name that came twice once
  std::vector<Uuid> grown;               // topics that `records` change
};

// Decides a CreatePartitions request; see TopicCreation. Never fails as a whole: each topic has its own result. New
// partitions take the replication factor of the first one. Differs from Kafka in one point: __consumer_offsets cannot
// grow, for each group's place in it would move.
class PartitionGrowth {
 public:
  using Outcome = GrowTopicsOutcome;

  // `request` outlives it.
  explicit PartitionGrowth(const GrowTopicsRequest& request) : request_(request) {}

  bool all_noted() const { return noted_ == request_.topics.size(); }
  void note_next(const MetadataImage& image);
  bool all_decided() const { return decided_ == request_.topics.size(); }
  void decide_next(const MetadataImage& image, const TopicRules& rules, GrowTopicsOutcome& outcome);
  void begin_piece(const MetadataImage& image);

 private:
  const GrowTopicsRequest& request_;
  std::map<std::string_view, size_t> times_;
  ReplicaPlacer placer_;
  int64_t partitions_ = 0;        // added by this request
  int64_t partitions_ahead_ = 0;  // of these, what the image does not have
  size_t noted_ = 0;
  size_t decided_ = 0;
};

}  // namespace posthaste::replication
