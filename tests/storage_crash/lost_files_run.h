// The run of --rot that takes whole files away from a store that was killed. Which ways of losing them there are is
// decided in lost_files.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "tests/storage_crash/run.h"

namespace posthaste::storage_crash {

// Journal files and tables of a killed store are lost, one kind of loss after the other. What was acknowledged is
// there, or its range or the whole store is refused by name; but for the last commit, of which no other file need tell.
// Returns what is wrong, or nothing.
std::optional<std::string> run_lost(uint64_t seed, const Settings& settings, Counts& counts);

}  // namespace posthaste::storage_crash
