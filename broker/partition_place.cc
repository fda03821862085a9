#include "broker/partition_place.h"

#include <algorithm>

namespace posthaste::broker {
namespace {

using replication::Role;

Role role_of(int32_t broker, const PartitionImage& partition) {
  if (partition.leader == broker) return Role::kLeader;
  return std::ranges::find(partition.replicas, broker) != partition.replicas.end() ? Role::kFollower : Role::kNone;
}

}  // namespace

PartitionPlace place_of(const ClusterView& view, const TopicImage& topic, int32_t index) {
  const PartitionImage& partition = topic.partitions[static_cast<size_t>(index)];
  const auto leader = view.image->brokers().find(partition.leader);
  PartitionPlace place{.leader = partition.leader,
                       .role = role_of(view.node_id, partition),
                       .term = {.leader_epoch = partition.leader_epoch},
                       .core = view.owner(topic.id, index)};
  if (leader != view.image->brokers().end()) place.term.broker_epoch = leader->second.broker_epoch;
  // It leads and its log is not there yet: nobody else could serve it either.
  if (place.role == Role::kLeader && !place.core) place.leader = -1;
  return place;
}

}  // namespace posthaste::broker
