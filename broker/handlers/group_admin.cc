// DescribeGroups, ListGroups, DeleteGroups and OffsetDelete. Each group is asked of its own coordinator; the rules are
// in broker/groups.
#include <algorithm>
#include <map>
#include <set>

#include "broker/broker_host.h"
#include "broker/handlers/authorized_operations.h"
#include "broker/handlers/common.h"
#include "broker/handlers/group_routing.h"
#include "broker/handlers/handler.h"
#include "net/kafka/group_admin.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::kafka::ResourceType;
using reactor::Core;
using reactor::CoreId;
using reactor::Task;
namespace wire = net::kafka;

Task<DescribedGroup> describe_group(BrokerCore& core, std::string group) {
  DescribedGroup described;
  described.group_id = group;
  const auto place = place_of_group(*core.view(), group);
  if (!place) {
    described.error = place.error();
    co_return described;
  }
  auto work = [&](Core& on) -> std::optional<DescribedGroup> {
    GroupPartition* partition = core.there(on).groups().find(place->index);
    if (partition == nullptr) return std::nullopt;
    return partition->coordinator().describe(group);
  };
  std::optional<DescribedGroup> answer = co_await reactor::on_core(core.core(), place->owner, std::move(work));
  if (answer) co_return std::move(*answer);
  described.error = ErrorCode::kNotCoordinator;
  co_return described;
}

// By name, in the order of the names: the result of each group's deletion.
using DeletedGroups = std::map<std::string, ErrorCode, std::less<>>;

void take(DeletedGroups& deleted, const std::vector<std::string>& groups,
          const std::expected<DeleteGroupsResponse, ErrorCode>& answer) {
  if (!answer) {
    for (const std::string& group : groups) deleted[group] = answer.error();
    return;
  }
  for (const DeleteGroupsResponse::Group& group : answer->groups) deleted[group.group_id] = group.error;
}

// The partitions of the request that exist, in order, each once however often it is named: one tombstone is enough. The
// others are answered without asking the coordinator, as in Kafka.
OffsetDeleteRequest to_delete(const ClusterView& view, const wire::OffsetDeleteRequest& body) {
  std::map<std::string_view, std::set<int32_t>> named;
  for (const auto& topic : body.topics) {
    for (const auto& partition : topic.partitions) {
      if (view.image.partition(topic.name, partition.partition_index) == nullptr) continue;
      named[topic.name].insert(partition.partition_index);
    }
  }
  OffsetDeleteRequest request;
  request.group_id = body.group_id;
  for (const auto& [topic, partitions] : named) {
    request.topics.push_back({std::string(topic), {partitions.begin(), partitions.end()}});
  }
  return request;
}

// `answer` is in the order of to_delete(). What was not asked there does not exist.
ErrorCode error_of(const OffsetDeleteResponse& answer, std::string_view topic, int32_t index) {
  const auto found = std::ranges::lower_bound(answer.topics, topic, {}, &OffsetDeleteResponse::Topic::name);
  if (found == answer.topics.end() || found->name != topic) return ErrorCode::kUnknownTopicOrPartition;
  const auto partition =
      std::ranges::lower_bound(found->partitions, index, {}, &OffsetDeleteResponse::Partition::index);
  return partition == found->partitions.end() || partition->index != index ? ErrorCode::kUnknownTopicOrPartition
                                                                           : partition->error;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kDescribeGroups>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<wire::DescribeGroupsRequest>(request);
  if (!body) co_return body_corrupt();
  std::vector<DescribedGroup> groups;
  for (const std::string_view group : body->groups) groups.push_back(co_await describe_group(core, std::string(group)));
  constexpr int16_t kFirstWithNotFound = 6;
  wire::DescribeGroupsResponse response;
  for (const DescribedGroup& group : groups) {
    auto& out = response.groups.emplace_back();
    out.group_id = group.group_id;
    out.error_code = group.error;
    if (body->include_authorized_operations) out.authorized_operations = all_operations(ResourceType::kGroup);
    out.group_state = group.state;
    if (group.error == ErrorCode::kGroupIdNotFound && request.header.version < kFirstWithNotFound) {
      out.error_code = ErrorCode::kNone;
      out.group_state = "Dead";
    }
    out.protocol_type = group.protocol_type;
    out.protocol_data = group.protocol_data;
    for (const DescribedGroup::Member& member : group.members) {
      out.members.push_back({.member_id = member.member_id,
                             .group_instance_id = view_of(member.group_instance_id),
                             .client_id = member.client_id,
                             .client_host = member.client_host,
                             .member_metadata = bytes(member.metadata),
                             .member_assignment = bytes(member.assignment)});
    }
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kListGroups>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<wire::ListGroupsRequest>(request);
  if (!body) co_return body_corrupt();
  const std::vector<std::string> states(body->states_filter.begin(), body->states_filter.end());
  const std::vector<std::string> types(body->types_filter.begin(), body->types_filter.end());
  std::vector<ListGroupsResponse::Group> groups;
  ErrorCode error = ErrorCode::kNone;
  for (CoreId owner = 0; owner < core.core().core_count(); ++owner) {
    auto work = [&](Core& on) {
      core.there(on).groups().for_each([&](int32_t, GroupPartition& partition) {
        ListGroupsResponse part = partition.coordinator().list(states, types);
        if (part.error != ErrorCode::kNone) error = part.error;
        std::ranges::move(part.groups, std::back_inserter(groups));
      });
    };
    co_await reactor::on_core(core.core(), owner, std::move(work));
  }
  wire::ListGroupsResponse response;
  response.error_code = error;
  for (const ListGroupsResponse::Group& group : groups) {
    response.groups.push_back({.group_id = group.group_id,
                               .protocol_type = group.protocol_type,
                               .group_state = group.state,
                               .group_type = "classic"});
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kDeleteGroups>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<wire::DeleteGroupsRequest>(request);
  if (!body) co_return body_corrupt();
  const ViewUse view = core.use_view();
  DeletedGroups deleted;
  std::map<int32_t, std::vector<std::string>> by_coordinator;
  for (const std::string_view group : body->groups_names) {
    const auto place = place_of_group(*view, group);
    const bool first = deleted.emplace(group, place ? ErrorCode::kNone : place.error()).second;
    if (place && first) by_coordinator[place->index].emplace_back(group);
  }
  for (const auto& [index, groups] : by_coordinator) {
    take(deleted, groups,
         co_await ask_coordinator<DeleteGroupsResponse>(core, context, groups.front(), [&groups] { return groups; }));
  }
  wire::DeleteGroupsResponse response;
  for (const auto& [group, error] : deleted) response.results.push_back({.group_id = group, .error_code = error});
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kOffsetDelete>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<wire::OffsetDeleteRequest>(request);
  if (!body) co_return body_corrupt();
  const ViewUse view = core.use_view();
  const auto answer = co_await ask_coordinator<OffsetDeleteResponse>(core, context, body->group_id,
                                                                     [&] { return to_delete(*view, *body); });
  wire::OffsetDeleteResponse response;
  response.error_code = answer ? answer->error : answer.error();
  if (response.error_code != ErrorCode::kNone) co_return respond(request, response);
  for (const auto& asked : body->topics) {
    // The answer leaves out a topic that exists when nothing of it was to be deleted.
    if (asked.partitions.empty() && view->image.topic(asked.name) != nullptr) continue;
    auto& topic = response.topics.emplace_back();
    topic.name = asked.name;
    for (const auto& partition : asked.partitions) {
      const int32_t index = partition.partition_index;
      topic.partitions.push_back({.partition_index = index, .error_code = error_of(*answer, asked.name, index)});
    }
  }
  co_return respond(request, response);
}

}  // namespace posthaste::broker
