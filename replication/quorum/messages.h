// What the members of the quorum say to each other. Values of our own in the shape of Kafka's Vote, BeginQuorumEpoch,
// EndQuorumEpoch, Fetch and FetchSnapshot; who sends them maps them to the wire. An answer repeats what it answers, so
// that one that is late or comes twice is seen to be so.
#pragma once
#include <optional>
#include <variant>
#include <vector>

#include "replication/quorum/types.h"

namespace posthaste::replication::quorum {

struct VoteRequest {
  Epoch epoch = 0;  // the candidate's; a pre-vote has not raised it
  ReplicaKey candidate;
  ReplicaKey voter;  // to whom; anybody else does not vote
  LogPosition end;   // of the candidate's log
  bool is_pre_vote = false;
  friend bool operator==(const VoteRequest&, const VoteRequest&) = default;
};

struct VoteResponse {
  Epoch epoch = 0;
  NodeId leader = kNobody;  // of `epoch`
  ReplicaKey voter;
  Epoch asked_epoch = 0;  // the request's
  bool is_pre_vote = false;
  bool is_granted = false;
  bool is_unverified = false;  // the voter's disk may have lied: it grants nothing
};

struct BeginEpochRequest {
  Epoch epoch = 0;
  NodeId leader = kNobody;
  friend bool operator==(const BeginEpochRequest&, const BeginEpochRequest&) = default;
};

struct BeginEpochResponse {
  Epoch epoch = 0;
};

struct EndEpochRequest {
  Epoch epoch = 0;
  NodeId leader = kNobody;
  std::vector<ReplicaKey> successors;  // who has most comes first
  friend bool operator==(const EndEpochRequest&, const EndEpochRequest&) = default;
};

struct FetchRequest {
  Epoch epoch = 0;
  ReplicaKey replica;
  LogPosition end;  // durable up to here: the message waits for that
  Offset high_watermark = kNoOffset;
  bool is_unverified = false;  // the replica's disk may have lied: it is not counted
  friend bool operator==(const FetchRequest&, const FetchRequest&) = default;
};

enum class FetchError : uint8_t {
  kNone,
  kNotLeader,    // `leader` may say who is
  kFencedEpoch,  // the request's epoch is over
  kNoSnapshot,   // of a snapshot: it is gone, fetch again
};

struct FetchResponse {
  Epoch epoch = 0;
  NodeId leader = kNobody;
  FetchError error = FetchError::kNone;
  LogPosition fetched;                // the request's `end`
  Offset high_watermark = kNoOffset;  // known only once the leader has committed in its own epoch
  // To an unverified voter: it is as good as before when durable up to here. Known once a majority without it has
  // fetched since it came back.
  Offset verified_at = kNoOffset;
  std::optional<LogPosition> diverging;  // where the leader's log of that epoch ends: cut to there
  std::optional<SnapshotId> snapshot;    // the log does not reach back that far: fetch this
  bool is_unverified = false;            // who answers does not vote for now
  std::vector<Batch> batches;            // put in by the driver: from `fetched.offset` on, as much as it likes
};

struct FetchSnapshotRequest {
  Epoch epoch = 0;
  ReplicaKey replica;
  SnapshotId id;
  uint64_t position = 0;  // in bytes
  friend bool operator==(const FetchSnapshotRequest&, const FetchSnapshotRequest&) = default;
};

struct FetchSnapshotResponse {
  Epoch epoch = 0;
  NodeId leader = kNobody;
  FetchError error = FetchError::kNone;
  SnapshotId id;
  uint64_t position = 0;
  uint64_t size = 0;   // of all; put in by the driver, as are the next two
  uint64_t bytes = 0;  // of this piece
  uint64_t body = 0;
};

using Message = std::variant<VoteRequest, VoteResponse, BeginEpochRequest, BeginEpochResponse, EndEpochRequest,
                             FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse>;

}  // namespace posthaste::replication::quorum
