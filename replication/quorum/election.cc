// Who leads: pre-votes, votes, and when a member stands. A vote is given once in an epoch, to a log that is not behind;
// nobody is asked away from a leader that it hears.
#include <algorithm>

#include "reactor/check.h"
#include "replication/planted_bugs.h"
#include "replication/quorum/quorum.h"

namespace posthaste::replication::quorum {

using reactor::Duration;
using reactor::Instant;

// Who is removed stands as long as that is not known to be committed: nobody else may have a log that is long enough.
// It does not count itself. A snapshot that is being installed is about to replace the log that it would stand with.
bool Quorum::can_stand() const {
  return log_.voters().contains_since(high_watermark_, self_) && !voters().empty() && !is_unverified_ &&
         !is_installing_;
}

bool Quorum::hears_leader() const {
  return role_ == Role::kLeader || (role_ == Role::kFollower && has_heard_leader_ && now_ < election_at_);
}

void Quorum::start_prospective() {
  const NodeId leader = leader_;
  enter(Role::kProspective, leader);
  election_at_ = in(random_election_timeout());
  ask_for_votes(true);
  count_vote(self_);
}

// It counts its own vote when that is durable, like everybody's.
void Quorum::start_candidate() {
  set_vote({.epoch = vote_.epoch + 1, .voted = self_});
  enter(Role::kCandidate, kNobody);
  election_at_ = in(random_election_timeout());
  ask_for_votes(false);
}

void Quorum::ask_for_votes(bool is_pre_vote) {
  for (const ReplicaKey& voter : voters()) {
    if (voter == self_) continue;
    send(voter.id,
         VoteRequest{
             .epoch = vote_.epoch, .candidate = self_, .voter = voter, .end = log_.end(), .is_pre_vote = is_pre_vote});
  }
}

void Quorum::count_vote(const ReplicaKey& voter) {
  if (!voters().contains(voter)) return;
  granted_.insert(voter);
  if (granted_.size() < voters().majority()) return;
  role_ == Role::kProspective ? start_candidate() : become_leader();
}

// Who was not elected listens for a while: a leader that it does not hear of may not count it as a voter any more.
void Quorum::election_timed_out() {
  const bool has_stood = role_ == Role::kProspective || role_ == Role::kCandidate;
  if (has_stood || !can_stand()) return become_unattached(vote_.epoch);
  start_prospective();
}

void Quorum::stand_soon(Duration at_most, Duration at_least) {
  election_at_ = std::min(election_at_, in(at_least + random_up_to(at_most)));
}

bool Quorum::grants(const VoteRequest& request) const {
  if (is_unverified_ && !planted(kBugs["quorum-unverified-votes"])) return false;
  if (request.voter != self_ || request.epoch < vote_.epoch || request.end < log_.end()) return false;
  if (request.is_pre_vote) return !hears_leader() || planted(kBugs["quorum-pre-vote-beside-leader"]);
  return request.epoch == vote_.epoch && leader_ == kNobody &&
         (vote_.voted == kNoReplica || vote_.voted == request.candidate);
}

// A candidate's later epoch counts only where no leader is heard: a member that was cut off disturbs nobody.
void Quorum::on(NodeId from, const VoteRequest& request) {
  if (!request.is_pre_vote && request.epoch > vote_.epoch && !hears_leader()) become_unattached(request.epoch);
  const bool granted = grants(request);
  if (granted && !request.is_pre_vote) {
    set_vote({.epoch = request.epoch, .voted = request.candidate});
    election_at_ = in(random_election_timeout());
  }
  send(from, VoteResponse{.epoch = vote_.epoch,
                          .leader = heard_leader_or_nobody(),
                          .voter = self_,
                          .asked_epoch = request.epoch,
                          .is_pre_vote = request.is_pre_vote,
                          .is_granted = granted,
                          .is_unverified = is_unverified_});
}

void Quorum::on(NodeId from, const VoteResponse& response) {
  note_state(response.voter, from, response.is_unverified);
  if (response.epoch > vote_.epoch) return learn(response.epoch, response.leader);
  const Role asked_as = response.is_pre_vote ? Role::kProspective : Role::kCandidate;
  if (role_ != asked_as || response.asked_epoch != vote_.epoch) return;
  if (response.is_granted) count_vote(response.voter);
}

// The leader goes in order. Whoever holds most of its log stands first, the others one after the other.
void Quorum::on(NodeId from, const EndEpochRequest& request) {
  if (is_old(request.epoch) || from != request.leader) return;
  const bool is_ours = leader_ == request.leader || leader_ == kNobody;
  if (request.epoch == vote_.epoch && !is_ours) return;
  if (role_ == Role::kCandidate && request.epoch == vote_.epoch) return;
  become_unattached(request.epoch);
  const auto rank = std::ranges::find(request.successors, self_) - request.successors.begin();
  if (can_stand()) stand_soon(options_.refused_jitter, options_.refused_jitter * 2 * rank);
}

}  // namespace posthaste::replication::quorum
