// CreateTopics and DeleteTopics: what the controller on core 0 decides.
#include "net/kafka/topics.h"

#include "broker/ask_controller.h"
#include "broker/broker_host.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "broker/node_identity.h"
#include "reactor/pace.h"
#include "replication/change_log.h"

namespace posthaste::broker {
namespace {

using config::DescribedConfig;
using net::ConnectionContext;
using net::Request;
using replication::asked_by;
using replication::CreateTopic;
using replication::CreateTopicResult;
using replication::CreateTopicsRequest;
using replication::DeleteTopic;
using replication::DeleteTopicResult;
using WireCreateRequest = net::kafka::CreateTopicsRequest;
using WireCreateResponse = net::kafka::CreateTopicsResponse;
using WireDeleteRequest = net::kafka::DeleteTopicsRequest;
using WireDeleteResponse = net::kafka::DeleteTopicsResponse;

constexpr int16_t kFirstWithConfigs = 5;  // KIP-525

// Topics and settings of an answer that are made in one step of the core: a few hundred microseconds.
constexpr size_t kAnsweredAtOnce = 4'096;

CreateTopicsRequest to_create(BrokerCore& core, const WireCreateRequest& body) {
  CreateTopicsRequest create;
  create.validate_only = body.validate_only;
  for (const WireCreateRequest::Topic& asked : body.topics) {
    CreateTopic& topic = create.topics.emplace_back();
    topic.name = asked.name;
    topic.num_partitions = asked.num_partitions;
    topic.replication_factor = asked.replication_factor;
    for (const auto& assignment : asked.assignments) {
      topic.assignments.push_back({.partition_index = assignment.partition_index, .broker_ids = assignment.broker_ids});
    }
    for (const auto& config : asked.configs) {
      topic.configs.push_back({.name = std::string(config.name), .value = owned(config.value)});
    }
    topic.random_id = core.core().random_bytes();
  }
  return create;
}

WireCreateResponse::Topic to_wire(const CreateTopicResult& result) {
  WireCreateResponse::Topic topic;
  topic.name = result.name;
  topic.topic_id = result.topic_id;
  topic.error_code = result.error;
  topic.error_message = view_of(result.message);
  auto& configs = topic.configs.emplace();
  if (result.error != ErrorCode::kNone) return topic;
  topic.num_partitions = result.num_partitions;
  topic.replication_factor = result.replication_factor;
  configs.reserve(result.configs.size());
  for (const DescribedConfig& entry : result.configs) {
    configs.push_back({.name = entry.name,
                       .value = view_of(entry.value),
                       .read_only = false,
                       .config_source = static_cast<int8_t>(entry.source()),
                       .is_sensitive = false});
  }
  return topic;
}

reactor::Task<WireCreateResponse> to_wire(BrokerCore& core, const std::vector<CreateTopicResult>& results) {
  WireCreateResponse response;
  reactor::Pace pace(kAnsweredAtOnce);
  for (const CreateTopicResult& result : results) {
    response.topics.push_back(to_wire(result));
    if (pace.is_due(1 + result.configs.size())) co_await core.core().yield();
  }
  co_return response;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kCreateTopics>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<WireCreateRequest>(request);
  if (!body) co_return body_corrupt();
  CreateTopicsRequest create = to_create(core, *body);
  create.asked_by = asked_by(context, request);
  create.with_configs = request.header.version >= kFirstWithConfigs;
  request.release();
  const std::vector<CreateTopicResult> results = co_await create_topics_on_controller(core, std::move(create));
  const WireCreateResponse response = co_await to_wire(core, results);
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kDeleteTopics>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<WireDeleteRequest>(request);
  if (!body) co_return body_corrupt();
  std::vector<DeleteTopic> topics;
  for (const std::string_view name : body->topic_names) topics.push_back({.name = std::string(name)});
  for (const WireDeleteRequest::Topic& topic : body->topics) {
    topics.push_back({.name = owned(topic.name), .topic_id = topic.topic_id});
  }
  std::string who = asked_by(context, request);
  request.release();
  const std::vector<DeleteTopicResult> results =
      co_await delete_topics_on_controller(core, std::move(topics), std::move(who));
  WireDeleteResponse response;
  for (const DeleteTopicResult& result : results) {
    WireDeleteResponse::Topic& topic = response.responses.emplace_back();
    topic.name = view_of(result.name);
    topic.topic_id = result.topic_id;
    topic.error_code = result.error;
    topic.error_message = view_of(result.message);
  }
  co_return respond(request, response);
}

}  // namespace posthaste::broker
