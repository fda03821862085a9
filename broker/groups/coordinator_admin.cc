// What administrators ask of groups as wholes: which there are, what one looks like, and to delete them. Deletion of
// single offsets is coordinator_offsets.cc.
#include <algorithm>
#include <set>
#include <utility>

#include "broker/groups/coordinator.h"
#include "reactor/check.h"

namespace posthaste::broker {
namespace {

bool same_text(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return lower(x) == lower(y);
  });
}

bool names(std::span<const std::string> filter, std::string_view value) {
  return filter.empty() || std::ranges::any_of(filter, [&](const std::string& f) { return same_text(f, value); });
}

}  // namespace

void GroupCoordinator::delete_group(Group& group, std::optional<RequestToken> token, GroupOutput& out) {
  CHECK(group.state == GroupState::kEmpty, "group {} is {}", group.id, to_string(group.state));
  std::vector<GroupLogRecord> tombstones;
  for (const auto& [topic, partitions] : group.offsets) {
    // Slots with a first write on its way too: that write will be in the log before the tombstone.
    for (const auto& [index, slot] : partitions) {
      tombstones.push_back({encode(OffsetCommitKey{group.id, topic, index}), std::nullopt});
    }
  }
  tombstones.push_back({encode(GroupMetadataKey{group.id}), std::nullopt});
  group.state = GroupState::kDead;  // not transition(): state_since must survive a failed write
  group.clear_pending();
  persist_in_pieces(std::move(tombstones), GroupDeleted{group.id, token}, out);
}

void GroupCoordinator::group_deleted(const GroupDeleted& done, PersistId id, ErrorCode error, GroupOutput& out) {
  Group* group = find(done.group_id);
  CHECK(group != nullptr && group->state == GroupState::kDead, "group {} was brought back to life", done.group_id);
  // Offsets can be left when an earlier piece of the tombstones failed.
  if (error == ErrorCode::kNone && group->has_offsets()) error = ErrorCode::kCoordinatorNotAvailable;
  if (error == ErrorCode::kNone) {
    erase(*group);
  } else {
    group->state = GroupState::kEmpty;
  }
  if (done.token) answer_delete(*done.token, done.group_id, error, id, out);
}

void GroupCoordinator::answer_delete(RequestToken token, const std::string& group_id, ErrorCode error, PersistId id,
                                     GroupOutput& out) {
  const auto waiting = waiting_deletes_.find(token);
  CHECK(waiting != waiting_deletes_.end(), "DeleteGroups {} is not waiting", token);
  for (DeleteGroupsResponse::Group& group : waiting->second.response.groups) {
    if (group.group_id == group_id && group.error == ErrorCode::kNone) group.error = error;
  }
  if (--waiting->second.missing > 0) return;
  out.messages.push_back({token, id, std::move(waiting->second.response)});
  waiting_deletes_.erase(waiting);
}

void GroupCoordinator::delete_groups(RequestToken token, const std::vector<std::string>& group_ids, GroupTime /*now*/,
                                     GroupOutput& out) {
  WaitingDelete waiting;
  std::vector<Group*> doomed;  // in the order of the request
  std::set<const Group*> is_doomed;
  for (const std::string& group_id : group_ids) {
    ErrorCode error = ErrorCode::kNone;
    Group* group = find(group_id);
    if (const auto refused = refusal(group_id, true)) {
      error = *refused;
    } else if (group == nullptr) {
      error = ErrorCode::kGroupIdNotFound;
    } else if (group->state == GroupState::kDead) {
      error = ErrorCode::kCoordinatorNotAvailable;
    } else if (group->state != GroupState::kEmpty) {
      error = ErrorCode::kNonEmptyGroup;
    } else if (is_doomed.insert(group).second) {
      doomed.push_back(group);
    }
    waiting.response.groups.push_back({group_id, error});
  }
  if (doomed.empty()) {
    out.messages.push_back({token, kNoPersist, std::move(waiting.response)});
    return;
  }
  waiting.missing = doomed.size();
  waiting_deletes_.emplace(token, std::move(waiting));
  for (Group* group : doomed) delete_group(*group, token, out);
}

DescribedGroup GroupCoordinator::describe(std::string_view group_id) const {
  DescribedGroup described;
  described.group_id = std::string(group_id);
  described.state = std::string(to_string(GroupState::kDead));
  if (const auto error = refusal(group_id, true)) {
    described.error = *error;
    described.state.clear();
    return described;
  }
  const Group* group = find(group_id);
  if (group == nullptr) {
    described.error = ErrorCode::kGroupIdNotFound;
    return described;
  }
  const bool stable = group->state == GroupState::kStable;
  described.state = std::string(to_string(group->state));
  described.protocol_type = group->protocol_type.value_or("");
  if (stable) described.protocol_data = group->protocol_name.value_or("");
  for (const auto& [id, member] : group->members) {
    described.members.push_back({id, member.group_instance_id, member.client_id, member.client_host,
                                 std::string(stable ? member.metadata_for(described.protocol_data) : ""),
                                 member.assignment});
  }
  return described;
}

ListGroupsResponse GroupCoordinator::list(std::span<const std::string> states,
                                          std::span<const std::string> types) const {
  ListGroupsResponse response;
  if (const auto error = refusal("", true)) {
    response.error = *error;
    return response;
  }
  if (!names(types, "classic")) return response;
  for (const auto& [id, group] : groups_) {
    if (!names(states, to_string(group.state))) continue;
    response.groups.push_back({id, group.protocol_type.value_or(""), std::string(to_string(group.state))});
  }
  return response;
}

}  // namespace posthaste::broker
