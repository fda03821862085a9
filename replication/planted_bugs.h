// The bugs that can be planted in replication/ (reactor/planted.h), and the simulator that must find each.
#pragma once
#include "reactor/planted.h"

namespace posthaste::replication {

inline constexpr reactor::PlantedBugs kBugs(std::to_array<reactor::PlantedBug>({
    {"waits-count-durable-bytes", reactor::kSimulation,
     "what a reader waits for is counted by what is durable here, though other replicas hold it back"},
    {"view-of-another-term", reactor::kSimulation,
     "a replica takes records from, and is read by, who believes in another leader"},
    {"waiters-survive-demotion", reactor::kSimulation,
     "who waits for the high watermark goes on waiting when the role that promised it ends"},
}));

}  // namespace posthaste::replication
