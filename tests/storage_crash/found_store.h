// What a start would find on a disk, read without the engine: the tables, and the size that journal files have.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "reactor/simulated/disk.h"
#include "storage/engine.h"

namespace posthaste::storage_crash {

// The tables that a start would take: the numbers of those that are whole.
std::vector<std::pair<uint64_t, std::string>> whole_tables(const reactor::simulated::Disk& disk);

// Half of the starts have journal files of the size that is there, as those of a broker whose configuration stays: then
// what an earlier life has left is used on. Not a draw of the start's own: seeds keep their meaning. `always`: all of
// them.
void keep_journal_size(storage::EngineOptions& options, reactor::CoreId cores, const reactor::simulated::Disk& disk,
                       uint64_t seed, bool always = false);

}  // namespace posthaste::storage_crash
