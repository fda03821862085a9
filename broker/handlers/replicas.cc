// ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments: who leads partitions, and where they are.
#include <algorithm>
#include <deque>

#include "broker/ask_controller.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "net/kafka/reassignment.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::kafka::AlterPartitionReassignmentsRequest;
using net::kafka::AlterPartitionReassignmentsResponse;
using net::kafka::ElectLeadersRequest;
using net::kafka::ElectLeadersResponse;
using net::kafka::ListPartitionReassignmentsRequest;
using net::kafka::ListPartitionReassignmentsResponse;
using replication::ElectionResult;
using replication::ElectLeaders;
using replication::ReassignmentList;
using replication::ReassignRequest;
using replication::ReassignResult;

// Partitions that one request names, each as often as it does: an answer says a sentence of each, many times what the
// request has taken. Tools name some thousands at a time.
constexpr size_t kNamedPartitionsMax = 200'000;
constexpr std::string_view kTooMany = "more than 200000 partitions are named: split the request";

template <class Topic, class Partitions>
bool names_too_many(const std::vector<Topic>& topics, Partitions Topic::* partitions) {
  size_t named = 0;
  for (const Topic& topic : topics) named += std::max<size_t>((topic.*partitions).size(), 1);
  return named > kNamedPartitionsMax;
}

// --- ElectLeaders ----------------------------------------------------------------------------------------------------

ElectLeaders to_elect(const ElectLeadersRequest& body) {
  ElectLeaders elect{.type = body.election_type, .topics = {}};
  if (!body.topic_partitions) return elect;
  elect.topics.emplace();
  for (const ElectLeadersRequest::Topic& topic : *body.topic_partitions) {
    elect.topics->push_back({std::string(topic.topic), topic.partitions});
  }
  return elect;
}

// `texts` keeps what the answer refers to.
ElectLeadersResponse to_wire(const std::vector<ElectionResult>& results, std::deque<std::string>& texts) {
  ElectLeadersResponse response;
  for (const ElectionResult& result : results) {
    ElectLeadersResponse::Topic& topic = response.replica_election_results.emplace_back();
    topic.topic = result.topic;
    for (const ElectionResult::Partition& partition : result.partitions) {
      auto& answer = topic.partition_result.emplace_back();
      answer.partition_id = partition.index;
      answer.error_code = partition.error;
      answer.error_message = std::nullopt;
      if (auto text = election_message(result.topic, partition)) {
        answer.error_message = texts.emplace_back(std::move(*text));
      }
    }
  }
  return response;
}

// Version 0 has no error of its own: each partition says it, as in Kafka.
ElectLeadersResponse refuse_election(const ElectLeaders& asked, const replication::Refusal& refusal) {
  ElectLeadersResponse response;
  response.error_code = refusal.error;
  if (!asked.topics) return response;
  for (const ElectLeaders::Topic& named : *asked.topics) {
    ElectLeadersResponse::Topic& topic = response.replica_election_results.emplace_back();
    topic.topic = named.name;
    for (const int32_t index : named.partitions) {
      topic.partition_result.push_back(
          {.partition_id = index, .error_code = refusal.error, .error_message = std::nullopt});
    }
  }
  return response;
}

// --- Reassignments ---------------------------------------------------------------------------------------------------

ReassignRequest to_reassign(const AlterPartitionReassignmentsRequest& body) {
  ReassignRequest reassign;
  reassign.may_change_factor = body.allow_replication_factor_change;
  for (const auto& named : body.topics) {
    ReassignRequest::Topic& topic = reassign.topics.emplace_back();
    topic.name = named.name;
    for (const auto& partition : named.partitions) {
      topic.partitions.push_back({partition.partition_index, partition.replicas});
    }
  }
  return reassign;
}

AlterPartitionReassignmentsResponse to_wire(const std::vector<ReassignResult>& results) {
  AlterPartitionReassignmentsResponse response;
  response.error_message = std::nullopt;
  for (const ReassignResult& result : results) {
    AlterPartitionReassignmentsResponse::Topic& topic = response.responses.emplace_back();
    topic.name = result.topic;
    for (const ReassignResult::Partition& partition : result.partitions) {
      auto& answer = topic.partitions.emplace_back();
      answer.partition_index = partition.index;
      answer.error_code = partition.error;
      answer.error_message = std::nullopt;
      if (partition.error != ErrorCode::kNone) answer.error_message = partition.message;
    }
  }
  return response;
}

ListPartitionReassignmentsResponse to_wire(const std::vector<ReassignmentList::Listed>& listed) {
  ListPartitionReassignmentsResponse response;
  response.error_message = std::nullopt;
  for (const ReassignmentList::Listed& one : listed) {
    ListPartitionReassignmentsResponse::Topic& topic = response.topics.emplace_back();
    topic.name = one.topic;
    for (const ReassignmentList::UnderWay& partition : one.partitions) {
      topic.partitions.push_back({.partition_index = partition.index,
                                  .replicas = partition.plan.replicas,
                                  .adding_replicas = partition.plan.adding,
                                  .removing_replicas = partition.plan.removing});
    }
  }
  return response;
}

std::optional<std::vector<ReassignmentList::Topic>> to_list(const ListPartitionReassignmentsRequest& body) {
  if (!body.topics) return std::nullopt;
  std::vector<ReassignmentList::Topic> topics;
  for (const auto& topic : *body.topics) topics.push_back({std::string(topic.name), topic.partition_indexes});
  return topics;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kElectLeaders>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<ElectLeadersRequest>(request);
  if (!body) co_return body_corrupt();
  if (body->topic_partitions && names_too_many(*body->topic_partitions, &ElectLeadersRequest::Topic::partitions)) {
    ElectLeadersResponse refused;
    refused.error_code = ErrorCode::kInvalidRequest;
    co_return respond(request, refused);
  }
  ElectLeaders asked = to_elect(*body);
  request.release();
  const auto results = co_await elect_leaders_on_controller(core, asked);
  if (!results) co_return respond(request, refuse_election(asked, results.error()));
  std::deque<std::string> texts;
  co_return respond(request, to_wire(*results, texts));
}

HandlerTask handle(Api<ApiKey::kAlterPartitionReassignments>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<AlterPartitionReassignmentsRequest>(request);
  if (!body) co_return body_corrupt();
  // As Kafka, which then does not repeat what may change.
  if (body->topics.empty()) co_return respond(request, AlterPartitionReassignmentsResponse{});
  AlterPartitionReassignmentsResponse refused;
  refused.allow_replication_factor_change = body->allow_replication_factor_change;
  refused.error_message = kTooMany;
  if (names_too_many(body->topics, &AlterPartitionReassignmentsRequest::Topic::partitions)) {
    refused.error_code = ErrorCode::kInvalidRequest;
    co_return respond(request, refused);
  }
  ReassignRequest asked = to_reassign(*body);
  request.release();
  const auto results = co_await reassign_on_controller(core, std::move(asked));
  if (!results) {
    refused.error_code = results.error().error;
    refused.error_message = results.error().message;
    co_return respond(request, refused);
  }
  AlterPartitionReassignmentsResponse response = to_wire(*results);
  response.allow_replication_factor_change = refused.allow_replication_factor_change;
  co_return respond(request, response);
}

// By this core's view: whatever is answered is of one moment.
HandlerTask handle(Api<ApiKey::kListPartitionReassignments>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<ListPartitionReassignmentsRequest>(request);
  if (!body) co_return body_corrupt();
  if (body->topics && names_too_many(*body->topics, &ListPartitionReassignmentsRequest::Topic::partition_indexes)) {
    ListPartitionReassignmentsResponse refused;
    refused.error_code = ErrorCode::kInvalidRequest;
    refused.error_message = kTooMany;
    co_return respond(request, refused);
  }
  ReassignmentList list(to_list(*body));
  request.release();
  const ViewUse view = core.use_view();
  while (list.next_portion(view->image)) co_await core.core().yield(reactor::CpuClass::kBackground);
  co_return respond(request, to_wire(list.listed()));
}

}  // namespace posthaste::broker
