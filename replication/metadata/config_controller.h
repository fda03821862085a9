// Changing settings while the broker runs (AlterConfigs, IncrementalAlterConfigs) as a pure decision, like
// topic_controller.h: an image and a request go in, records and results per resource come out, resource by resource. It
// appends nothing itself.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config_layers.h"
#include "net/kafka/configs.h"
#include "net/kafka/errors.h"
#include "replication/metadata/topic_controller.h"

namespace posthaste::replication {

struct ConfigChange {
  using Operation = net::kafka::IncrementalAlterConfigsRequest::Operation;
  std::string name;
  Operation operation = Operation::kSet;
  std::optional<std::string> value;
};

struct AlterConfigResource {
  net::kafka::ConfigResourceType type = net::kafka::ConfigResourceType::kUnknown;
  std::string name;
  std::vector<ConfigChange> changes;
};

struct AlterConfigsRequest {
  std::vector<AlterConfigResource> resources;
  bool replace_all = false;  // AlterConfigs: a key that is not named goes back to its default
  bool validate_only = false;
  std::string asked_by{};  // for the log
};

struct AlterConfigResult {
  net::kafka::ConfigResourceType type = net::kafka::ConfigResourceType::kUnknown;
  std::string name;
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
  std::optional<std::string> message;
};

struct AlterConfigsOutcome {
  std::vector<MetadataRecord> records;     // empty with validate_only
  std::vector<AlterConfigResult> results;  // in the order of the request, each of those that came twice
  std::vector<Uuid> topics;                // whose settings `records` change
  bool brokers = false;                    // settings of brokers change
};

// Where the settings of broker `node_id` come from: the image's, over `given`.
config::ConfigLayers config_layers(const MetadataImage& image, int32_t node_id, const config::ConfigMap& given);

// Decides such a request; see TopicCreation. Never fails as a whole: each resource has its own result and changes in
// full or not at all. Topics, this broker and the default of all brokers can be changed; loggers, groups and client
// metrics are refused, for there are none.
class ConfigChanges {
 public:
  using Outcome = AlterConfigsOutcome;

  // For broker `node_id`, whose settings are the rules'. `request` outlives it.
  ConfigChanges(int32_t node_id, const AlterConfigsRequest& request) : node_id_(node_id), request_(request) {}

  bool all_noted() const { return noted_ == request_.resources.size(); }
  void note_next(const MetadataImage& image);
  bool all_decided() const { return decided_ == request_.resources.size(); }
  void decide_next(const MetadataImage& image, const TopicRules& rules, AlterConfigsOutcome& outcome);
  void begin_piece(const MetadataImage& /*image*/) {}

 private:
  int32_t node_id_;
  const AlterConfigsRequest& request_;
  std::map<std::pair<net::kafka::ConfigResourceType, std::string_view>, size_t> times_;
  size_t noted_ = 0;
  size_t decided_ = 0;
};

}  // namespace posthaste::replication
