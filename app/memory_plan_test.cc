// The parts of a broker's memory: they add up, they respect the configuration, and the largest request fits.
#include "app/memory_plan.h"

#include <gtest/gtest.h>

#include "storage/engine.h"

namespace posthaste::app {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr Means kSmall = {.memory_bytes = 8192 * kMiB, .descriptors = 20'000, .cores = 2};

uint64_t parts_of_core(const MemoryPlan& plan) {
  return plan.small_request_bytes + plan.request_bytes + plan.answer_bytes + plan.pool_bytes;
}

TEST(MemoryPlan, ThePartsAreTheWhole) {
  for (const int64_t bytes : {int64_t{0}, int64_t{1}, int64_t{100'000'000}, int64_t{3'000'000'000}}) {
    BrokerConfig config;
    config.memory_bytes = bytes;
    const MemoryPlan plan = plan_memory(config, kSmall);
    EXPECT_EQ(parts_of_core(plan) * kSmall.cores, plan.core_bytes) << bytes;
    EXPECT_LT(plan.tail_bytes + plan.cache_bytes + 2 * kMiB, plan.pool_bytes) << bytes << ": no room for staging";
  }
}

TEST(MemoryPlan, WhatIsGivenIsNotExceeded) {
  BrokerConfig config;
  config.memory_bytes = 300'000'000;
  EXPECT_LE(plan_memory(config, kSmall).core_bytes, 300'000'000U);
  EXPECT_EQ(plan_memory({}, kSmall).core_bytes, kSmall.memory_bytes / 8);
}

TEST(MemoryPlan, QueuedRequestsAreSharedByTheCores) {
  BrokerConfig config;
  config.memory_bytes = static_cast<int64_t>(512 * kMiB);
  EXPECT_EQ(plan_memory(config, kSmall).request_bytes, 64 * kMiB);
  config.max_request_bytes = static_cast<int32_t>(4 * kMiB);
  config.queued_request_bytes = static_cast<int64_t>(24 * kMiB);
  EXPECT_EQ(plan_memory(config, kSmall).request_bytes, 12 * kMiB);
  config.queued_request_bytes = static_cast<int64_t>(6 * kMiB);
  EXPECT_EQ(plan_memory(config, kSmall).request_bytes, 4 * kMiB) << "one of the largest size always fits";
  config.queued_request_bytes = static_cast<int64_t>(6000 * kMiB);
  EXPECT_EQ(plan_memory(config, kSmall).request_bytes, 64 * kMiB) << "the memory bounds it";
}

TEST(MemoryPlan, DescriptorsAndMemoryBoundConnections) {
  const MemoryPlan plan = plan_memory({}, kSmall);
  EXPECT_TRUE(plan.descriptors_limit_connections);
  EXPECT_EQ(plan.connections_possible, 20'000 - plan.descriptors_for_files);
  EXPECT_GE(plan.connections_possible, 10'000U);
  const MemoryPlan rich = plan_memory({}, {.memory_bytes = 8192 * kMiB, .descriptors = 1 << 20, .cores = 2});
  EXPECT_FALSE(rich.descriptors_limit_connections);
  EXPECT_EQ(rich.connection_bytes, 1024 * kMiB);
  EXPECT_EQ(plan_memory({}, {.memory_bytes = 8192 * kMiB, .descriptors = 100, .cores = 2}).connections_possible, 0U);
}

TEST(MemoryPlan, FewDescriptorsAreSharedByFilesAndConnections) {
  const Means means = {.memory_bytes = 8192 * kMiB, .descriptors = 1024, .cores = 2};
  const MemoryPlan plan = plan_memory({}, means);
  EXPECT_GE(plan.connections_possible, 400U);
  EXPECT_GE(plan.open_files_per_core, 200U);
  EXPECT_EQ(plan.descriptors_for_files + plan.connections_possible, means.descriptors);
  EXPECT_LE(plan.descriptors_least, means.descriptors);
  EXPECT_EQ(plan_memory({}, kSmall).open_files_per_core, storage::EngineOptions().open_files_max);
}

TEST(MemoryPlan, TheLeastOfDescriptorsLeavesConnections) {
  Means means = kSmall;
  means.descriptors = plan_memory({}, kSmall).descriptors_least;
  const MemoryPlan plan = plan_memory({}, means);
  EXPECT_GE(plan.connections_possible, 64U);
  EXPECT_EQ(plan.descriptors_for_files + plan.connections_possible, means.descriptors);
}

TEST(MemoryPlan, ThePlanFitsIntoASmallControlGroup) {
  const Means means = {.memory_bytes = 300 * kMiB, .descriptors = 20'000, .cores = 2};
  EXPECT_LT(plan_memory({}, means).budget_bytes(), means.memory_bytes * 4 / 5) << "the page cache needs some too";
}

TEST(MemoryPlan, TheBudgetCountsTheConnectionsThatMayBe) {
  BrokerConfig config;
  config.max_connections = 1000;
  const MemoryPlan plan = plan_memory(config, kSmall);
  EXPECT_EQ(plan.connection_bytes, 1000 * kConnectionBytes);
  EXPECT_EQ(plan.budget_bytes(), plan.core_bytes + plan.fixed_bytes + plan.connection_bytes + plan.created_bytes);
}

TEST(MemoryPlan, AMachineOfAFewGigabytesHoldsWhatIsAskedOfIt) {
  const Means means = {.memory_bytes = 4096 * kMiB, .descriptors = 20'000, .cores = 2};
  const MemoryPlan plan = plan_memory({}, means);
  EXPECT_GE(plan.partitions_max, 50'000U);
  constexpr uint64_t kOffset = 144;  // broker/groups: an offset without metadata
  constexpr uint64_t kGroup = 900;   // and a group without members, with one topic
  EXPECT_GE(plan.group_bytes * means.cores, 1'000'000 * kOffset + 100'000 * kGroup);
  EXPECT_LT(plan.budget_bytes(), means.memory_bytes / 2) << "the page cache is the reader's";
}

}  // namespace
}  // namespace posthaste::app
