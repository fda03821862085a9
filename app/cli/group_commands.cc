#include "app/cli/group_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/cli/offsets.h"
#include "app/cli/output.h"
#include "net/kafka/consumer_protocol.h"
#include "net/kafka/group_admin.h"
#include "net/kafka/group_offsets.h"
#include "net/kafka/metadata.h"

namespace posthaste::app {
namespace {

using net::kafka::ErrorCode;
using DescribedGroup = net::kafka::DescribeGroupsResponse::Group;
using Json = nlohmann::ordered_json;

// What the group knows of one partition. Any of the parts may be missing.
struct Row {
  std::optional<int64_t> committed;
  std::optional<int64_t> end;
  const DescribedGroup::Member* member = nullptr;
};

std::string number_text(const std::optional<int64_t>& value) { return value ? fmt::format("{}", *value) : "-"; }
Json number_json(const std::optional<int64_t>& value) { return value ? Json(*value) : Json(nullptr); }

// Behind the end by so many records (an upper bound: transaction markers and compacted records count). Without a commit
// it is not known, since the member may start anywhere.
std::optional<int64_t> lag(const Row& row) {
  if (!row.committed || !row.end) return std::nullopt;
  return std::max<int64_t>(*row.end - *row.committed, 0);
}

CliResult<void> add_committed(AdminClient& coordinator, const std::string& group, std::map<TopicPartition, Row>& rows) {
  net::kafka::OffsetFetchRequest request;
  request.groups.push_back({.group_id = group, .topics = std::nullopt});
  const auto answer = coordinator.call(request, 8);  // the shape with a list of groups (KIP-709)
  if (!answer) return std::unexpected(answer.error());
  if ((*answer)->groups.empty()) return {};
  const auto& found = (*answer)->groups.front();
  if (found.error_code != ErrorCode::kNone) {
    return cli_error(ExitCode::kRefused, fmt::format("group {}: {}", group, describe(found.error_code)));
  }
  for (const auto& topic : found.topics) {
    for (const auto& partition : topic.partitions) {
      if (partition.committed_offset >= 0)
        rows[{std::string(topic.name), partition.partition_index}].committed = partition.committed_offset;
    }
  }
  return {};
}

CliResult<void> add_ends(AdminClient& client, std::map<TopicPartition, Row>& rows) {
  std::vector<std::string> topics;
  for (const auto& [partition, row] : rows) {
    if (topics.empty() || topics.back() != partition.topic) topics.push_back(partition.topic);
  }
  auto leaders = find_leaders(client, topics);
  if (!leaders) return std::unexpected(leaders.error());
  std::erase_if(*leaders, [&](const auto& entry) { return !rows.contains(entry.first); });
  const auto ends = list_offsets(client, *leaders, OffsetKind::kEnd);
  if (!ends) return std::unexpected(ends.error());
  for (const auto& [partition, end] : *ends) rows[partition].end = end;
  return {};
}

std::string as_text(const DescribedGroup& group, const std::map<TopicPartition, Row>& rows) {
  std::string out = fmt::format(
      "group {}  state {}  protocol {}  members {}\n", printable(group.group_id), printable(group.group_state),
      group.protocol_data.empty() ? "-" : printable(group.protocol_data), group.members.size());
  Table table({"TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "HOST"});
  for (const auto& [partition, row] : rows) {
    table.add({partition.topic, fmt::format("{}", partition.partition), number_text(row.committed),
               number_text(row.end), number_text(lag(row)),
               row.member == nullptr ? "-" : std::string(row.member->member_id),
               row.member == nullptr ? "-" : std::string(row.member->client_host)});
  }
  if (!rows.empty()) out += table.text();
  for (const auto& member : group.members) {
    if (std::ranges::none_of(rows, [&](const auto& entry) { return entry.second.member == &member; })) {
      out += fmt::format("member {} on {} reads nothing\n", printable(member.member_id), printable(member.client_host));
    }
  }
  return out;
}

std::string as_json(const DescribedGroup& group, const std::map<TopicPartition, Row>& rows) {
  Json members = Json::array();
  for (const auto& member : group.members) {
    members.push_back({{"member", member.member_id}, {"client", member.client_id}, {"host", member.client_host}});
  }
  Json partitions = Json::array();
  for (const auto& [partition, row] : rows) {
    partitions.push_back({{"topic", partition.topic},
                          {"partition", partition.partition},
                          {"committed_offset", number_json(row.committed)},
                          {"end_offset", number_json(row.end)},
                          {"lag", number_json(lag(row))},
                          {"member", row.member == nullptr ? Json(nullptr) : Json(row.member->member_id)}});
  }
  return Json({{"group", group.group_id},
               {"state", group.group_state},
               {"protocol", group.protocol_data},
               {"members", members},
               {"partitions", partitions}})
             .dump() +
         "\n";
}

}  // namespace

CliResult<std::string> list_groups(AdminClient& client, bool json) {
  net::kafka::MetadataRequest brokers_only;
  brokers_only.topics.emplace();
  const auto metadata = client.call(brokers_only, 4);
  if (!metadata) return std::unexpected(metadata.error());
  struct Listed {
    std::string protocol;
    std::string state;
  };
  std::map<std::string, Listed> groups;
  for (const auto& broker : (*metadata)->brokers) {  // each coordinates its own
    CliResult<AdminClient> coordinator = client.to_broker(broker.node_id);
    if (!coordinator) return std::unexpected(coordinator.error());
    const auto answer = coordinator->call(net::kafka::ListGroupsRequest{});
    if (!answer) return std::unexpected(answer.error());
    if ((*answer)->error_code != ErrorCode::kNone)
      return cli_error(ExitCode::kRefused, "groups: " + describe((*answer)->error_code));
    for (const auto& group : (*answer)->groups)
      groups[std::string(group.group_id)] = {std::string(group.protocol_type), std::string(group.group_state)};
  }
  Table table({"GROUP", "PROTOCOL", "STATE"});
  Json list = Json::array();
  for (const auto& [name, group] : groups) {
    table.add({name, group.protocol.empty() ? "-" : group.protocol, group.state.empty() ? "-" : group.state});
    list.push_back({{"group", name}, {"protocol", group.protocol}, {"state", group.state}});
  }
  if (json) return list.dump() + "\n";
  if (groups.empty())
    return std::string("there are no consumer groups yet; `posthaste consume --group NAME TOPIC` joins one\n");
  return table.text();
}

CliResult<std::string> describe_group(AdminClient& client, const std::string& group, bool json) {
  CliResult<AdminClient> coordinator = client.to_coordinator(group);
  if (!coordinator) return std::unexpected(coordinator.error());
  net::kafka::DescribeGroupsRequest request;
  request.groups = {group};
  const auto answer = coordinator->call(request);
  if (!answer) return std::unexpected(answer.error());
  if ((*answer)->groups.empty())
    return cli_error(ExitCode::kRefused, fmt::format("group {}: the broker did not describe it", group));
  const DescribedGroup& described = (*answer)->groups.front();
  if (described.error_code != ErrorCode::kNone) {
    return cli_error(ExitCode::kRefused,
                     fmt::format("group {}: {}", group, describe(described.error_code, described.error_message)));
  }
  std::map<TopicPartition, Row> rows;
  for (const auto& member : described.members) {
    const auto assignment = net::kafka::decode_assignment(member.member_assignment);
    if (!assignment) continue;  // a protocol of its own: the member is shown without partitions
    for (const auto& topic : assignment->assigned_partitions) {
      for (const int32_t partition : topic.partitions) rows[{std::string(topic.topic), partition}].member = &member;
    }
  }
  if (CliResult<void> added = add_committed(*coordinator, group, rows); !added) return std::unexpected(added.error());
  if (rows.empty() && described.members.empty() && described.group_state == "Dead") {
    return cli_error(ExitCode::kRefused,
                     fmt::format("there is no group {}; `posthaste group list` shows what there is", group));
  }
  if (CliResult<void> added = add_ends(client, rows); !added) return std::unexpected(added.error());
  return json ? as_json(described, rows) : as_text(described, rows);
}

}  // namespace posthaste::app
