// Makes this broker what the committed image says. It follows the image by deltas, in the order in which they were
// committed: makes the replicas that name this broker, removes those that do not any more, and gives every core the new
// snapshot, by which each core brings settings and roles of its partitions up to date (BrokerCore::adopt_view). It
// decides nothing about topics; but it chooses the core of a partition, for no other broker knows.
//
// Changes run side by side, so that a large one delays no other; two that are about topics of the same name run one
// after the other. Core 0 only.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "broker/broker_core.h"
#include "broker/node_identity.h"
#include "broker/partitions/partition_work.h"
#include "reactor/pace.h"
#include "reactor/scope.h"
#include "reactor/sync.h"
#include "replication/image_follower.h"
#include "replication/metadata/image_delta.h"

namespace posthaste::broker {

class Applier final : public replication::ImageFollower, private reactor::CoreOwned {
 public:
  // `core` is the BrokerCore of core 0.
  Applier(BrokerCore& core, storage::EngineHost& engine_host, const NodeIdentity& identity,
          std::vector<Endpoint> endpoints);

  // Of ImageFollower. start() publishes the first snapshot; what cannot be made is tried again on the same cores, for
  // some of it may be there.
  reactor::Task<void> start(const replication::MetadataImage& image,
                            std::shared_ptr<const config::ConfigMap> topic_defaults) override;
  ChangePointer follow(const replication::MetadataImage& image, replication::ImageDelta delta,
                       std::shared_ptr<const config::ConfigMap> topic_defaults) override;
  reactor::Task<NotMade> applied(ChangePointer change) override;
  reactor::Task<void> retry() override;
  // To be awaited before it goes away, when follow() is called no more.
  reactor::Task<void> stop();

 private:
  struct Following;  // a change on its way
  using FollowingPointer = std::shared_ptr<Following>;
  using Work = std::vector<PartitionWork>;  // by core

  static reactor::Task<void> apply(Applier& self, FollowingPointer change);
  reactor::Task<void> apply_alone(Following& change);
  void queue_behind_same_names(const FollowingPointer& change);
  void forget_names(const Following& change);
  struct TopicPlan;
  reactor::Task<void> plan(const Following& change, Work& work);
  reactor::Task<void> plan_removed(const replication::ImageDelta::Removed& topic, Work& work, reactor::Pace& pace);
  bool plan_next(TopicPlan& plan, Work& work);
  void remove_from_plan(const storage::Placement::Key& key, Work& work);
  bool is_replica_here(const replication::TopicImage* topic, int32_t partition) const;
  reactor::Task<NotMade> take_outcome(const replication::MetadataImage& image, Work& work);
  void report(const replication::MetadataImage& image, const NotMade& not_made);
  reactor::Task<void> publish(std::vector<net::kafka::Uuid> changed, bool all_changed);

  BrokerCore& broker_;
  reactor::Core& core_;
  reactor::CoreId cores_;
  std::string cluster_id_;
  int32_t node_id_;
  std::vector<Endpoint> endpoints_;
  replication::MetadataImage image_;  // the newest that is committed
  std::shared_ptr<const config::ConfigMap> topic_defaults_;
  storage::Placement placement_;
  std::map<std::string, FollowingPointer, std::less<>> last_by_name_;  // changes under way
  std::set<net::kafka::Uuid> incomplete_;                              // topics with partitions that could not be made
  reactor::TaskScope jobs_;
};

}  // namespace posthaste::broker
