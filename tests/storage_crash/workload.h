// The random life of a small store: what a storage crash test does to an engine until the power goes. It is a program
// of a simulated host; the model is kept outside of it. What is there after recovery the reader shows.
#pragma once
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "reactor/program.h"
#include "storage/engine.h"
#include "tests/storage_crash/model.h"
#include "tests/storage_crash/tiny_store.h"

namespace posthaste::storage_crash {

// One life of the store: recover, then random operations on every core until over().
struct Workload {
  explicit Workload(uint64_t seed) : random(seed) {}
  std::mt19937_64 random;
  std::optional<LargeBatches> large;
  storage::EngineOptions options;
  Model model;
  std::vector<std::string> free_names;  // of partitions whose deletion was acknowledged
  uint64_t steps_left = 0;              // of all cores together; 0: close in an orderly way
  uint64_t next_id = 1;                 // for topic ids and payloads; continues from life to life
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

}  // namespace posthaste::storage_crash
