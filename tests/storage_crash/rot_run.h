// The run of --rot that damages a store in place: bits flipped, files emptied, cut and exchanged. What it loses as a
// whole is tested by lost_files_run.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "tests/storage_crash/run.h"

namespace posthaste::storage_crash {

// A store with everything settled by SIGKILL (nothing torn), then one flipped bit per block in turn, then whole files.
// Returns what is wrong, or nothing.
std::optional<std::string> run_rot(uint64_t seed, const Settings& settings, Counts& counts);

}  // namespace posthaste::storage_crash
