#include "app/cli/topic_commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/cli/offsets.h"
#include "app/cli/output.h"
#include "net/kafka/metadata.h"
#include "net/kafka/topics.h"

namespace posthaste::app {
namespace {

using net::kafka::ErrorCode;
using net::kafka::MetadataResponse;
using Json = nlohmann::ordered_json;

constexpr int32_t kBrokerTimeoutMilliseconds = 30'000;

CliResult<Reply<MetadataResponse>> metadata_of(AdminClient& client, const std::vector<std::string>* names) {
  net::kafka::MetadataRequest request;
  request.allow_auto_topic_creation = false;
  if (names != nullptr) {
    request.topics.emplace();
    for (const std::string& name : *names) request.topics->push_back({.topic_id = {}, .name = name});
  }
  auto metadata = client.call(request, 4);  // from version 4 on asking does not create a topic
  if (metadata)
    std::ranges::sort(metadata->message.topics, {}, [](const auto& topic) { return topic.name.value_or(""); });
  return metadata;
}

std::string joined(const std::vector<int32_t>& nodes) {
  return nodes.empty() ? "-" : fmt::format("{}", fmt::join(nodes, ","));
}

std::string offset_text(const std::map<TopicPartition, int64_t>& offsets, const TopicPartition& partition) {
  const auto found = offsets.find(partition);
  return found == offsets.end() ? "-" : fmt::format("{}", found->second);
}

struct DescribedTopics {
  Reply<MetadataResponse> metadata;
  std::map<TopicPartition, int64_t> starts;
  std::map<TopicPartition, int64_t> ends;
};

CliResult<DescribedTopics> look_up(AdminClient& client, const std::vector<std::string>& names) {
  auto metadata = metadata_of(client, &names);
  if (!metadata) return std::unexpected(metadata.error());
  std::map<TopicPartition, int32_t> leaders;
  for (auto& topic : metadata->message.topics) {
    if (topic.error_code != ErrorCode::kNone) {
      return cli_error(ExitCode::kRefused, fmt::format("topic {}: {}; `posthaste topic list` shows what there is",
                                                       topic.name.value_or("?"), describe(topic.error_code)));
    }
    std::ranges::sort(topic.partitions, {}, &MetadataResponse::Topic::Partition::partition_index);
    for (const auto& partition : topic.partitions)
      leaders[{std::string(*topic.name), partition.partition_index}] = partition.leader_id;
  }
  auto starts = list_offsets(client, leaders, OffsetKind::kStart);
  if (!starts) return std::unexpected(starts.error());
  auto ends = list_offsets(client, leaders, OffsetKind::kEnd);
  if (!ends) return std::unexpected(ends.error());
  return DescribedTopics{std::move(*metadata), std::move(*starts), std::move(*ends)};
}

Json as_json(const DescribedTopics& described) {
  const auto offset = [](const auto& offsets, const TopicPartition& partition) {
    const auto found = offsets.find(partition);
    return found == offsets.end() ? Json(nullptr) : Json(found->second);
  };
  Json topics = Json::array();
  for (const auto& topic : described.metadata->topics) {
    Json partitions = Json::array();
    for (const auto& one : topic.partitions) {
      const TopicPartition partition{std::string(*topic.name), one.partition_index};
      partitions.push_back({{"partition", one.partition_index},
                            {"leader", one.leader_id},
                            {"leader_epoch", one.leader_epoch},
                            {"replicas", one.replica_nodes},
                            {"isr", one.isr_nodes},
                            {"start_offset", offset(described.starts, partition)},
                            {"end_offset", offset(described.ends, partition)}});
    }
    topics.push_back({{"name", *topic.name},
                      {"id", to_string(topic.topic_id)},
                      {"internal", topic.is_internal},
                      {"partitions", partitions}});
  }
  return topics;
}

}  // namespace

CliResult<std::string> create_topic(AdminClient& client, const CreateTopicOptions& options, bool json) {
  net::kafka::CreateTopicsRequest request;
  request.timeout_ms = kBrokerTimeoutMilliseconds;
  net::kafka::CreateTopicsRequest::Topic wanted;
  wanted.name = options.name;
  wanted.num_partitions = options.partitions;
  wanted.replication_factor = options.replication_factor;
  for (const std::string_view config : options.configs) {
    const size_t equals = config.find('=');
    if (equals == std::string_view::npos)
      return cli_error(ExitCode::kUsage, fmt::format("--config {}: must have the form KEY=VALUE", config));
    wanted.configs.push_back({.name = config.substr(0, equals), .value = config.substr(equals + 1)});
  }
  request.topics.push_back(std::move(wanted));
  const auto answer = client.call(request, 4);  // -1 as partitions and replication factor: KIP-464
  if (!answer) return std::unexpected(answer.error());
  if ((*answer)->topics.empty())
    return cli_error(ExitCode::kRefused, "the broker did not say what became of the topic");
  const auto& created = (*answer)->topics.front();
  const bool existed = created.error_code == ErrorCode::kTopicAlreadyExists;
  if (created.error_code != ErrorCode::kNone && !(existed && options.if_not_exists)) {
    return cli_error(ExitCode::kRefused,
                     fmt::format("topic {}: {}{}", options.name, describe(created.error_code, created.error_message),
                                 existed ? " (--if-not-exists makes this no error)" : ""));
  }
  if (json) {
    return Json({{"name", options.name}, {"created", !existed}, {"partitions", created.num_partitions}}).dump() + "\n";
  }
  if (existed) return fmt::format("topic {} exists already\n", options.name);
  if (created.num_partitions < 0) return fmt::format("created topic {}\n", options.name);
  return fmt::format("created topic {} with {} partition{}\n", options.name, created.num_partitions,
                     created.num_partitions == 1 ? "" : "s");
}

CliResult<std::string> list_topics(AdminClient& client, bool with_internal, bool json) {
  const auto metadata = metadata_of(client, nullptr);
  if (!metadata) return std::unexpected(metadata.error());
  Table table({"TOPIC", "PARTITIONS", "REPLICAS"});
  Json list = Json::array();
  for (const auto& topic : (*metadata)->topics) {
    if (topic.is_internal && !with_internal) continue;
    const std::string name(topic.name.value_or(""));
    const size_t replicas = topic.partitions.empty() ? 0 : topic.partitions.front().replica_nodes.size();
    table.add({name, fmt::format("{}", topic.partitions.size()), fmt::format("{}", replicas)});
    list.push_back({{"name", name},
                    {"partitions", topic.partitions.size()},
                    {"replicas", replicas},
                    {"internal", topic.is_internal}});
  }
  if (json) return list.dump() + "\n";
  if (list.empty()) return std::string("there are no topics yet; `posthaste topic create NAME` makes one\n");
  return table.text();
}

CliResult<std::string> describe_topics(AdminClient& client, const std::vector<std::string>& names, bool json) {
  const auto described = look_up(client, names);
  if (!described) return std::unexpected(described.error());
  if (json) return as_json(*described).dump() + "\n";
  std::string out;
  for (const auto& topic : described->metadata->topics) {
    const std::string name(*topic.name);
    if (!out.empty()) out += "\n";
    out += fmt::format("topic {}  id {}  partitions {}\n", printable(name), to_string(topic.topic_id),
                       topic.partitions.size());
    Table table({"PARTITION", "LEADER", "REPLICAS", "ISR", "START", "END"});
    for (const auto& one : topic.partitions) {
      const TopicPartition partition{name, one.partition_index};
      table.add({fmt::format("{}", one.partition_index), one.leader_id < 0 ? "none" : fmt::format("{}", one.leader_id),
                 joined(one.replica_nodes), joined(one.isr_nodes), offset_text(described->starts, partition),
                 offset_text(described->ends, partition)});
    }
    out += table.text();
  }
  return out;
}

CliResult<std::string> delete_topics(AdminClient& client, const std::vector<std::string>& names, bool json) {
  net::kafka::DeleteTopicsRequest request;
  request.timeout_ms = kBrokerTimeoutMilliseconds;
  for (const std::string& name : names) {
    request.topics.push_back({.name = name, .topic_id = {}});
    request.topic_names.push_back(name);
  }
  const auto answer = client.call(request);
  if (!answer) return std::unexpected(answer.error());
  std::string out;
  std::vector<std::string> refused;
  Json list = Json::array();
  for (const auto& topic : (*answer)->responses) {
    const std::string name(topic.name.value_or("?"));
    if (topic.error_code != ErrorCode::kNone) {
      refused.push_back(fmt::format("topic {}: {}", name, describe(topic.error_code, topic.error_message)));
      continue;
    }
    out += fmt::format("deleted topic {}\n", printable(name));
    list.push_back({{"name", name}, {"deleted", true}});
  }
  if (!refused.empty()) {
    print(json ? list.dump() + "\n" : out);  // what did succeed is not kept quiet
    return cli_error(ExitCode::kRefused, fmt::format("{}", fmt::join(refused, "; ")));
  }
  return json ? list.dump() + "\n" : out;
}

}  // namespace posthaste::app
