// A store so small that every boundary is met within some hundred operations: its sizes, and the draws that make them.
#pragma once
#include <cstdint>
#include <optional>
#include <random>

#include "storage/engine.h"

namespace posthaste::storage_crash {

inline constexpr uint64_t kTailBytes = uint64_t{256} << 10;
inline constexpr int64_t kWallClockMs = 1'700'000'000'000;  // of all lives and recoveries

// One of 0 to `limit` - 1.
inline uint64_t below(std::mt19937_64& random, uint64_t limit) { return random() % limit; }

// The sizes of a store so small that every boundary is met within some hundred operations.
storage::EngineOptions tiny_options(std::mt19937_64& random, reactor::CoreId cores);
// What a journal file must have for so many cores: a header, and three blocks for each core of the stream.
uint64_t least_journal_file_bytes(const storage::EngineOptions& options, reactor::CoreId cores);

// A life of large batches: up to half of the tail, several times what the journal holds. Its choices come from a
// generator of their own, so that seeds without it keep their meaning.
struct LargeBatches {
  // One life in four.
  static std::optional<LargeBatches> draw(uint64_t life_seed);
  // Two or three pairs of files of nearly the least size, or commits of more than all batches of other lives.
  void change(storage::EngineOptions& options, reactor::CoreId cores);
  std::mt19937_64 random;
};

}  // namespace posthaste::storage_crash
