// CreateTopics and DeleteTopics: what the controller on core 0 decides.
#include "net/kafka/topics.h"

#include "broker/ask_controller.h"
#include "broker/broker_host.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "broker/node_identity.h"
#include "replication/change_log.h"

namespace posthaste::broker {
namespace {

using config::DescribedConfig;
using net::ConnectionContext;
using net::Request;
using replication::asked_by;
using replication::CreateTopic;
using replication::CreateTopicResult;
using replication::CreateTopicsOutcome;
using replication::CreateTopicsRequest;
using replication::DeleteTopic;
using replication::DeleteTopicResult;
using replication::DeleteTopicsOutcome;
using WireCreateRequest = net::kafka::CreateTopicsRequest;
using WireCreateResponse = net::kafka::CreateTopicsResponse;
using WireDeleteRequest = net::kafka::DeleteTopicsRequest;
using WireDeleteResponse = net::kafka::DeleteTopicsResponse;

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

WireCreateResponse to_wire(const CreateTopicsOutcome& outcome) {
  WireCreateResponse response;
  for (const CreateTopicResult& result : outcome.results) {
    WireCreateResponse::Topic& topic = response.topics.emplace_back();
    topic.name = result.name;
    topic.topic_id = result.topic_id;
    topic.error_code = result.error;
    topic.error_message = view_of(result.message);
    auto& configs = topic.configs.emplace();
    if (result.error != ErrorCode::kNone) continue;
    topic.num_partitions = result.num_partitions;
    topic.replication_factor = result.replication_factor;
    for (const DescribedConfig& entry : result.configs) {
      configs.push_back({.name = entry.name,
                         .value = view_of(entry.value),
                         .read_only = false,
                         .config_source = static_cast<int8_t>(entry.source()),
                         .is_sensitive = false});
    }
  }
  return response;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kCreateTopics>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<WireCreateRequest>(request);
  if (!body) co_return body_corrupt();
  CreateTopicsRequest create = to_create(core, *body);
  create.asked_by = asked_by(context, request);
  request.release();
  const CreateTopicsOutcome outcome = co_await create_topics_on_controller(core, std::move(create));
  co_return respond(request, to_wire(outcome));
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
  const DeleteTopicsOutcome outcome = co_await delete_topics_on_controller(core, std::move(topics), std::move(who));
  WireDeleteResponse response;
  for (const DeleteTopicResult& result : outcome.results) {
    WireDeleteResponse::Topic& topic = response.responses.emplace_back();
    topic.name = view_of(result.name);
    topic.topic_id = result.topic_id;
    topic.error_code = result.error;
    topic.error_message = view_of(result.message);
  }
  co_return respond(request, response);
}

}  // namespace posthaste::broker
