#include "broker/groups/group.h"

#include <algorithm>
#include <set>
#include <utility>

#include "net/kafka/consumer_protocol.h"
#include "reactor/check.h"

namespace posthaste::broker {

std::string_view to_string(GroupState state) noexcept {
  switch (state) {
    case GroupState::kEmpty:
      return "Empty";
    case GroupState::kPreparingRebalance:
      return "PreparingRebalance";
    case GroupState::kCompletingRebalance:
      return "CompletingRebalance";
    case GroupState::kStable:
      return "Stable";
    case GroupState::kDead:
      return "Dead";
  }
  return "Unknown";
}

namespace {

// What the allocator adds to a block, and what a node of a map or set has besides its value.
constexpr uint64_t kBlockBytes = 16;
constexpr uint64_t kNodeBytes = 32 + kBlockBytes;

template <class Map>
constexpr uint64_t node_bytes() {
  return kNodeBytes + sizeof(typename Map::value_type);
}

uint64_t member_bytes(std::string_view member_id, const std::optional<std::string>& instance_id,
                      std::string_view client_id, std::string_view client_host,
                      std::span<const GroupProtocol> protocols) {
  uint64_t bytes = node_bytes<decltype(Group::members)>() + node_bytes<decltype(Group::pending_sync)>() +
                   3 * bytes_of_text(member_id) + bytes_of_text(client_id) + bytes_of_text(client_host);
  if (instance_id) {
    bytes += node_bytes<decltype(Group::static_members)>() + 2 * bytes_of_text(*instance_id) + bytes_of_text(member_id);
  }
  for (const GroupProtocol& protocol : protocols) {
    bytes += sizeof(GroupProtocol) + bytes_of_text(protocol.name) + bytes_of_text(protocol.metadata);
  }
  return bytes;
}

// How a group moves; it becomes and ceases to be dead by deletion alone (coordinator_admin.cc).
bool may_follow(GroupState before, GroupState after) {
  switch (after) {
    case GroupState::kPreparingRebalance:
      return before != GroupState::kPreparingRebalance && before != GroupState::kDead;
    case GroupState::kCompletingRebalance:
    case GroupState::kEmpty:
      return before == GroupState::kPreparingRebalance;
    case GroupState::kStable:
      return before == GroupState::kCompletingRebalance;
    case GroupState::kDead:
      break;
  }
  return false;
}

}  // namespace

uint64_t bytes_of_text(std::string_view text) {
  constexpr size_t kInside = 15;  // of a std::string object
  return text.size() <= kInside ? 0 : text.size() + 1 + kBlockBytes;
}

// The id stands in the member, as the key, and among those that have not synced.
uint64_t bytes_of_member(const Member& member) {
  return member_bytes(member.member_id, member.group_instance_id, member.client_id, member.client_host,
                      member.protocols) +
         bytes_of_text(member.assignment);
}

uint64_t bytes_of_member(const JoinRequest& request) {
  return member_bytes(request.member_id, request.group_instance_id, request.client_id, request.client_host,
                      request.protocols);
}

// Its id stands in it, as the key, and at its timer.
uint64_t bytes_of_new_group(std::string_view group_id) {
  using Groups = std::map<std::string, Group>;
  using Timers = std::set<std::pair<reactor::Instant, std::string>>;
  return node_bytes<Groups>() + node_bytes<Timers>() + 3 * bytes_of_text(group_id);
}

uint64_t bytes_of_pending_member(std::string_view member_id) {
  return node_bytes<decltype(Group::pending_members)>() + bytes_of_text(member_id);
}

uint64_t bytes_of_new_offset() { return node_bytes<decltype(Group::offsets)::mapped_type>(); }

uint64_t bytes_of_new_topic(std::string_view topic) {
  return node_bytes<decltype(Group::offsets)>() + bytes_of_text(topic);
}

std::string_view Member::metadata_for(std::string_view protocol) const {
  const auto found = std::ranges::find(protocols, protocol, &GroupProtocol::name);
  return found == protocols.end() ? std::string_view() : found->metadata;
}

void Group::transition(GroupState to, reactor::WallMillis at) {
  CHECK(may_follow(state, to), "group {} is {}, and {} does not follow that", id, to_string(state), to_string(to));
  previous_state = state;
  state = to;
  state_since = at;
  state_since_known = true;
}

void Group::check() const {
  const bool is_idle = state == GroupState::kEmpty || state == GroupState::kDead;
  CHECK(!is_idle || members.empty(), "group {} is {} and has {} members", id, to_string(state), members.size());
  CHECK(leader.has_value() != members.empty(), "group {} has {} members and {} leader", id, members.size(),
        leader ? "a" : "no");
  CHECK(!leader || members.contains(*leader), "{} leads group {} and is no member", leader.value_or(""), id);
  CHECK(std::max({static_members.size(), pending_sync.size(), joins_waiting_}) <= members.size(),
        "group {}: of {} members {} are static, {} have not synced, {} wait", id, members.size(), static_members.size(),
        pending_sync.size(), joins_waiting_);
  const bool is_preparing = state == GroupState::kPreparingRebalance;
  CHECK((join_deadline != reactor::Instant::never()) == is_preparing, "group {} is {}, for {} time", id,
        to_string(state), is_preparing ? "no" : "some");
  CHECK(!assignment_in_flight || state == GroupState::kCompletingRebalance, "group {} is {} and stores an assignment",
        id, to_string(state));
}

Member* Group::find_member(std::string_view member_id) {
  const auto found = members.find(member_id);
  return found == members.end() ? nullptr : &found->second;
}

const Member* Group::find_member(std::string_view member_id) const {
  const auto found = members.find(member_id);
  return found == members.end() ? nullptr : &found->second;
}

// A member counts once for a protocol, however often it names it. One pass: a join may name a million.
void Group::count_protocols(const Member& member, int change) {
  std::set<std::string_view> counted;
  for (const GroupProtocol& protocol : member.protocols) {
    if (!counted.insert(protocol.name).second) continue;
    const auto entry = protocol_counts_.try_emplace(protocol.name, 0).first;
    if (change > 0) {
      ++entry->second;
    } else if (--entry->second == 0) {
      protocol_counts_.erase(entry);
    }
  }
}

Member& Group::add(Member member, const std::string& type) {
  if (members.empty()) protocol_type = type;
  member.join_order = next_join_order_++;
  if (!leader) leader = member.member_id;
  if (member.group_instance_id) static_members[*member.group_instance_id] = member.member_id;
  erase_pending(member.member_id);
  member_bytes_ += bytes_of_member(member);
  count_protocols(member, 1);
  const std::string key = member.member_id;
  const auto [at, inserted] = members.emplace(key, std::move(member));
  CHECK(inserted, "member {} is in group {} already", key, id);
  if (at->second.waiting_join) ++joins_waiting_;
  return at->second;
}

void Group::remove(const std::string& member_id) {
  const auto found = members.find(member_id);
  CHECK(found != members.end(), "no member {} in group {}", member_id, id);
  Member& member = found->second;
  member_bytes_ -= bytes_of_member(member);
  count_protocols(member, -1);
  if (member.waiting_join) --joins_waiting_;
  if (member.group_instance_id) {
    const auto index = static_members.find(*member.group_instance_id);
    if (index != static_members.end() && index->second == member_id) static_members.erase(index);
  }
  pending_sync.erase(member_id);
  members.erase(found);
  if (!is_leader(member_id)) return;
  const auto oldest = std::ranges::min_element(members, {}, [](const auto& entry) { return entry.second.join_order; });
  leader = oldest == members.end() ? std::nullopt : std::optional(oldest->first);
}

void Group::update_protocols(Member& member, std::vector<GroupProtocol> protocols) {
  count_protocols(member, -1);
  member_bytes_ -= bytes_of_member(member);
  member.protocols = std::move(protocols);
  member_bytes_ += bytes_of_member(member);
  count_protocols(member, 1);
}

void Group::assign(Member& member, std::string assignment) {
  member_bytes_ -= bytes_of_member(member);
  member.assignment = std::move(assignment);
  member_bytes_ += bytes_of_member(member);
}

void Group::set_client(Member& member, std::string client_id, std::string client_host) {
  member_bytes_ -= bytes_of_member(member);
  member.client_id = std::move(client_id);
  member.client_host = std::move(client_host);
  member_bytes_ += bytes_of_member(member);
}

void Group::add_pending(const std::string& member_id, reactor::Instant deadline) {
  const bool added = pending_members.insert_or_assign(member_id, deadline).second;
  if (added) member_bytes_ += bytes_of_pending_member(member_id);
}

bool Group::erase_pending(const std::string& member_id) {
  if (pending_members.erase(member_id) == 0) return false;
  member_bytes_ -= bytes_of_pending_member(member_id);
  return true;
}

void Group::clear_pending() {
  for (const auto& [member_id, deadline] : pending_members) member_bytes_ -= bytes_of_pending_member(member_id);
  pending_members.clear();
}

OffsetSlot& Group::slot(const std::string& topic, int32_t partition) {
  const auto [at, is_new_topic] = offsets.try_emplace(topic);
  if (is_new_topic) offset_bytes_ += bytes_of_new_topic(topic);
  const auto [found, is_new] = at->second.try_emplace(partition);
  if (is_new) offset_bytes_ += bytes_of_new_offset();
  return found->second;
}

void Group::set_offset(OffsetSlot& slot, std::optional<OffsetCommitValue> value) {
  if (slot.committed) offset_bytes_ -= bytes_of_text(slot.committed->metadata);
  slot.committed = std::move(value);
  if (slot.committed) offset_bytes_ += bytes_of_text(slot.committed->metadata);
}

void Group::drop_if_unused(const std::string& topic, int32_t partition) {
  const auto at = offsets.find(topic);
  if (at == offsets.end()) return;
  const auto found = at->second.find(partition);
  if (found == at->second.end() || found->second.committed || found->second.writes_in_flight > 0) return;
  at->second.erase(found);
  offset_bytes_ -= bytes_of_new_offset();
  if (!at->second.empty()) return;
  offset_bytes_ -= bytes_of_new_topic(topic);
  offsets.erase(at);
}

void Group::take_offsets(Group& other) {
  offsets = std::exchange(other.offsets, {});
  offset_bytes_ = std::exchange(other.offset_bytes_, 0);
}

uint64_t Group::bytes() const { return bytes_of_new_group(id) + member_bytes_ + offset_bytes_; }

Member& Group::replace_id(const std::string& old_id, const std::string& new_id) {
  auto node = members.extract(old_id);
  CHECK(!node.empty(), "no member {} in group {}", old_id, id);
  member_bytes_ -= bytes_of_member(node.mapped());
  node.key() = new_id;
  node.mapped().member_id = new_id;
  member_bytes_ += bytes_of_member(node.mapped());
  if (is_leader(old_id)) leader = new_id;
  if (node.mapped().group_instance_id) static_members[*node.mapped().group_instance_id] = new_id;
  if (pending_sync.erase(old_id) > 0) pending_sync.insert(new_id);
  return members.insert(std::move(node)).position->second;
}

void Group::hold_join(Member& member, RequestToken token) {
  if (!member.waiting_join) ++joins_waiting_;
  member.waiting_join = token;
}

std::optional<RequestToken> Group::release_join(Member& member) {
  if (member.waiting_join) --joins_waiting_;
  return std::exchange(member.waiting_join, std::nullopt);
}

bool Group::supported_by_all(const std::string& protocol) const {
  const auto found = protocol_counts_.find(protocol);
  return found != protocol_counts_.end() && found->second == members.size();
}

bool Group::supports(std::string_view type, std::span<const GroupProtocol> protocols) const {
  if (type.empty() || protocols.empty()) return false;
  if (members.empty()) return true;
  if (!protocol_type || *protocol_type != type) return false;
  return std::ranges::any_of(protocols, [&](const GroupProtocol& p) { return supported_by_all(p.name); });
}

std::string Group::select_protocol() const {
  CHECK(!members.empty(), "group {} has no member to vote", id);
  std::map<std::string, size_t, std::less<>> votes;
  for (const auto& [member_id, member] : members) {
    const auto choice =
        std::ranges::find_if(member.protocols, [&](const GroupProtocol& p) { return supported_by_all(p.name); });
    CHECK(choice != member.protocols.end(), "no protocol of {} is supported by all of {}", member_id, id);
    ++votes[choice->name];
  }
  const size_t most = std::ranges::max_element(votes, {}, [](const auto& entry) { return entry.second; })->second;
  const Member* referee = leader ? find_member(*leader) : nullptr;
  if (referee == nullptr) referee = &members.begin()->second;
  for (const GroupProtocol& protocol : referee->protocols) {
    const auto found = votes.find(protocol.name);
    if (found != votes.end() && found->second == most) return protocol.name;
  }
  return std::ranges::find_if(votes, [&](const auto& entry) { return entry.second == most; })->first;
}

void Group::next_generation(reactor::WallMillis at) {
  // A generation is an int32 on the wire; it wraps to the first after the last rather than overflow.
  generation = generation == INT32_MAX ? 1 : generation + 1;
  pending_sync.clear();
  assignment_in_flight = false;
  if (members.empty()) {
    protocol_name.reset();
    transition(GroupState::kEmpty, at);
  } else {
    protocol_name = select_protocol();
    transition(GroupState::kCompletingRebalance, at);
  }
}

bool Group::elect_joined_leader() {
  const Member* current = leader ? find_member(*leader) : nullptr;
  if (current != nullptr && current->waiting_join) return true;
  const Member* oldest = nullptr;
  for (const auto& [member_id, member] : members) {
    if (member.waiting_join && (oldest == nullptr || member.join_order < oldest->join_order)) oldest = &member;
  }
  if (oldest == nullptr) return false;
  leader = oldest->member_id;
  return true;
}

int32_t Group::largest_rebalance_timeout_ms() const {
  int32_t largest = 1;  // a rebalance that may take no time at all could spin; a client must not be able to ask for it
  for (const auto& [member_id, member] : members) largest = std::max(largest, member.rebalance_timeout_ms);
  return largest;
}

reactor::Instant Group::nearest_deadline() const {
  reactor::Instant nearest = std::min(join_deadline, sync_deadline);
  for (const auto& [member_id, deadline] : pending_members) nearest = std::min(nearest, deadline);
  for (const auto& [member_id, member] : members) nearest = std::min(nearest, member.deadline());
  return nearest;
}

std::optional<std::set<std::string>> Group::subscribed() const {
  if (!protocol_type || *protocol_type != kConsumerProtocolType || !protocol_name) return std::nullopt;
  std::set<std::string> topics;
  for (const auto& [member_id, member] : members) {
    const std::string_view metadata = member.metadata_for(*protocol_name);
    const auto wants = net::kafka::decode_subscription(std::as_bytes(std::span(metadata)));
    if (!wants) return std::nullopt;
    topics.insert(wants->topics.begin(), wants->topics.end());
  }
  return topics;
}

bool Group::has_offsets() const {
  return offset_writes_in_flight > 0 || std::ranges::any_of(offsets, [](const auto& topic) {
           return std::ranges::any_of(topic.second, [](const auto& slot) { return slot.second.committed.has_value(); });
         });
}

std::vector<JoinResponse::Member> Group::members_for_leader() const {
  std::vector<JoinResponse::Member> list;
  list.reserve(members.size());
  for (const auto& [member_id, member] : members) {
    list.push_back({member_id, member.group_instance_id, std::string(member.metadata_for(protocol_name.value_or("")))});
  }
  return list;
}

GroupMetadataValue Group::to_record(const std::map<std::string, std::string>& assignments) const {
  GroupMetadataValue value;
  value.protocol_type = protocol_type.value_or("");
  value.generation = generation;
  value.protocol = protocol_name;
  value.leader = leader;
  value.current_state_timestamp = state_since.value;
  for (const auto& [member_id, member] : members) {
    const auto assigned = assignments.find(member_id);
    value.members.push_back({member_id,
                             member.group_instance_id,
                             member.client_id,
                             member.client_host,
                             member.rebalance_timeout_ms,
                             member.session_timeout_ms,
                             {std::string(member.metadata_for(protocol_name.value_or("")))},
                             {assigned == assignments.end() ? std::string() : assigned->second}});
  }
  return value;
}

}  // namespace posthaste::broker
