// The words of the quorum that agrees on the metadata log: who a voter is, where a log stands, what a batch is to those
// who agree on it. Plain values; what a record says is nobody's business here.
#pragma once
#include <compare>
#include <cstdint>
#include <vector>

#include "reactor/time.h"

namespace posthaste::replication::quorum {

using NodeId = int32_t;
using Offset = int64_t;  // of a record; an end offset is the one behind the last record
using Epoch = int32_t;   // of a leader; it grows with each election

inline constexpr NodeId kNobody = -1;
inline constexpr Offset kNoOffset = -1;

// One data folder for its whole life. A disk that was wiped has another one, so it is another voter.
struct DirectoryId {
  uint64_t high = 0;
  uint64_t low = 0;
  friend constexpr auto operator<=>(const DirectoryId&, const DirectoryId&) = default;
};

// Who votes and is counted. The id alone is only an address.
struct ReplicaKey {
  NodeId id = kNobody;
  DirectoryId directory;
  friend constexpr auto operator<=>(const ReplicaKey&, const ReplicaKey&) = default;
};

inline constexpr ReplicaKey kNoReplica{};

// An end offset and the epoch of the record before it: the end of a log, or the name of a snapshot. Compared as Raft
// compares logs: the later epoch first, then the longer log.
struct LogPosition {
  Offset offset = 0;
  Epoch epoch = 0;
  friend constexpr bool operator==(const LogPosition&, const LogPosition&) = default;
  friend constexpr std::strong_ordering operator<=>(const LogPosition& a, const LogPosition& b) {
    return a.epoch != b.epoch ? a.epoch <=> b.epoch : a.offset <=> b.offset;
  }
};

using SnapshotId = LogPosition;

// More voters only make each commit slower; nine survive four dead ones.
inline constexpr size_t kVotersMax = 9;

// Voters in ascending order of their keys. Empty: nobody knows any yet.
class VoterSet {
 public:
  VoterSet() = default;
  explicit VoterSet(std::vector<ReplicaKey> voters);
  bool contains(const ReplicaKey& key) const;
  // The voter with this id, or kNoReplica.
  ReplicaKey with_id(NodeId id) const;
  size_t size() const { return voters_.size(); }
  bool empty() const { return voters_.empty(); }
  // How many are more than half. Of no voters, one: nobody can have it.
  size_t majority() const { return voters_.size() / 2 + 1; }
  VoterSet with(const ReplicaKey& key) const;
  VoterSet without(const ReplicaKey& key) const;
  auto begin() const { return voters_.begin(); }
  auto end() const { return voters_.end(); }
  friend bool operator==(const VoterSet&, const VoterSet&) = default;

 private:
  std::vector<ReplicaKey> voters_;
};

enum class BatchKind : uint8_t {
  kData,
  kLeaderChange,  // the first one of each epoch
  kVoters,        // `voters` are in force from here on, committed or not
};

// What the quorum knows of a batch. `body` is a number by which the driver finds the bytes; it is only passed on.
struct Batch {
  Offset base_offset = 0;
  int32_t count = 1;  // of offsets
  Epoch epoch = 0;
  BatchKind kind = BatchKind::kData;
  VoterSet voters;
  uint64_t body = 0;
  Offset end_offset() const { return base_offset + count; }
};

// Times as Kafka's raft properties set them by default.
struct Options {
  reactor::Duration election_timeout = std::chrono::milliseconds(1000);  // the least; twice that is the most
  reactor::Duration fetch_timeout = std::chrono::milliseconds(2000);     // a follower without an answer elects
  reactor::Duration fetch_wait_max = std::chrono::milliseconds(500);     // a fetch without news is answered
  reactor::Duration request_timeout = std::chrono::milliseconds(1000);   // a request without an answer is repeated
  reactor::Duration retry_backoff = std::chrono::milliseconds(100);      // who knows no leader asks this often
  // Voters lose a leader that died at the same moment; of this much they let one go ahead.
  reactor::Duration refused_jitter = std::chrono::milliseconds(50);
  // How long a voter whose disk may have lied waits for a leader: if all are such, and at most.
  reactor::Duration trust_if_all = std::chrono::seconds(2);
  reactor::Duration trust_at_last = std::chrono::seconds(10);
  std::vector<NodeId> bootstrap;  // who else to ask for the leader, beside the voters
};

// A leader without fetches from a majority for this much resigns: half again of what a follower waits, so that the
// followers of a leader that is cut off have elected another one at about the same time.
constexpr reactor::Duration check_quorum_timeout(const Options& options) { return options.fetch_timeout * 3 / 2; }

}  // namespace posthaste::replication::quorum
