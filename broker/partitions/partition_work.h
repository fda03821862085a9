// Makes and removes partitions on the cores they are placed on, and hands every core what core 0 decided. It decides
// nothing; the applier does.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "broker/broker_core.h"
#include "broker/partitions/cluster_view.h"
#include "broker/partitions/partition_place.h"
#include "reactor/task.h"
#include "storage/engine.h"

namespace posthaste::broker {

// A partition with the role that it has from the moment at which it is there: a core that sees it in a snapshot before
// its own core does is served already.
struct PartitionToMake {
  storage::PartitionSpec spec;
  ReplicaRole role;
};

// What one core is to make or remove.
struct PartitionWork {
  std::vector<PartitionToMake> create;
  std::vector<storage::Placement::Key> remove;
  // Out: what could not be made or removed. One that cannot stops no other.
  struct Failed {
    storage::Placement::Key key;
    reactor::Errc error{};
    bool is_removal = false;
  };
  std::vector<Failed> failed;
};

// Does `work[core]` on each core, in steps between which others run; durable when it returns. A partition that is there
// already, or gone already, counts as done.
reactor::Task<void> spread_partition_work(BrokerCore& from, std::vector<PartitionWork>& work);

// From core 0: every core has adopted `view`, and done what follows from it, when this returns.
reactor::Task<void> spread_view(BrokerCore& from, reactor::CoreId cores, std::unique_ptr<const ClusterView> view);

// Group coordinators on all cores drop the offsets of these topics.
reactor::Task<void> spread_deleted_topics(BrokerCore& from, reactor::CoreId cores, std::vector<std::string> topics);

}  // namespace posthaste::broker
