#include "app/cli/offsets.h"

#include <set>

#include "net/kafka/metadata.h"
#include "net/kafka/offsets.h"

namespace posthaste::app {
namespace {

using net::kafka::ErrorCode;

net::kafka::ListOffsetsRequest request_for(const std::map<TopicPartition, int32_t>& leaders, int32_t node,
                                           OffsetKind kind) {
  net::kafka::ListOffsetsRequest request;
  request.replica_id = -1;
  for (const auto& [partition, leader] : leaders) {
    if (leader != node) continue;
    if (request.topics.empty() || request.topics.back().name != partition.topic)
      request.topics.push_back({.name = partition.topic, .partitions = {}});
    request.topics.back().partitions.push_back(
        {.partition_index = partition.partition, .timestamp = static_cast<int64_t>(kind)});
  }
  return request;
}

}  // namespace

CliResult<std::map<TopicPartition, int64_t>> list_offsets(AdminClient& client,
                                                          const std::map<TopicPartition, int32_t>& leaders,
                                                          OffsetKind kind) {
  std::set<int32_t> nodes;
  for (const auto& [partition, leader] : leaders) {
    if (leader >= 0) nodes.insert(leader);
  }
  std::map<TopicPartition, int64_t> offsets;
  for (const int32_t node : nodes) {
    CliResult<AdminClient> leader = client.to_broker(node);
    if (!leader) return std::unexpected(leader.error());
    const auto answer = leader->call(request_for(leaders, node, kind), 1);
    if (!answer) return std::unexpected(answer.error());
    for (const auto& topic : (*answer)->topics) {
      for (const auto& partition : topic.partitions) {
        if (partition.error_code == ErrorCode::kNone && partition.offset >= 0) {
          offsets[{std::string(topic.name), partition.partition_index}] = partition.offset;
        }
      }
    }
  }
  return offsets;
}

CliResult<std::map<TopicPartition, int32_t>> find_leaders(AdminClient& client, const std::vector<std::string>& topics) {
  net::kafka::MetadataRequest request;
  request.topics.emplace();
  for (const std::string& topic : topics) request.topics->push_back({.topic_id = {}, .name = topic});
  request.allow_auto_topic_creation = false;
  const auto metadata = client.call(request, 4);
  if (!metadata) return std::unexpected(metadata.error());
  std::map<TopicPartition, int32_t> leaders;
  for (const auto& topic : (*metadata)->topics) {
    for (const auto& partition : topic.partitions) {
      leaders[{std::string(topic.name.value_or("")), partition.partition_index}] = partition.leader_id;
    }
  }
  return leaders;
}

}  // namespace posthaste::app
