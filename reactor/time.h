// Time as types. Above reactor/ time is always a parameter; only a Backend reads a clock.
#pragma once
#include <chrono>
#include <compare>
#include <cstdint>

namespace posthaste::reactor {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;  // NOLINT: 10ms, 5s read as what they are

// A point on the backend's monotonic clock, in nanoseconds since an arbitrary start. Never compared across hosts.
struct Instant {
  int64_t nanoseconds = 0;

  friend constexpr auto operator<=>(Instant, Instant) = default;
  friend constexpr Instant operator+(Instant at, Duration by) { return {at.nanoseconds + by.count()}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return Duration(a.nanoseconds - b.nanoseconds); }
  static constexpr Instant never() { return {INT64_MAX}; }
};

// Wall-clock milliseconds since the Unix epoch. May jump; never used to measure a duration.
struct WallMillis {
  int64_t value = 0;
  friend constexpr auto operator<=>(WallMillis, WallMillis) = default;
};

}  // namespace posthaste::reactor
