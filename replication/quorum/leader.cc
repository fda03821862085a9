// Who leads: appends, answers fetches, counts what is durable on a majority, and resigns when a majority is silent.
#include <algorithm>

#include "reactor/check.h"
#include "replication/planted_bugs.h"
#include "replication/quorum/quorum.h"

namespace posthaste::replication::quorum {

using reactor::Instant;

// The first record of the epoch makes what earlier epochs left committable. Voters that only the operator named
// are written once, so that whoever has the log knows them.
void Quorum::become_leader() {
  CHECK(vote_.voted == self_ && vote_writes_done_ == vote_writes_ && can_stand());
  elected_by_ = VoterSet(std::vector<ReplicaKey>(granted_.begin(), granted_.end()));
  enter(Role::kLeader, self_.id);
  epoch_start_ = log_.end_offset();
  for (const ReplicaKey& voter : voters()) {
    if (voter != self_) progress_[voter] = {.last_fetch = now_, .last_counted = now_};
  }
  append({.kind = BatchKind::kLeaderChange});
  if (log_.voters().latest_offset() == kNoOffset && log_.start_offset() == 0) {
    append({.kind = BatchKind::kVoters, .voters = voters()});
  }
  call_silent_voters();
}

void Quorum::resign() {
  std::vector<std::pair<Offset, ReplicaKey>> by_match;
  for (const ReplicaKey& voter : voters()) {
    const auto found = progress_.find(voter);
    if (found != progress_.end()) by_match.emplace_back(found->second.match, voter);
  }
  std::ranges::sort(by_match, std::ranges::greater());
  EndEpochRequest end{.epoch = vote_.epoch, .leader = self_.id};
  for (const auto& [match, voter] : by_match) end.successors.push_back(voter);
  for (const ReplicaKey& voter : end.successors) send(voter.id, end);
  become_unattached(vote_.epoch);
}

void Quorum::append(Batch batch) {
  CHECK(role_ == Role::kLeader);
  batch.base_offset = log_.end_offset();
  batch.epoch = vote_.epoch;
  std::vector<Batch> batches{std::move(batch)};
  const uint64_t number = log_.append(batches);
  actions_.push_back(AppendLog{number, std::move(batches)});
  answer_parked(true);
}

Progress& Quorum::touch(const ReplicaKey& replica) {
  const auto known = progress_.find(replica);
  if (known == progress_.end() && progress_.size() >= kProgressMax) {
    const auto silent = std::ranges::min_element(progress_, [this](const auto& a, const auto& b) {
      return std::pair(voters().contains(a.first), a.second.last_fetch) <
             std::pair(voters().contains(b.first), b.second.last_fetch);
    });
    progress_.erase(silent);
  }
  Progress& progress = progress_[replica];
  progress.last_fetch = now_;
  return progress;
}

// A high watermark of an earlier epoch may be too low to tell anybody that it is caught up.
FetchResponse Quorum::answer_to(const LogPosition& fetched, const Progress& progress) const {
  FetchResponse answer{.epoch = vote_.epoch,
                       .leader = self_.id,
                       .fetched = fetched,
                       .high_watermark = has_committed_in_epoch() ? high_watermark_ : kNoOffset,
                       .is_unverified = is_unverified_};
  const bool has_majority = has_committed_in_epoch() && majority_heard_at() > progress.unverified_since;
  if (progress.is_unverified && has_majority) answer.verified_at = log_.end_offset();
  const LogPosition ours = log_.end_of_epoch(fetched.epoch);
  if (fetched.offset < log_.start_offset() || fetched.epoch < log_.snapshot().epoch) {
    answer.snapshot = log_.snapshot();
  } else if (ours.epoch != fetched.epoch || ours.offset < fetched.offset) {
    answer.diverging = ours;
  }
  return answer;
}

void Quorum::on(NodeId from, const FetchRequest& request) {
  if (request.epoch > vote_.epoch) learn(request.epoch, kNobody);
  if (role_ != Role::kLeader || request.epoch < vote_.epoch) {
    const FetchError error = role_ == Role::kLeader ? FetchError::kFencedEpoch : FetchError::kNotLeader;
    return send(from, FetchResponse{.epoch = vote_.epoch,
                                    .leader = heard_leader_or_nobody(),
                                    .error = error,
                                    .fetched = request.end,
                                    .is_unverified = is_unverified_});
  }
  Progress& progress = touch(request.replica);
  progress.parked_until = Instant::never();
  if (request.is_unverified && !progress.is_unverified) {
    progress.unverified_since = now_;
    progress.match = kNoOffset;
  }
  progress.is_unverified = request.is_unverified;
  if (!progress.is_unverified) progress.last_counted = now_;
  FetchResponse answer = answer_to(request.end, progress);
  const bool agrees = !answer.snapshot && !answer.diverging;
  if (agrees) {
    progress.match = std::max(progress.match, request.end.offset);
    advance_as_leader();
    if (role_ != Role::kLeader) return;  // it was no voter any more
    answer = answer_to(request.end, progress);
    if (request.end.offset == log_.end_offset() && request.high_watermark >= answer.high_watermark &&
        answer.verified_at == kNoOffset) {
      progress.parked_until = in(options_.fetch_wait_max);
      progress.parked_end = request.end;
      return;
    }
  }
  send(from, std::move(answer));
}

void Quorum::on(NodeId from, const FetchSnapshotRequest& request) {
  if (request.epoch > vote_.epoch) learn(request.epoch, kNobody);
  FetchSnapshotResponse answer{
      .epoch = vote_.epoch, .leader = heard_leader_or_nobody(), .id = request.id, .position = request.position};
  if (role_ != Role::kLeader) {
    answer.error = FetchError::kNotLeader;
  } else if (request.epoch < vote_.epoch) {
    answer.error = FetchError::kFencedEpoch;
  } else {
    Progress& progress = touch(request.replica);
    if (!progress.is_unverified) progress.last_counted = now_;
    if (request.id != log_.snapshot()) answer.error = FetchError::kNoSnapshot;
  }
  send(from, answer);
}

// With `all`, everybody; else who has waited long enough.
void Quorum::answer_parked(bool all) {
  for (auto& [replica, progress] : progress_) {
    if (progress.parked_until == Instant::never() || (!all && progress.parked_until > now_)) continue;
    progress.parked_until = Instant::never();
    send(replica.id, answer_to(progress.parked_end, progress));
  }
}

// The largest offset that a majority of the voters holds durably.
Offset Quorum::majority_holds() const {
  const VoterSet& counted =
      planted(kBugs["quorum-removed-voter-counts"]) ? log_.voters().at(high_watermark_) : voters();
  std::vector<Offset> held;
  for (const ReplicaKey& voter : counted) {
    const auto found = progress_.find(voter);
    if (voter == self_) {
      held.push_back(planted(kBugs["quorum-leader-counts-early"]) ? log_.end_offset() : log_.durable_offset());
    } else {
      const bool counts = found != progress_.end() && !found->second.is_unverified;
      held.push_back(counts ? found->second.match : kNoOffset);
    }
  }
  std::ranges::sort(held, std::ranges::greater());
  return held[counted.majority() - 1];
}

// Raft 5.4.2: what a majority has is committed from the first record of one's own epoch on, and all before it with it.
// A leader that is no voter any more counts the others, leads until that is committed, and goes.
void Quorum::advance_as_leader() {
  CHECK(role_ == Role::kLeader);
  const Offset held = majority_holds();
  const bool is_own_epoch = held > epoch_start_ || planted(kBugs["quorum-old-epoch-by-count"]);
  if (!is_own_epoch || held <= high_watermark_) return;
  advance_high_watermark(held);
  if (!is_voter() && high_watermark_ > log_.voters().latest_offset()) return resign();
  answer_parked(true);
}

// The latest moment since which a majority has been heard, this member included.
Instant Quorum::majority_heard_at() const {
  std::vector<Instant> heard;
  for (const ReplicaKey& voter : voters()) {
    const auto found = progress_.find(voter);
    if (voter == self_) {
      heard.push_back(now_);
    } else {
      heard.push_back(found == progress_.end() ? Instant{} : found->second.last_counted);
    }
  }
  std::ranges::sort(heard, std::ranges::greater());
  return heard[voters().majority() - 1];
}

// Voters that do not fetch may not know who leads.
void Quorum::call_silent_voters() {
  // Who is alone has nobody to call, and no timer.
  call_at_ = is_lone_voter() ? Instant::never() : in(options_.fetch_timeout / 4);
  for (const ReplicaKey& voter : voters()) {
    const auto found = progress_.find(voter);
    const bool is_silent = found == progress_.end() || found->second.match == kNoOffset ||
                           now_ - found->second.last_fetch > options_.fetch_timeout / 2;
    if (voter != self_ && is_silent) send(voter.id, BeginEpochRequest{.epoch = vote_.epoch, .leader = self_.id});
  }
}

Instant Quorum::leader_deadline() const {
  Instant first = call_at_;
  for (const auto& [replica, progress] : progress_) first = std::min(first, progress.parked_until);
  if (planted(kBugs["quorum-leads-alone"])) return first;
  const Instant heard = majority_heard_at();
  return heard == now_ ? first : std::min(first, heard + check_quorum_timeout(options_));
}

void Quorum::leader_due() {
  answer_parked(false);
  const bool is_heard = now_ - majority_heard_at() < check_quorum_timeout(options_);
  if (!is_heard && !planted(kBugs["quorum-leads-alone"])) return resign();
  if (now_ >= call_at_) call_silent_voters();
}

}  // namespace posthaste::replication::quorum
