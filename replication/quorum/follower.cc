// Who does not lead: finds the leader, fetches its log or its snapshot, and cuts what the leader has not.
#include <algorithm>

#include "reactor/check.h"
#include "replication/planted_bugs.h"
#include "replication/quorum/quorum.h"

namespace posthaste::replication::quorum {

using reactor::Instant;

// One request at a time; what brings its answer asks again.
void Quorum::fetch() {
  fetch_at_ = Instant::never();
  if (role_ == Role::kUnattached) return look_for_leader();
  if (role_ != Role::kFollower || is_installing_) return;
  fetch_at_ = in(options_.request_timeout);
  if (fetching_) return fetch_snapshot();
  send(leader_, FetchRequest{.epoch = vote_.epoch,
                             .replica = self_,
                             .end = log_.end(),
                             .high_watermark = high_watermark_,
                             .is_unverified = is_unverified_});
}

void Quorum::look_for_leader() {
  fetch_at_ = in(options_.retry_backoff);
  std::vector<NodeId> others = options_.bootstrap;
  for (const ReplicaKey& voter : voters()) others.push_back(voter.id);
  std::erase(others, self_.id);
  if (others.empty()) return;
  const NodeId chosen = others[random_(others.size())];
  send(chosen, FetchRequest{.epoch = vote_.epoch,
                            .replica = self_,
                            .end = log_.end(),
                            .high_watermark = high_watermark_,
                            .is_unverified = is_unverified_});
}

void Quorum::fetch_snapshot() {
  send(leader_,
       FetchSnapshotRequest{.epoch = vote_.epoch, .replica = self_, .id = *fetching_, .position = snapshot_position_});
}

void Quorum::heard_leader() {
  has_heard_leader_ = true;
  election_at_ = in(options_.fetch_timeout);
}

void Quorum::on(NodeId from, const BeginEpochRequest& request) {
  if (!is_old(request.epoch) && from != self_.id && from == request.leader) {
    // A prospective one has only lost sight of this leader.
    const bool lost_sight = role_ == Role::kProspective && request.epoch == vote_.epoch && leader_ == from;
    lost_sight ? become_follower(request.epoch, from) : learn(request.epoch, from);
    if (role_ == Role::kFollower && leader_ == from) heard_leader();
  }
  send(from, BeginEpochResponse{.epoch = vote_.epoch});
}

void Quorum::on(NodeId /*from*/, const BeginEpochResponse& response) {
  if (response.epoch > vote_.epoch) learn(response.epoch, kNobody);
}

// Also learns what an answer says of the epoch and its leader. True: it is from the leader that this one follows.
bool Quorum::comes_from_leader(NodeId from, Epoch epoch, NodeId leader, FetchError error) {
  if (is_old(epoch)) return false;
  const bool leads = error != FetchError::kNotLeader && error != FetchError::kFencedEpoch && leader == from;
  if (error == FetchError::kNotLeader && role_ == Role::kFollower && from == leader_ && epoch == vote_.epoch) {
    // It has come back, or has resigned.
    has_heard_leader_ = false;
    fetch_at_ = in(options_.retry_backoff);
    if (can_stand()) stand_soon(options_.refused_jitter);
    return false;
  }
  if (leads && role_ == Role::kProspective && epoch == vote_.epoch && leader_ == from) become_follower(epoch, from);
  learn(epoch, leader);
  if (!leads || role_ != Role::kFollower || leader_ != from) return false;
  heard_leader();
  return true;
}

// Counts only if the log still stands where it stood when this was asked for; so what comes late or twice does nothing.
void Quorum::on(NodeId from, const FetchResponse& response) {
  note_state(voters().with_id(from), from, response.is_unverified);
  if (!comes_from_leader(from, response.epoch, response.leader, response.error)) return;
  if (response.fetched != log_.end() || fetching_ || is_installing_) return;
  if (response.snapshot) {
    if (response.snapshot->offset < high_watermark_)
      return actions_.push_back(AlarmRaised{Alarm::kCutBelowHighWatermark});
    fetching_ = response.snapshot;
    snapshot_position_ = 0;
  } else if (response.diverging) {
    cut(*response.diverging);
  } else {
    take_batches(response);
  }
  fetch_at_ = now_;
}

void Quorum::take_batches(const FetchResponse& response) {
  std::vector<Batch> fitting;
  LogPosition end = log_.end();
  for (const Batch& batch : response.batches) {
    const bool fits = batch.base_offset == end.offset && batch.count > 0 && batch.epoch >= end.epoch &&
                      batch.epoch <= response.epoch && (batch.kind == BatchKind::kVoters) == !batch.voters.empty() &&
                      batch.voters.size() <= kVotersMax;
    if (!fits) break;
    end = {.offset = batch.end_offset(), .epoch = batch.epoch};
    fitting.push_back(batch);
  }
  if (!fitting.empty()) {
    const uint64_t number = log_.append(fitting);
    actions_.push_back(AppendLog{number, std::move(fitting)});
  }
  if (response.high_watermark != kNoOffset) {
    advance_high_watermark(std::min(response.high_watermark, log_.end_offset()));
  }
  if (verify_at_ == kNoOffset) verify_at_ = response.verified_at;
  verify_if_caught_up();
}

// KIP-101: to where the epochs agree. Never what is known to be committed: then one of the two logs is damaged.
void Quorum::cut(LogPosition leaders) {
  const LogPosition ours = log_.end_of_epoch(leaders.epoch);
  Offset to = ours.epoch == leaders.epoch ? std::min(ours.offset, leaders.offset) : ours.offset;
  if (planted(kBugs["quorum-cuts-below-committed"])) to = log_.start_offset();
  if (to < high_watermark_ && !planted(kBugs["quorum-cuts-below-committed"])) {
    return actions_.push_back(AlarmRaised{Alarm::kCutBelowHighWatermark});
  }
  if (to >= log_.end_offset()) return;
  actions_.push_back(TruncateLog{log_.truncate(to), to});
}

void Quorum::on(NodeId from, const FetchSnapshotResponse& response) {
  if (!comes_from_leader(from, response.epoch, response.leader, response.error)) return;
  if (is_installing_ || fetching_ != response.id || snapshot_position_ != response.position) return;
  if (response.error == FetchError::kNoSnapshot || response.bytes == 0 || response.size == 0) {
    fetching_.reset();
    fetch_at_ = in(options_.retry_backoff);
    return;
  }
  actions_.push_back(WriteSnapshotPiece{response.id, response.position, response.body});
  snapshot_position_ += response.bytes;
  is_installing_ = snapshot_position_ >= response.size;
  if (is_installing_) {
    fetch_at_ = Instant::never();
    actions_.push_back(InstallSnapshot{response.id});
  } else {
    fetch_at_ = now_;
  }
}

}  // namespace posthaste::replication::quorum
