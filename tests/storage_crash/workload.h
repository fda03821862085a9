// The random life of a small store: what a storage crash test does to an engine until the power goes, and the reader
// that shows what is there after recovery. Both are programs of a simulated host; the model is kept outside of it.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <optional>
#include <random>
#include <string>

#include "reactor/program.h"
#include "storage/engine.h"
#include "tests/storage_crash/model.h"

namespace posthaste::storage_crash {

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

// One life of the store: recover, then random operations on every core until over().
struct Workload {
  explicit Workload(uint64_t seed) : random(seed) {}
  std::mt19937_64 random;
  std::optional<LargeBatches> large;
  storage::EngineOptions options;
  Model model;
  std::vector<std::string> free_names;  // of partitions whose deletion was acknowledged
  uint64_t steps_left = 0;              // of all cores together; 0: close in an orderly way
  uint64_t next_id = 1;                 // for topic ids and payloads; goes on from life to life
  bool recovered = false;               // in this life: what the last death left undecided is decided
  bool closed = false;                  // orderly end reached
  bool paused = false;                  // no new steps for now
  std::optional<std::string> failure;
  uint64_t appends = 0;
  uint64_t truncations = 0;
  uint64_t refused_on_full_disk = 0;

  void fail(std::string what) {
    if (!failure) failure = std::move(what);
  }
  reactor::Program program();

 private:
  std::weak_ptr<storage::EngineHost> host_;  // owned by the frames of this life
};

// Recovers a store and reads everything in it.
struct Reader {
  storage::EngineOptions options;
  bool done = false;
  std::optional<reactor::Errc> refused;  // recover() or open() said no
  std::string refusal;
  storage::RecoveryReport report;
  Image image;
  reactor::Program program();
  // What the report says, in one line.
  std::string notes() const { return fmt::format("{}", fmt::join(report.notes, "; ")); }

 private:
  std::weak_ptr<storage::EngineHost> host_;
};

}  // namespace posthaste::storage_crash
