// The coordinator as a whole: loading, resigning, the clock and the log's reports. What administrators ask is
// coordinator_admin.cc.
#include "broker/groups/coordinator.h"

#include <algorithm>
#include <utility>

#include "reactor/check.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;
using reactor::failure;
using reactor::Instant;
using reactor::Result;
using std::chrono::milliseconds;

// Tombstones go out in batches of about this many bytes, well under any max.message.bytes of __consumer_offsets.
constexpr size_t kPieceBytes = size_t{256} * 1024;

// The error that clients of a group get when an append fails: look for the coordinator again where this broker cannot
// be it any more, retry here where it may pass.
ErrorCode error_of_append(Errc error) {
  switch (error) {
    case Errc::kStopping:
    case Errc::kFenced:
    case Errc::kStale:
    case Errc::kAhead:
    case Errc::kDamaged:
    case Errc::kIoError:
    case Errc::kNotFound:
      return ErrorCode::kNotCoordinator;
    case Errc::kTooLarge:
    case Errc::kLimit:
    case Errc::kMalformed:
      return ErrorCode::kUnknownServerError;
    default:
      return ErrorCode::kCoordinatorNotAvailable;
  }
}

void set_all(OffsetCommitResponse& response, ErrorCode error) {
  for (OffsetCommitResponse::Topic& topic : response.topics) {
    for (OffsetCommitResponse::Partition& partition : topic.partitions) {
      if (partition.error == ErrorCode::kNone) partition.error = error;
    }
  }
}

JoinResponse failed_join(const JoinResponse& planned, ErrorCode error) {
  JoinResponse response;
  response.error = error;
  response.member_id = planned.member_id;
  return response;
}

}  // namespace

GroupCoordinator::GroupCoordinator(const GroupConfig& config, GroupMemory& memory) : config_(config), memory_(memory) {}

GroupCoordinator::~GroupCoordinator() { forget_all(); }

void GroupCoordinator::forget_all() {
  for (auto& [id, group] : groups_) memory_.change(group.charged_bytes, 0);
  for (InFlight& flight : in_flight_) memory_.change(flight.charged_bytes, 0);
  groups_.clear();
  timers_.clear();
  in_flight_.clear();
  waiting_deletes_.clear();
}

void GroupCoordinator::settle(Group& group) {
  group.check();
  memory_.change(group.charged_bytes, group.bytes());
}

uint64_t GroupCoordinator::bytes() const {
  uint64_t bytes = 0;
  for (const InFlight& flight : in_flight_) bytes += flight.charged_bytes;
  for (const auto& [id, group] : groups_) {
    bytes += bytes_of_new_group(id);
    for (const auto& [member_id, member] : group.members) bytes += bytes_of_member(member);
    for (const auto& [member_id, deadline] : group.pending_members) bytes += bytes_of_pending_member(member_id);
    for (const auto& [topic, partitions] : group.offsets) {
      bytes += bytes_of_new_topic(topic) + partitions.size() * bytes_of_new_offset();
      for (const auto& [index, slot] : partitions) {
        if (slot.committed) bytes += bytes_of_text(slot.committed->metadata);
      }
    }
  }
  return bytes;
}

size_t GroupCoordinator::waiting_count() const {
  size_t count = waiting_deletes_.size();
  for (const auto& [group_id, group] : groups_) {
    for (const auto& [member_id, member] : group.members) {
      count += (member.waiting_join ? 1U : 0U) + (member.waiting_sync ? 1U : 0U);
    }
  }
  for (const InFlight& flight : in_flight_) {
    if (std::holds_alternative<StaticMemberStored>(flight.then) || std::holds_alternative<CommitStored>(flight.then)) {
      ++count;
    }
  }
  return count;
}

// --- Loading and resigning -------------------------------------------------------------------------------------------

void GroupCoordinator::begin_load() {
  CHECK(phase_ != Phase::kActive, "resign before loading again");
  CHECK(groups_.empty() || phase_ == Phase::kLoading, "groups left over");
  forget_all();
  phase_ = Phase::kLoading;
}

Result<void> GroupCoordinator::replay(std::string_view key, std::optional<std::string_view> value) {
  CHECK(phase_ == Phase::kLoading, "replay outside loading");
  const GroupRecordKey decoded = TRY(decode_group_key(key));
  if (const auto* group_key = std::get_if<GroupMetadataKey>(&decoded)) {
    if (value) return replay_group(group_key->group, *value);
    if (Group* group = find(group_key->group)) {
      Group bare(group_key->group);
      bare.take_offsets(*group);
      bare.charged_bytes = group->charged_bytes;
      *group = std::move(bare);
      settle(*group);
    }
    return {};
  }
  const auto& offset_key = std::get<OffsetCommitKey>(decoded);
  std::optional<OffsetCommitValue> offset;
  if (value) offset = TRY(decode_offset_value(*value));
  if (Group* known = find(offset_key.group)) {
    apply_offset(*known, offset_key, std::move(offset));
  } else if (offset) {
    Group& group = groups_.try_emplace(offset_key.group, offset_key.group).first->second;
    apply_offset(group, offset_key, std::move(offset));
  }
  return {};
}

Result<void> GroupCoordinator::replay_group(const std::string& group_id, std::string_view value) {
  GroupMetadataValue record = TRY(decode_group_value(value));
  std::set<std::string_view> ids;
  std::set<std::string_view> instances;
  for (const GroupMetadataValue::Member& member : record.members) {
    if (!ids.insert(member.member_id).second) return failure(Errc::kCorrupt);
    if (member.group_instance_id && !instances.insert(*member.group_instance_id).second) return failure(Errc::kCorrupt);
  }
  if (!record.members.empty() && !record.protocol) return failure(Errc::kCorrupt);
  if (record.generation < 0) return failure(Errc::kCorrupt);

  Group loaded(group_id);
  for (GroupMetadataValue::Member& from : record.members) {
    Member member;
    member.member_id = std::move(from.member_id);
    member.group_instance_id = std::move(from.group_instance_id);
    member.client_id = std::move(from.client_id);
    member.client_host = std::move(from.client_host);
    member.session_timeout_ms = from.session_timeout_ms;
    member.rebalance_timeout_ms = from.rebalance_timeout_ms < 0 ? from.session_timeout_ms : from.rebalance_timeout_ms;
    member.protocols.push_back({*record.protocol, std::move(from.subscription.data)});
    member.assignment = std::move(from.assignment.data);
    loaded.add(std::move(member), record.protocol_type);
  }
  if (record.leader && loaded.find_member(*record.leader) != nullptr) loaded.leader = record.leader;
  loaded.generation = record.generation;
  if (!record.protocol_type.empty()) loaded.protocol_type = record.protocol_type;
  loaded.protocol_name = record.protocol;
  loaded.state = loaded.members.empty() ? GroupState::kEmpty : GroupState::kStable;
  loaded.previous_state = loaded.state;
  loaded.state_since = {record.current_state_timestamp};
  loaded.state_since_known = record.current_state_timestamp >= 0;
  loaded.persisted = true;
  Group& group = groups_.try_emplace(group_id, group_id).first->second;
  loaded.take_offsets(group);
  loaded.charged_bytes = group.charged_bytes;
  group = std::move(loaded);
  settle(group);
  return {};
}

void GroupCoordinator::finish_load(GroupTime now, GroupOutput& out) {
  CHECK(phase_ == Phase::kLoading, "finish_load outside loading");
  phase_ = Phase::kActive;
  next_expiry_check_ = now.monotonic + milliseconds(std::max<int64_t>(config_.offsets_retention_check_interval_ms, 1));
  for (auto at = groups_.begin(); at != groups_.end();) {
    Group& group = (at++)->second;
    if (!group.persisted && !group.has_offsets()) {
      erase(group);
      continue;
    }
    for (auto& [id, member] : group.members) restart_session(group, member, now);
    // group.max.size was lowered since: a rebalance lets only so many back in.
    if (group.members.size() > static_cast<size_t>(std::max(config_.max_group_size, 1))) {
      prepare_rebalance(group, now, out);
    }
  }
  topics_deleted(std::exchange(deleted_while_loading_, {}), now, out);
}

void GroupCoordinator::resign(GroupOutput& out) {
  constexpr ErrorCode kGone = ErrorCode::kNotCoordinator;
  for (auto& [group_id, group] : groups_) {
    for (auto& [member_id, member] : group.members) {
      if (const auto waiting = group.release_join(member)) {
        JoinResponse response;
        response.error = kGone;
        response.member_id = member_id;
        out.messages.push_back({*waiting, kNoPersist, std::move(response)});
      }
      if (const auto waiting = std::exchange(member.waiting_sync, std::nullopt)) {
        SyncResponse response;
        response.error = kGone;
        out.messages.push_back({*waiting, kNoPersist, std::move(response)});
      }
    }
  }
  for (InFlight& flight : in_flight_) {
    if (auto* replaced = std::get_if<StaticMemberStored>(&flight.then)) {
      out.messages.push_back({replaced->token, kNoPersist, failed_join(replaced->response, kGone)});
    } else if (auto* commit = std::get_if<CommitStored>(&flight.then)) {
      set_all(commit->response, kGone);
      out.messages.push_back({commit->token, kNoPersist, std::move(commit->response)});
    } else if (auto* offsets = std::get_if<OffsetsDeleted>(&flight.then)) {
      out.messages.push_back({offsets->token, kNoPersist, OffsetDeleteResponse{.error = kGone}});
    }
  }
  for (auto& [token, waiting] : waiting_deletes_) {
    for (DeleteGroupsResponse::Group& group : waiting.response.groups) {
      if (group.error == ErrorCode::kNone) group.error = kGone;
    }
    out.messages.push_back({token, kNoPersist, std::move(waiting.response)});
  }
  forget_all();
  deleted_while_loading_.clear();
  next_expiry_check_ = Instant::never();
  phase_ = Phase::kResigned;
}

void GroupCoordinator::erase(Group& group) {
  if (group.scheduled != Instant::never()) timers_.erase({group.scheduled, group.id});
  const auto found = groups_.find(group.id);
  CHECK(found != groups_.end() && &found->second == &group, "group {} is not ours", group.id);
  memory_.change(group.charged_bytes, 0);
  groups_.erase(found);
}

// --- Time ------------------------------------------------------------------------------------------------------------

Instant GroupCoordinator::next_deadline() const {
  return timers_.empty() ? next_expiry_check_ : std::min(next_expiry_check_, timers_.begin()->first);
}

void GroupCoordinator::tick(GroupTime now, GroupOutput& out) {
  if (phase_ != Phase::kActive) return;
  if (next_expiry_check_ <= now.monotonic) {
    next_expiry_check_ =
        now.monotonic + milliseconds(std::max<int64_t>(config_.offsets_retention_check_interval_ms, 1));
    expire_offsets(now, out);
  }
  while (!timers_.empty() && timers_.begin()->first <= now.monotonic) {
    Group* group = find(timers_.begin()->second);
    CHECK(group != nullptr, "a timer of a group that is gone");
    expire(*group, now, out);
    rearm(*group);
    settle(*group);
  }
}

// --- The log's reports -----------------------------------------------------------------------------------------------

PersistId GroupCoordinator::persist(std::vector<GroupLogRecord> records, Continuation then, GroupOutput& out) {
  const PersistId id = next_persist_id_++;
  uint64_t bytes = 0;
  for (const GroupLogRecord& record : records) {
    note_write(record, true);
    bytes += sizeof(record) + bytes_of_text(record.key) + (record.value ? bytes_of_text(*record.value) : 0);
  }
  out.persists.push_back({id, records});
  in_flight_.push_back({id, std::move(records), std::move(then)});
  // Once here, once with the writer, and about as much in what is done then.
  memory_.change(in_flight_.back().charged_bytes, 3 * bytes);
  return id;
}

void GroupCoordinator::persist_in_pieces(std::vector<GroupLogRecord> records, Continuation last, GroupOutput& out) {
  std::vector<GroupLogRecord> piece;
  size_t bytes = 0;
  for (GroupLogRecord& record : records) {
    const size_t size = record.key.size() + (record.value ? record.value->size() : 0);
    if (!piece.empty() && bytes + size > kPieceBytes) {
      persist(std::exchange(piece, {}), NothingToDo{}, out);
      bytes = 0;
    }
    bytes += size;
    piece.push_back(std::move(record));
  }
  persist(std::move(piece), std::move(last), out);
}

void GroupCoordinator::note_write(const GroupLogRecord& record, bool begins) {
  const auto decoded = decode_group_key(record.key);
  CHECK(decoded.has_value(), "a key of our own does not decode");
  const auto* key = std::get_if<OffsetCommitKey>(&*decoded);
  if (key == nullptr) return;
  Group* group = find(key->group);
  CHECK(group != nullptr, "group {} went away under a write", key->group);
  OffsetSlot& slot = group->slot(key->topic, key->partition);
  if (begins) {
    ++slot.writes_in_flight;
    ++group->offset_writes_in_flight;
  } else {
    CHECK(slot.writes_in_flight > 0, "write of {} {}-{} was not noted", key->group, key->topic, key->partition);
    --slot.writes_in_flight;
    --group->offset_writes_in_flight;
    group->drop_if_unused(key->topic, key->partition);
  }
  settle(*group);
}

void GroupCoordinator::apply(const GroupLogRecord& record) {
  const auto decoded = decode_group_key(record.key);
  CHECK(decoded.has_value(), "a key of our own does not decode");
  if (const auto* key = std::get_if<OffsetCommitKey>(&*decoded)) {
    Group* group = find(key->group);
    CHECK(group != nullptr, "group {} went away under a write", key->group);
    std::optional<OffsetCommitValue> value;
    if (record.value) {
      auto offset = decode_offset_value(*record.value);
      CHECK(offset.has_value(), "a value of our own does not decode");
      value = std::move(*offset);
    }
    return apply_offset(*group, *key, std::move(value));
  }
  // Membership is live state; what is durable about it is only that the log now holds, or no longer holds, a record.
  if (Group* group = find(std::get<GroupMetadataKey>(*decoded).group)) group->persisted = record.value.has_value();
}

void GroupCoordinator::apply_offset(Group& group, const OffsetCommitKey& key, std::optional<OffsetCommitValue> value) {
  const bool is_offset = value.has_value();
  group.set_offset(group.slot(key.topic, key.partition), std::move(value));
  if (!is_offset) group.drop_if_unused(key.topic, key.partition);
  settle(group);
}

void GroupCoordinator::persisted(PersistId id, GroupTime now, GroupOutput& out) {
  reported(id, std::nullopt, now, out);
}

void GroupCoordinator::persist_failed(PersistId id, Errc error, GroupTime now, GroupOutput& out) {
  reported(id, error, now, out);
}

void GroupCoordinator::reported(PersistId id, std::optional<Errc> failed, GroupTime now, GroupOutput& out) {
  CHECK(id != kNoPersist && id < next_persist_id_, "persist {} was never asked for", id);
  // A report about a time before resign.
  if (in_flight_.empty() || id < in_flight_.front().id) return;
  CHECK(id == in_flight_.front().id, "persist {} reported before {}", id, in_flight_.front().id);
  InFlight done = std::move(in_flight_.front());
  in_flight_.pop_front();
  memory_.change(done.charged_bytes, 0);
  for (const GroupLogRecord& record : done.records) {
    if (!failed) apply(record);
    note_write(record, false);
  }
  const ErrorCode error = failed ? error_of_append(*failed) : ErrorCode::kNone;
  const PersistId waited_for = failed ? kNoPersist : id;
  if (auto* stored = std::get_if<AssignmentStored>(&done.then)) {
    assignment_stored(*stored, id, error, now, out);
    if (Group* group = find(stored->group_id)) settle(*group);
  } else if (auto* replaced = std::get_if<StaticMemberStored>(&done.then)) {
    JoinResponse response = failed ? failed_join(replaced->response, error) : std::move(replaced->response);
    out.messages.push_back({replaced->token, waited_for, std::move(response)});
  } else if (auto* commit = std::get_if<CommitStored>(&done.then)) {
    const bool too_large = failed == Errc::kTooLarge || failed == Errc::kLimit || failed == Errc::kMalformed;
    if (failed) set_all(commit->response, too_large ? ErrorCode::kInvalidCommitOffsetSize : error);
    out.messages.push_back({commit->token, waited_for, std::move(commit->response)});
  } else if (auto* offsets = std::get_if<OffsetsDeleted>(&done.then)) {
    if (failed) offsets->response = OffsetDeleteResponse{.error = error};
    out.messages.push_back({offsets->token, waited_for, std::move(offsets->response)});
  } else if (auto* deleted = std::get_if<GroupDeleted>(&done.then)) {
    group_deleted(*deleted, waited_for, error, out);
  }
}

}  // namespace posthaste::broker
