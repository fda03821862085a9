// Requests of the quorum, out and in; answers are in quorum_wire_answers.cc.
#include "replication/peers/quorum_wire.h"

#include "replication/peers/quorum_partition.h"
#include "replication/quorum/record_batches.h"

namespace posthaste::replication::peers {

namespace kafka = net::kafka;
using kafka::ErrorCode;
using quorum::NodeId;
using quorum::ReplicaKey;

namespace {

constexpr auto kFetchBytesMax = static_cast<int32_t>(quorum::kPayloadBytesMax);

constexpr std::unexpected<WireRefusal> refused(ErrorCode error, std::string_view why) {
  return std::unexpected(WireRefusal{error, why});
}

// Kafka's clients may leave the cluster out; a broker of this cluster never does.
bool is_ours(const kafka::NullableString& cluster_id, const QuorumIdentity& us) {
  return cluster_id.has_value() && *cluster_id == us.cluster_id;
}

constexpr std::unexpected<WireRefusal> kOtherCluster =
    refused(ErrorCode::kInconsistentClusterId, "it is of another cluster");
constexpr std::unexpected<WireRefusal> kOtherPartition =
    refused(ErrorCode::kInvalidRequest, "it is not about the one partition of the metadata log");
constexpr std::unexpected<WireRefusal> kNoReplica =
    refused(ErrorCode::kInvalidRequest, "its sender is not a replica with a directory, or this one");
constexpr std::unexpected<WireRefusal> kNoPosition =
    refused(ErrorCode::kInvalidRequest, "an epoch or an offset that cannot be");
constexpr std::unexpected<WireRefusal> kOtherVoter =
    refused(ErrorCode::kInvalidVoterKey, "it is meant for another voter");

bool is_another(const ReplicaKey& replica, const QuorumIdentity& us) {
  return replica.id >= 0 && replica.id != us.self.id && replica.directory != quorum::DirectoryId{};
}

bool is_position(const quorum::LogPosition& position) { return position.offset >= 0 && position.epoch >= 0; }

}  // namespace

// ---- Vote.

wire::VoteRequest to_wire(const quorum::VoteRequest& request, const QuorumIdentity& us) {
  wire::VoteRequest made;
  made.cluster_id = us.cluster_id;
  made.voter_id = request.voter.id;
  auto& partition = add_partition(made.topics);
  partition.replica_epoch = request.epoch;
  partition.replica_id = request.candidate.id;
  partition.replica_directory_id = quorum::uuid_of(request.candidate.directory);
  partition.voter_directory_id = quorum::uuid_of(request.voter.directory);
  partition.last_offset_epoch = request.end.epoch;
  partition.last_offset = request.end.offset;
  partition.pre_vote = request.is_pre_vote;
  return made;
}

// Who stands has raised its epoch above all that its log has; who only asks whether it would be elected has not.
FromWire<quorum::VoteRequest> from_wire(const wire::VoteRequest& request, const QuorumIdentity& us) {
  if (!is_ours(request.cluster_id, us)) return kOtherCluster;
  const auto* const partition = only_partition(request.topics);
  if (partition == nullptr) return kOtherPartition;
  const quorum::VoteRequest made{
      .epoch = partition->replica_epoch,
      .candidate = {.id = partition->replica_id, .directory = quorum::directory_of(partition->replica_directory_id)},
      .voter = {.id = request.voter_id, .directory = quorum::directory_of(partition->voter_directory_id)},
      .end = {.offset = partition->last_offset, .epoch = partition->last_offset_epoch},
      .is_pre_vote = partition->pre_vote};
  if (!is_another(made.candidate, us)) return kNoReplica;
  const bool is_epoch = made.is_pre_vote ? made.end.epoch <= made.epoch : made.end.epoch < made.epoch;
  if (made.epoch < 0 || !is_position(made.end) || !is_epoch) return kNoPosition;
  if (made.voter != us.self) return kOtherVoter;
  return made;
}

// ---- BeginQuorumEpoch and EndQuorumEpoch.

kafka::BeginQuorumEpochRequest to_wire(const quorum::BeginEpochRequest& request, const QuorumIdentity& us, NodeId to) {
  kafka::BeginQuorumEpochRequest made;
  made.cluster_id = us.cluster_id;
  made.voter_id = to;
  auto& partition = add_partition(made.topics);
  partition.leader_id = request.leader;
  partition.leader_epoch = request.epoch;
  return made;
}

// It tells whoever has this id, with whatever disk, where the leader is; a directory only narrows that.
FromWire<quorum::BeginEpochRequest> from_wire(const kafka::BeginQuorumEpochRequest& request, const QuorumIdentity& us) {
  if (!is_ours(request.cluster_id, us)) return kOtherCluster;
  const auto* const partition = only_partition(request.topics);
  if (partition == nullptr) return kOtherPartition;
  if (partition->leader_id < 0 || partition->leader_id == us.self.id) return kNoReplica;
  if (partition->leader_epoch < 0) return kNoPosition;
  const bool is_meant = partition->voter_directory_id.is_zero() ||
                        quorum::directory_of(partition->voter_directory_id) == us.self.directory;
  if (request.voter_id != us.self.id || !is_meant) return kOtherVoter;
  return quorum::BeginEpochRequest{.epoch = partition->leader_epoch, .leader = partition->leader_id};
}

kafka::EndQuorumEpochRequest to_wire(const quorum::EndEpochRequest& request, const QuorumIdentity& us) {
  kafka::EndQuorumEpochRequest made;
  made.cluster_id = us.cluster_id;
  auto& partition = add_partition(made.topics);
  partition.leader_id = request.leader;
  partition.leader_epoch = request.epoch;
  for (const ReplicaKey& successor : request.successors) {
    partition.preferred_candidates.push_back(
        {.candidate_id = successor.id, .candidate_directory_id = quorum::uuid_of(successor.directory)});
  }
  return made;
}

FromWire<quorum::EndEpochRequest> from_wire(const kafka::EndQuorumEpochRequest& request, const QuorumIdentity& us) {
  if (!is_ours(request.cluster_id, us)) return kOtherCluster;
  const auto* const partition = only_partition(request.topics);
  if (partition == nullptr) return kOtherPartition;
  if (partition->leader_id < 0 || partition->leader_id == us.self.id) return kNoReplica;
  if (partition->leader_epoch < 0) return kNoPosition;
  if (partition->preferred_candidates.size() > quorum::kVotersMax) {
    return refused(ErrorCode::kInvalidRequest, "more successors than there are voters");
  }
  quorum::EndEpochRequest made{.epoch = partition->leader_epoch, .leader = partition->leader_id};
  for (const auto& candidate : partition->preferred_candidates) {
    const ReplicaKey key{.id = candidate.candidate_id,
                         .directory = quorum::directory_of(candidate.candidate_directory_id)};
    if (key.id < 0 || key.directory == quorum::DirectoryId{}) return kNoReplica;
    made.successors.push_back(key);
  }
  return made;
}

// ---- Fetch and FetchSnapshot.

wire::FetchRequest to_wire(const quorum::FetchRequest& request, const QuorumIdentity& us,
                           reactor::Duration fetch_wait_max) {
  wire::FetchRequest made;
  made.cluster_id = us.cluster_id;
  made.replica_state.replica_id = request.replica.id;
  made.max_wait_ms =
      static_cast<int32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(fetch_wait_max).count());
  made.max_bytes = kFetchBytesMax;
  auto& partition = add_partition(made.topics);
  partition.current_leader_epoch = request.epoch;
  partition.fetch_offset = request.end.offset;
  partition.last_fetched_epoch = request.end.epoch;
  partition.partition_max_bytes = kFetchBytesMax;
  partition.replica_directory_id = quorum::uuid_of(request.replica.directory);
  partition.high_watermark = request.high_watermark;
  partition.is_unverified = request.is_unverified;
  return made;
}

FromWire<quorum::FetchRequest> from_wire(const wire::FetchRequest& request, const QuorumIdentity& us) {
  if (!is_ours(request.cluster_id, us)) return kOtherCluster;
  const auto* const partition = only_partition(request.topics);
  if (partition == nullptr) return kOtherPartition;
  const quorum::FetchRequest made{.epoch = partition->current_leader_epoch,
                                  .replica = {.id = request.replica_state.replica_id,
                                              .directory = quorum::directory_of(partition->replica_directory_id)},
                                  .end = {.offset = partition->fetch_offset, .epoch = partition->last_fetched_epoch},
                                  .high_watermark = partition->high_watermark,
                                  .is_unverified = partition->is_unverified};
  if (!is_another(made.replica, us)) return kNoReplica;
  if (made.epoch < 0 || !is_position(made.end) || made.end.epoch > made.epoch ||
      made.high_watermark < quorum::kNoOffset) {
    return kNoPosition;
  }
  return made;
}

kafka::FetchSnapshotRequest to_wire(const quorum::FetchSnapshotRequest& request, const QuorumIdentity& us) {
  kafka::FetchSnapshotRequest made;
  made.cluster_id = us.cluster_id;
  made.replica_id = request.replica.id;
  made.max_bytes = kFetchBytesMax;
  auto& partition = add_partition(made.topics);
  partition.current_leader_epoch = request.epoch;
  partition.snapshot_id = {.end_offset = request.id.offset, .epoch = request.id.epoch};
  partition.position = static_cast<int64_t>(request.position);
  partition.replica_directory_id = quorum::uuid_of(request.replica.directory);
  return made;
}

FromWire<quorum::FetchSnapshotRequest> from_wire(const kafka::FetchSnapshotRequest& request, const QuorumIdentity& us) {
  if (!is_ours(request.cluster_id, us)) return kOtherCluster;
  const auto* const partition = only_partition(request.topics);
  if (partition == nullptr) return kOtherPartition;
  const quorum::FetchSnapshotRequest made{
      .epoch = partition->current_leader_epoch,
      .replica = {.id = request.replica_id, .directory = quorum::directory_of(partition->replica_directory_id)},
      .id = {.offset = partition->snapshot_id.end_offset, .epoch = partition->snapshot_id.epoch},
      .position = static_cast<uint64_t>(partition->position)};
  if (!is_another(made.replica, us)) return kNoReplica;
  if (made.epoch < 0 || !is_position(made.id) || partition->position < 0) return kNoPosition;
  return made;
}

}  // namespace posthaste::replication::peers
