// What a leader and a follower decide about a log that the one copies from the other, as plain functions of values:
// where the copying can go on, and which frames a follower may apply. They read no clock and hold nothing.
#pragma once
#include <cstdint>
#include <optional>

#include "replication/replica.h"
#include "replication/stream/messages.h"
#include "storage/log/epoch_cache.h"

namespace posthaste::replication::stream {

// How a follower's log ends.
struct LogTail {
  int64_t end = 0;
  int32_t last_epoch = storage::kNoLeaderEpoch;  // the latest epoch that it knows, with or without records
};

enum class Joins : uint8_t {
  kHere,      // the follower's log is a beginning of the leader's
  kDiverges,  // it must be cut first: `diverges`
  kTooOld,    // it ends, or parts from the leader's, below the leader's first batch: it must begin anew there
  kAhead,     // it knows a later epoch than the leader: that is no leader for it
};
struct JoinAnswer {
  Joins joins = Joins::kHere;
  storage::EpochEnd diverges;
  friend bool operator==(const JoinAnswer&, const JoinAnswer&) = default;
};

// Leader: what it says to a follower whose log ends so. `first_offset`: where its first batch begins.
JoinAnswer join_answer(const storage::EpochCache& epochs, int64_t first_offset, int64_t end, LogTail follower);

// Follower: whether a cut of its log to `offset` keeps all that is known to be committed. A log that holds nothing has
// nothing to lose. With `is_recovering`, which follows an election of who may lack committed records, it need not.
bool may_cut_to(int64_t offset, int64_t high_watermark, bool is_empty, bool is_recovering);

// Which of a peer's connections to one core: to which core of the leader's broker, and what for.
struct Lane {
  int32_t core = 0;
  StreamClass stream_class = StreamClass::kLive;
  friend auto operator<=>(const Lane&, const Lane&) = default;
};

// Follower: where a subscription goes on whose END came on lane `at`.
struct NextLane {
  bool is_sane = true;       // false: no leader says that on such a connection
  std::optional<Lane> lane;  // another one; nothing: it is to be subscribed again there, after a while
  friend bool operator==(const NextLane&, const NextLane&) = default;
};
NextLane next_lane(const Lane& at, const End& end);

enum class Verdict : uint8_t {
  kApply,
  kLate,  // of a role or term that is over: thrown away
  kGap,   // it does not follow what the log holds: subscribe again
};
// Follower: may this frame of a subscription of `subscribed` be applied to a replica that is so.
Verdict judge(const Data& data, const Term& subscribed, Role role, const Term& term, LogTail own);

}  // namespace posthaste::replication::stream
