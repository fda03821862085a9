// The two clocks of one simulated host: a monotonic one that counts from some start of its own, and the wall clock.
// Both drift from world time by the same few parts in a million. What may go wrong with them is a fault here: the wall
// clock jumps or stands still; both lose the time that a suspended machine did not see. No event, no randomness after
// the constructor. One thread.
#pragma once
#include <cstdint>
#include <optional>

#include "reactor/simulated/options.h"
#include "reactor/simulated/random.h"
#include "reactor/time.h"

namespace posthaste::reactor::simulated {

// Arguments named `world` are nanoseconds of world time and do not go back from call to call.
class Clocks {
 public:
  // Draws where the clocks begin and how they drift.
  Clocks(Random& random, const WorldOptions& options);

  // Nanoseconds that the monotonic clock shows.
  int64_t monotonic(int64_t world) const { return monotonic_offset_ + world + world / kMillion * drift_ppm_; }
  // When it shows them, by the drift until now: close enough, for a core that is woken early sleeps again.
  int64_t world(int64_t monotonic) const {
    const int64_t t = monotonic - monotonic_offset_;
    return t - t / kMillion * drift_ppm_;
  }
  WallMillis wall(int64_t world) const { return {kWallEpochMillis + wall_nanoseconds(world) / kMillion}; }

  // --- Faults.
  // Forward or back, also while the clock is frozen.
  void jump_wall(int64_t nanoseconds);
  // The wall clock shows this moment until thaw_wall(); from then on it is late by what it missed.
  void freeze_wall(int64_t world);
  void thaw_wall(int64_t world);
  bool wall_is_frozen() const { return frozen_wall_.has_value(); }
  // The machine was suspended in between: both clocks go on from where they stood.
  void suspended(int64_t from_world, int64_t to_world);

 private:
  static constexpr int64_t kMillion = 1'000'000;
  static constexpr int64_t kWallEpochMillis = 1'750'000'000'000;  // when every world begins

  // Since the epoch of the worlds.
  int64_t wall_nanoseconds(int64_t world) const {
    return frozen_wall_ ? *frozen_wall_ : running_wall(world) + wall_offset_;
  }
  int64_t running_wall(int64_t world) const { return monotonic(world) - monotonic_origin_; }

  int64_t monotonic_origin_ = 0;  // shown when the world began
  int64_t monotonic_offset_ = 0;
  int64_t drift_ppm_ = 0;
  int64_t wall_offset_ = 0;
  std::optional<int64_t> frozen_wall_;
};

}  // namespace posthaste::reactor::simulated
