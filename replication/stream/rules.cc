#include "replication/stream/rules.h"

#include <algorithm>

#include "replication/planted_bugs.h"

namespace posthaste::replication::stream {

using reactor::planted;
using storage::EpochCache;
using storage::EpochEnd;
using storage::kNoLeaderEpoch;

namespace {

// Up to where this log and the follower's may be one, by the latest epoch that both may have. Nothing: this log begins
// behind all that its epochs could say of the follower's.
std::optional<EpochEnd> common_end(const EpochCache& epochs, int64_t end, LogTail follower) {
  EpochEnd common = epochs.end_offset_for(follower.last_epoch, end);
  const auto entry_of = [&](int32_t epoch) {
    return std::ranges::find(epochs.entries(), epoch, &storage::EpochEntry::epoch);
  };
  const auto last = entry_of(follower.last_epoch);
  // It led that epoch and lost its records, and some before them, with its power: what it keeps of it is the name.
  if (last != epochs.entries().end() && last->start_offset > follower.end) {
    common = epochs.end_offset_for(follower.last_epoch - 1, end);
  }
  if (entry_of(common.epoch) == epochs.entries().end()) return std::nullopt;
  return common;
}

}  // namespace

JoinAnswer join_answer(const EpochCache& epochs, int64_t first_offset, int64_t end, LogTail follower) {
  const int32_t newest = epochs.latest().value_or(storage::EpochEntry{}).epoch;
  if (follower.last_epoch > newest) return {Joins::kAhead, {}};
  if (follower.end < first_offset) return {Joins::kTooOld, {}};
  if (follower.last_epoch == kNoLeaderEpoch || planted(kBugs["previous-epoch-unchecked"])) {
    return follower.end <= end ? JoinAnswer{} : JoinAnswer{Joins::kTooOld, {}};
  }
  const std::optional<EpochEnd> common = common_end(epochs, end, follower);
  // What lies between there and the first batch here was deleted, and cannot be compared: cut to the first batch, the
  // follower would keep it, and take it for committed with the next high watermark.
  if (!common || common->end_offset < first_offset) return {Joins::kTooOld, {}};
  if (common->epoch == follower.last_epoch && common->end_offset >= follower.end) return {};
  return {Joins::kDiverges, *common};
}

bool may_cut_to(int64_t offset, int64_t high_watermark, bool is_empty, bool is_recovering) {
  return offset >= high_watermark || is_empty || is_recovering;
}

NextLane next_lane(const Lane& at, const End& end) {
  const bool is_live = at.stream_class == StreamClass::kLive;
  switch (end.reason) {
    case EndReason::kFarBehind:
      if (!is_live) return {.is_sane = false, .lane = {}};
      return {.lane = Lane{.core = at.core, .stream_class = StreamClass::kCatchUp}};
    case EndReason::kCaughtUp:
      if (is_live) return {.is_sane = false, .lane = {}};
      return {.lane = Lane{.core = at.core, .stream_class = StreamClass::kLive}};
    case EndReason::kOtherCore:
      if (end.core_hint < 0 || end.core_hint == at.core) return {};
      return {.lane = Lane{.core = end.core_hint, .stream_class = at.stream_class}};
    default:
      return {};
  }
}

Verdict judge(const Data& data, const Term& subscribed, Role role, const Term& term, LogTail own) {
  if (role != Role::kFollower || term != subscribed || data.leader_epoch != term.leader_epoch) return Verdict::kLate;
  const bool follows = data.prev_next_offset == own.end && data.prev_epoch == own.last_epoch;
  return follows ? Verdict::kApply : Verdict::kGap;
}

}  // namespace posthaste::replication::stream
