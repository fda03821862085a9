// ApiVersions, Metadata, DescribeCluster: what this broker serves, its address, and the topics that exist.
#include <algorithm>
#include <set>

#include "broker/ask_controller.h"
#include "broker/broker_host.h"
#include "broker/handlers/authorized_operations.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "broker/handlers/kept_names.h"
#include "broker/node_identity.h"
#include "broker/partitions/known_brokers.h"
#include "net/api_versions_answer.h"
#include "net/kafka/metadata.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::Response;
using net::kafka::DescribeClusterRequest;
using net::kafka::DescribeClusterResponse;
using net::kafka::MetadataRequest;
using net::kafka::MetadataResponse;
using net::kafka::ResourceType;
using net::kafka::Uuid;
using replication::consumer_offsets_topic;
using replication::CreateTopicResult;
using replication::CreateTopicsRequest;
using replication::is_internal_topic;
using replication::kConsumerOffsetsTopic;
using replication::PartitionImage;
using replication::topic_name_problem;
using replication::TopicImage;
using Topic = MetadataResponse::Topic;

Topic describe_topic(const ClusterView& view, const TopicImage& image, const ConnectionContext& client) {
  Topic topic;
  topic.name = image.name;
  topic.topic_id = image.id;
  topic.is_internal = is_internal_topic(image.name);
  for (int32_t index = 0; index < static_cast<int32_t>(image.partitions.size()); ++index) {
    const PartitionImage& partition = image.partitions[static_cast<size_t>(index)];
    Topic::Partition& out = topic.partitions.emplace_back();
    out.partition_index = index;
    out.leader_epoch = partition.leader_epoch;
    out.replica_nodes.assign(partition.replicas.begin(), partition.replicas.end());
    out.isr_nodes.assign(partition.isr.begin(), partition.isr.end());
    out.offline_replicas = offline_replicas(view, partition, client);
    const KnownLeader leader = leader_for(view, image, index, client);
    out.leader_id = leader.id;
    out.error_code = leader.error;
  }
  return topic;
}

// The topics that one request creates: about a tenth of a second of the controller's time, in which no other change is
// made. For the other topics the client gets LEADER_NOT_AVAILABLE and asks again, as it does for every topic that it
// waits for.
constexpr size_t kTopicsCreatedAtOnce = 50;
// The requests of one core that create topics at a time; each may have to wait for those before it. The topics of any
// further request get LEADER_NOT_AVAILABLE at once.
constexpr uint32_t kAutoCreationsAtOnce = 16;

// Names, each once, that a Metadata request makes into topics, in order.
std::vector<std::string> topics_to_create(const ClusterView& view, const MetadataRequest& body) {
  std::vector<std::string> names;
  for (const MetadataRequest::Topic& topic : *body.topics) {
    if (!topic.name || view.image.topic(*topic.name) != nullptr || topic_name_problem(*topic.name)) continue;
    names.emplace_back(*topic.name);
    if (names.size() == kTopicsCreatedAtOnce) break;
  }
  return names;
}

// The answer to a request that names topics in a way that its version does not know: an error for each, and no broker.
MetadataResponse refuse_all(const MetadataRequest& body, ErrorCode error) {
  MetadataResponse response;
  for (const MetadataRequest::Topic& asked : *body.topics) {
    Topic& topic = response.topics.emplace_back();
    topic.error_code = error;
    topic.name = asked.name.value_or("");
    topic.topic_id = asked.topic_id;
  }
  return response;
}

// True if the request names its topics as `version` can name them: by id only from 12 on.
bool are_named_rightly(const MetadataRequest& body, int16_t version) {
  constexpr int16_t kFirstById = 12;
  return version >= kFirstById || std::ranges::all_of(*body.topics, [](const MetadataRequest::Topic& asked) {
           return asked.name.has_value() && asked.topic_id.is_zero();
         });
}

// Each topic once. When one is named by its id, only topics named by id count.
std::vector<MetadataRequest::Topic> topics_asked(const MetadataRequest& body) {
  const bool by_id =
      std::ranges::any_of(*body.topics, [](const MetadataRequest::Topic& asked) { return !asked.topic_id.is_zero(); });
  std::vector<MetadataRequest::Topic> topics;
  std::set<std::pair<Uuid, std::optional<std::string_view>>> seen;
  for (const MetadataRequest::Topic& asked : *body.topics) {
    if (by_id && asked.topic_id.is_zero()) continue;
    const MetadataRequest::Topic one{.topic_id = asked.topic_id, .name = by_id ? std::nullopt : asked.name};
    if (seen.emplace(one.topic_id, one.name).second) topics.push_back(one);
  }
  return topics;
}

Topic missing_topic(std::string_view name) {
  Topic topic;
  topic.name = name;
  topic.error_code = topic_name_problem(name) ? ErrorCode::kInvalidTopicException : ErrorCode::kUnknownTopicOrPartition;
  return topic;
}

Topic topic_by_id(const ClusterView& view, const Uuid& id, const ConnectionContext& client) {
  if (const TopicImage* image = view.image.topic(id)) return describe_topic(view, *image, client);
  Topic topic;
  topic.topic_id = id;
  topic.error_code = ErrorCode::kUnknownTopicId;
  return topic;
}

// The errors of creation for the names that still do not exist.
using CreateErrors = std::map<std::string, ErrorCode, std::less<>>;

reactor::Task<CreateErrors> create_topics(BrokerCore& core, std::vector<std::string> names) {
  CreateErrors errors;
  CreateTopicsRequest create;
  for (std::string& name : names) {
    // The broker's own topic has settings of its own, also when a client asks for it first.
    if (name == kConsumerOffsetsTopic) {
      create.topics.push_back(consumer_offsets_topic(core.options().offsets_topic_partitions, 1,
                                                     core.options().offsets_topic_segment_bytes,
                                                     core.core().random_bytes()));
      continue;
    }
    create.topics.push_back({.name = std::move(name), .random_id = core.core().random_bytes()});
  }
  create.asked_by = "by=auto-creation";
  create.with_configs = false;
  const std::vector<CreateTopicResult> results = co_await create_topics_on_controller(core, std::move(create));
  for (const CreateTopicResult& result : results) {
    if (result.error != ErrorCode::kNone) errors.emplace(result.name, result.error);
  }
  co_return errors;
}

// Gives the frame back before the wait for the controller. False: what is needed of it does not fit into the memory for
// waiting requests, and the frame is kept. Then one request of a core may create topics nevertheless, so that a request
// that never fits makes progress.
bool keep_names(BrokerCore& core, Request& request, MetadataRequest& body, WaitMemory::Share& memory,
                std::optional<KeptNames>& names) {
  if (request.memory.is_inline()) return true;
  size_t text = 0;
  for (const MetadataRequest::Topic& topic : *body.topics) text += topic.name.value_or("").size();
  memory = core.wait_memory().try_take(text + body.topics->size() * sizeof(MetadataRequest::Topic));
  if (!memory) return false;
  names.emplace(text);
  for (MetadataRequest::Topic& topic : *body.topics) {
    if (topic.name) topic.name = names->keep(*topic.name);
  }
  request.release();
  return true;
}

// Makes topics of the first names that do not exist yet, if this request gets its turn soon.
reactor::Task<CreateErrors> create_missing(BrokerCore& core, const MetadataRequest& body) {
  if (core.auto_creations() >= kAutoCreationsAtOnce) co_return CreateErrors();
  ++core.auto_creations();
  co_await core.auto_creation_turn().acquire(1);
  // Another request may have made them in the meantime.
  std::vector<std::string> missing = topics_to_create(*core.view(), body);
  CreateErrors errors;
  if (!missing.empty()) errors = co_await create_topics(core, std::move(missing));
  core.auto_creation_turn().release(1);
  --core.auto_creations();
  co_return errors;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kApiVersions>, BrokerCore&, ConnectionContext&, Request& request) {
  co_return net::answer_api_versions(request, net::kafka::kServedToClients);
}

HandlerTask handle(Api<ApiKey::kMetadata>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const int16_t version = request.header.version;
  auto body = decode_body<MetadataRequest>(request);
  if (!body) co_return body_corrupt();
  // In version 0 an empty list means "all"; version 4 is the first that says whether to create.
  if (version == 0 && body->topics && body->topics->empty()) body->topics.reset();
  if (body->topics && !are_named_rightly(*body, version)) {
    co_return respond(request, refuse_all(*body, ErrorCode::kInvalidRequest));
  }
  if (body->topics) body->topics = topics_asked(*body);
  const bool create = core.options().auto_create_topics && (version < 4 || body->allow_auto_topic_creation);
  CreateErrors errors;
  WaitMemory::Share memory;
  std::optional<KeptNames> names;
  if (body->topics && create && !topics_to_create(*core.view(), *body).empty() &&
      (keep_names(core, request, *body, memory, names) || core.auto_creations() == 0)) {
    errors = co_await create_missing(core, *body);
  }
  const ViewUse view = core.use_view();
  MetadataResponse response;
  for (const KnownBroker& broker : known_brokers(*view, context)) {
    response.brokers.push_back({.node_id = broker.id, .host = broker.host, .port = broker.port, .rack = broker.rack});
  }
  response.cluster_id = view->cluster_id;
  response.controller_id = view->node_id;
  if (!body->topics) {
    view->image.topics().for_each(
        [&](const TopicImage& image) { response.topics.push_back(describe_topic(*view, image, context)); });
    body->topics.emplace();
  }
  for (const MetadataRequest::Topic& asked : *body->topics) {
    if (!asked.name) {
      response.topics.push_back(topic_by_id(*view, asked.topic_id, context));
    } else if (const TopicImage* image = view->image.topic(*asked.name)) {
      response.topics.push_back(describe_topic(*view, *image, context));
    } else {
      Topic& missing = response.topics.emplace_back(missing_topic(*asked.name));
      if (const auto error = errors.find(*asked.name); error != errors.end()) {
        missing.error_code = error->second;
      } else if (create && missing.error_code == ErrorCode::kUnknownTopicOrPartition) {
        missing.error_code = ErrorCode::kLeaderNotAvailable;  // it is made when it is asked for again
      }
    }
  }
  if (body->include_cluster_authorized_operations) {
    response.cluster_authorized_operations = all_operations(ResourceType::kCluster);
  }
  if (body->include_topic_authorized_operations) {
    for (Topic& topic : response.topics) {
      if (topic.name) topic.topic_authorized_operations = all_operations(ResourceType::kTopic);
    }
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kDescribeCluster>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<DescribeClusterRequest>(request);
  if (!body) co_return body_corrupt();
  const ClusterView& view = *core.view();
  DescribeClusterResponse response;
  // A client never reaches controllers here.
  if (body->endpoint_type != net::kafka::kBrokerEndpoints) {
    const bool is_known = body->endpoint_type == net::kafka::kControllerEndpoints;
    response.error_code = is_known ? ErrorCode::kMismatchedEndpointType : ErrorCode::kUnsupportedEndpointType;
    response.error_message = "this listener is for brokers (endpoint type 1)";
    co_return respond(request, response);
  }
  response.cluster_id = view.cluster_id;
  response.controller_id = view.node_id;
  for (const KnownBroker& broker : known_brokers(view, context, body->include_fenced_brokers)) {
    response.brokers.push_back({.broker_id = broker.id,
                                .host = broker.host,
                                .port = broker.port,
                                .rack = broker.rack,
                                .is_fenced = broker.is_fenced});
  }
  if (body->include_cluster_authorized_operations) {
    response.cluster_authorized_operations = all_operations(ResourceType::kCluster);
  }
  co_return respond(request, response);
}

}  // namespace posthaste::broker
