// The requests of group members and of clients that commit offsets. Each goes to the coordinator of the group, on the
// core that owns the group's partition of __consumer_offsets; here is the translation between the wire and the
// coordinator, and everything that differs by version only.
#include "net/kafka/groups.h"
#include "broker/ask_controller.h"
#include "broker/broker_host.h"
#include "broker/groups/partition.h"
#include "broker/handlers/common.h"
#include "broker/handlers/group_routing.h"
#include "broker/handlers/handler.h"
#include "broker/node_identity.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::Response;
using net::kafka::FindCoordinatorRequest;
using net::kafka::FindCoordinatorResponse;
using replication::consumer_offsets_topic;
using replication::CreateTopicResult;
using replication::CreateTopicsRequest;
using replication::kConsumerOffsetsTopic;
namespace wire = net::kafka;

// Makes __consumer_offsets at the first look-up of a coordinator. Of the requests whose frames others may need, one
// waits.
reactor::Task<ErrorCode> make_offsets_topic(BrokerCore& core, const Request& request) {
  if (core.view()->image.topic(kConsumerOffsetsTopic) != nullptr) co_return ErrorCode::kNone;
  if (!request.memory.is_inline() && core.auto_creations() > 0) co_return ErrorCode::kCoordinatorNotAvailable;
  ++core.auto_creations();
  CreateTopicsRequest create;
  create.topics.push_back(consumer_offsets_topic(core.options().offsets_topic_partitions, 1,
                                                 core.options().offsets_topic_segment_bytes,
                                                 core.core().random_bytes()));
  create.asked_by = "by=auto-creation";
  create.with_configs = false;
  const std::vector<CreateTopicResult> results = co_await create_topics_on_controller(core, std::move(create));
  --core.auto_creations();
  const ErrorCode error = results.front().error;
  co_return error == ErrorCode::kNone || error == ErrorCode::kTopicAlreadyExists
      ? ErrorCode::kNone
      : ErrorCode::kCoordinatorNotAvailable;  // retriable, unlike most of what creating may say
}

JoinRequest to_join(const ConnectionContext& context, const Request& request, const wire::JoinGroupRequest& body,
                    const std::array<uint8_t, 16>& random_id) {
  constexpr int16_t kFirstWithKnownMemberIds = 4;  // KIP-394
  constexpr int16_t kFirstToSkipAssignment = 9;    // KIP-814
  JoinRequest join;
  join.group_id = body.group_id;
  join.member_id = body.member_id;
  join.group_instance_id = owned(body.group_instance_id);
  join.client_id = request.header.client_id.value_or(std::string_view());
  join.client_host = "/" + context.client_address;  // as Java prints an address
  join.protocol_type = body.protocol_type;
  for (const auto& protocol : body.protocols) {
    join.protocols.push_back({.name = std::string(protocol.name), .metadata = text(protocol.metadata)});
  }
  join.session_timeout_ms = body.session_timeout_ms;
  join.rebalance_timeout_ms = body.rebalance_timeout_ms;
  join.require_known_member_id = request.header.version >= kFirstWithKnownMemberIds;
  join.supports_skipping_assignment = request.header.version >= kFirstToSkipAssignment;
  join.random_id = random_id;
  return join;
}

SyncRequest to_sync(const wire::SyncGroupRequest& body) {
  SyncRequest sync;
  sync.group_id = body.group_id;
  sync.generation_id = body.generation_id;
  sync.member_id = body.member_id;
  sync.group_instance_id = owned(body.group_instance_id);
  sync.protocol_type = owned(body.protocol_type);
  sync.protocol_name = owned(body.protocol_name);
  for (const auto& assignment : body.assignments) {
    sync.assignments.push_back(
        {.member_id = std::string(assignment.member_id), .assignment = text(assignment.assignment)});
  }
  return sync;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kFindCoordinator>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<FindCoordinatorRequest>(request);
  if (!body) co_return body_corrupt();
  constexpr int16_t kFirstBatched = 4;
  constexpr int8_t kGroup = 0;
  const bool batched = request.header.version >= kFirstBatched;
  std::vector<std::string_view> keys = body->coordinator_keys;
  if (!batched) keys = {body->key};
  ErrorCode error = ErrorCode::kNone;
  if (body->key_type != kGroup) {
    // Transactions have no coordinator yet; type 2 (share groups) begins with version 6.
    error = body->key_type == 1 ? ErrorCode::kTransactionalIdAuthorizationFailed : ErrorCode::kInvalidRequest;
  } else {
    error = co_await make_offsets_topic(core, request);
  }
  const ViewUse view = core.use_view();
  FindCoordinatorResponse response;
  for (const std::string_view key : keys) {
    FindCoordinatorResponse::Coordinator& out = response.coordinators.emplace_back();
    out.key = key;
    out.node_id = out.port = -1;
    const std::optional<KnownBroker> coordinator =
        error == ErrorCode::kNone ? broker_of_group(*view, key, context) : std::nullopt;
    if (!coordinator) {
      out.error_code = error == ErrorCode::kNone ? ErrorCode::kCoordinatorNotAvailable : error;
      continue;
    }
    out.node_id = coordinator->id;
    out.host = coordinator->host;
    out.port = coordinator->port;
  }
  if (!batched) {
    const FindCoordinatorResponse::Coordinator only = response.coordinators.front();
    response.coordinators.clear();
    response.error_code = only.error_code;
    response.node_id = only.node_id;
    response.host = only.host;
    response.port = only.port;
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kJoinGroup>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<wire::JoinGroupRequest>(request);
  if (!body) co_return body_corrupt();
  const std::string member_id(body->member_id);
  uint64_t said = 0;
  for (const auto& protocol : body->protocols) said += protocol.metadata.size();
  if (said > core.options().group.max_request_bytes) {
    // The coordinator's own answer, given here so that so much is not copied first.
    wire::JoinGroupResponse refused;
    refused.error_code = ErrorCode::kGroupMaxSizeReached;
    refused.member_id = member_id;
    co_return respond(request, refused);
  }
  auto make = [&, random_id = core.core().random_bytes()] { return to_join(context, request, *body, random_id); };
  const auto answer = co_await ask_coordinator<JoinResponse>(core, context, body->group_id, make, &request);
  wire::JoinGroupResponse response;
  if (!answer) {
    response.error_code = answer.error();
    response.member_id = member_id;
  } else {
    constexpr int16_t kFirstWithNullProtocol = 7;
    response.error_code = answer->error;
    response.generation_id = answer->generation_id;
    response.protocol_type = view_of(answer->protocol_type);
    response.protocol_name = view_of(answer->protocol_name);
    if (!response.protocol_name && request.header.version < kFirstWithNullProtocol) response.protocol_name = "";
    response.leader = answer->leader_id;
    response.skip_assignment = answer->skip_assignment;
    response.member_id = answer->member_id;
    for (const JoinResponse::Member& member : answer->members) {
      response.members.push_back({.member_id = member.member_id,
                                  .group_instance_id = view_of(member.group_instance_id),
                                  .metadata = bytes(member.metadata)});
    }
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kSyncGroup>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<wire::SyncGroupRequest>(request);
  if (!body) co_return body_corrupt();
  constexpr int16_t kFirstWithProtocol = 5;  // which must then be in the answer (KIP-559)
  if (request.header.version >= kFirstWithProtocol && (!body->protocol_type || !body->protocol_name)) {
    wire::SyncGroupResponse refused;
    refused.error_code = ErrorCode::kInconsistentGroupProtocol;
    co_return respond(request, refused);
  }
  uint64_t assigned = 0;
  for (const auto& assignment : body->assignments) assigned += assignment.assignment.size();
  if (assigned > core.options().group.max_request_bytes) {
    // More than a record of __consumer_offsets can hold; this is Kafka's error for it.
    wire::SyncGroupResponse refused;
    refused.error_code = ErrorCode::kUnknownServerError;
    co_return respond(request, refused);
  }
  const auto answer =
      co_await ask_coordinator<SyncResponse>(core, context, body->group_id, [&] { return to_sync(*body); }, &request);
  wire::SyncGroupResponse response;
  response.error_code = answer ? answer->error : answer.error();
  if (answer) {
    response.protocol_type = view_of(answer->protocol_type);
    response.protocol_name = view_of(answer->protocol_name);
    response.assignment = bytes(answer->assignment);
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kHeartbeat>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<wire::HeartbeatRequest>(request);
  if (!body) co_return body_corrupt();
  auto make = [&] {
    return HeartbeatRequest{.group_id = std::string(body->group_id),
                            .generation_id = body->generation_id,
                            .member_id = std::string(body->member_id),
                            .group_instance_id = owned(body->group_instance_id)};
  };
  const auto answer = co_await ask_coordinator<HeartbeatResponse>(core, context, body->group_id, make);
  wire::HeartbeatResponse response;
  response.error_code = answer ? answer->error : answer.error();
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kLeaveGroup>, BrokerCore& core, ConnectionContext& context, Request& request) {
  const auto body = decode_body<wire::LeaveGroupRequest>(request);
  if (!body) co_return body_corrupt();
  constexpr int16_t kFirstBatched = 3;
  const bool batched = request.header.version >= kFirstBatched;
  auto make = [&] {
    LeaveRequest leave;
    leave.group_id = body->group_id;
    if (!batched) {
      leave.members.push_back({.member_id = std::string(body->member_id), .group_instance_id = std::nullopt});
    }
    for (const auto& member : body->members) {
      leave.members.push_back(
          {.member_id = std::string(member.member_id), .group_instance_id = owned(member.group_instance_id)});
    }
    return leave;
  };
  const auto answer = co_await ask_coordinator<LeaveResponse>(core, context, body->group_id, make);
  wire::LeaveGroupResponse response;
  response.error_code = answer ? answer->error : answer.error();
  if (answer) {
    for (const LeaveResponse::Member& member : answer->members) {
      response.members.push_back({.member_id = member.member_id,
                                  .group_instance_id = view_of(member.group_instance_id),
                                  .error_code = member.error});
    }
    if (!batched && response.error_code == ErrorCode::kNone && !response.members.empty()) {
      response.error_code = response.members.front().error_code;
    }
  }
  co_return respond(request, response);
}

}  // namespace posthaste::broker
