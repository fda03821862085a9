// Bugs that the toy replication can be started with, each a mistake that a replication protocol has been made with: the
// rig must find each. The correct toy (kNone) must pass every seed. They are part of no broker.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace posthaste::rig {

enum class ToyBug : uint8_t {
  kNone,
  kPositionsForDurable,
  kOwnDurableLeftOut,
  kTruncateToHighWatermark,
  kNoTruncation,
  kWaitersSurviveDemotion,
  kTermResumed,
  kStaleProgress,
  kWallClockPatience,
};

struct NamedToyBug {
  ToyBug bug;
  std::string_view name;
  std::string_view what;
};

inline constexpr auto kToyBugs = std::to_array<NamedToyBug>({
    {ToyBug::kPositionsForDurable, "positions-for-durable",
     "the high watermark counts what followers have received, not what they have made durable"},
    {ToyBug::kOwnDurableLeftOut, "own-durable-left-out",
     "the high watermark counts what is durable on the followers only, not on the leader itself"},
    {ToyBug::kTruncateToHighWatermark, "truncate-to-high-watermark",
     "a follower cuts its log to its own high watermark before it follows, not to where it agrees with the leader"},
    {ToyBug::kNoTruncation, "no-truncation", "a follower appends at its own end without asking whether logs agree"},
    {ToyBug::kWaitersSurviveDemotion, "waiters-survive-demotion",
     "produces that wait when a leader is demoted are acknowledged when its high watermark passes them as a follower"},
    {ToyBug::kTermResumed, "term-resumed", "a leader that was started again goes on leading its term"},
    {ToyBug::kStaleProgress, "stale-progress", "a leader remembers from an earlier term how far its followers were"},
    {ToyBug::kWallClockPatience, "wall-clock-patience", "a time-out is measured with the wall clock"},
});

}  // namespace posthaste::rig
