#include "replication/stream/rules.h"

#include <algorithm>

#include "replication/planted_bugs.h"

namespace posthaste::replication::stream {

using reactor::planted;
using storage::EpochEnd;
using storage::kNoLeaderEpoch;

JoinAnswer join_answer(const storage::EpochCache& epochs, int64_t first_offset, int64_t end, LogTail follower) {
  const int32_t newest = epochs.latest().value_or(storage::EpochEntry{}).epoch;
  if (follower.last_epoch > newest) return {Joins::kAhead, {}};
  if (follower.end < first_offset) return {Joins::kTooOld, {}};
  if (follower.last_epoch == kNoLeaderEpoch || planted(kBugs["previous-epoch-unchecked"])) {
    return follower.end <= end ? JoinAnswer{} : JoinAnswer{Joins::kTooOld, {}};
  }
  EpochEnd known = epochs.end_offset_for(follower.last_epoch, end);
  known.end_offset = std::max(known.end_offset, first_offset);
  // It led that epoch and lost its records, and some before them, with its power: what it keeps of it is the name.
  const auto start = std::ranges::find(epochs.entries(), follower.last_epoch, &storage::EpochEntry::epoch);
  if (start != epochs.entries().end() && start->start_offset > follower.end) {
    const EpochEnd before = epochs.end_offset_for(follower.last_epoch - 1, end);
    return before.epoch == kNoLeaderEpoch ? JoinAnswer{Joins::kTooOld, {}} : JoinAnswer{Joins::kDiverges, before};
  }
  if (known.epoch == follower.last_epoch && known.end_offset >= follower.end) return {};
  return {Joins::kDiverges, known};
}

bool may_cut_to(int64_t offset, int64_t high_watermark, bool is_empty, bool is_recovering) {
  return offset >= high_watermark || is_empty || is_recovering;
}

Verdict judge(const Data& data, const Term& subscribed, Role role, const Term& term, LogTail own) {
  if (role != Role::kFollower || term != subscribed || data.leader_epoch != term.leader_epoch) return Verdict::kLate;
  const bool follows = data.prev_next_offset == own.end && data.prev_epoch == own.last_epoch;
  return follows ? Verdict::kApply : Verdict::kGap;
}

}  // namespace posthaste::replication::stream
