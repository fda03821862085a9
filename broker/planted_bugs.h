// The bugs that can be planted in broker/ (reactor/planted.h), and the simulator that must find each.
#pragma once
#include "reactor/planted.h"

namespace posthaste::broker {

inline constexpr reactor::PlantedBugs kBugs(std::to_array<reactor::PlantedBug>({
    {"partition-handed-twice", reactor::kSimulation, "two members of a group get the same partitions"},
    {"committed-offset-lost", reactor::kSimulation, "of a commit's offsets the last is not stored"},
    {"commit-generation-unchecked", reactor::kSimulation, "a commit of an earlier generation is accepted"},
    {"duplicate-acked-at-once", reactor::kSimulation,
     "a repeated batch is acknowledged before the first one is durable"},
    {"fetch-wake-lost", reactor::kSimulation, "what is appended while a fetch begins to wait does not wake it"},
    {"lease-freed-early", reactor::kSimulation, "memory that an answer is sent from is given back before it is sent"},
    {"wrong-core", reactor::kSimulation, "records are appended by the core that received them"},
    {"class-order", reactor::kSimulation,
     "a core gives a snapshot back by a call of the class of the one that brought the next"},
    {"tombstone-lost", reactor::kSimulation,
     "of the offsets that a request deletes the last one's tombstone is not written"},
    {"later-partitions-starve", reactor::kSimulation,
     "one count says which core a fetch session begins with and with which of its partitions"},
}));

}  // namespace posthaste::broker
