// Makes this broker what the committed image says. It follows the image by deltas, in the order in which they were
// committed: makes the replicas that name this broker, removes those that do not any more, and gives every core the new
// snapshot, by which each core brings settings and roles of its partitions up to date (BrokerCore::adopt_view). It
// decides nothing about topics; which core a partition goes to is its business, for no other broker knows.
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
#include "broker/metadata/image_delta.h"
#include "broker/node_identity.h"
#include "broker/partition_work.h"
#include "reactor/scope.h"
#include "reactor/sync.h"

namespace posthaste::broker {

class Applier : private reactor::CoreOwned {
 public:
  // By topic: why partitions of it could not be made.
  using NotMade = std::map<Uuid, reactor::Errc>;
  // A change on its way; for applied().
  struct Change;
  using ChangePointer = std::shared_ptr<Change>;

  // `core` is the BrokerCore of core 0.
  Applier(BrokerCore& core, storage::EngineHost& engine_host, const NodeIdentity& identity,
          std::vector<Endpoint> endpoints);
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // At the start, once: makes partitions agree with `image` (a crash may lie between the two), then publishes the first
  // snapshot. What cannot be made keeps nothing else from being served.
  reactor::Task<void> start(const MetadataImage& image, std::shared_ptr<const ConfigMap> topic_defaults);

  // Takes over `image`, which `delta` led to, and begins to apply it. Null: nothing here follows from it. Never waits.
  ChangePointer follow(const MetadataImage& image, ImageDelta delta, std::shared_ptr<const ConfigMap> topic_defaults);
  // Returns when the change is durable and usable on all cores of this broker. Null: at once.
  reactor::Task<NotMade> applied(ChangePointer change);

  // Tries again to make what could not be made, on the same cores, for some of it may be there.
  reactor::Task<void> retry();
  // To be awaited before it goes away, when follow() is called no more.
  reactor::Task<void> stop();

  // Partitions that are placed here, made or not.
  size_t placed() const { return placement_.size(); }

 private:
  using Work = std::vector<PartitionWork>;  // by core

  static reactor::Task<void> apply(Applier& self, ChangePointer change);
  reactor::Task<void> apply_alone(Change& change);
  void queue_behind_same_names(const ChangePointer& change);
  void forget_names(const Change& change);
  void plan_removed(const ImageDelta::Removed& topic, Work& work);
  void plan_changed(const TopicImage& topic, Work& work);
  void remove_from_plan(const storage::Placement::Key& key, Work& work);
  bool is_replica_here(const TopicImage* topic, int32_t partition) const;
  NotMade take_outcome(const MetadataImage& image, Work& work);
  reactor::Task<void> publish(std::vector<Uuid> changed, bool all_changed);

  BrokerCore& broker_;
  reactor::Core& core_;
  reactor::CoreId cores_;
  std::string cluster_id_;
  int32_t node_id_;
  std::vector<Endpoint> endpoints_;
  MetadataImage image_;  // the newest that is committed
  std::shared_ptr<const ConfigMap> topic_defaults_;
  storage::Placement placement_;
  std::map<std::string, ChangePointer, std::less<>> last_by_name_;  // changes under way
  std::set<Uuid> incomplete_;                                       // topics with partitions that could not be made
  reactor::TaskScope jobs_;
};

}  // namespace posthaste::broker
