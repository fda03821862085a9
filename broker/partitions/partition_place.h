// The one place that answers who leads a partition, in which term, and on which core it is here. A core answers it from
// its own snapshot of the cluster; that the replica agrees is checked at its core (Replica::check_leads).
#pragma once
#include <optional>

#include "broker/partitions/cluster_view.h"
#include "replication/replica.h"

namespace posthaste::broker {

struct PartitionPlace {
  int32_t leader = -1;  // the broker that clients are sent to; -1: no broker serves it now
  replication::Role role = replication::Role::kNone;  // of this broker
  replication::Term term;
  std::optional<reactor::CoreId> core;  // of this broker's replica; nothing while it is being made or deleted

  // Whether requests that only a leader serves are for this broker; then `core` is known.
  bool leads_here() const { return role == replication::Role::kLeader && core.has_value(); }
};

// `index` is one of the topic's. Any core, of its own view.
PartitionPlace place_of(const ClusterView& view, const replication::TopicImage& topic, int32_t index);

// What the image says of a broker's replica.
struct ReplicaRole {
  replication::Role role = replication::Role::kNone;
  replication::Term term;
  replication::InSyncSet in_sync;  // of a leader
};

// `index` is one of the topic's.
ReplicaRole role_of(const replication::MetadataImage& image, const replication::TopicImage& topic, int32_t index,
                    int32_t broker);

// On the owner core. True: it leads.
bool take_role(ReplicaRole role, replication::Replica& replica);

}  // namespace posthaste::broker
