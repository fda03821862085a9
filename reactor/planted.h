// Bugs planted on purpose, to show that the simulators find such bugs (docs/reliability.md). A room
// states its bugs in one table, planted_bugs.h; each is placed where such a bug would be, as `if
// (planted(kBugs["its-name"]))`. In every build but the preset `planted`, planted() is a constant and the
// compiler removes all of this. Not for use in unit tests: a test that needs a fault injects it (simulated/disk.h).
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace posthaste::reactor {

// The programs that look for bugs.
inline constexpr std::string_view kStorageCrash = "posthaste-storage-crash";
inline constexpr std::string_view kStorageRot = "posthaste-storage-crash --rot";
inline constexpr std::string_view kStorageEachOperation = "posthaste-storage-crash --every-operation";
inline constexpr std::string_view kTwoLogs = "posthaste-two-logs";
inline constexpr std::string_view kSimulation = "posthaste-sim";
inline constexpr std::string_view kQuorum = "posthaste-quorum";
inline constexpr std::string_view kDrivers = "posthaste-drivers";
inline constexpr std::string_view kController = "posthaste-controller";
inline constexpr std::string_view kStreams = "posthaste-streams";

// `program` must find it.
struct PlantedBug {
  std::string_view name;
  std::string_view program;
  std::string_view what;
};

// The bugs of one room.
template <size_t kCount>
struct PlantedBugs {
  std::array<PlantedBug, kCount> all;

  explicit consteval PlantedBugs(const std::array<PlantedBug, kCount>& bugs) : all(bugs) {}
  // A name that is not in the table does not compile.
  consteval const PlantedBug& operator[](std::string_view name) const {
    return *std::ranges::find(all, name, &PlantedBug::name);
  }
};

#ifdef POSTHASTE_PLANTED_BUGS
inline constexpr bool kHasPlantedBugs = true;
inline const PlantedBug* planted_bug = nullptr;  // set once, before anything runs
inline bool planted(const PlantedBug& bug) { return &bug == planted_bug; }
#else
inline constexpr bool kHasPlantedBugs = false;
constexpr bool planted(const PlantedBug&) { return false; }
#endif

}  // namespace posthaste::reactor
