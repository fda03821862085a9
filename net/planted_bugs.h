// The bugs that can be planted in net/ (reactor/planted.h), and the simulator that must find each.
#pragma once
#include "reactor/planted.h"

namespace posthaste::net {

inline constexpr reactor::PlantedBugs kBugs(std::to_array<reactor::PlantedBug>({
    {"answer-out-of-order", reactor::kSimulation, "of two answers that are ready the later one is sent first"},
    {"memory-not-returned", reactor::kSimulation, "the buffer of a request is never given back"},
    {"acceptor-gone-early", reactor::kSimulation,
     "the acceptor goes while the word of a connection's end is on its way to it"},
    {"frame-kept-waiting", reactor::kSimulation,
     "a request that waits for others or for time keeps the memory of its frame"},
}));

}  // namespace posthaste::net
