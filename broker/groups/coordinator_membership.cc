// The members of a group: join, leave, heartbeat, and the members that come and go between. What follows from a change
// of membership is coordinator_rebalance.cc.
#include <algorithm>
#include <utility>

#include "broker/groups/coordinator.h"
#include "reactor/check.h"

namespace posthaste::broker {
namespace {

using std::chrono::milliseconds;

JoinResponse join_error(ErrorCode error, std::string member_id) {
  JoinResponse response;
  response.error = error;
  response.member_id = std::move(member_id);
  return response;
}

// prefix-xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx, a random UUID (RFC 9562, version 4) as Kafka's coordinators make them.
std::string make_member_id(const std::string& prefix, std::array<uint8_t, 16> random) {
  random[6] = static_cast<uint8_t>((random[6] & 0x0F) | 0x40);
  random[8] = static_cast<uint8_t>((random[8] & 0x3F) | 0x80);
  std::string id = prefix;
  for (size_t i = 0; i < random.size(); ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) id.push_back('-');
    id += fmt::format("{:02x}", random[i]);
  }
  return id;
}

// A member's claim to be in the group. Static members are recognised by their instance id first: a client with another
// member id for it has been replaced.
ErrorCode check_member(const Group& group, std::string_view member_id, const std::optional<std::string>& instance_id) {
  if (instance_id) {
    const auto current = group.static_members.find(*instance_id);
    if (current == group.static_members.end()) return ErrorCode::kUnknownMemberId;
    if (current->second != member_id) return ErrorCode::kFencedInstanceId;
  }
  return group.find_member(member_id) == nullptr ? ErrorCode::kUnknownMemberId : ErrorCode::kNone;
}

bool accepts_one_more(const Group& group, const std::string& member_id, size_t limit, size_t pending_limit) {
  const Member* member = group.find_member(member_id);
  const bool pending = group.pending_members.contains(member_id);
  // Ours: ids that were given out and not used count too, else unanswered joins would grow without a bound.
  if (member == nullptr && !pending && group.pending_members.size() >= pending_limit) return false;
  switch (group.state) {
    case GroupState::kEmpty:
    case GroupState::kDead:
      return true;
    case GroupState::kPreparingRebalance:
      return (member != nullptr && member->waiting_join) || group.joins_waiting() < limit;
    case GroupState::kCompletingRebalance:
    case GroupState::kStable:
      return member != nullptr || group.members.size() < limit;
  }
  return false;
}

// Whether everything that would go into a record fits its int16 lengths, a member id made from it included.
bool fits_records(const JoinRequest& request) {
  const auto fits = [](std::string_view text) { return text.size() <= kLongestGroupText; };
  return fits(request.member_id) && fits(request.client_id) && fits(request.client_host) &&
         fits(request.protocol_type) && fits(request.group_instance_id.value_or("")) &&
         std::ranges::all_of(request.protocols, fits, &GroupProtocol::name);
}

}  // namespace

std::optional<ErrorCode> GroupCoordinator::refusal(std::string_view group_id, bool empty_id_allowed) const {
  if (phase_ == Phase::kResigned) return ErrorCode::kNotCoordinator;
  if ((!empty_id_allowed && group_id.empty()) || group_id.size() > kLongestGroupText) return ErrorCode::kInvalidGroupId;
  if (phase_ == Phase::kLoading) return ErrorCode::kCoordinatorLoadInProgress;
  return std::nullopt;
}

Group* GroupCoordinator::find(std::string_view group_id) {
  const auto found = groups_.find(group_id);
  return found == groups_.end() ? nullptr : &found->second;
}

const Group* GroupCoordinator::find(std::string_view group_id) const {
  const auto found = groups_.find(group_id);
  return found == groups_.end() ? nullptr : &found->second;
}

Group* GroupCoordinator::find_or_create(const std::string& group_id) {
  if (Group* group = find(group_id)) return group;
  if (groups_.size() >= config_.max_groups) return nullptr;
  Group& group = groups_.try_emplace(group_id, group_id).first->second;
  settle(group);
  return &group;
}

// True if there is room for what a join adds: a group, a member, or more metadata of an existing member. A member that
// joins again with no more than before always has room.
bool GroupCoordinator::admits(const Group* group, const JoinRequest& request) {
  const uint64_t bytes = bytes_of_member(request);
  if (bytes > config_.max_request_bytes) return memory_.refuse();
  const Member* before = group == nullptr ? nullptr : group->find_member(request.member_id);
  const uint64_t has = before == nullptr ? 0 : bytes_of_member(*before) - bytes_of_text(before->assignment);
  const uint64_t more = bytes > has ? bytes - has : 0;
  return memory_.admits(more + (group == nullptr ? bytes_of_new_group(request.group_id) : 0));
}

void GroupCoordinator::join(RequestToken token, JoinRequest request, GroupTime now, GroupOutput& out) {
  const auto refuse = [&](ErrorCode error, std::string member_id) {
    out.messages.push_back({token, kNoPersist, join_error(error, std::move(member_id))});
  };
  if (const auto error = refusal(request.group_id, false)) return refuse(*error, request.member_id);
  if (!fits_records(request)) return refuse(ErrorCode::kInvalidRequest, "");
  if (request.session_timeout_ms < config_.min_session_timeout_ms ||
      request.session_timeout_ms > config_.max_session_timeout_ms) {
    return refuse(ErrorCode::kInvalidSessionTimeout, request.member_id);
  }
  if (request.rebalance_timeout_ms < 0) request.rebalance_timeout_ms = request.session_timeout_ms;
  const bool unknown = request.member_id.empty();
  Group* group = find(request.group_id);
  if (group == nullptr && !unknown) return refuse(ErrorCode::kUnknownMemberId, request.member_id);
  if (group == nullptr && (request.protocol_type.empty() || request.protocols.empty())) {
    return refuse(ErrorCode::kInconsistentGroupProtocol, request.member_id);
  }
  if (!admits(group, request)) return refuse(ErrorCode::kGroupMaxSizeReached, request.member_id);
  if (group == nullptr) group = find_or_create(request.group_id);
  if (group == nullptr || group->state == GroupState::kDead) {
    return refuse(ErrorCode::kCoordinatorNotAvailable, request.member_id);
  }
  if (!accepts_one_more(*group, request.member_id, static_cast<size_t>(std::max(config_.max_group_size, 1)),
                        config_.max_pending_members)) {
    group->erase_pending(request.member_id);
    settle(*group);
    return refuse(ErrorCode::kGroupMaxSizeReached, "");
  }
  if (!group->supports(request.protocol_type, request.protocols)) {
    return refuse(ErrorCode::kInconsistentGroupProtocol, request.member_id);
  }
  if (unknown) {
    join_unknown(*group, token, request, now, out);
  } else {
    join_known(*group, token, request, now, out);
  }
  settle(*group);
}

void GroupCoordinator::join_unknown(Group& group, RequestToken token, JoinRequest& request, GroupTime now,
                                    GroupOutput& out) {
  std::string member_id = make_member_id(request.group_instance_id.value_or(request.client_id), request.random_id);
  if (group.find_member(member_id) != nullptr || group.pending_members.contains(member_id)) {
    // Two equal draws of 122 random bits: the source of randomness is broken. Refuse rather than merge two clients.
    out.messages.push_back({token, kNoPersist, join_error(ErrorCode::kUnknownServerError, "")});
    return;
  }
  if (request.group_instance_id) {
    const auto current = group.static_members.find(*request.group_instance_id);
    if (current == group.static_members.end()) {
      return add_member(group, std::move(member_id), token, request, now, out);
    }
    Member* old = group.find_member(current->second);
    CHECK(old != nullptr, "static index of group {} names a missing member", group.id);
    return replace_static_member(group, *old, member_id, token, request, now, out);
  }
  if (!request.require_known_member_id) return add_member(group, std::move(member_id), token, request, now, out);
  const reactor::Instant deadline = now.monotonic + milliseconds(request.session_timeout_ms);
  group.add_pending(member_id, deadline);
  arm(group, deadline);
  out.messages.push_back({token, kNoPersist, join_error(ErrorCode::kMemberIdRequired, std::move(member_id))});
}

void GroupCoordinator::join_known(Group& group, RequestToken token, JoinRequest& request, GroupTime now,
                                  GroupOutput& out) {
  const auto refuse = [&](ErrorCode error) {
    out.messages.push_back({token, kNoPersist, join_error(error, request.member_id)});
  };
  if (group.pending_members.contains(request.member_id)) {
    // Only dynamic members are given an id to come back with.
    if (request.group_instance_id) return refuse(ErrorCode::kUnknownMemberId);
    return add_member(group, request.member_id, token, request, now, out);
  }
  const ErrorCode error = check_member(group, request.member_id, request.group_instance_id);
  if (error != ErrorCode::kNone) return refuse(error);
  Member& member = *group.find_member(request.member_id);
  const bool unchanged = member.protocols == request.protocols;
  const bool leads = group.is_leader(member.member_id);
  switch (group.state) {
    case GroupState::kPreparingRebalance:
      return update_member(group, member, token, request, now, out);
    case GroupState::kCompletingRebalance:
      // Its answer was lost: the generation stays, unless the join differs.
      if (!unchanged) return update_member(group, member, token, request, now, out);
      break;
    case GroupState::kStable:
      // A leader that joins again asks for a rebalance (its view of the topics changed, for example).
      if (!unchanged || leads) return update_member(group, member, token, request, now, out);
      break;
    case GroupState::kEmpty:
    case GroupState::kDead:
      return refuse(ErrorCode::kUnknownMemberId);
  }
  JoinResponse response;
  response.generation_id = group.generation;
  response.protocol_type = group.protocol_type;
  response.protocol_name = group.protocol_name;
  response.leader_id = group.leader.value_or("");
  response.member_id = member.member_id;
  if (leads) response.members = group.members_for_leader();
  restart_session(group, member, now);
  out.messages.push_back({token, kNoPersist, std::move(response)});
}

void GroupCoordinator::hold_join(Group& group, Member& member, RequestToken token, GroupOutput& out) {
  if (member.waiting_join) {
    // The client gave up on its earlier request and asks again; that one must be answered too. It retries on this code.
    out.messages.push_back(
        {*member.waiting_join, kNoPersist, join_error(ErrorCode::kRebalanceInProgress, member.member_id)});
  }
  group.hold_join(member, token);
}

void GroupCoordinator::add_member(Group& group, std::string member_id, RequestToken token, JoinRequest& request,
                                  GroupTime now, GroupOutput& out) {
  Member fresh;
  fresh.member_id = std::move(member_id);
  fresh.group_instance_id = request.group_instance_id;
  fresh.client_id = request.client_id;
  fresh.client_host = request.client_host;
  fresh.session_timeout_ms = request.session_timeout_ms;
  fresh.rebalance_timeout_ms = request.rebalance_timeout_ms;
  fresh.protocols = std::move(request.protocols);
  fresh.is_new = true;
  if (group.state == GroupState::kPreparingRebalance && group.previous_state == GroupState::kEmpty) {
    group.new_member_added = true;
  }
  Member& member = group.add(std::move(fresh), request.protocol_type);
  restart_session(group, member, now);
  hold_join(group, member, token, out);
  maybe_prepare_rebalance(group, now, out);
}

void GroupCoordinator::update_member(Group& group, Member& member, RequestToken token, JoinRequest& request,
                                     GroupTime now, GroupOutput& out) {
  group.update_protocols(member, std::move(request.protocols));
  member.session_timeout_ms = request.session_timeout_ms;
  member.rebalance_timeout_ms = request.rebalance_timeout_ms;
  hold_join(group, member, token, out);
  maybe_prepare_rebalance(group, now, out);
}

void GroupCoordinator::replace_static_member(Group& group, Member& old, const std::string& member_id,
                                             RequestToken token, JoinRequest& request, GroupTime now,
                                             GroupOutput& out) {
  const std::string old_id = old.member_id;
  const std::string old_leader = group.leader.value_or("");
  if (const auto waiting = group.release_join(old)) {
    out.messages.push_back({*waiting, kNoPersist, join_error(ErrorCode::kFencedInstanceId, old_id)});
  }
  if (const auto waiting = std::exchange(old.waiting_sync, std::nullopt)) {
    SyncResponse fenced;
    fenced.error = ErrorCode::kFencedInstanceId;
    out.messages.push_back({*waiting, kNoPersist, std::move(fenced)});
  }
  Member& member = group.replace_id(old_id, member_id);
  group.update_protocols(member, std::move(request.protocols));
  group.set_client(member, request.client_id, request.client_host);
  member.session_timeout_ms = request.session_timeout_ms;
  member.rebalance_timeout_ms = request.rebalance_timeout_ms;
  restart_session(group, member, now);
  switch (group.state) {
    case GroupState::kStable:
      if (group.protocol_name == group.select_protocol()) {
        return persist_static_replacement(group, member, old_leader, token, request.supports_skipping_assignment, now,
                                          out);
      }
      hold_join(group, member, token, out);
      return prepare_rebalance(group, now, out);
    case GroupState::kCompletingRebalance:
      // The old incarnation may have been the leader that everyone waits for.
      hold_join(group, member, token, out);
      return prepare_rebalance(group, now, out);
    case GroupState::kPreparingRebalance:
      hold_join(group, member, token, out);
      return try_complete_join(group, now, out);
    case GroupState::kEmpty:
    case GroupState::kDead:
      CHECK(false, "group {} is {} but has members", group.id, to_string(group.state));
  }
}

void GroupCoordinator::persist_static_replacement(Group& group, Member& member, const std::string& old_leader,
                                                  RequestToken token, bool supports_skipping, GroupTime /*now*/,
                                                  GroupOutput& out) {
  // The generation and every assignment stand; only the name of this member in the record changes.
  std::map<std::string, std::string> assignments;
  for (const auto& [id, other] : group.members) assignments[id] = other.assignment;
  JoinResponse response;
  response.generation_id = group.generation;
  response.protocol_type = group.protocol_type;
  response.protocol_name = group.protocol_name;
  response.member_id = member.member_id;
  if (supports_skipping) {
    response.leader_id = group.leader.value_or("");
    response.skip_assignment = group.is_leader(member.member_id);
    if (response.skip_assignment) response.members = group.members_for_leader();
  } else {
    // An older client that sees itself as leader would assign again: the answer names the former leader.
    response.leader_id = old_leader;
  }
  std::vector<GroupLogRecord> records;
  records.push_back({encode(GroupMetadataKey{group.id}), encode(group.to_record(assignments))});
  persist(std::move(records), StaticMemberStored{token, std::move(response)}, out);
}

void GroupCoordinator::heartbeat(RequestToken token, const HeartbeatRequest& request, GroupTime now, GroupOutput& out) {
  const auto answer = [&](ErrorCode error) { out.messages.push_back({token, kNoPersist, HeartbeatResponse{error}}); };
  if (const auto error = refusal(request.group_id, false)) {
    // A client cannot use "loading" on a heartbeat; nothing is lost by saying all is well until it can be checked.
    return answer(*error == ErrorCode::kCoordinatorLoadInProgress ? ErrorCode::kNone : *error);
  }
  Group* group = find(request.group_id);
  if (group == nullptr) return answer(ErrorCode::kUnknownMemberId);
  if (group->state == GroupState::kDead) return answer(ErrorCode::kCoordinatorNotAvailable);
  const ErrorCode error = check_member(*group, request.member_id, request.group_instance_id);
  if (error != ErrorCode::kNone) return answer(error);
  if (request.generation_id != group->generation) return answer(ErrorCode::kIllegalGeneration);
  Member& member = *group->find_member(request.member_id);
  switch (group->state) {
    case GroupState::kEmpty:
    case GroupState::kDead:
      return answer(ErrorCode::kUnknownMemberId);
    case GroupState::kPreparingRebalance:
      restart_session(*group, member, now);
      return answer(ErrorCode::kRebalanceInProgress);
    case GroupState::kCompletingRebalance:
    case GroupState::kStable:
      restart_session(*group, member, now);
      return answer(ErrorCode::kNone);
  }
}

void GroupCoordinator::leave(RequestToken token, const LeaveRequest& request, GroupTime now, GroupOutput& out) {
  LeaveResponse response;
  if (const auto error = refusal(request.group_id, false)) {
    response.error = *error;
    out.messages.push_back({token, kNoPersist, std::move(response)});
    return;
  }
  Group* group = find(request.group_id);
  if (group != nullptr && group->state == GroupState::kDead) {
    response.error = ErrorCode::kCoordinatorNotAvailable;
    out.messages.push_back({token, kNoPersist, std::move(response)});
    return;
  }
  bool dropped = false;
  bool forgotten = false;  // a member id that was given out and not used
  for (const LeaveRequest::Member& leaving : request.members) {
    ErrorCode error = ErrorCode::kUnknownMemberId;
    std::string member_id = leaving.member_id;
    if (group != nullptr && member_id.empty() && leaving.group_instance_id) {
      // An administrator removes a static member by its instance id alone.
      const auto current = group->static_members.find(*leaving.group_instance_id);
      if (current != group->static_members.end()) member_id = current->second;
    }
    if (group != nullptr && group->pending_members.contains(member_id)) {
      error = leaving.group_instance_id ? ErrorCode::kUnknownMemberId : ErrorCode::kNone;
      if (error == ErrorCode::kNone) forgotten = group->erase_pending(member_id);
    } else if (group != nullptr && !member_id.empty()) {
      error = check_member(*group, member_id, leaving.group_instance_id);
      if (error == ErrorCode::kNone) {
        drop_member(*group, member_id, ErrorCode::kUnknownMemberId, out);
        dropped = true;
      }
    }
    response.members.push_back({leaving.member_id, leaving.group_instance_id, error});
  }
  // All that leave together are gone before the others are asked to rebalance, so that none of them is given a part.
  if (dropped) {
    members_left(*group, now, out);
  } else if (forgotten) {
    try_complete_join(*group, now, out);
  }
  if (group != nullptr) settle(*group);
  out.messages.push_back({token, kNoPersist, std::move(response)});
}

void GroupCoordinator::drop_member(Group& group, const std::string& member_id, ErrorCode error, GroupOutput& out) {
  Member* member = group.find_member(member_id);
  CHECK(member != nullptr, "no member {} in group {}", member_id, group.id);
  if (const auto waiting = group.release_join(*member)) {
    out.messages.push_back({*waiting, kNoPersist, join_error(error, "")});
  }
  if (const auto waiting = std::exchange(member->waiting_sync, std::nullopt)) {
    SyncResponse response;
    response.error = error;
    out.messages.push_back({*waiting, kNoPersist, std::move(response)});
  }
  group.remove(member_id);
}

void GroupCoordinator::remove_member(Group& group, const std::string& member_id, GroupTime now, GroupOutput& out) {
  drop_member(group, member_id, ErrorCode::kUnknownMemberId, out);
  members_left(group, now, out);
}

void GroupCoordinator::members_left(Group& group, GroupTime now, GroupOutput& out) {
  switch (group.state) {
    case GroupState::kEmpty:
    case GroupState::kDead:
      return;
    case GroupState::kStable:
    case GroupState::kCompletingRebalance:
      return prepare_rebalance(group, now, out);
    case GroupState::kPreparingRebalance:
      return try_complete_join(group, now, out);
  }
}

void GroupCoordinator::remove_pending_member(Group& group, const std::string& member_id, GroupTime now,
                                             GroupOutput& out) {
  group.erase_pending(member_id);
  if (group.state == GroupState::kPreparingRebalance) try_complete_join(group, now, out);
}

}  // namespace posthaste::broker
