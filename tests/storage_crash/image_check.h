// What is checked of an image that a death left: that its recovery shows what the model allows, also when the recovery
// dies in turn, or a table is rotten besides. The run decides where images are taken.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "reactor/simulated/disk.h"
#include "tests/storage_crash/deaths.h"
#include "tests/storage_crash/model.h"
#include "tests/storage_crash/run.h"

namespace posthaste::storage_crash {

// What a death at operation `index` of a life would have left, and the model of that moment.
struct Pending {
  reactor::simulated::Disk disk;
  Model model;
  uint64_t index;
  End end;
  bool decided;
};

// Returns what is wrong, or nothing. Recovers and compares, then the same with deaths inside the recovery. `disk`
// becomes what those left behind and `image`, if there is one, what is in it. `decided`: the life had recovered, so
// that an earlier table says the same.
std::optional<std::string> check_image(reactor::simulated::Disk& disk, const Model& model, uint64_t seed, End end,
                                       bool decided, Image* image, Counts& counts);

// What is left of a torn write shows the same as what was there before, or more: what is wrong, or nothing.
std::optional<std::string> check_torn_rewrite(const Pending& torn, uint64_t seed, Counts& counts);

}  // namespace posthaste::storage_crash
