#include "broker/partitions/partition_place.h"

#include <algorithm>

namespace posthaste::broker {
namespace {

using replication::MetadataImage;
using replication::PartitionImage;
using replication::Role;
using replication::TopicImage;

Role role_in(const PartitionImage& partition, int32_t broker) {
  if (partition.leader == broker) return Role::kLeader;
  return std::ranges::find(partition.replicas, broker) != partition.replicas.end() ? Role::kFollower : Role::kNone;
}

replication::Term term_of(const MetadataImage& image, const PartitionImage& partition) {
  replication::Term term{.leader_epoch = partition.leader_epoch};
  const auto leader = image.brokers().find(partition.leader);
  if (leader != image.brokers().end()) term.broker_epoch = leader->second.broker_epoch;
  return term;
}

}  // namespace

PartitionPlace place_of(const ClusterView& view, const TopicImage& topic, int32_t index) {
  const PartitionImage& partition = topic.partitions[static_cast<size_t>(index)];
  PartitionPlace place{.leader = partition.leader,
                       .role = role_in(partition, view.node_id),
                       .term = term_of(view.image, partition),
                       .core = view.owner(topic.id, index)};
  // It leads and its log is not there yet: no other broker could serve it either.
  if (place.role == Role::kLeader && !place.core) place.leader = -1;
  return place;
}

ReplicaRole role_of(const MetadataImage& image, const TopicImage& topic, int32_t index, int32_t broker) {
  const PartitionImage& partition = topic.partitions[static_cast<size_t>(index)];
  ReplicaRole role{.role = role_in(partition, broker), .term = term_of(image, partition), .in_sync = {}};
  if (role.role != Role::kLeader) return role;
  for (const int32_t member : partition.isr) {
    if (member != broker) role.in_sync.others.push_back({.broker = member});
  }
  return role;
}

bool take_role(ReplicaRole role, replication::Replica& replica) {
  switch (role.role) {
    case Role::kNone:
      replica.resign();
      return false;
    case Role::kFollower:
      replica.become_follower(role.term);
      return false;
    case Role::kLeader:
      break;
  }
  replica.become_leader(role.term, std::move(role.in_sync));
  return true;
}

}  // namespace posthaste::broker
