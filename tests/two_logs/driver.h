// The random life of two logs, each in a store of its own on one simulated host: one leads, the other follows, epochs
// and roles change, until the power goes. The leader has all that was committed, and the follower holds nothing
// else.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "reactor/program.h"
#include "storage/engine.h"
#include "tests/two_logs/model.h"

namespace posthaste::two_logs {

// One replica: what the model says of it, from life to life.
struct Replica {
  ModelLog model;
  std::optional<ModelLog> after;  // what a truncation or reset that is under way makes of it
  int64_t start_asked = 0;        // a log start that is under way
  int64_t known_high_watermark = 0;
  bool is_made = false;
  bool was_shown = false;  // in this life
  storage::EngineOptions options;
  storage::Engine* engine = nullptr;  // of this life
  storage::Partition* log = nullptr;  // likewise
};

// All that outlives a crash of the host: the replicas' models, and what a controller would know.
struct Pair {
  explicit Pair(uint64_t seed) : random(seed) {}
  std::mt19937_64 random;
  std::array<Replica, 2> replicas;
  uint32_t leader = 0;
  int32_t epoch = 0;
  bool is_follower_in_sync = true;  // has all that is committed
  bool is_cut = false;              // the follower has been cut for this epoch: it has nothing but its leader's
  int64_t high_watermark = 0;
  std::vector<ModelBatch> committed;
  uint64_t steps_left = 0;
  bool is_closed = false;
  std::optional<std::string> failure;
  uint64_t appends = 0;
  uint64_t cuts = 0;
  uint64_t resets = 0;
  uint64_t holes = 0;

  // One life, on one core.
  reactor::Program program();
};

}  // namespace posthaste::two_logs
