// Recovery of a copy of a disk in a world of its own, with as many deaths on the way as asked for. It checks nothing.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "reactor/simulated/disk.h"
#include "tests/storage_crash/deaths.h"
#include "tests/storage_crash/reader.h"

namespace posthaste::storage_crash {

// How the last recovery went. `failure`: it hung or died; a refusal stands in `reader`.
struct Recovery {
  Reader reader;
  reactor::simulated::Disk disk;  // what the last recovery began with
  uint64_t operations = 0;
  uint64_t flushes = 0;
  uint32_t deaths = 0;
  std::optional<std::string> failure;
};

// Recovers a copy of `disk`, after `deaths` recoveries that were not completed.
Recovery recover(const reactor::simulated::Disk& disk, uint64_t seed, Deaths deaths);

}  // namespace posthaste::storage_crash
