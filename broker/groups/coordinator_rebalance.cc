// How a group gets from one generation to the next: preparing (collect JoinGroups), completing (wait for the leader's
// assignment and its record), stable; and every timer on the way.
#include <algorithm>
#include <utility>

#include "broker/groups/coordinator.h"
#include "broker/planted_bugs.h"
#include "reactor/check.h"

namespace posthaste::broker {
namespace {

using reactor::Instant;
using std::chrono::milliseconds;

// A new member cannot send heartbeats before its first answer, and a rebalance may take long: it is given up after
// this.
constexpr reactor::Duration kNewMemberJoinTimeout = std::chrono::minutes(5);

SyncResponse sync_error(ErrorCode error) {
  SyncResponse response;
  response.error = error;
  return response;
}

SyncResponse sync_answer(const Group& group, const Member& member) {
  SyncResponse response;
  response.protocol_type = group.protocol_type;
  response.protocol_name = group.protocol_name;
  response.assignment = member.assignment;
  return response;
}

ErrorCode check_sync(const Group& group, const SyncRequest& request) {
  if (request.group_instance_id) {
    const auto current = group.static_members.find(*request.group_instance_id);
    if (current == group.static_members.end()) return ErrorCode::kUnknownMemberId;
    if (current->second != request.member_id) return ErrorCode::kFencedInstanceId;
  }
  if (group.find_member(request.member_id) == nullptr) return ErrorCode::kUnknownMemberId;
  if (request.generation_id != group.generation) return ErrorCode::kIllegalGeneration;
  const bool other_type = request.protocol_type && group.protocol_type && request.protocol_type != group.protocol_type;
  const bool other_name = request.protocol_name && group.protocol_name && request.protocol_name != group.protocol_name;
  return other_type || other_name ? ErrorCode::kInconsistentGroupProtocol : ErrorCode::kNone;
}

}  // namespace

// --- Timers ----------------------------------------------------------------------------------------------------------

void GroupCoordinator::arm(Group& group, Instant at) {
  if (at >= group.scheduled) return;
  if (group.scheduled != Instant::never()) timers_.erase({group.scheduled, group.id});
  group.scheduled = at;
  timers_.emplace(at, group.id);
}

void GroupCoordinator::rearm(Group& group) {
  if (group.scheduled != Instant::never()) timers_.erase({group.scheduled, group.id});
  group.scheduled = Instant::never();
  arm(group, group.nearest_deadline());
}

void GroupCoordinator::restart_session(Group& group, Member& member, GroupTime now) {
  member.session_deadline =
      now.monotonic + (member.is_new ? kNewMemberJoinTimeout : milliseconds(member.session_timeout_ms));
  arm(group, member.session_deadline);
}

void GroupCoordinator::expire(Group& group, GroupTime now, GroupOutput& out) {
  std::vector<std::string> late;
  for (const auto& [id, deadline] : group.pending_members) {
    if (deadline <= now.monotonic) late.push_back(id);
  }
  for (const std::string& id : late) remove_pending_member(group, id, now, out);

  late.clear();
  for (const auto& [id, member] : group.members) {
    if (member.deadline() <= now.monotonic) late.push_back(id);
  }
  for (const std::string& id : late) {
    // Removing one may have ended a rebalance and restarted the session of another.
    const Member* member = group.find_member(id);
    if (member != nullptr && member->deadline() <= now.monotonic) remove_member(group, id, now, out);
  }

  if (group.join_deadline <= now.monotonic) join_phase_timed_out(group, now, out);

  if (group.sync_deadline <= now.monotonic) {
    group.sync_deadline = Instant::never();
    const std::set<std::string, std::less<>> silent = std::exchange(group.pending_sync, {});
    for (const std::string& id : silent) drop_member(group, id, ErrorCode::kUnknownMemberId, out);
    if (!silent.empty()) maybe_prepare_rebalance(group, now, out);
  }
}

// --- Preparing -------------------------------------------------------------------------------------------------------

void GroupCoordinator::maybe_prepare_rebalance(Group& group, GroupTime now, GroupOutput& out) {
  if (group.state == GroupState::kPreparingRebalance) return try_complete_join(group, now, out);
  prepare_rebalance(group, now, out);
}

void GroupCoordinator::prepare_rebalance(Group& group, GroupTime now, GroupOutput& out) {
  CHECK(group.state != GroupState::kDead && group.state != GroupState::kPreparingRebalance, "group {} is {}", group.id,
        to_string(group.state));
  if (group.state == GroupState::kCompletingRebalance) {
    fail_waiting_syncs(group, ErrorCode::kRebalanceInProgress, now, out);
  }
  const bool initial = group.state == GroupState::kEmpty;
  group.pending_sync.clear();
  group.sync_deadline = Instant::never();
  group.assignment_in_flight = false;
  group.new_member_added = false;
  group.transition(GroupState::kPreparingRebalance, now.wall);
  const int64_t timeout_ms = group.largest_rebalance_timeout_ms();
  const int64_t delay_ms = initial ? std::max(config_.initial_rebalance_delay_ms, 0) : timeout_ms;
  group.initial_remaining_ms = initial ? std::optional(std::max<int64_t>(timeout_ms - delay_ms, 0)) : std::nullopt;
  group.join_deadline = now.monotonic + milliseconds(delay_ms);
  arm(group, group.join_deadline);
  if (initial && delay_ms == 0) return complete_join(group, now, out);
  try_complete_join(group, now, out);
}

void GroupCoordinator::try_complete_join(Group& group, GroupTime now, GroupOutput& out) {
  // The initial delay is waited for in full: it is there to gather members that are not known yet.
  if (group.state != GroupState::kPreparingRebalance || group.initial_remaining_ms || !group.all_joined()) return;
  complete_join(group, now, out);
}

void GroupCoordinator::join_phase_timed_out(Group& group, GroupTime now, GroupOutput& out) {
  if (group.new_member_added && group.initial_remaining_ms.value_or(0) > 0) {
    group.new_member_added = false;
    const int64_t delay_ms =
        std::min<int64_t>(std::max(config_.initial_rebalance_delay_ms, 1), *group.initial_remaining_ms);
    *group.initial_remaining_ms -= delay_ms;
    group.join_deadline = now.monotonic + milliseconds(delay_ms);
    return arm(group, group.join_deadline);
  }
  complete_join(group, now, out);
}

void GroupCoordinator::complete_join(Group& group, GroupTime now, GroupOutput& out) {
  group.join_deadline = Instant::never();
  group.initial_remaining_ms.reset();
  std::vector<std::string> absent;
  for (const auto& [id, member] : group.members) {
    if (!member.waiting_join && !member.group_instance_id) absent.push_back(id);
  }
  for (const std::string& id : absent) drop_member(group, id, ErrorCode::kUnknownMemberId, out);
  if (!group.elect_joined_leader() && !group.members.empty()) {
    // Only static members are left and none has come back yet: they keep their place until their sessions end.
    group.join_deadline = now.monotonic + milliseconds(group.largest_rebalance_timeout_ms());
    return arm(group, group.join_deadline);
  }
  group.next_generation(now.wall);
  if (group.state == GroupState::kEmpty) {
    std::vector<GroupLogRecord> records;
    records.push_back({encode(GroupMetadataKey{group.id}), encode(group.to_record({}))});
    persist(std::move(records), NothingToDo{}, out);
    return;
  }
  std::vector<JoinResponse::Member> for_leader = group.members_for_leader();
  for (auto& [id, member] : group.members) {
    member.is_new = false;
    group.pending_sync.insert(id);
    if (const auto waiting = group.release_join(member)) {
      JoinResponse response;
      response.generation_id = group.generation;
      response.protocol_type = group.protocol_type;
      response.protocol_name = group.protocol_name;
      response.leader_id = group.leader.value_or("");
      response.member_id = id;
      if (group.is_leader(id)) response.members = std::exchange(for_leader, {});
      out.messages.push_back({*waiting, kNoPersist, std::move(response)});
    }
    restart_session(group, member, now);
  }
  group.sync_deadline = now.monotonic + milliseconds(group.largest_rebalance_timeout_ms());
  arm(group, group.sync_deadline);
}

// --- Completing ------------------------------------------------------------------------------------------------------

void GroupCoordinator::sync(RequestToken token, const SyncRequest& request, GroupTime now, GroupOutput& out) {
  const auto answer = [&](SyncResponse response) { out.messages.push_back({token, kNoPersist, std::move(response)}); };
  if (const auto error = refusal(request.group_id, false)) {
    // Clients have no use for "loading" here; after a load the generation that they sync is gone unless it was stored.
    return answer(
        sync_error(*error == ErrorCode::kCoordinatorLoadInProgress ? ErrorCode::kRebalanceInProgress : *error));
  }
  Group* group = find(request.group_id);
  if (group == nullptr) return answer(sync_error(ErrorCode::kUnknownMemberId));
  if (group->state == GroupState::kDead) return answer(sync_error(ErrorCode::kCoordinatorNotAvailable));
  const ErrorCode error = check_sync(*group, request);
  if (error != ErrorCode::kNone) return answer(sync_error(error));
  Member& member = *group->find_member(request.member_id);
  switch (group->state) {
    case GroupState::kEmpty:
    case GroupState::kDead:
      return answer(sync_error(ErrorCode::kUnknownMemberId));
    case GroupState::kPreparingRebalance:
      return answer(sync_error(ErrorCode::kRebalanceInProgress));
    case GroupState::kStable:
      answer(sync_answer(*group, member));
      restart_session(*group, member, now);
      break;
    case GroupState::kCompletingRebalance:
      if (const auto earlier = std::exchange(member.waiting_sync, token)) {
        out.messages.push_back({*earlier, kNoPersist, sync_error(ErrorCode::kRebalanceInProgress)});
      }
      // A repeated request of the leader waits for the first one's record: two assignments of one generation would
      // leave it to chance which of them the log and which the members have.
      if (group->is_leader(member.member_id) && !group->assignment_in_flight) {
        store_assignment(*group, request, now, out);
      }
      break;
  }
  group->pending_sync.erase(request.member_id);
  if (group->pending_sync.empty()) group->sync_deadline = Instant::never();
  settle(*group);
}

void GroupCoordinator::store_assignment(Group& group, const SyncRequest& request, GroupTime now, GroupOutput& out) {
  uint64_t bytes = 0;
  for (const SyncRequest::Assignment& entry : request.assignments) bytes += bytes_of_text(entry.assignment);
  const bool too_large = bytes > config_.max_request_bytes;
  if (too_large || !memory_.admits(bytes)) {
    // As when the record could not be written: all members join again.
    const ErrorCode error = too_large ? ErrorCode::kUnknownServerError : ErrorCode::kCoordinatorNotAvailable;
    fail_waiting_syncs(group, error, now, out);
    return prepare_rebalance(group, now, out);
  }
  std::map<std::string, std::string> assignments;
  for (const SyncRequest::Assignment& entry : request.assignments) {
    if (group.find_member(entry.member_id) != nullptr) assignments[entry.member_id] = entry.assignment;
  }
  std::vector<GroupLogRecord> records;
  records.push_back({encode(GroupMetadataKey{group.id}), encode(group.to_record(assignments))});
  group.assignment_in_flight = true;
  persist(std::move(records), AssignmentStored{group.id, group.generation, std::move(assignments)}, out);
}

void GroupCoordinator::assignment_stored(const AssignmentStored& done, PersistId id, ErrorCode error, GroupTime now,
                                         GroupOutput& out) {
  Group* group = find(done.group_id);
  // The group may have moved on while the record was under way; the waiters got their answers then.
  if (group == nullptr || group->state != GroupState::kCompletingRebalance || group->generation != done.generation) {
    return;
  }
  group->assignment_in_flight = false;
  if (error != ErrorCode::kNone) {
    fail_waiting_syncs(*group, error, now, out);
    return prepare_rebalance(*group, now, out);
  }
  group->transition(GroupState::kStable, now.wall);
  for (auto& [member_id, member] : group->members) {
    const auto assigned = done.assignments.find(member_id);
    group->assign(member, assigned == done.assignments.end() ? std::string() : assigned->second);
    if (reactor::planted(kBugs["partition-handed-twice"]) && !done.assignments.empty()) {
      group->assign(member, done.assignments.begin()->second);
    }
    if (const auto waiting = std::exchange(member.waiting_sync, std::nullopt)) {
      out.messages.push_back({*waiting, id, sync_answer(*group, member)});
      restart_session(*group, member, now);
    }
  }
}

void GroupCoordinator::fail_waiting_syncs(Group& group, ErrorCode error, GroupTime now, GroupOutput& out) {
  for (auto& [member_id, member] : group.members) {
    group.assign(member, {});
    if (const auto waiting = std::exchange(member.waiting_sync, std::nullopt)) {
      out.messages.push_back({*waiting, kNoPersist, sync_error(error)});
      restart_session(group, member, now);
    }
  }
}

}  // namespace posthaste::broker
