// What goes into a group coordinator and what comes out: plain structs that neither know the wire nor the log, so the
// state machine is tested without either. Request handlers translate between these and net/kafka's messages; they also
// own everything that differs by API version only (see the notes at each struct).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/kafka/errors.h"
#include "reactor/time.h"

namespace posthaste::broker {

using net::kafka::ErrorCode;

// Names one waiting request. Chosen by the caller, unique among requests that are not answered yet; opaque here.
using RequestToken = uint64_t;

// Names one group of records to append; dense and ascending per coordinator object, never 0, never reused after resign.
using PersistId = uint64_t;
inline constexpr PersistId kNoPersist = 0;

// Longest group id, member id, client id and so on, in bytes: records have int16 lengths, and a member id is one of the
// others plus 37 characters. Longer ones are refused (INVALID_GROUP_ID, INVALID_REQUEST).
inline constexpr size_t kLongestGroupText = 0x7FFF - 64;

// Both clocks of one event. `monotonic` drives session and rebalance time-outs, `wall` goes into records and decides
// when an offset is old.
struct GroupTime {
  reactor::Instant monotonic;
  reactor::WallMillis wall;
};

// Limits of one coordinator, from the broker's configuration. Every *_ms in milliseconds.
struct GroupConfig {
  int32_t initial_rebalance_delay_ms = 3'000;        // group.initial.rebalance.delay.ms
  int32_t min_session_timeout_ms = 6'000;            // group.min.session.timeout.ms
  int32_t max_session_timeout_ms = 1'800'000;        // group.max.session.timeout.ms
  int32_t max_group_size = INT32_MAX;                // group.max.size
  int32_t offset_metadata_max_bytes = 4'096;         // offset.metadata.max.bytes
  int64_t offsets_retention_ms = 10'080LL * 60'000;  // offsets.retention.minutes
  int64_t offsets_retention_check_interval_ms = 600'000;
  // Ours: groups held by one coordinator object. At the limit a new group gets COORDINATOR_NOT_AVAILABLE, old ones work
  // on. What they take in memory is bounded for all coordinators of a core together (group_memory.h).
  size_t max_groups = 100'000;
  // Ours: member ids of one group that were given out (MEMBER_ID_REQUIRED) and not used yet. Above:
  // GROUP_MAX_SIZE_REACHED.
  size_t max_pending_members = 10'000;
  // Ours: what one member may say of itself in a JoinGroup, and a leader assign in a SyncGroup. Above:
  // GROUP_MAX_SIZE_REACHED, UNKNOWN_SERVER_ERROR. More than a record of __consumer_offsets takes by default.
  uint64_t max_request_bytes = uint64_t{4} << 20;
};

// --- JoinGroup -------------------------------------------------------------------------------------------------------

struct GroupProtocol {
  std::string name;      // of an assignor, for consumers
  std::string metadata;  // opaque; for consumers a ConsumerProtocolSubscription
  friend bool operator==(const GroupProtocol&, const GroupProtocol&) = default;
};

struct JoinRequest {
  std::string group_id;
  std::string member_id;  // empty: new here
  std::optional<std::string> group_instance_id;
  std::string client_id;
  std::string client_host;
  std::string protocol_type;
  std::vector<GroupProtocol> protocols;  // in the member's order of preference
  int32_t session_timeout_ms = 0;
  int32_t rebalance_timeout_ms = -1;          // -1 (JoinGroup v0): as the session time-out
  bool require_known_member_id = false;       // JoinGroup v4 and newer (KIP-394)
  bool supports_skipping_assignment = false;  // JoinGroup v9 and newer (KIP-814)
  std::array<uint8_t, 16> random_id{};        // fresh random bytes per request: the new member id is made of them
};

struct JoinResponse {
  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
    std::string metadata;
  };
  ErrorCode error = ErrorCode::kNone;
  int32_t generation_id = -1;
  std::optional<std::string> protocol_type;
  std::optional<std::string> protocol_name;  // nothing on error: v6 and older write ""
  std::string leader_id;
  bool skip_assignment = false;
  std::string member_id;
  std::vector<Member> members;  // for the leader only
};

// --- SyncGroup -------------------------------------------------------------------------------------------------------

struct SyncRequest {
  struct Assignment {
    std::string member_id;
    std::string assignment;
  };
  std::string group_id;
  int32_t generation_id = -1;
  std::string member_id;
  std::optional<std::string> group_instance_id;
  std::optional<std::string> protocol_type;  // v5 and newer: verified when present
  std::optional<std::string> protocol_name;
  std::vector<Assignment> assignments;  // from the leader
};

struct SyncResponse {
  ErrorCode error = ErrorCode::kNone;
  std::optional<std::string> protocol_type;
  std::optional<std::string> protocol_name;
  std::string assignment;
};

// --- Heartbeat, LeaveGroup -------------------------------------------------------------------------------------------

struct HeartbeatRequest {
  std::string group_id;
  int32_t generation_id = -1;
  std::string member_id;
  std::optional<std::string> group_instance_id;
};

struct HeartbeatResponse {
  ErrorCode error = ErrorCode::kNone;
};

struct LeaveRequest {
  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
  };
  std::string group_id;
  std::vector<Member> members;  // exactly one for v2 and older
};

struct LeaveResponse {
  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
    ErrorCode error = ErrorCode::kNone;
  };
  ErrorCode error = ErrorCode::kNone;  // of the whole request; v2 and older report members[0].error when this is none
  std::vector<Member> members;
};

// --- OffsetCommit, OffsetFetch ---------------------------------------------------------------------------------------

struct OffsetCommitRequest {
  struct Partition {
    int32_t index = 0;
    int64_t offset = -1;
    int32_t leader_epoch = -1;
    std::optional<std::string> metadata;
  };
  struct Topic {
    std::string name;
    std::vector<Partition> partitions;
  };
  std::string group_id;
  int32_t generation_id = -1;  // -1 with an empty member id: a commit from outside the group, legal while it is empty
  std::string member_id;
  std::optional<std::string> group_instance_id;
  int64_t retention_ms = -1;  // v2 to v4; -1: the broker's
  // The error for a member of a group that does not exist: ILLEGAL_GENERATION, from v9 on GROUP_ID_NOT_FOUND.
  ErrorCode if_group_is_missing = ErrorCode::kIllegalGeneration;
  std::vector<Topic> topics;  // whether they exist is the handler's question
};

struct OffsetCommitResponse {
  struct Partition {
    int32_t index = 0;
    ErrorCode error = ErrorCode::kNone;
  };
  struct Topic {
    std::string name;
    std::vector<Partition> partitions;
  };
  std::vector<Topic> topics;  // same order as in the request
};

struct OffsetFetchRequest {
  struct Topic {
    std::string name;
    std::vector<int32_t> partitions;
  };
  std::string group_id;
  std::optional<std::vector<Topic>> topics;  // nothing: all that have a committed offset, ordered by name and index
  bool require_stable = false;               // always satisfied: there are no transactional commits yet
};

struct OffsetFetchResponse {
  struct Partition {
    int32_t index = 0;
    int64_t offset = -1;  // -1: nothing committed
    int32_t leader_epoch = -1;
    std::string metadata;
    ErrorCode error = ErrorCode::kNone;
  };
  struct Topic {
    std::string name;
    std::vector<Partition> partitions;
  };
  // v1 has no error of its own: the handler repeats it in each partition.
  ErrorCode error = ErrorCode::kNone;
  std::vector<Topic> topics;
};

// --- DescribeGroups, ListGroups, DeleteGroups ------------------------------------------------------------------------

enum class GroupState : uint8_t { kEmpty, kPreparingRebalance, kCompletingRebalance, kStable, kDead };

// Kafka's names: "Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead".
std::string_view to_string(GroupState state) noexcept;

struct DescribedGroup {
  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
    std::string client_id;
    std::string client_host;
    std::string metadata;    // empty unless Stable
    std::string assignment;  // the last one that it was given
  };
  // kGroupIdNotFound for an unknown group: v5 and older answer it as NONE with state "Dead".
  ErrorCode error = ErrorCode::kNone;
  std::string group_id;
  std::string state;
  std::string protocol_type;
  std::string protocol_data;  // the chosen protocol while Stable
  std::vector<Member> members;
};

struct ListGroupsResponse {
  struct Group {
    std::string group_id;
    std::string protocol_type;  // empty for a group that only commits
    std::string state;
  };
  ErrorCode error = ErrorCode::kNone;
  std::vector<Group> groups;  // ordered by id; the type of each is "classic"
};

struct DeleteGroupsResponse {
  struct Group {
    std::string group_id;
    ErrorCode error = ErrorCode::kNone;
  };
  std::vector<Group> groups;  // same order as asked
};

// --- OffsetDelete ----------------------------------------------------------------------------------------------------

struct OffsetDeleteRequest {
  struct Topic {
    std::string name;
    std::vector<int32_t> partitions;
  };
  std::string group_id;
  std::vector<Topic> topics;
};

struct OffsetDeleteResponse {
  struct Partition {
    int32_t index = 0;
    ErrorCode error = ErrorCode::kNone;
  };
  struct Topic {
    std::string name;
    std::vector<Partition> partitions;
  };
  ErrorCode error = ErrorCode::kNone;
  std::vector<Topic> topics;  // same order as asked; empty if `error` is set
};

// --- Output ----------------------------------------------------------------------------------------------------------

// One record of __consumer_offsets. No value: a tombstone.
struct GroupLogRecord {
  std::string key;
  std::optional<std::string> value;
  friend bool operator==(const GroupLogRecord&, const GroupLogRecord&) = default;
};

// Records to append to this coordinator's partition, all in one batch (they take effect together or not at all). The
// driver reports each exactly once, in the order they were emitted: persisted() when the batch is below the high
// watermark, persist_failed() when it will never be.
struct GroupPersist {
  PersistId id = kNoPersist;
  std::vector<GroupLogRecord> records;
};

using GroupResponse = std::variant<JoinResponse, SyncResponse, HeartbeatResponse, LeaveResponse, OffsetCommitResponse,
                                   DeleteGroupsResponse, OffsetDeleteResponse>;

// An answer that may leave now. `waited_for` names the persist whose success it reports, kNoPersist when it reports
// none: the coordinator holds such an answer back until persisted(), the tag lets drivers and tests check it.
struct GroupMessage {
  RequestToken token = 0;
  PersistId waited_for = kNoPersist;
  GroupResponse response;
};

// What one event caused. Calls append; the driver drains it: first the persists, in order, then the messages.
struct GroupOutput {
  std::vector<GroupPersist> persists;
  std::vector<GroupMessage> messages;
};

}  // namespace posthaste::broker
