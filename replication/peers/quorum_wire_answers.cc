// Answers of the quorum, out and in; requests are in quorum_wire.cc.
#include <optional>

#include "replication/peers/quorum_partition.h"
#include "replication/peers/quorum_wire.h"

namespace posthaste::replication::peers {

namespace kafka = net::kafka;
using kafka::ErrorCode;
using quorum::FetchError;
using quorum::LogPosition;

namespace {

std::unexpected<WireRefusal> malformed(std::string_view why) {
  return std::unexpected(WireRefusal{ErrorCode::kCorruptMessage, why});
}

std::unexpected<WireRefusal> said(ErrorCode error) {
  return std::unexpected(WireRefusal{error, "the peer refuses it"});
}

ErrorCode code_of(FetchError error) {
  switch (error) {
    case FetchError::kNone:
      return ErrorCode::kNone;
    case FetchError::kNotLeader:
      return ErrorCode::kNotLeaderOrFollower;
    case FetchError::kFencedEpoch:
      return ErrorCode::kFencedLeaderEpoch;
    case FetchError::kNoSnapshot:
      return ErrorCode::kSnapshotNotFound;
  }
  return ErrorCode::kUnknownServerError;
}

std::optional<FetchError> fetch_error_of(ErrorCode code) {
  for (const FetchError error :
       {FetchError::kNone, FetchError::kNotLeader, FetchError::kFencedEpoch, FetchError::kNoSnapshot}) {
    if (code_of(error) == code) return error;
  }
  return std::nullopt;
}

// Of a field whose absence is -1, -1.
struct MaybePosition {
  bool is_valid = true;
  std::optional<LogPosition> position;
};

MaybePosition position_of(int64_t offset, int32_t epoch) {
  if (offset == -1 && epoch == -1) return {};
  if (offset < 0 || epoch < 0) return {.is_valid = false};
  return {.position = LogPosition{.offset = offset, .epoch = epoch}};
}

bool is_leader(int32_t id, int32_t epoch) { return id >= quorum::kNobody && epoch >= 0; }

}  // namespace

// ---- Vote.

// As Kafka's voters answer: a later epoch than the asked one is an error that names who leads in it.
wire::VoteResponse to_wire(const quorum::VoteResponse& answer) {
  wire::VoteResponse made;
  auto& partition = add_partition(made.topics);
  partition.error_code = answer.epoch > answer.asked_epoch ? ErrorCode::kFencedLeaderEpoch : ErrorCode::kNone;
  partition.leader_id = answer.leader;
  partition.leader_epoch = answer.epoch;
  partition.vote_granted = answer.is_granted;
  partition.is_unverified = answer.is_unverified;
  return made;
}

FromWire<quorum::VoteResponse> from_wire(const wire::VoteResponse& answer, const quorum::VoteRequest& asked) {
  if (answer.error_code != ErrorCode::kNone) return said(answer.error_code);
  const auto* const partition = only_partition(answer.topics);
  if (partition == nullptr) return malformed("it is not about the metadata log");
  const ErrorCode error = partition->error_code;
  if (error != ErrorCode::kNone && error != ErrorCode::kFencedLeaderEpoch) return said(error);
  if (!is_leader(partition->leader_id, partition->leader_epoch)) return malformed("a leader that cannot be");
  if ((error == ErrorCode::kFencedLeaderEpoch) != (partition->leader_epoch > asked.epoch)) {
    return malformed("its error does not follow from its epoch");
  }
  if (partition->vote_granted && (error != ErrorCode::kNone || partition->is_unverified)) {
    return malformed("a vote from who has none");
  }
  return quorum::VoteResponse{.epoch = partition->leader_epoch,
                              .leader = partition->leader_id,
                              .voter = asked.voter,
                              .asked_epoch = asked.epoch,
                              .is_pre_vote = asked.is_pre_vote,
                              .is_granted = partition->vote_granted,
                              .is_unverified = partition->is_unverified};
}

// ---- BeginQuorumEpoch and EndQuorumEpoch.

kafka::BeginQuorumEpochResponse to_wire(const quorum::BeginEpochResponse& answer) {
  kafka::BeginQuorumEpochResponse made;
  auto& partition = add_partition(made.topics);
  partition.leader_id = quorum::kNobody;
  partition.leader_epoch = answer.epoch;
  return made;
}

kafka::EndQuorumEpochResponse end_epoch_heard(quorum::Epoch epoch) {
  kafka::EndQuorumEpochResponse made;
  auto& partition = add_partition(made.topics);
  partition.leader_id = quorum::kNobody;
  partition.leader_epoch = epoch;
  return made;
}

FromWire<quorum::BeginEpochResponse> from_wire(const kafka::BeginQuorumEpochResponse& answer,
                                               const quorum::BeginEpochRequest& /*asked*/) {
  if (answer.error_code != ErrorCode::kNone) return said(answer.error_code);
  const auto* const partition = only_partition(answer.topics);
  if (partition == nullptr) return malformed("it is not about the metadata log");
  if (partition->error_code != ErrorCode::kNone) return said(partition->error_code);
  if (!is_leader(partition->leader_id, partition->leader_epoch)) return malformed("a leader that cannot be");
  return quorum::BeginEpochResponse{.epoch = partition->leader_epoch};
}

// ---- Fetch and FetchSnapshot.

wire::FetchResponse to_wire(const quorum::FetchResponse& answer, kafka::Bytes records) {
  CHECK(answer.error != FetchError::kNoSnapshot, "of a fetch");
  wire::FetchResponse made;
  auto& partition = add_partition(made.responses);
  partition.error_code = code_of(answer.error);
  partition.high_watermark = answer.high_watermark;
  partition.current_leader = {.leader_id = answer.leader, .leader_epoch = answer.epoch};
  if (answer.diverging) {
    partition.diverging_epoch = {.epoch = answer.diverging->epoch, .end_offset = answer.diverging->offset};
  }
  if (answer.snapshot) {
    partition.snapshot_id = {.end_offset = answer.snapshot->offset, .epoch = answer.snapshot->epoch};
  }
  partition.is_unverified = answer.is_unverified;
  partition.verified_at = answer.verified_at;
  partition.records.whole = records;
  return made;
}

FromWire<Carrying<quorum::FetchResponse>> from_wire(const wire::FetchResponse& answer,
                                                    const quorum::FetchRequest& asked) {
  if (answer.error_code != ErrorCode::kNone) return said(answer.error_code);
  const auto* const partition = only_partition(answer.responses);
  if (partition == nullptr) return malformed("it is not about the metadata log");
  const std::optional<FetchError> error = fetch_error_of(partition->error_code);
  if (!error || *error == FetchError::kNoSnapshot) return said(partition->error_code);
  const auto& leader = partition->current_leader;
  if (!is_leader(leader.leader_id, leader.leader_epoch)) return malformed("a leader that cannot be");
  const auto diverging = position_of(partition->diverging_epoch.end_offset, partition->diverging_epoch.epoch);
  const auto snapshot = position_of(partition->snapshot_id.end_offset, partition->snapshot_id.epoch);
  const bool is_marked = diverging.position.has_value() || snapshot.position.has_value();
  if (!diverging.is_valid || !snapshot.is_valid || (diverging.position && snapshot.position) ||
      partition->high_watermark < quorum::kNoOffset || partition->verified_at < quorum::kNoOffset) {
    return malformed("an offset that cannot be");
  }
  const kafka::Bytes records = partition->records.whole;
  if (!records.empty() && (is_marked || *error != FetchError::kNone)) return malformed("records beside an error");
  if (is_marked && *error != FetchError::kNone) return malformed("two answers in one");
  return Carrying<quorum::FetchResponse>{{.epoch = leader.leader_epoch,
                                          .leader = leader.leader_id,
                                          .error = *error,
                                          .fetched = asked.end,
                                          .high_watermark = partition->high_watermark,
                                          .verified_at = partition->verified_at,
                                          .diverging = diverging.position,
                                          .snapshot = snapshot.position,
                                          .is_unverified = partition->is_unverified},
                                         records};
}

kafka::FetchSnapshotResponse to_wire(const quorum::FetchSnapshotResponse& answer, kafka::Bytes records) {
  CHECK(records.size() == answer.bytes);
  kafka::FetchSnapshotResponse made;
  auto& partition = add_partition(made.topics);
  partition.error_code = code_of(answer.error);
  partition.snapshot_id = {.end_offset = answer.id.offset, .epoch = answer.id.epoch};
  partition.current_leader = {.leader_id = answer.leader, .leader_epoch = answer.epoch};
  partition.size = static_cast<int64_t>(answer.size);
  partition.position = static_cast<int64_t>(answer.position);
  partition.unaligned_records.whole = records;
  return made;
}

FromWire<Carrying<quorum::FetchSnapshotResponse>> from_wire(const kafka::FetchSnapshotResponse& answer,
                                                            const quorum::FetchSnapshotRequest& asked) {
  if (answer.error_code != ErrorCode::kNone) return said(answer.error_code);
  const auto* const partition = only_partition(answer.topics);
  if (partition == nullptr) return malformed("it is not about the metadata log");
  const std::optional<FetchError> error = fetch_error_of(partition->error_code);
  if (!error) return said(partition->error_code);
  const auto& leader = partition->current_leader;
  if (!is_leader(leader.leader_id, leader.leader_epoch)) return malformed("a leader that cannot be");
  const quorum::SnapshotId id{.offset = partition->snapshot_id.end_offset, .epoch = partition->snapshot_id.epoch};
  const auto position = static_cast<uint64_t>(partition->position);
  if (id != asked.id || position != asked.position) return malformed("another piece than the one that was asked for");
  const kafka::Bytes records = partition->unaligned_records.whole;
  const auto size = static_cast<uint64_t>(partition->size);
  if (partition->size < 0 || (!records.empty() && (position > size || records.size() > size - position))) {
    return malformed("a piece that reaches beyond its snapshot");
  }
  if (!records.empty() && *error != FetchError::kNone) return malformed("records beside an error");
  return Carrying<quorum::FetchSnapshotResponse>{{.epoch = leader.leader_epoch,
                                                  .leader = leader.leader_id,
                                                  .error = *error,
                                                  .id = id,
                                                  .position = position,
                                                  .size = size,
                                                  .bytes = records.size()},
                                                 records};
}

}  // namespace posthaste::replication::peers
