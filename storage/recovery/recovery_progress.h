// How far a recovery is, for those who wait for it: on a slow disk it takes seconds. Recovery writes it, other tasks of
// core 0 read it meanwhile. It does not say what was found (RecoveryReport does).
#pragma once
#include <cstdint>
#include <string_view>

namespace posthaste::storage {

struct RecoveryProgress {
  std::string_view step = "locking the data folder";  // for people
  std::string_view unit;                              // what is counted; empty: nothing is
  uint64_t done = 0;
  uint64_t total = 0;

  void begin(std::string_view next_step) { *this = {.step = next_step}; }
  void begin(std::string_view next_step, std::string_view counted, uint64_t of) {
    *this = {.step = next_step, .unit = counted, .total = of};
  }
};

}  // namespace posthaste::storage
