// Committed offsets: commit, fetch, and how they grow old.
#include <algorithm>
#include <utility>

#include "broker/groups/coordinator.h"
#include "broker/planted_bugs.h"
#include "reactor/check.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::broker {
namespace {

using replication::kLongestTopicName;

OffsetCommitResponse answer_all(const OffsetCommitRequest& request, ErrorCode error) {
  OffsetCommitResponse response;
  for (const OffsetCommitRequest::Topic& topic : request.topics) {
    OffsetCommitResponse::Topic& answered = response.topics.emplace_back();
    answered.name = topic.name;
    for (const OffsetCommitRequest::Partition& partition : topic.partitions) {
      answered.partitions.push_back({partition.index, error});
    }
  }
  return response;
}

// How many UTF-16 units Java makes of this text: two of a character outside of the basic plane, one of any other and of
// each byte that is no UTF-8.
size_t utf16_units(std::string_view text) {
  const auto follows = [&](size_t at) { return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80; };
  size_t units = 0;
  for (size_t at = 0; at < text.size();) {
    const auto first = static_cast<uint8_t>(text[at]);
    const size_t wants = first >= 0xF0 && first < 0xF8 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
    size_t has = 0;
    while (has < wants && follows(at + 1 + has)) ++has;
    const bool is_whole = has == wants;
    units += is_whole && wants == 3 ? 2 : 1;
    at += is_whole ? 1 + wants : 1;
  }
  return units;
}

// offset.metadata.max.bytes counts characters as Java does, whatever its name says. The record's own length has 16
// bits.
bool fits(std::string_view metadata, size_t units_max) {
  constexpr size_t kRecordBytesMax = 0x7FFF;
  return metadata.size() <= kRecordBytesMax && (metadata.size() <= units_max || utf16_units(metadata) <= units_max);
}

bool is_group_empty(const Group& group) { return group.state == GroupState::kEmpty; }

}  // namespace

ErrorCode GroupCoordinator::check_commit(const Group* group, const OffsetCommitRequest& request) const {
  const bool from_member = request.generation_id >= 0 || !request.member_id.empty() || request.group_instance_id;
  if (group == nullptr) {
    // The first commit of a group that manages its partitions itself creates it.
    return request.generation_id < 0 ? ErrorCode::kNone : request.if_group_is_missing;
  }
  if (group->state == GroupState::kDead) return ErrorCode::kCoordinatorNotAvailable;
  if (request.generation_id < 0 && is_group_empty(*group)) return ErrorCode::kNone;
  if (!from_member) return ErrorCode::kUnknownMemberId;  // others may commit only while the group has no member
  if (request.group_instance_id) {
    const auto current = group->static_members.find(*request.group_instance_id);
    if (current == group->static_members.end()) return ErrorCode::kUnknownMemberId;
    if (current->second != request.member_id) return ErrorCode::kFencedInstanceId;
  }
  if (group->find_member(request.member_id) == nullptr) return ErrorCode::kUnknownMemberId;
  const bool is_checked = !reactor::planted(kBugs["commit-generation-unchecked"]);
  if (request.generation_id != group->generation && is_checked) return ErrorCode::kIllegalGeneration;
  // Members of a generation whose assignment is not known yet own nothing that they could commit.
  if (group->state == GroupState::kCompletingRebalance) return ErrorCode::kRebalanceInProgress;
  return ErrorCode::kNone;
}

// What offsets of one topic take that are not there yet, or whose metadata grows.
class GroupCoordinator::NewBytes {
 public:
  NewBytes(const Group* group, const std::string& topic) {
    const auto found = group == nullptr ? Topics::const_iterator() : group->offsets.find(topic);
    if (group != nullptr && found != group->offsets.end()) known_ = &found->second;
    if (known_ == nullptr) bytes_ = bytes_of_new_topic(topic);
  }
  void add(int32_t partition, const OffsetCommitValue& value) {
    const uint64_t text = bytes_of_text(value.metadata);
    const auto slot = known_ == nullptr ? Partitions::const_iterator() : known_->find(partition);
    if (known_ == nullptr || slot == known_->end()) {
      bytes_ += bytes_of_new_offset() + text;
    } else {
      const uint64_t before = slot->second.committed ? bytes_of_text(slot->second.committed->metadata) : 0;
      bytes_ += text > before ? text - before : 0;
    }
    ++offsets_;
  }
  uint64_t bytes() const { return offsets_ == 0 ? 0 : bytes_; }

 private:
  using Topics = decltype(Group::offsets);
  using Partitions = Topics::mapped_type;
  const Partitions* known_ = nullptr;
  uint64_t bytes_ = 0;
  size_t offsets_ = 0;
};

void GroupCoordinator::commit_offsets(RequestToken token, const OffsetCommitRequest& request, GroupTime now,
                                      GroupOutput& out) {
  const auto refuse = [&](ErrorCode error) { out.messages.push_back({token, kNoPersist, answer_all(request, error)}); };
  if (const auto error = refusal(request.group_id, true)) return refuse(*error);
  Group* group = find(request.group_id);
  const ErrorCode error = check_commit(group, request);
  if (error != ErrorCode::kNone) return refuse(error);
  if (group != nullptr) {
    if (Member* member = group->find_member(request.member_id)) restart_session(*group, *member, now);
  }

  OffsetCommitResponse response = answer_all(request, ErrorCode::kNone);
  std::vector<GroupLogRecord> records;
  uint64_t more = group == nullptr ? bytes_of_new_group(request.group_id) : 0;
  const auto metadata_limit = static_cast<size_t>(std::max(config_.offset_metadata_max_bytes, 0));
  for (size_t t = 0; t < request.topics.size(); ++t) {
    const OffsetCommitRequest::Topic& topic = request.topics[t];
    NewBytes new_bytes(group, topic.name);
    for (size_t p = 0; p < topic.partitions.size(); ++p) {
      const OffsetCommitRequest::Partition& partition = topic.partitions[p];
      if (topic.name.size() > kLongestTopicName) {
        response.topics[t].partitions[p].error = ErrorCode::kUnknownTopicOrPartition;
        continue;
      }
      if (partition.metadata && !fits(*partition.metadata, metadata_limit)) {
        response.topics[t].partitions[p].error = ErrorCode::kOffsetMetadataTooLarge;
        continue;
      }
      OffsetCommitValue value;
      value.offset = partition.offset;
      value.leader_epoch = partition.leader_epoch;
      value.metadata = partition.metadata.value_or("");
      value.commit_timestamp = now.wall.value;
      if (request.retention_ms >= 0) {
        value.expire_timestamp =
            request.retention_ms > INT64_MAX - now.wall.value ? INT64_MAX : now.wall.value + request.retention_ms;
      }
      new_bytes.add(partition.index, value);
      records.push_back({encode(OffsetCommitKey{request.group_id, topic.name, partition.index}), encode(value)});
    }
    more += new_bytes.bytes();
  }
  if (reactor::planted(kBugs["committed-offset-lost"]) && records.size() > 1) records.pop_back();
  if (records.empty()) {
    out.messages.push_back({token, kNoPersist, std::move(response)});
    return;
  }
  // Only what is new is refused: a consumer can always commit a later offset of a partition that it committed before.
  if (!memory_.admits(more)) return refuse(ErrorCode::kCoordinatorNotAvailable);
  if (find_or_create(request.group_id) == nullptr) return refuse(ErrorCode::kCoordinatorNotAvailable);
  persist(std::move(records), CommitStored{token, std::move(response)}, out);
}

OffsetFetchResponse GroupCoordinator::fetch_offsets(const OffsetFetchRequest& request) const {
  OffsetFetchResponse response;
  if (const auto error = refusal(request.group_id, true)) {
    response.error = *error;
    return response;
  }
  const Group* group = find(request.group_id);
  const auto read = [](int32_t index, const OffsetCommitValue& value) {
    return OffsetFetchResponse::Partition{index, value.offset, value.leader_epoch, value.metadata, ErrorCode::kNone};
  };
  if (!request.topics) {
    if (group == nullptr) return response;
    for (const auto& [name, partitions] : group->offsets) {
      OffsetFetchResponse::Topic topic{name, {}};
      for (const auto& [index, slot] : partitions) {
        if (slot.committed) topic.partitions.push_back(read(index, *slot.committed));
      }
      if (!topic.partitions.empty()) response.topics.push_back(std::move(topic));
    }
    return response;
  }
  for (const OffsetFetchRequest::Topic& asked : *request.topics) {
    OffsetFetchResponse::Topic& topic = response.topics.emplace_back();
    topic.name = asked.name;
    const std::map<int32_t, OffsetSlot>* partitions = nullptr;
    if (group != nullptr) {
      const auto found = group->offsets.find(asked.name);
      if (found != group->offsets.end()) partitions = &found->second;
    }
    for (const int32_t index : asked.partitions) {
      OffsetFetchResponse::Partition partition;
      partition.index = index;
      if (partitions != nullptr) {
        const auto slot = partitions->find(index);
        if (slot != partitions->end() && slot->second.committed) partition = read(index, *slot->second.committed);
      }
      topic.partitions.push_back(std::move(partition));
    }
  }
  return response;
}

std::vector<GroupLogRecord> GroupCoordinator::expired_offsets(const Group& group, reactor::WallMillis now,
                                                              bool& all_gone) const {
  const bool empty = is_group_empty(group);
  const bool simple = !group.protocol_type;
  const auto subscribed = group.state == GroupState::kStable ? group.subscribed() : std::nullopt;
  all_gone = true;
  std::vector<GroupLogRecord> tombstones;
  for (const auto& [topic, partitions] : group.offsets) {
    // KIP-211: offsets age while the group is empty, while it has no members at all, or while none reads the topic.
    const bool ages = simple || empty || (subscribed && !subscribed->contains(topic));
    for (const auto& [index, slot] : partitions) {
      bool expired = false;
      if (slot.committed && slot.writes_in_flight == 0 && ages) {
        int64_t since = slot.committed->commit_timestamp;
        // An offset that was committed after the group became empty counts from its commit.
        if (empty && !simple && group.state_since_known) since = std::max(since, group.state_since.value);
        expired = slot.committed->expire_timestamp >= 0
                      ? now.value >= slot.committed->expire_timestamp
                      : now.value >= since && now.value - since >= config_.offsets_retention_ms;
      }
      if (expired) tombstones.push_back({encode(OffsetCommitKey{group.id, topic, index}), std::nullopt});
      if (!expired) all_gone = false;
    }
  }
  return tombstones;
}

void GroupCoordinator::expire_offsets(GroupTime now, GroupOutput& out) {
  for (auto at = groups_.begin(); at != groups_.end();) {
    Group& group = (at++)->second;
    if (group.state == GroupState::kDead) continue;
    bool all_gone = false;
    std::vector<GroupLogRecord> tombstones = expired_offsets(group, now.wall, all_gone);
    const bool removable =
        all_gone && is_group_empty(group) && group.pending_members.empty() && group.offset_writes_in_flight == 0;
    if (removable && !group.persisted && tombstones.empty()) {
      erase(group);
    } else if (removable) {
      delete_group(group, std::nullopt, out);
    } else if (!tombstones.empty()) {
      persist_in_pieces(std::move(tombstones), NothingToDo{}, out);
    }
  }
}

ErrorCode GroupCoordinator::check_offset_delete(std::string_view group_id) const {
  if (const auto error = refusal(group_id, false)) return *error;
  const Group* group = find(group_id);
  if (group == nullptr || group->state == GroupState::kDead) return ErrorCode::kGroupIdNotFound;
  const bool consumers = group->protocol_type && *group->protocol_type == kConsumerProtocolType;
  if (!is_group_empty(*group) && !consumers) return ErrorCode::kNonEmptyGroup;
  return ErrorCode::kNone;
}

void GroupCoordinator::delete_offsets(RequestToken token, const OffsetDeleteRequest& request, GroupTime /*now*/,
                                      GroupOutput& out) {
  OffsetDeleteResponse response;
  response.error = check_offset_delete(request.group_id);
  if (response.error != ErrorCode::kNone) {
    out.messages.push_back({token, kNoPersist, std::move(response)});
    return;
  }
  const Group& group = *find(request.group_id);
  const bool empty = is_group_empty(group);
  const auto subscribed = group.subscribed();
  std::vector<GroupLogRecord> tombstones;
  for (const OffsetDeleteRequest::Topic& topic : request.topics) {
    OffsetDeleteResponse::Topic& answered = response.topics.emplace_back();
    answered.name = topic.name;
    // Members whose subscription cannot be read might read it.
    const bool in_use = !empty && (!subscribed || subscribed->contains(topic.name));
    const auto known = group.offsets.find(topic.name);
    for (const int32_t index : topic.partitions) {
      answered.partitions.push_back({index, in_use ? ErrorCode::kGroupSubscribedToTopic : ErrorCode::kNone});
      if (in_use || known == group.offsets.end() || !known->second.contains(index)) continue;
      tombstones.push_back({encode(OffsetCommitKey{request.group_id, topic.name, index}), std::nullopt});
    }
  }
  if (tombstones.empty()) {
    out.messages.push_back({token, kNoPersist, std::move(response)});
    return;
  }
  if (reactor::planted(kBugs["tombstone-lost"]) && tombstones.size() > 1) tombstones.pop_back();
  persist(std::move(tombstones), OffsetsDeleted{token, std::move(response)}, out);
}

void GroupCoordinator::topics_deleted(std::span<const std::string> topics, GroupTime /*now*/, GroupOutput& out) {
  if (phase_ == Phase::kLoading) {
    deleted_while_loading_.insert(deleted_while_loading_.end(), topics.begin(), topics.end());
  }
  if (phase_ != Phase::kActive) return;
  for (auto& [group_id, group] : groups_) {
    if (group.state == GroupState::kDead) continue;  // its tombstones are on their way
    std::vector<GroupLogRecord> tombstones;
    for (const std::string& topic : topics) {
      const auto found = group.offsets.find(topic);
      if (found == group.offsets.end()) continue;
      for (const auto& [index, slot] : found->second) {
        tombstones.push_back({encode(OffsetCommitKey{group_id, topic, index}), std::nullopt});
      }
    }
    if (!tombstones.empty()) persist_in_pieces(std::move(tombstones), NothingToDo{}, out);
  }
}

}  // namespace posthaste::broker
