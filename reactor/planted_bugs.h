// The bugs that can be planted in reactor/ (reactor/planted.h), and the simulator that must find each.
#pragma once
#include "reactor/planted.h"

namespace posthaste::reactor {

inline constexpr PlantedBugs kBugs(std::to_array<PlantedBug>({
    {"reply-slot-reused", kSimulation, "a reply between cores takes the slot of one that is not read yet"},
}));

}  // namespace posthaste::reactor
