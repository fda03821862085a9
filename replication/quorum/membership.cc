// Growing and shrinking the voters by one at a time. A leader changes them only when it has committed in its own epoch
// and the change before is committed: so any two sets that may be in force have a majority in common.
#include <algorithm>

#include "replication/planted_bugs.h"
#include "replication/quorum/quorum.h"

namespace posthaste::replication::quorum {

void Quorum::answer(Refusal refusal, Offset end_offset) { actions_.push_back(RequestAnswered{refusal, end_offset}); }

Refusal Quorum::why_no_change() const {
  if (role_ != Role::kLeader) return Refusal::kNotLeader;
  if (planted(kBugs["quorum-change-too-early"])) return Refusal::kNone;
  if (!has_committed_in_epoch()) return Refusal::kNotReady;
  const bool is_committed = log_.voters().latest_offset() < high_watermark_;
  if (!is_committed || log_.voters().changes() >= kVoterSetsMax) return Refusal::kChangeUnderWay;
  return Refusal::kNone;
}

// It holds what it says that it holds, and has said so lately.
bool Quorum::is_fetching(const Progress& progress) const {
  return progress.match != kNoOffset && !progress.is_unverified &&
         now_ - progress.last_fetch <= options_.fetch_timeout / 2;
}

// Of these voters enough have fetched lately to commit the change to them.
bool Quorum::majority_fetches(const VoterSet& voters) const {
  const auto fetches = std::ranges::count_if(voters, [this](const ReplicaKey& voter) {
    const auto found = progress_.find(voter);
    return voter == self_ || (found != progress_.end() && is_fetching(found->second));
  });
  return static_cast<size_t>(fetches) >= voters.majority();
}

void Quorum::change_voters(VoterSet voters) {
  append({.kind = BatchKind::kVoters, .voters = std::move(voters)});
  call_silent_voters();
  answer(Refusal::kNone, log_.end_offset());
}

// The new voter is counted at once, so it must hold what is committed: else a quorum of one that grows stands still.
void Quorum::handle(const AddVoterRequested& event) {
  if (const Refusal refusal = why_no_change(); refusal != Refusal::kNone) return answer(refusal);
  if (voters().contains(event.voter)) return answer(Refusal::kNoChange);
  if (voters().with_id(event.voter.id) != kNoReplica) return answer(Refusal::kIdInUse);
  if (voters().size() >= kVotersMax) return answer(Refusal::kTooManyVoters);
  const auto found = progress_.find(event.voter);
  const bool is_caught_up =
      found != progress_.end() && is_fetching(found->second) && found->second.match >= high_watermark_;
  if (!is_caught_up) return answer(Refusal::kNotCaughtUp);
  VoterSet grown = voters().with(event.voter);
  if (!majority_fetches(grown)) return answer(Refusal::kWouldStop);
  change_voters(std::move(grown));
}

// Also this member itself, which leads on until the others have it.
void Quorum::handle(const RemoveVoterRequested& event) {
  if (const Refusal refusal = why_no_change(); refusal != Refusal::kNone) return answer(refusal);
  if (!voters().contains(event.voter)) return answer(Refusal::kNoChange);
  VoterSet rest = voters().without(event.voter);
  if (rest.empty() || !majority_fetches(rest)) return answer(Refusal::kWouldStop);
  change_voters(std::move(rest));
}

}  // namespace posthaste::replication::quorum
