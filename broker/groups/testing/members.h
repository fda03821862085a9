// What members ask of a group coordinator in its tests, and a group that has settled.
#pragma once
#include "broker/groups/coordinator.h"
#include "broker/groups/testing/coordinator_driver.h"

namespace posthaste::broker {

inline constexpr int64_t kInitialDelay = 3'000;
inline constexpr int32_t kSession = 10'000;
inline constexpr int32_t kRebalance = 60'000;

inline JoinRequest join_as(std::string member_id, std::vector<GroupProtocol> protocols = {{"range", "meta"}}) {
  JoinRequest request;
  request.group_id = "g";
  request.member_id = std::move(member_id);
  request.client_id = "client";
  request.client_host = "/10.0.0.1";
  request.protocol_type = "consumer";
  request.protocols = std::move(protocols);
  request.session_timeout_ms = kSession;
  request.rebalance_timeout_ms = kRebalance;
  return request;
}

inline JoinRequest join_static(std::string instance, std::string member_id = "") {
  JoinRequest request = join_as(std::move(member_id));
  request.group_instance_id = std::move(instance);
  return request;
}

inline SyncRequest sync_as(const JoinResponse& joined, std::vector<SyncRequest::Assignment> assignments = {}) {
  SyncRequest request;
  request.group_id = "g";
  request.generation_id = joined.generation_id;
  request.member_id = joined.member_id;
  request.assignments = std::move(assignments);
  return request;
}

inline ErrorCode beat(GroupTestDriver& d, const std::string& member_id, int32_t generation) {
  return d.answer<HeartbeatResponse>(d.heartbeat({"g", generation, member_id, std::nullopt})).error;
}

inline ErrorCode join_error(GroupTestDriver& d, JoinRequest request) {
  return d.answer<JoinResponse>(d.join(std::move(request))).error;
}

inline ErrorCode sync_error(GroupTestDriver& d, const SyncRequest& request) {
  return d.answer<SyncResponse>(d.sync(request)).error;
}

inline std::string state_of(const GroupTestDriver& d) { return d.coordinator.describe("g").state; }

// Members join an empty group together; the first leads. Everyone gets its own name as assignment.
inline std::vector<JoinResponse> stable_group(GroupTestDriver& d, std::vector<JoinRequest> requests) {
  std::vector<RequestToken> tokens;
  tokens.reserve(requests.size());
  for (JoinRequest& request : requests) tokens.push_back(d.join(std::move(request)));
  d.advance(kInitialDelay);
  d.advance(kInitialDelay);
  std::vector<JoinResponse> joined;
  joined.reserve(tokens.size());
  for (const RequestToken token : tokens) joined.push_back(d.answer<JoinResponse>(token));
  std::vector<SyncRequest::Assignment> assignments;
  assignments.reserve(joined.size());
  for (const JoinResponse& member : joined) assignments.push_back({member.member_id, "for " + member.member_id});
  for (const JoinResponse& member : joined) {
    d.sync(
        sync_as(member, member.member_id == member.leader_id ? assignments : std::vector<SyncRequest::Assignment>()));
  }
  CHECK(state_of(d) == "Stable");
  return joined;
}

}  // namespace posthaste::broker
