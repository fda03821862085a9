// How the memory and the file descriptors of a broker are divided at its start: every part of the sum that its memory
// stays under: what load takes, and what is created (topics, groups, fetch sessions). A pure computation; serve.cc
// reads the machine's limits and applies the plan.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "app/config/broker_config.h"

namespace posthaste::app {

// What the machine offers.
struct Means {
  uint64_t memory_bytes = 0;
  uint64_t descriptors = 0;  // that this process may have open
  uint16_t cores = 1;
};

struct MemoryPlan {
  // Of each core.
  uint64_t small_request_bytes = 0;  // frames up to net::kSmallFrameBytesMax
  uint64_t request_bytes = 0;        // frames above that
  uint64_t answer_bytes = 0;         // answers that are not sent, without records
  uint64_t pool_bytes = 0;           // tails, cache and journal staging:
  uint64_t tail_bytes = 0;
  uint64_t cache_bytes = 0;
  uint64_t fetch_bytes = 0;  // of tails and cache, what answers may lease
  // Of each core, too, beside what load takes:
  uint64_t group_bytes = 0;     // groups, members, committed offsets
  uint64_t wait_bytes = 0;      // what requests keep while they wait
  uint64_t session_bytes = 0;   // fetch sessions
  uint64_t producer_bytes = 0;  // idempotent producers that partitions remember

  // Of the process.
  uint64_t core_bytes = 0;        // of all cores together
  uint64_t fixed_bytes = 0;       // code, rings, receive buffers, stacks, the allocator's slack
  uint64_t connection_bytes = 0;  // all connections that are possible, at what a busy one takes
  uint64_t topic_bytes = 0;       // topics and partitions, on all cores
  uint64_t created_bytes = 0;     // topics, and of all cores groups, waiting requests and sessions
  uint64_t budget_bytes() const { return core_bytes + fixed_bytes + connection_bytes + created_bytes; }
  // Above this many partitions a topic is refused.
  size_t partitions_max = 0;

  uint32_t connections_possible = 0;
  uint64_t descriptors_for_files = 0;
  uint32_t open_files_per_core = 0;            // segment files
  uint64_t descriptors_least = 0;              // with fewer there is no sense in a start
  bool descriptors_limit_connections = false;  // rather than memory
};

// What a connection takes when it is busy: its coroutines, bytes that arrived too early, lists of pieces to send. An
// idle one takes about half (docs/performance.md).
inline constexpr uint64_t kConnectionBytes = uint64_t{8} << 10;

// What a topic of one partition takes, measured with 50,000 of them: its image, which several snapshots hold, its
// placement, its log and the log's state of producers.
inline constexpr uint64_t kPartitionBytes = uint64_t{5} << 10;

MemoryPlan plan_memory(const BrokerConfig& config, const Means& means);

// "key=value ..." for the log: the terms and their sum.
std::string describe_memory(const MemoryPlan& plan, uint16_t cores);

}  // namespace posthaste::app
