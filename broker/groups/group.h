// One classic group in memory: members, protocols, generation, offsets, and the questions one may ask of them. It knows
// no records, no answers and no clock; the rules that connect events to those are GroupCoordinator's.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/groups/records.h"
#include "broker/groups/types.h"
#include "reactor/time.h"

namespace posthaste::broker {

// The protocol type of groups whose members' metadata is a ConsumerProtocolSubscription.
inline constexpr std::string_view kConsumerProtocolType = "consumer";

struct Member {
  std::string member_id;
  std::optional<std::string> group_instance_id;  // set: a static member (KIP-345)
  std::string client_id;
  std::string client_host;
  int32_t session_timeout_ms = 0;
  int32_t rebalance_timeout_ms = 0;
  std::vector<GroupProtocol> protocols;
  std::string assignment;
  uint64_t join_order = 0;  // the oldest member takes over when a leader goes: deterministic, and most likely alive
  // Joined, but its first JoinGroup is not answered: it cannot send heartbeats yet, so another deadline holds.
  bool is_new = false;
  reactor::Instant session_deadline = reactor::Instant::never();
  std::optional<RequestToken> waiting_join;
  std::optional<RequestToken> waiting_sync;

  // Metadata for that protocol; empty when it does not support it.
  std::string_view metadata_for(std::string_view protocol) const;
  // The deadline that counts now: a member whose request we hold is alive by definition, unless it is new.
  reactor::Instant deadline() const {
    return is_new || (!waiting_join && !waiting_sync) ? session_deadline : reactor::Instant::never();
  }
};

// A committed offset and how many writes about it are on their way to the log.
struct OffsetSlot {
  std::optional<OffsetCommitValue> committed;
  uint32_t writes_in_flight = 0;
};

// Of one group, member and so on: what it takes in memory, with the nodes and blocks of the containers that hold it.
uint64_t bytes_of_member(const Member& member);
// The same of one that is not there yet: without an assignment, and with the id that it asks for.
uint64_t bytes_of_member(const JoinRequest& request);
uint64_t bytes_of_new_group(std::string_view group_id);
uint64_t bytes_of_pending_member(std::string_view member_id);
uint64_t bytes_of_new_offset();
uint64_t bytes_of_new_topic(std::string_view topic);
// Of text behind its string object.
uint64_t bytes_of_text(std::string_view text);

// Plain data with consistent helpers. Touch `members` only through add/remove/update/replace/assign, `offsets` only
// through slot/set_offset/drop_if_unused, `pending_members` through its own: they keep the protocol counts, the leader,
// the static index, the count of waiting joins and bytes() right.
class Group {
 public:
  explicit Group(std::string group_id) : id(std::move(group_id)) {}

  std::string id;
  GroupState state = GroupState::kEmpty;
  GroupState previous_state = GroupState::kEmpty;
  reactor::WallMillis state_since{};
  bool state_since_known = false;  // loaded from a record without it
  int32_t generation = 0;
  std::optional<std::string> protocol_type;
  std::optional<std::string> protocol_name;
  std::optional<std::string> leader;
  std::map<std::string, Member, std::less<>> members;
  std::map<std::string, std::string, std::less<>> static_members;  // instance id -> member id
  std::map<std::string, reactor::Instant, std::less<>>
      pending_members;                              // given an id (MEMBER_ID_REQUIRED), not back yet
  std::set<std::string, std::less<>> pending_sync;  // of this generation, have not sent SyncGroup
  // While preparing: a member joined since the (initial) delay was last extended.
  bool new_member_added = false;
  reactor::Instant join_deadline = reactor::Instant::never();  // end of PreparingRebalance
  // What is left of the initial delay's cap; nothing: an ordinary rebalance.
  std::optional<int64_t> initial_remaining_ms;
  reactor::Instant sync_deadline = reactor::Instant::never();
  bool assignment_in_flight = false;  // the leader's assignment of this generation is being persisted
  bool persisted = false;             // the log holds a GroupMetadata record for it
  std::map<std::string, std::map<int32_t, OffsetSlot>, std::less<>> offsets;
  uint32_t offset_writes_in_flight = 0;
  uint64_t charged_bytes = 0;                              // of bytes(), what the coordinator has counted
  reactor::Instant scheduled = reactor::Instant::never();  // its entry in the coordinator's timers

  // CHECK: `to` may follow the state that is.
  void transition(GroupState to, reactor::WallMillis at);
  // The invariants between any two events; a CHECK each.
  void check() const;

  Member* find_member(std::string_view member_id);
  const Member* find_member(std::string_view member_id) const;
  bool is_leader(std::string_view member_id) const { return leader && *leader == member_id; }

  // The first member becomes the leader, and its protocol type the group's.
  Member& add(Member member, const std::string& type);
  void remove(const std::string& member_id);
  void update_protocols(Member& member, std::vector<GroupProtocol> protocols);
  void assign(Member& member, std::string assignment);
  void set_client(Member& member, std::string client_id, std::string client_host);
  void add_pending(const std::string& member_id, reactor::Instant deadline);
  bool erase_pending(const std::string& member_id);
  void clear_pending();

  // The place of a committed offset, made if there is none.
  OffsetSlot& slot(const std::string& topic, int32_t partition);
  void set_offset(OffsetSlot& slot, std::optional<OffsetCommitValue> value);
  // A place without an offset and without a write on its way is no more.
  void drop_if_unused(const std::string& topic, int32_t partition);
  // The offsets of `other`, which has none afterwards.
  void take_offsets(Group& other);

  // All that this group takes in memory.
  uint64_t bytes() const;
  // Gives the static member `old_id` the id `new_id` (leadership, static index and pending sync follow).
  Member& replace_id(const std::string& old_id, const std::string& new_id);

  void hold_join(Member& member, RequestToken token);
  std::optional<RequestToken> release_join(Member& member);
  bool all_joined() const { return joins_waiting_ == members.size() && pending_members.empty(); }
  size_t joins_waiting() const { return joins_waiting_; }

  // Whether a member with these protocols may be in this group: same type, and one protocol everyone has.
  bool supports(std::string_view type, std::span<const GroupProtocol> protocols) const;
  // The protocol most members vote for, of those that all support: each votes for its first. Ties: the leader's order
  // decides. Needs at least one member.
  std::string select_protocol() const;
  // The generation after this: chooses the protocol, or is empty. Changes the state accordingly.
  void next_generation(reactor::WallMillis at);
  // Whether the current leader has rejoined; if not, a member that has takes over. False when no member has.
  bool elect_joined_leader();

  int32_t largest_rebalance_timeout_ms() const;
  // The nearest moment at which anything of this group expires.
  reactor::Instant nearest_deadline() const;
  // The topics that the members of a consumer group read; nothing when their metadata does not tell.
  std::optional<std::set<std::string>> subscribed() const;
  bool has_offsets() const;

  std::vector<JoinResponse::Member> members_for_leader() const;
  GroupMetadataValue to_record(const std::map<std::string, std::string>& assignments) const;

 private:
  bool supported_by_all(const std::string& protocol) const;
  void count_protocols(const Member& member, int change);

  std::map<std::string, size_t, std::less<>> protocol_counts_;
  size_t joins_waiting_ = 0;
  uint64_t member_bytes_ = 0;  // pending ones, too
  uint64_t offset_bytes_ = 0;
  uint64_t next_join_order_ = 0;
};

}  // namespace posthaste::broker
