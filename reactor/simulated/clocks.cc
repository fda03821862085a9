#include "reactor/simulated/clocks.h"

#include "reactor/check.h"

namespace posthaste::reactor::simulated {
namespace {

constexpr int64_t kMonotonicOffsetMax = 1'000'000'000'000'000;  // hosts have been up for different times

}  // namespace

Clocks::Clocks(Random& random, const WorldOptions& options) {
  monotonic_origin_ = random.between(0, kMonotonicOffsetMax);
  monotonic_offset_ = monotonic_origin_;
  drift_ppm_ = random.between(-int64_t{options.clock_drift_ppm_max}, options.clock_drift_ppm_max);
  wall_offset_ = random.between(-options.wall_offset_max.count(), options.wall_offset_max.count());
}

void Clocks::jump_wall(int64_t nanoseconds) {
  if (frozen_wall_) {
    *frozen_wall_ += nanoseconds;
  } else {
    wall_offset_ += nanoseconds;
  }
}

void Clocks::freeze_wall(int64_t world) {
  if (!frozen_wall_) frozen_wall_ = wall_nanoseconds(world);
}

void Clocks::thaw_wall(int64_t world) {
  if (!frozen_wall_) return;
  wall_offset_ = *frozen_wall_ - running_wall(world);
  frozen_wall_.reset();
}

// The wall clock counts by the monotonic one, so that both lose the same.
void Clocks::suspended(int64_t from_world, int64_t to_world) {
  CHECK(from_world <= to_world, "a suspend of {} to {}", from_world, to_world);
  const int64_t stood_at = monotonic(from_world);
  monotonic_offset_ -= monotonic(to_world) - stood_at;
  CHECK(monotonic(to_world) == stood_at, "the monotonic clock moved by a suspend");
}

}  // namespace posthaste::reactor::simulated
