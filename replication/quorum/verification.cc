// A voter that went down without an orderly stop on another boot of its machine: if its disk lied about a flush, it may
// have lost a vote or records that it was counted for. It neither votes nor stands until it holds all that a live
// leader holds; if there is none, it trusts its disk after a while, sooner when nobody who can be reached is better
// off.
#include <algorithm>

#include "replication/quorum/quorum.h"

namespace posthaste::replication::quorum {

using reactor::Instant;

// Of a lone voter everybody counts: its log may have lost who else votes.
void Quorum::note_state(const ReplicaKey& voter, NodeId id, bool is_unverified) {
  if (!is_unverified_ || (!voters().contains(voter) && !is_lone_voter())) return;
  if (is_unverified) {
    verified_peers_.erase(id);
  } else if (verified_peers_.size() < kProgressMax || verified_peers_.contains(id)) {
    verified_peers_[id] = now_;
  }
}

// The leader has a majority without this voter, since it came back: so no vote that it forgot has made another leader,
// and all that was committed with it lies below the leader's end.
void Quorum::verify_if_caught_up() {
  const bool follows = role_ == Role::kFollower && verify_at_ != kNoOffset;
  if (is_unverified_ && follows && log_.durable_offset() >= verify_at_) trust();
}

// As long as it hears a leader it catches up, however long that takes.
void Quorum::verification_due() {
  if (hears_leader()) {
    trust_if_all_at_ = in(options_.trust_if_all);
    trust_at_ = in(options_.trust_at_last);
    return;
  }
  const bool at_last = now_ >= trust_at_;
  trust_if_all_at_ = in(options_.retry_backoff);
  const bool other_is_better = std::ranges::any_of(
      verified_peers_, [this](const auto& peer) { return now_ - peer.second < options_.trust_if_all; });
  if (!at_last && (other_is_better || !is_voter() || role_ != Role::kUnattached)) return;
  if (at_last) actions_.push_back(AlarmRaised{Alarm::kTrustedAtLast});
  trust();
}

void Quorum::trust() {
  is_unverified_ = false;
  trust_if_all_at_ = trust_at_ = Instant::never();
  verified_peers_.clear();
  if (is_lone_voter() && role_ == Role::kUnattached) election_at_ = now_;
}

}  // namespace posthaste::replication::quorum
