// CreatePartitions and DescribeTopicPartitions.
#include "net/kafka/partitions.h"
#include <algorithm>

#include "broker/ask_controller.h"
#include "broker/handlers/authorized_operations.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "broker/partitions/known_brokers.h"
#include "replication/change_log.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::kafka::CreatePartitionsRequest;
using net::kafka::CreatePartitionsResponse;
using net::kafka::DescribeTopicPartitionsRequest;
using net::kafka::DescribeTopicPartitionsResponse;
using net::kafka::ResourceType;
using replication::asked_by;
using replication::GrowTopic;
using replication::GrowTopicResult;
using replication::GrowTopicsRequest;
using replication::is_internal_topic;
using replication::PartitionImage;
using replication::topic_name_problem;
using replication::TopicImage;
using Page = DescribeTopicPartitionsResponse;

GrowTopicsRequest to_grow(const CreatePartitionsRequest& body) {
  GrowTopicsRequest grow;
  grow.validate_only = body.validate_only;
  for (const CreatePartitionsRequest::Topic& asked : body.topics) {
    GrowTopic& topic = grow.topics.emplace_back();
    topic.name = asked.name;
    topic.count = asked.count;
    if (!asked.assignments) continue;
    auto& assignments = topic.assignments.emplace();
    for (const auto& assignment : *asked.assignments) assignments.push_back(assignment.broker_ids);
  }
  return grow;
}

// Of which cluster, for whom.
struct Pager {
  const ClusterView& view;
  const ConnectionContext& client;
};

std::vector<int32_t> listed(std::span<const int32_t> brokers) { return {brokers.begin(), brokers.end()}; }

Page::Topic::Partition describe_partition(const Pager& pager, const TopicImage& image, int32_t index) {
  const PartitionImage& partition = image.partitions[static_cast<size_t>(index)];
  Page::Topic::Partition out;
  out.partition_index = index;
  out.leader_epoch = partition.leader_epoch;
  out.replica_nodes = listed(partition.replicas);
  out.isr_nodes = listed(partition.isr);
  out.eligible_leader_replicas = listed(partition.unsettled.elr());
  out.last_known_elr = listed(partition.unsettled.last_known_elr());
  out.offline_replicas = offline_replicas(pager.view, partition, pager.client);
  const KnownLeader leader = leader_for(pager.view, image, index, pager.client);
  out.leader_id = leader.id;
  out.error_code = leader.error;
  return out;
}

// A cursor must name a topic of the request, if that names any, and a partition.
bool is_usable(const DescribeTopicPartitionsRequest& body) {
  const bool names_it =
      body.topics.empty() || std::ranges::any_of(body.topics, [&](const DescribeTopicPartitionsRequest::Topic& topic) {
        return topic.name == body.cursor->topic_name;
      });
  return names_it && body.cursor->partition_index >= 0;
}

// The names in the request, sorted, from the cursor on.
std::vector<std::string_view> names_of_page(const DescribeTopicPartitionsRequest& body) {
  std::vector<std::string_view> names;
  names.reserve(body.topics.size());
  for (const auto& topic : body.topics) names.push_back(topic.name);
  std::ranges::sort(names);
  const auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
  if (body.cursor) std::erase_if(names, [&](std::string_view name) { return name < body.cursor->topic_name; });
  return names;
}

// Adds partitions of `image` from `first` on while `room` lasts. Returns the first one that had no room.
int32_t add_partitions(const Pager& pager, const TopicImage& image, int32_t first, int32_t& room, Page::Topic& topic) {
  int32_t index = first;
  for (; index < static_cast<int32_t>(image.partitions.size()) && room > 0; ++index, --room) {
    topic.partitions.push_back(describe_partition(pager, image, index));
  }
  return index;
}

// Adds `name` to the page if there is room for a part of it. False: the page is full and has the cursor of the next
// one.
bool add_topic(const Pager& pager, const DescribeTopicPartitionsRequest& body, std::string_view name, int32_t& room,
               Page& page) {
  if (room == 0) {
    page.next_cursor = {.topic_name = name, .partition_index = 0};
    return false;
  }
  Page::Topic& topic = page.topics.emplace_back();
  topic.name = name;
  topic.topic_authorized_operations = all_operations(ResourceType::kTopic);
  const TopicImage* image = pager.view.image.topic(name);
  if (image == nullptr) {
    topic.error_code =
        topic_name_problem(name) ? ErrorCode::kInvalidTopicException : ErrorCode::kUnknownTopicOrPartition;
    return true;
  }
  topic.topic_id = image->id;
  topic.is_internal = is_internal_topic(image->name);
  const bool resumed = body.cursor && body.cursor->topic_name == name;
  const int32_t next = add_partitions(pager, *image, resumed ? body.cursor->partition_index : 0, room, topic);
  if (next >= static_cast<int32_t>(image->partitions.size())) return true;
  page.next_cursor = {.topic_name = name, .partition_index = next};
  return false;
}

// `partitions_max`: of one page, whatever the request asks for.
Page make_page(const Pager& pager, const DescribeTopicPartitionsRequest& body, int32_t partitions_max) {
  Page page;
  int32_t room = std::max(std::min(body.response_partition_limit, partitions_max), 1);
  if (body.topics.empty()) {
    const std::string_view first = body.cursor ? body.cursor->topic_name : std::string_view();
    pager.view.image.topics().visit_from(
        first, [&](const TopicImage& topic) { return add_topic(pager, body, topic.name, room, page); });
    return page;
  }
  for (const std::string_view name : names_of_page(body)) {
    if (!add_topic(pager, body, name, room, page)) break;
  }
  return page;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kCreatePartitions>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<CreatePartitionsRequest>(request);
  if (!body) co_return body_corrupt();
  GrowTopicsRequest grow = to_grow(*body);
  grow.asked_by = asked_by(context, request);
  request.release();
  const std::vector<GrowTopicResult> results = co_await grow_topics_on_controller(core, std::move(grow));
  CreatePartitionsResponse response;
  for (const GrowTopicResult& result : results) {
    response.results.push_back(
        {.name = result.name, .error_code = result.error, .error_message = view_of(result.message)});
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kDescribeTopicPartitions>, BrokerCore& core, ConnectionContext& context,
                   Request& request) {
  const auto body = decode_body<DescribeTopicPartitionsRequest>(request);
  if (!body) co_return body_corrupt();
  const ViewUse view = core.use_view();
  if (body->cursor && !is_usable(*body)) {
    // The response has no room for an error of its own: each topic carries it, as in Kafka.
    DescribeTopicPartitionsResponse refused;
    for (const auto& topic : body->topics) {
      refused.topics.push_back({.error_code = ErrorCode::kInvalidRequest, .name = topic.name});
    }
    co_return respond(request, refused);
  }
  co_return respond(request, make_page({*view, context}, *body, core.options().page_partitions_max));
}

}  // namespace posthaste::broker
