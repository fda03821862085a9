// What every run of this program shares: its command line, its counters, and the host that it simulates.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "reactor/program.h"
#include "tests/tools/seed_arguments.h"

namespace posthaste::storage_crash {

inline constexpr reactor::CoreId kCoresMax = 4;
inline constexpr size_t kPoolBytes = size_t{1} << 20;
// Of simulated time. A life or recovery that takes longer than kPatience hangs.
inline constexpr reactor::Duration kSettle = std::chrono::seconds(2);
inline constexpr reactor::Duration kPatience = std::chrono::hours(1);

// The command line, without the seeds.
struct Settings : tests::SeedSettings {
  bool every_operation = false;
  bool rot = false;
};

// What the last lines of the program tell.
struct Counts {
  uint64_t seeds = 0;
  uint64_t lives = 0;
  uint64_t crashes = 0;    // images recovered
  uint64_t recrashes = 0;  // deaths inside a recovery
  uint64_t appends = 0;
  uint64_t truncations = 0;
  uint64_t refused_on_full_disk = 0;
  uint64_t flips = 0;
  uint64_t misplaced = 0;  // files emptied, cut, exchanged
  uint64_t losses = 0;     // of whole files
  uint64_t repaired = 0;
  uint64_t refused = 0;
  uint64_t damaged = 0;
  uint64_t unaffected = 0;
};

}  // namespace posthaste::storage_crash
