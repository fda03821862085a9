// What happens to a member of the quorum, and what it wants done: the two sides of Quorum::step. The driver does the
// actions in their order; it is the only one that touches a disk, a clock or a connection.
#pragma once
#include <variant>
#include <vector>

#include "replication/quorum/messages.h"

namespace posthaste::replication::quorum {

// Durable before it is answered: `epoch` never falls, and nobody gets a second vote in it.
struct Vote {
  Epoch epoch = 0;
  ReplicaKey voted = kNoReplica;
  friend bool operator==(const Vote&, const Vote&) = default;
};

// Writes of the vote and of the log are counted, each kind for itself; those of one kind complete in order.
struct Persists {
  uint64_t vote = 0;
  uint64_t log = 0;
};

// ---- Events.

struct Received {
  NodeId from = kNobody;
  Message message;
};
struct VotePersisted {
  uint64_t number = 0;
};
struct LogPersisted {
  uint64_t number = 0;
};
// deadline() has come.
struct TimerFired {};
// The peer's machine refuses connections: its process is gone. Without `is_refused` it may only be slow.
struct ConnectionLost {
  NodeId peer = kNobody;
  bool is_refused = false;
};
// A client's records, to be appended if this member leads. `body` as in Batch.
struct AppendRequested {
  int32_t count = 1;
  uint64_t body = 0;
};
struct AddVoterRequested {
  ReplicaKey voter;
};
struct RemoveVoterRequested {
  ReplicaKey voter;
};
// An orderly stop: a leader lets the others elect at once.
struct ResignRequested {};
// A snapshot of what is committed is durable here; the log before it may go. The log was durable up to there when the
// snapshot was begun: else a start could find records behind it that a cut was to remove.
struct SnapshotWritten {
  SnapshotId id;
};
// InstallSnapshot is done: durable, and the log begins anew behind it.
struct SnapshotInstalled {
  SnapshotId id;
  VoterSet voters;
};
// InstallSnapshot is not done: the pieces made no whole snapshot, or had no room. The log is as it was.
struct SnapshotFailed {
  SnapshotId id;
};

using Event =
    std::variant<Received, VotePersisted, LogPersisted, TimerFired, ConnectionLost, AppendRequested, AddVoterRequested,
                 RemoveVoterRequested, ResignRequested, SnapshotWritten, SnapshotInstalled, SnapshotFailed>;

// ---- Actions.

// Not before both writes have completed. A Fetch answer without an error takes its batches from the log at that moment.
struct Send {
  NodeId to = kNobody;
  Persists after;
  Message message;
};
struct PersistVote {
  uint64_t number = 0;
  Vote vote;
};
struct AppendLog {
  uint64_t number = 0;
  std::vector<Batch> batches;
};
struct TruncateLog {
  uint64_t number = 0;
  Offset to = 0;
};
// The next piece of a snapshot, in order; at position 0 an unfinished one of before is thrown away.
struct WriteSnapshotPiece {
  SnapshotId id;
  uint64_t position = 0;
  uint64_t body = 0;
};
// All pieces are there: make the snapshot durable, then let the log begin behind it. In order with the log's writes.
struct InstallSnapshot {
  SnapshotId id;
};
// The log below this offset is in a snapshot and may go.
struct TrimLog {
  Offset to = 0;
};
struct Committed {
  Offset high_watermark = 0;
};

enum class Role : uint8_t {
  kUnattached,  // knows no leader
  kFollower,
  kProspective,  // asks whether it would be elected
  kCandidate,
  kLeader,
};

struct RoleChanged {
  Role role = Role::kUnattached;
  Epoch epoch = 0;
  NodeId leader = kNobody;
};

enum class Refusal : uint8_t {
  kNone,
  kNotLeader,
  kTooMuchUncommitted,  // try again when some of it is committed
  kNotReady,            // nothing of this epoch is committed yet
  kChangeUnderWay,      // the voters before are not committed yet
  kNoChange,            // it is a voter already, or is none
  kIdInUse,             // a voter with this id and another directory: remove that first
  kNotCaughtUp,         // it has not fetched what is committed
  kWouldStop,           // the new voters have no majority that fetches
  kTooManyVoters,
};

// The answer to AppendRequested, AddVoterRequested, RemoveVoterRequested: appended below `end_offset`, which is done
// when it is committed; or why not.
struct RequestAnswered {
  Refusal refusal = Refusal::kNone;
  Offset end_offset = 0;
};

enum class Alarm : uint8_t {
  kCutBelowHighWatermark,  // a leader wants gone what was committed here; it is not done
  kTrustedAtLast,          // a disk that may have lied votes again without a leader that knows better
};
struct AlarmRaised {
  Alarm alarm{};
};

using Action = std::variant<Send, PersistVote, AppendLog, TruncateLog, WriteSnapshotPiece, InstallSnapshot, TrimLog,
                            Committed, RoleChanged, RequestAnswered, AlarmRaised>;
using Actions = std::vector<Action>;

}  // namespace posthaste::replication::quorum
