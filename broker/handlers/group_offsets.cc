// OffsetCommit and OffsetFetch: a group's committed positions. The rules are in broker/groups.
#include <algorithm>

#include "broker/broker_host.h"
#include "broker/handlers/common.h"
#include "broker/handlers/group_routing.h"
#include "broker/handlers/handler.h"
#include "net/kafka/group_offsets.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::Response;
using reactor::Core;
using reactor::Task;
using replication::TopicImage;
namespace wire = net::kafka;

bool exists(const TopicImage* topic, int32_t partition) {
  return topic != nullptr && partition >= 0 && static_cast<size_t>(partition) < topic->partitions.size();
}

// Only partitions that exist reach the coordinator. Each entry of `topics` is the topic that the body names there.
OffsetCommitRequest to_commit(const wire::OffsetCommitRequest& body, const std::vector<const TopicImage*>& topics,
                              int16_t version) {
  constexpr int16_t kFirstWithGroupNotFound = 9;
  OffsetCommitRequest commit;
  commit.group_id = body.group_id;
  commit.generation_id = body.generation_id_or_member_epoch;
  commit.member_id = body.member_id;
  commit.group_instance_id = owned(body.group_instance_id);
  commit.retention_ms = body.retention_time_ms;
  if (version >= kFirstWithGroupNotFound) commit.if_group_is_missing = ErrorCode::kGroupIdNotFound;
  for (size_t t = 0; t < body.topics.size(); ++t) {
    OffsetCommitRequest::Topic& out = commit.topics.emplace_back();
    if (topics[t] != nullptr) out.name = topics[t]->name;
    for (const auto& partition : body.topics[t].partitions) {
      if (!exists(topics[t], partition.partition_index)) continue;
      out.partitions.push_back({.index = partition.partition_index,
                                .offset = partition.committed_offset,
                                .leader_epoch = partition.committed_leader_epoch,
                                .metadata = owned(partition.committed_metadata)});
    }
  }
  return commit;
}

// Asks one coordinator for offsets; the error of the whole if there is none.
Task<OffsetFetchResponse> fetch_offsets(BrokerCore& core, OffsetFetchRequest fetch) {
  OffsetFetchResponse response;
  const auto place = place_of_group(*core.view(), fetch.group_id);
  if (!place) {
    response.error = place.error();
    co_return response;
  }
  auto work = [&](Core& on) -> std::optional<OffsetFetchResponse> {
    GroupPartition* partition = core.there(on).groups().find(place->index);
    if (partition == nullptr) return std::nullopt;
    return partition->coordinator().fetch_offsets(fetch);
  };
  std::optional<OffsetFetchResponse> answer = co_await reactor::on_core(core.core(), place->owner, std::move(work));
  if (answer) co_return std::move(*answer);
  response.error = ErrorCode::kNotCoordinator;
  co_return response;
}

// The topics of an answer; with an error of the whole, those asked for, each partition saying so.
template <class Topic>
void fill_topics(std::vector<Topic>& topics, const OffsetFetchResponse& answer) {
  for (const OffsetFetchResponse::Topic& topic : answer.topics) {
    Topic& out = topics.emplace_back();
    out.name = topic.name;
    for (const OffsetFetchResponse::Partition& partition : topic.partitions) {
      auto& to = out.partitions.emplace_back();
      to.partition_index = partition.index;
      to.committed_offset = partition.offset;
      to.committed_leader_epoch = partition.leader_epoch;
      to.metadata = std::string_view(partition.metadata);
      to.error_code = partition.error;
    }
  }
}

void spread_error(OffsetFetchResponse& answer, const OffsetFetchRequest& fetch) {
  if (answer.error == ErrorCode::kNone || !fetch.topics) return;
  answer.topics.clear();
  for (const OffsetFetchRequest::Topic& topic : *fetch.topics) {
    OffsetFetchResponse::Topic& out = answer.topics.emplace_back();
    out.name = topic.name;
    for (const int32_t index : topic.partitions) out.partitions.push_back({.index = index, .error = answer.error});
  }
}

Task<Response> fetch_one_group(BrokerCore& core, Request& request, const wire::OffsetFetchRequest& body) {
  OffsetFetchRequest fetch;
  fetch.group_id = body.group_id;
  fetch.require_stable = body.require_stable;
  if (body.topics) {
    auto& topics = fetch.topics.emplace();
    for (const auto& topic : *body.topics) {
      topics.push_back({.name = std::string(topic.name), .partitions = topic.partition_indexes});
    }
  }
  OffsetFetchResponse answer = co_await fetch_offsets(core, fetch);
  constexpr int16_t kFirstWithTopLevelError = 2;
  if (request.header.version < kFirstWithTopLevelError) spread_error(answer, fetch);
  wire::OffsetFetchResponse response;
  response.error_code = answer.error;
  fill_topics(response.topics, answer);
  co_return respond(request, response);
}

using AskedGroup = wire::OffsetFetchRequest::Group;
using AnsweredTopic = wire::OffsetFetchResponse::Group::GroupTopic;

// Adds ids to names. A deleted topic has no id any more and is left out.
void add_ids(const ClusterView& view, std::vector<AnsweredTopic>& topics) {
  std::erase_if(topics, [&](const AnsweredTopic& topic) { return view.image.topic(topic.name) == nullptr; });
  for (AnsweredTopic& topic : topics) topic.topic_id = view.image.topic(topic.name)->id;
}

// The topics that the request named by an unknown id.
void add_unknown(const ClusterView& view, const AskedGroup& asked, std::vector<AnsweredTopic>& topics) {
  if (!asked.topics) return;
  for (const AskedGroup::GroupTopic& topic : *asked.topics) {
    if (view.image.topic(topic.topic_id) != nullptr) continue;
    AnsweredTopic& out = topics.emplace_back();
    out.topic_id = topic.topic_id;
    for (const int32_t index : topic.partition_indexes) {
      out.partitions.push_back({.partition_index = index,
                                .committed_offset = -1,
                                .metadata = std::string_view(),
                                .error_code = ErrorCode::kUnknownTopicId});
    }
  }
}

Task<Response> fetch_many_groups(BrokerCore& core, Request& request, const wire::OffsetFetchRequest& body) {
  const ViewUse view = core.use_view();
  const bool by_id = is_by_topic_id(request);
  std::vector<OffsetFetchResponse> answers;
  for (const auto& group : body.groups) {
    OffsetFetchRequest fetch;
    fetch.group_id = group.group_id;
    fetch.require_stable = body.require_stable;
    if (group.topics) {
      auto& topics = fetch.topics.emplace();
      for (const auto& topic : *group.topics) {
        const TopicImage* image = by_id ? view->image.topic(topic.topic_id) : nullptr;
        if (by_id && image == nullptr) continue;
        topics.push_back(
            {.name = by_id ? image->name : std::string(topic.name), .partitions = topic.partition_indexes});
      }
    }
    answers.push_back(co_await fetch_offsets(core, std::move(fetch)));
  }
  wire::OffsetFetchResponse response;
  for (size_t i = 0; i < answers.size(); ++i) {
    auto& out = response.groups.emplace_back();
    out.group_id = body.groups[i].group_id;
    out.error_code = answers[i].error;
    fill_topics(out.topics, answers[i]);
    if (!by_id || out.error_code != ErrorCode::kNone) continue;
    add_ids(*view, out.topics);
    add_unknown(*view, body.groups[i], out.topics);
  }
  co_return respond(request, response);
}

}  // namespace

HandlerTask handle(Api<ApiKey::kOffsetCommit>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<wire::OffsetCommitRequest>(request);
  if (!body) co_return body_corrupt();
  const ViewUse view = core.use_view();
  std::vector<AskedTopic> asked;
  std::vector<const TopicImage*> topics;
  for (const auto& topic : body->topics) {
    asked.push_back({.name = topic.name, .id = topic.topic_id, .by_id = is_by_topic_id(request)});
    topics.push_back(asked.back().find(*view));
  }
  const auto answer = co_await ask_coordinator<OffsetCommitResponse>(
      core, context, body->group_id, [&] { return to_commit(*body, topics, request.header.version); });
  wire::OffsetCommitResponse response;
  for (size_t t = 0; t < body->topics.size(); ++t) {
    const auto& topic = body->topics[t];
    // The answer leaves out a topic that exists when nothing was committed for it.
    if (topic.partitions.empty() && topics[t] != nullptr) continue;
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    out.topic_id = topic.topic_id;
    size_t next = 0;  // of the coordinator's answer, which has only partitions that exist, in the same order
    for (const auto& partition : topic.partitions) {
      auto& to = out.partitions.emplace_back();
      to.partition_index = partition.partition_index;
      if (topics[t] == nullptr) {
        to.error_code = asked[t].if_missing();
      } else if (!exists(topics[t], partition.partition_index)) {
        to.error_code = ErrorCode::kUnknownTopicOrPartition;
      } else {
        to.error_code = answer ? answer->topics.at(t).partitions.at(next++).error : answer.error();
      }
    }
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kOffsetFetch>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<wire::OffsetFetchRequest>(request);
  if (!body) co_return body_corrupt();
  constexpr int16_t kFirstBatched = 8;
  if (request.header.version >= kFirstBatched) co_return co_await fetch_many_groups(core, request, *body);
  co_return co_await fetch_one_group(core, request, *body);
}

}  // namespace posthaste::broker
