// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.
#include <algorithm>

#include "broker/ask_controller.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "broker/handlers/mentions.h"
#include "config/describe_configs.h"
#include "net/kafka/configs.h"
#include "replication/change_log.h"
#include "replication/metadata/config_controller.h"
#include "replication/metadata/refusal.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::broker {
namespace {

using config::ConfigLayers;
using config::ConfigSynonym;
using config::describe_broker_configs;
using config::describe_broker_defaults;
using config::describe_topic_configs;
using config::DescribedConfig;
using net::ConnectionContext;
using net::Request;
using net::kafka::ConfigResourceType;
using net::kafka::DescribeConfigsRequest;
using net::kafka::DescribeConfigsResponse;
using replication::AlterConfigResource;
using replication::AlterConfigResult;
using replication::AlterConfigsRequest;
using replication::asked_by;
using replication::Refusal;
using replication::refuse;
using replication::topic_name_problem;
using replication::TopicImage;
using WireAlter = net::kafka::AlterConfigsRequest;
using WireIncrementalAlter = net::kafka::IncrementalAlterConfigsRequest;

// What one resource of the request asks about; its text lives here while the response refers to it.
struct DescribedResource {
  std::optional<Refusal> refusal;
  std::vector<DescribedConfig> configs;
};

DescribedResource describe_topic(const ClusterView& view, const ConfigLayers& layers, std::string_view name) {
  DescribedResource described;
  if (auto problem = topic_name_problem(name)) {
    described.refusal = Refusal{ErrorCode::kInvalidTopicException, std::move(*problem)};
  } else if (const TopicImage* topic = view.image.topic(name)) {
    const size_t replicas = topic->partitions.empty() ? 1 : topic->partitions.front().replicas.size();
    described.configs = describe_topic_configs(topic->configs(), layers, static_cast<int32_t>(replicas));
  } else {
    described.refusal = refuse(ErrorCode::kUnknownTopicOrPartition, "There is no topic '{}'", name);
  }
  return described;
}

DescribedResource describe_broker(const ClusterView& view, const ConfigLayers& layers, std::string_view name) {
  if (name.empty()) return {.configs = describe_broker_defaults(layers)};
  if (name == std::to_string(view.node_id)) return {.configs = describe_broker_configs(layers)};
  return {.refusal = refuse(ErrorCode::kInvalidRequest, "Unexpected broker id, expected {}, but received {}",
                            view.node_id, name)};
}

DescribedResource describe_resource(const BrokerCore& core, const ClusterView& view,
                                    const DescribeConfigsRequest::Resource& asked) {
  ConfigLayers layers = config_layers(view.image, view.node_id, core.options().given);
  for (const std::string_view key : {"node.id", "broker.id"}) {
    layers.given.insert_or_assign(std::string(key), std::to_string(view.node_id));
  }
  DescribedResource described;
  if (asked.resource_type == ConfigResourceType::kTopic) {
    described = describe_topic(view, layers, asked.resource_name);
  } else if (asked.resource_type == ConfigResourceType::kBroker) {
    described = describe_broker(view, layers, asked.resource_name);
  } else {
    described.refusal = refuse(ErrorCode::kInvalidRequest, "Configs of resource type {} are not kept here",
                               static_cast<int>(asked.resource_type));
  }
  if (asked.configuration_keys && !asked.configuration_keys->empty()) {
    std::erase_if(described.configs, [&](const DescribedConfig& config) {
      return std::ranges::find(*asked.configuration_keys, config.name) == asked.configuration_keys->end();
    });
  }
  return described;
}

DescribeConfigsResponse::Result::Config to_wire(const DescribedConfig& config, const DescribeConfigsRequest& body) {
  DescribeConfigsResponse::Result::Config out;
  out.name = config.name;
  out.value = view_of(config.value);
  out.read_only = config.read_only;
  out.config_source = static_cast<int8_t>(config.source());
  out.is_sensitive = config.is_sensitive;
  out.config_type = config.wire_type;
  out.documentation.reset();
  if (body.include_documentation) out.documentation = config.documentation;
  if (!body.include_synonyms) return out;
  for (const ConfigSynonym& synonym : config.synonyms) {
    out.synonyms.push_back(
        {.name = synonym.name, .value = view_of(synonym.value), .source = static_cast<int8_t>(synonym.source)});
  }
  return out;
}

DescribeConfigsResponse::Result to_wire(const DescribedResource& described,
                                        const DescribeConfigsRequest::Resource& asked,
                                        const DescribeConfigsRequest& body) {
  DescribeConfigsResponse::Result result;
  result.resource_type = asked.resource_type;
  result.resource_name = asked.resource_name;
  result.error_message.reset();
  if (described.refusal) {
    result.error_code = described.refusal->error;
    result.error_message = described.refusal->message;
  }
  for (const DescribedConfig& config : described.configs) result.configs.push_back(to_wire(config, body));
  return result;
}

AlterConfigsRequest to_alter(const WireAlter& body) {
  AlterConfigsRequest request{.replace_all = true, .validate_only = body.validate_only};
  for (const WireAlter::Resource& asked : body.resources) {
    AlterConfigResource& resource =
        request.resources.emplace_back(AlterConfigResource{asked.resource_type, std::string(asked.resource_name)});
    for (const auto& config : asked.configs) {
      resource.changes.push_back({.name = std::string(config.name), .value = owned(config.value)});
    }
  }
  return request;
}

AlterConfigsRequest to_alter(const WireIncrementalAlter& body) {
  AlterConfigsRequest request{.validate_only = body.validate_only};
  for (const WireIncrementalAlter::Resource& asked : body.resources) {
    AlterConfigResource& resource =
        request.resources.emplace_back(AlterConfigResource{asked.resource_type, std::string(asked.resource_name)});
    for (const auto& config : asked.configs) {
      resource.changes.push_back({std::string(config.name), config.config_operation, owned(config.value)});
    }
  }
  return request;
}

template <class WireRequest>
HandlerTask handle_alter(BrokerCore& core, const ConnectionContext& context, Request& request) {
  const auto body = decode_body<WireRequest>(request);
  if (!body) co_return body_corrupt();
  AlterConfigsRequest alter = to_alter(*body);
  alter.asked_by = asked_by(context, request);
  request.release();
  const std::vector<AlterConfigResult> results = co_await alter_configs_on_controller(core, std::move(alter));
  typename WireRequest::Response response;
  for (const AlterConfigResult& result : results) {
    response.responses.push_back({.error_code = result.error,
                                  .error_message = view_of(result.message),
                                  .resource_type = result.type,
                                  .resource_name = result.name});
  }
  co_return respond(request, response);
}

}  // namespace

HandlerTask handle(Api<ApiKey::kDescribeConfigs>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<DescribeConfigsRequest>(request);
  if (!body) co_return body_corrupt();
  const ViewUse view = core.use_view();
  std::vector<DescribedResource> described;
  described.reserve(body->resources.size());  // the response refers to its text
  Mentions<std::pair<ConfigResourceType, std::string_view>> mentions;
  DescribeConfigsResponse response;
  for (const auto& asked : body->resources) {
    if (mentions.is_too_many({asked.resource_type, asked.resource_name})) {
      described.push_back({.refusal = refuse(ErrorCode::kInvalidRequest, "'{}' is in this request more than {} times",
                                             asked.resource_name, mentions.kAnsweredMax)});
    } else {
      described.push_back(describe_resource(core, *view, asked));
    }
    response.results.push_back(to_wire(described.back(), asked, *body));
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kAlterConfigs>, BrokerCore& core, ConnectionContext& context, Request& request) {
  return handle_alter<WireAlter>(core, context, request);
}

HandlerTask handle(Api<ApiKey::kIncrementalAlterConfigs>, BrokerCore& core, ConnectionContext& context,
                   Request& request) {
  return handle_alter<WireIncrementalAlter>(core, context, request);
}

}  // namespace posthaste::broker
