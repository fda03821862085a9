// The classic consumer-group coordinator of one __consumer_offsets partition, as a pure state machine: an event and the
// time go in, records to append and answers come out (design law 8). It holds every group of that partition. No I/O, no
// clock, no coroutine; the driver owns the log, the timer and the connections.
//
// What is durable: committed offsets, and for each group the last generation whose assignment was handed out (or that
// it became empty). Those change in memory only when their record is confirmed or replayed. Membership between two such
// points is soft, as in Kafka: it dies with the coordinator and clients rejoin.
//
// Life: loading (after construction) -> active (finish_load) -> resigned (resign) -> loading (begin_load) ...
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "broker/groups/group.h"
#include "broker/groups/group_memory.h"
#include "broker/groups/records.h"
#include "broker/groups/types.h"
#include "reactor/result.h"

namespace posthaste::broker {

// Called only from the core that owns the partition. Every request that carries a token is answered exactly once, by
// this call or a later one. No function fails; what is wrong with a request is in its answer.
class GroupCoordinator {
 public:
  // `memory`: of all coordinators of the core; outlives this.
  GroupCoordinator(const GroupConfig& config, GroupMemory& memory);
  GroupCoordinator(const GroupCoordinator&) = delete;
  GroupCoordinator& operator=(const GroupCoordinator&) = delete;
  ~GroupCoordinator();

  // --- Loading -------------------------------------------------------------------------------------------------------

  // From resigned (or fresh) to loading, with nothing held. Requests get COORDINATOR_LOAD_IN_PROGRESS.
  void begin_load();
  // One record of the partition, in offset order, while loading. Fails with kUnsupported (a record of another kind of
  // group, or of a newer version) or kTruncated/kCorrupt; then nothing changed and the caller decides (Kafka skips).
  reactor::Result<void> replay(std::string_view key, std::optional<std::string_view> value);
  // The whole partition has been replayed: sessions of loaded members start now.
  void finish_load(GroupTime now, GroupOutput& out);
  // This broker no longer leads the partition: every waiting request gets NOT_COORDINATOR, all state and timers go.
  // Reports about persists of before are ignored.
  void resign(GroupOutput& out);

  // --- Requests ------------------------------------------------------------------------------------------------------

  void join(RequestToken token, JoinRequest request, GroupTime now, GroupOutput& out);
  void sync(RequestToken token, const SyncRequest& request, GroupTime now, GroupOutput& out);
  void heartbeat(RequestToken token, const HeartbeatRequest& request, GroupTime now, GroupOutput& out);
  void leave(RequestToken token, const LeaveRequest& request, GroupTime now, GroupOutput& out);
  void commit_offsets(RequestToken token, const OffsetCommitRequest& request, GroupTime now, GroupOutput& out);
  // Deletes empty groups with their offsets. GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP per group.
  void delete_groups(RequestToken token, const std::vector<std::string>& group_ids, GroupTime now, GroupOutput& out);

  // Drops offsets that the group does not read any more (KIP-496). GROUP_ID_NOT_FOUND; NON_EMPTY_GROUP for a group with
  // members that are no consumers; GROUP_SUBSCRIBED_TO_TOPIC per partition of a topic that members read.
  void delete_offsets(RequestToken token, const OffsetDeleteRequest& request, GroupTime now, GroupOutput& out);

  // These never wait and change nothing, so they answer by value.
  OffsetFetchResponse fetch_offsets(const OffsetFetchRequest& request) const;
  DescribedGroup describe(std::string_view group_id) const;
  // `states`: names in any case; empty means all. `types` likewise ("classic" is the only one here).
  ListGroupsResponse list(std::span<const std::string> states, std::span<const std::string> types) const;

  // --- Time and log --------------------------------------------------------------------------------------------------

  // The earliest moment at which tick() has something to do; Instant::never() when nothing is scheduled. May be earlier
  // than needed (a heartbeat moved a deadline), never later. After tick(now) it lies after `now`.
  reactor::Instant next_deadline() const;
  // Expires sessions, ends rebalances, drops old offsets and empty groups. Any moment is fine.
  void tick(GroupTime now, GroupOutput& out);

  // The batch of this persist is durable. Persists are reported in the order of their ids.
  void persisted(PersistId id, GroupTime now, GroupOutput& out);
  // The batch will never be in the log. Waiters get the mapped error (see error_of_append in the .cc).
  void persist_failed(PersistId id, reactor::Errc error, GroupTime now, GroupOutput& out);

  // Offsets committed for these topics are dropped with tombstones, in every group of this partition; while it loads,
  // when it has loaded.
  void topics_deleted(std::span<const std::string> topics, GroupTime now, GroupOutput& out);

  // --- For metrics and tests -----------------------------------------------------------------------------------------

  bool active() const { return phase_ == Phase::kActive; }
  size_t group_count() const { return groups_.size(); }
  // Requests not answered yet.
  size_t waiting_count() const;
  // Persists not reported yet.
  size_t persists_in_flight() const { return in_flight_.size(); }
  // What all of this should have counted in the memory, counted from the beginning; slow.
  uint64_t bytes() const;

 private:
  enum class Phase : uint8_t { kLoading, kActive, kResigned };

  // What to do when a persist is reported.
  struct AssignmentStored {  // the leader's SyncGroup
    std::string group_id;
    int32_t generation = 0;
    std::map<std::string, std::string> assignments;  // by member id
  };
  struct StaticMemberStored {  // a static member came back under a new member id
    RequestToken token = 0;
    JoinResponse response;
  };
  struct CommitStored {
    RequestToken token = 0;
    OffsetCommitResponse response;
  };
  struct OffsetsDeleted {
    RequestToken token = 0;
    OffsetDeleteResponse response;
  };
  struct GroupDeleted {  // its tombstone; the group is Dead until this is reported
    std::string group_id;
    std::optional<RequestToken> token;  // of a DeleteGroups request, answered when its last group is done
  };
  struct NothingToDo {};  // an empty generation, expired offsets: the records themselves are the effect
  using Continuation =
      std::variant<AssignmentStored, StaticMemberStored, CommitStored, OffsetsDeleted, GroupDeleted, NothingToDo>;
  struct InFlight {
    PersistId id = kNoPersist;
    std::vector<GroupLogRecord> records;
    Continuation then;
    uint64_t charged_bytes = 0;
  };

  using Groups = std::map<std::string, Group, std::less<>>;

  // Membership (coordinator_membership.cc).
  std::optional<ErrorCode> refusal(std::string_view group_id, bool empty_id_allowed) const;
  Group* find(std::string_view group_id);
  const Group* find(std::string_view group_id) const;
  Group* find_or_create(const std::string& group_id);
  // The end of every event about a group: it holds together, and its memory is counted.
  void settle(Group& group);
  bool admits(const Group* group, const JoinRequest& request);
  void join_unknown(Group& group, RequestToken token, JoinRequest& request, GroupTime now, GroupOutput& out);
  void join_known(Group& group, RequestToken token, JoinRequest& request, GroupTime now, GroupOutput& out);
  void add_member(Group& group, std::string member_id, RequestToken token, JoinRequest& request, GroupTime now,
                  GroupOutput& out);
  void update_member(Group& group, Member& member, RequestToken token, JoinRequest& request, GroupTime now,
                     GroupOutput& out);
  void replace_static_member(Group& group, Member& old, const std::string& member_id, RequestToken token,
                             JoinRequest& request, GroupTime now, GroupOutput& out);
  void persist_static_replacement(Group& group, Member& member, const std::string& old_leader, RequestToken token,
                                  bool supports_skipping, GroupTime now, GroupOutput& out);
  void hold_join(Group& group, Member& member, RequestToken token, GroupOutput& out);
  void remove_member(Group& group, const std::string& member_id, GroupTime now, GroupOutput& out);
  void members_left(Group& group, GroupTime now, GroupOutput& out);
  void drop_member(Group& group, const std::string& member_id, ErrorCode error, GroupOutput& out);
  void remove_pending_member(Group& group, const std::string& member_id, GroupTime now, GroupOutput& out);

  // Rebalance (coordinator_rebalance.cc).
  void maybe_prepare_rebalance(Group& group, GroupTime now, GroupOutput& out);
  void prepare_rebalance(Group& group, GroupTime now, GroupOutput& out);
  void try_complete_join(Group& group, GroupTime now, GroupOutput& out);
  void join_phase_timed_out(Group& group, GroupTime now, GroupOutput& out);
  void complete_join(Group& group, GroupTime now, GroupOutput& out);
  void fail_waiting_syncs(Group& group, ErrorCode error, GroupTime now, GroupOutput& out);
  void store_assignment(Group& group, const SyncRequest& request, GroupTime now, GroupOutput& out);
  void assignment_stored(const AssignmentStored& done, PersistId id, ErrorCode error, GroupTime now, GroupOutput& out);
  void restart_session(Group& group, Member& member, GroupTime now);
  void arm(Group& group, reactor::Instant at);
  void rearm(Group& group);
  void expire(Group& group, GroupTime now, GroupOutput& out);

  // Offsets (coordinator_offsets.cc).
  class NewBytes;
  ErrorCode check_commit(const Group* group, const OffsetCommitRequest& request) const;
  ErrorCode check_offset_delete(std::string_view group_id) const;
  void expire_offsets(GroupTime now, GroupOutput& out);
  std::vector<GroupLogRecord> expired_offsets(const Group& group, reactor::WallMillis now, bool& all_gone) const;

  // Log and groups as wholes (coordinator.cc).
  PersistId persist(std::vector<GroupLogRecord> records, Continuation then, GroupOutput& out);
  void persist_in_pieces(std::vector<GroupLogRecord> records, Continuation last, GroupOutput& out);
  void reported(PersistId id, std::optional<reactor::Errc> error, GroupTime now, GroupOutput& out);
  void apply(const GroupLogRecord& record);
  void apply_offset(Group& group, const OffsetCommitKey& key, std::optional<OffsetCommitValue> value);
  void note_write(const GroupLogRecord& record, bool begins);
  reactor::Result<void> replay_group(const std::string& group_id, std::string_view value);
  void erase(Group& group);

  // Administration (coordinator_admin.cc).
  void delete_group(Group& group, std::optional<RequestToken> token, GroupOutput& out);
  void group_deleted(const GroupDeleted& done, PersistId id, ErrorCode error, GroupOutput& out);
  void answer_delete(RequestToken token, const std::string& group_id, ErrorCode error, PersistId id, GroupOutput& out);

  // A DeleteGroups request whose tombstones are under way.
  struct WaitingDelete {
    DeleteGroupsResponse response;
    size_t missing = 0;
  };

  void forget_all();

  GroupConfig config_;
  GroupMemory& memory_;
  Phase phase_ = Phase::kLoading;
  std::vector<std::string> deleted_while_loading_;  // topics
  Groups groups_;
  // (when, group id): at most one entry per group, at Group::scheduled.
  std::set<std::pair<reactor::Instant, std::string>> timers_;
  reactor::Instant next_expiry_check_ = reactor::Instant::never();
  std::deque<InFlight> in_flight_;
  std::map<RequestToken, WaitingDelete> waiting_deletes_;
  PersistId next_persist_id_ = 1;
};

}  // namespace posthaste::broker
