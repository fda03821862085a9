// Requests about who leads partitions and where they are, of brokers that are alone.
#include "net/kafka/reassignment.h"
#include "tests/differential/generator.h"

namespace posthaste::differential {

void Generator::elect_leaders() {
  auto& step = add<kafka::ElectLeadersRequest>();
  step.message.election_type = pick({kafka::ElectionType::kPreferred, kafka::ElectionType::kUnclean});
  // Of all partitions: what other sequences have, too.
  for (size_t i = pick<size_t>({0, 1, 1, 2}); i > 0; --i) {
    const std::string name = topic_name(20);
    auto& topic = step.message.topic_partitions->emplace_back();
    topic.topic = step.keep(name);
    for (size_t named = pick<size_t>({0, 1, 2}); named > 0; --named) topic.partitions.push_back(partition_of(name));
  }
}

void Generator::reassign() {
  auto& step = add<kafka::AlterPartitionReassignmentsRequest>();
  step.message.allow_replication_factor_change = chance(70);
  for (size_t i = pick<size_t>({0, 1, 1, 2}); i > 0; --i) {
    const std::string name = topic_name(20);
    auto& topic = step.message.topics.emplace_back();
    topic.name = step.keep(name);
    auto& partition = topic.partitions.emplace_back();
    partition.partition_index = partition_of(name);
    using Replicas = std::optional<std::vector<int32_t>>;
    partition.replicas = pick<Replicas>({Replicas({1}), Replicas(), Replicas({7}), Replicas({1, 1}), Replicas({1, 7}),
                                         Replicas(std::vector<int32_t>()), Replicas({-1})});
  }
}

void Generator::list_reassignments() {
  auto& step = add<kafka::ListPartitionReassignmentsRequest>();
  auto& topics = step.message.topics.emplace();
  for (size_t i = pick<size_t>({0, 1, 2}); i > 0; --i) {
    const std::string name = topic_name(20);
    topics.push_back({.name = step.keep(name), .partition_indexes = {partition_of(name)}});
  }
}

}  // namespace posthaste::differential
