// How much a simulated disk may hold: so much that it is never full, or so little that a life fills it.
#pragma once
#include <cstdint>
#include <random>

#include "reactor/simulated/disk.h"
#include "storage/engine.h"

namespace posthaste::storage_crash {

inline constexpr uint64_t kNeverFull = uint64_t{1} << 40;

// Room for the files that journals begin with, and for the tables.
uint64_t journal_room(const storage::EngineOptions& options);

// Every fourth life has a disk that it may fill. Not a draw of the life's own: seeds keep their meaning.
uint64_t draw_capacity(const reactor::simulated::Disk& disk, uint64_t seed, const storage::EngineOptions& options);

// Room for what every start takes, and for little besides.
uint64_t small_capacity(const reactor::simulated::Disk& disk, std::mt19937_64& random,
                        const storage::EngineOptions& options, reactor::CoreId cores);

}  // namespace posthaste::storage_crash
