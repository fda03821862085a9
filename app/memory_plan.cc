#include "app/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "storage/engine.h"

namespace posthaste::app {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
// One core's share without a setting: an eighth of the machine over all cores, within these limits.
constexpr uint64_t kCoreBytesMin = 32 * kMiB;
constexpr uint64_t kCoreBytesDefaultMax = 1024 * kMiB;
// Measured on an idle broker, with slack for the allocator: 14 MiB and 5 MiB a core.
constexpr uint64_t kFixedBytes = 32 * kMiB;
constexpr uint64_t kFixedBytesPerCore = 8 * kMiB;
// Connections get at most this part of the machine.
constexpr uint64_t kConnectionsPartOfMemory = 8;
// Beside segments and journals: rings, eventfds, listeners, the metadata log, a file that is being made.
constexpr uint64_t kDescriptorsPerCore = 32;
constexpr uint64_t kDescriptorsOfProcess = 64;
// The minimum for a start: a core that writes, reads and rolls a few dozen partitions at once, and the connections of a
// small team's clients.
constexpr uint64_t kOpenFilesPerCoreLeast = 64;
constexpr uint64_t kConnectionsLeast = 64;

uint64_t core_share(const BrokerConfig& config, const Means& means) {
  if (config.memory_bytes > 0) {
    return std::max(kCoreBytesMin, static_cast<uint64_t>(config.memory_bytes) / means.cores / kMiB * kMiB);
  }
  return std::clamp(means.memory_bytes / 8 / means.cores / kMiB * kMiB, kCoreBytesMin, kCoreBytesDefaultMax);
}

// A power of two, so that one frame may take all of it, unless less is configured.
uint64_t request_bytes(const BrokerConfig& config, const Means& means, uint64_t share) {
  const uint64_t most = std::bit_floor(share / 4);
  if (config.queued_request_bytes <= 0) return most;
  const uint64_t largest = std::bit_ceil(static_cast<uint64_t>(config.max_request_bytes));
  return std::min(most, std::max(static_cast<uint64_t>(config.queued_request_bytes) / means.cores, largest));
}

// What is created grows until it is deleted, so each kind has its own part and never takes memory from load.
void plan_created(const Means& means, uint64_t share, MemoryPlan& plan) {
  plan.group_bytes = share / 2;
  plan.wait_bytes = share / 16;
  plan.session_bytes = share / 16;
  plan.producer_bytes = share / 8;
  plan.topic_bytes = share / 2 * means.cores;
  plan.created_bytes =
      plan.topic_bytes + means.cores * (plan.group_bytes + plan.wait_bytes + plan.session_bytes + plan.producer_bytes);
  plan.partitions_max = plan.topic_bytes / kPartitionBytes;
}

void plan_connections(const Means& means, MemoryPlan& plan) {
  const storage::EngineOptions files;
  const uint64_t always = means.cores * (files.journal_files + kDescriptorsPerCore) + kDescriptorsOfProcess;
  plan.descriptors_least = always + means.cores * kOpenFilesPerCoreLeast + kConnectionsLeast;
  // When descriptors are few, segments get half of the rest: they are opened again when they are needed.
  const uint64_t left = means.descriptors - std::min(means.descriptors, always);
  plan.open_files_per_core =
      static_cast<uint32_t>(std::clamp<uint64_t>(left / 2 / means.cores, kOpenFilesPerCoreLeast, files.open_files_max));
  plan.descriptors_for_files = always + uint64_t{means.cores} * plan.open_files_per_core;
  const uint64_t by_descriptors = means.descriptors - std::min(means.descriptors, plan.descriptors_for_files);
  const uint64_t by_memory = means.memory_bytes / kConnectionsPartOfMemory / kConnectionBytes;
  plan.descriptors_limit_connections = by_descriptors <= by_memory;
  plan.connections_possible = static_cast<uint32_t>(std::min({by_descriptors, by_memory, uint64_t{INT32_MAX}}));
}

}  // namespace

MemoryPlan plan_memory(const BrokerConfig& config, const Means& means) {
  MemoryPlan plan;
  const uint64_t share = core_share(config, means);
  plan.small_request_bytes = share / 32;
  plan.request_bytes = request_bytes(config, means, share);
  plan.answer_bytes = share / 16;
  plan.pool_bytes = share - plan.small_request_bytes - plan.request_bytes - plan.answer_bytes;
  // The last seventh is for journal staging and small things.
  plan.tail_bytes = plan.pool_bytes / 7 * 4;
  plan.cache_bytes = plan.pool_bytes / 7 * 2;
  plan.fetch_bytes = share / 4;
  plan.core_bytes = share * means.cores;
  plan.fixed_bytes = kFixedBytes + kFixedBytesPerCore * means.cores;
  plan_created(means, share, plan);
  plan_connections(means, plan);
  const uint64_t connections =
      std::min<uint64_t>(plan.connections_possible, static_cast<uint64_t>(config.max_connections));
  plan.connection_bytes = connections * kConnectionBytes;
  return plan;
}

std::string describe_memory(const MemoryPlan& plan, uint16_t cores) {
  const auto mib = [](uint64_t bytes) { return bytes / kMiB; };
  return fmt::format(
      "budget_mib={} cores_mib={} connections_mib={} topics_mib={} groups_mib={} waiting_mib={} sessions_mib={} "
      "producers_mib={} "
      "fixed_mib={} of_each_core: pool_mib={} requests_mib={} small_requests_mib={} answers_mib={} cores={} "
      "partitions_max={}",
      mib(plan.budget_bytes()), mib(plan.core_bytes), mib(plan.connection_bytes), mib(plan.topic_bytes),
      mib(plan.group_bytes * cores), mib(plan.wait_bytes * cores), mib(plan.session_bytes * cores),
      mib(plan.producer_bytes * cores), mib(plan.fixed_bytes), mib(plan.pool_bytes), mib(plan.request_bytes),
      mib(plan.small_request_bytes), mib(plan.answer_bytes), cores, plan.partitions_max);
}

}  // namespace posthaste::app
