#include "broker/partitions/applier.h"

#include <algorithm>

#include "replication/metadata/metadata_log.h"

namespace posthaste::broker {
namespace {

using config::ConfigMap;
using config::TopicSettings;
using net::kafka::Uuid;
using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::Task;
using replication::ImageDelta;
using replication::kMetadataTopicId;
using replication::MetadataImage;
using replication::TopicImage;
using storage::Placement;

// Partitions that are planned in one step of core 0: about a millisecond.
constexpr size_t kPlannedAtOnce = 512;

bool has_removals(const std::vector<PartitionWork>& work) {
  return std::ranges::any_of(work, [](const PartitionWork& of_core) { return !of_core.remove.empty(); });
}

}  // namespace

struct Applier::Following final : ImageFollower::Change {
  Following(Core& core, MetadataImage to, ImageDelta by) : image(std::move(to)), delta(std::move(by)), done(core) {}
  MetadataImage image;
  ImageDelta delta;
  std::vector<std::string> names;       // of the topics it is about
  std::vector<FollowingPointer> after;  // earlier ones about topics of these names
  NotMade not_made;
  reactor::Event done;
};

// How far the partitions of a topic are planned.
struct Applier::TopicPlan {
  TopicPlan(const TopicImage& of, const Placement& placement) : topic(of), chooser(placement, of.id.bytes) {}
  const TopicImage& topic;
  Placement::Chooser chooser;
  std::optional<storage::LogConfig> config;  // once it is needed
  int32_t next = 0;
};

Applier::Applier(BrokerCore& core, storage::EngineHost& engine_host, const NodeIdentity& identity,
                 std::vector<Endpoint> endpoints)
    : CoreOwned(core.core()),
      broker_(core),
      core_(core.core()),
      cores_(engine_host.cores()),
      cluster_id_(identity.cluster_id),
      node_id_(identity.node_id),
      endpoints_(std::move(endpoints)),
      placement_(engine_host.take_placement()),
      jobs_(core_) {
  placement_.remove({kMetadataTopicId.bytes, 0});
}

bool Applier::is_replica_here(const TopicImage* topic, int32_t partition) const {
  if (topic == nullptr || static_cast<size_t>(partition) >= topic->partitions.size()) return false;
  const replication::PartitionImage::Brokers& replicas = topic->partitions[static_cast<size_t>(partition)].replicas;
  return std::ranges::find(replicas, node_id_) != replicas.end();
}

// Partitions that the image has and the engine has not were about to be made; the other way round, to be removed.
Task<void> Applier::start(const MetadataImage& image, std::shared_ptr<const ConfigMap> topic_defaults) {
  check_core();
  image_ = image;
  topic_defaults_ = std::move(topic_defaults);
  Work work(cores_);
  std::vector<Placement::Key> unknown;
  placement_.for_each([&](const Placement::Key& key, CoreId) {
    if (!is_replica_here(image_.topic(Uuid{key.topic_id}), key.partition)) unknown.push_back(key);
  });
  for (const Placement::Key& key : unknown) remove_from_plan(key, work);
  image_.topics().for_each([&](const TopicImage& topic) {
    TopicPlan plan(topic, placement_);
    while (plan_next(plan, work)) continue;
  });
  co_await spread_partition_work(broker_, work);
  (void)co_await take_outcome(image_, work);
  co_await publish({}, true);
}

Applier::ChangePointer Applier::follow(const MetadataImage& image, ImageDelta delta,
                                       std::shared_ptr<const ConfigMap> topic_defaults) {
  check_core();
  CHECK(image.version() >= image_.version(), "image {} comes after {}", image.version(), image_.version());
  image_ = image;
  topic_defaults_ = std::move(topic_defaults);
  if (delta.empty()) return nullptr;
  auto change = std::make_shared<Following>(core_, image, std::move(delta));
  queue_behind_same_names(change);
  jobs_.spawn_job(apply(*this, change));
  return change;
}

void Applier::queue_behind_same_names(const FollowingPointer& change) {
  change->names.reserve(change->delta.removed.size() + change->delta.changed.size());
  for (const ImageDelta::Removed& topic : change->delta.removed) change->names.push_back(topic.name);
  for (const Uuid& id : change->delta.changed) {
    if (const TopicImage* topic = change->image.topic(id)) change->names.push_back(topic->name);
  }
  std::set<FollowingPointer> after;
  for (const std::string& name : change->names) {
    FollowingPointer& last = last_by_name_[name];
    if (last != nullptr && last != change) after.insert(last);
    last = change;
  }
  change->after.assign(after.begin(), after.end());
}

void Applier::forget_names(const Following& change) {
  for (const std::string& name : change.names) {
    const auto last = last_by_name_.find(name);
    if (last != last_by_name_.end() && last->second.get() == &change) last_by_name_.erase(last);
  }
}

Task<void> Applier::apply(Applier& self, FollowingPointer change) {
  for (const FollowingPointer& earlier : std::exchange(change->after, {})) co_await earlier->done.wait();
  co_await self.apply_alone(*change);
  self.forget_names(*change);
  change->done.set();
}

Task<void> Applier::apply_alone(Following& change) {
  Work work(cores_);
  co_await plan(change, work);
  // Nobody is routed any more to what goes.
  if (!change.delta.removed.empty() || has_removals(work)) co_await publish({}, false);
  co_await spread_partition_work(broker_, work);
  change.not_made = co_await take_outcome(change.image, work);
  if (!change.delta.removed.empty()) {
    std::vector<std::string> names;
    names.reserve(change.delta.removed.size());
    for (const ImageDelta::Removed& topic : change.delta.removed) names.push_back(topic.name);
    co_await spread_deleted_topics(broker_, cores_, std::move(names));
  }
  if (!change.delta.changed.empty() || change.delta.all_changed) {
    co_await publish(change.delta.changed, change.delta.all_changed);
  }
}

Task<void> Applier::plan(const Following& change, Work& work) {
  reactor::Pace pace(kPlannedAtOnce);
  for (const ImageDelta::Removed& topic : change.delta.removed) co_await plan_removed(topic, work, pace);
  for (const Uuid& id : change.delta.changed) {
    const TopicImage* topic = change.image.topic(id);
    CHECK(topic != nullptr, "topic {} has changed and is not there", to_string(id));
    TopicPlan plan(*topic, placement_);
    while (plan_next(plan, work)) {
      if (pace.is_due(1)) co_await core_.yield(reactor::CpuClass::kBackground);
    }
  }
}

Task<void> Applier::plan_removed(const ImageDelta::Removed& topic, Work& work, reactor::Pace& pace) {
  incomplete_.erase(topic.id);
  for (size_t index = 0; index < topic.partitions; ++index) {
    remove_from_plan({topic.id.bytes, static_cast<int32_t>(index)}, work);
    if (pace.is_due(1)) co_await core_.yield(reactor::CpuClass::kBackground);
  }
}

// Of one that is not made yet, too: some of it may be there.
void Applier::remove_from_plan(const Placement::Key& key, Work& work) {
  const std::optional<CoreId> core = placement_.find_reserved(key);
  if (!core) return;
  placement_.remove(key);
  work[*core].remove.push_back(key);
}

// The topic's next partition. False: there is none left.
bool Applier::plan_next(TopicPlan& plan, Work& work) {
  const TopicImage& topic = plan.topic;
  const int32_t index = plan.next++;
  if (static_cast<size_t>(index) >= topic.partitions.size()) return false;
  const Placement::Key key{topic.id.bytes, index};
  if (!is_replica_here(&topic, index)) {
    remove_from_plan(key, work);
    return true;
  }
  if (placement_.find(key)) return true;
  // One that could not be made before stays on its core, for some of it may be there.
  const std::optional<CoreId> before = placement_.find_reserved(key);
  const CoreId core = before ? *before : plan.chooser.next();
  placement_.reserve(key, core);
  if (!plan.config) {
    plan.config = log_config(TopicSettings(topic.configs(), *topic_defaults_), broker_.options().producers);
  }
  work[core].create.push_back(
      {.spec = {.topic_id = key.topic_id, .topic_name = topic.name, .partition = index, .config = *plan.config},
       .role = role_of(image_, topic, index, node_id_)});
  return true;
}

// What was made is placed from now on. What was not stays reserved: Metadata says LEADER_NOT_AVAILABLE of it until
// another attempt succeeds.
Task<Applier::NotMade> Applier::take_outcome(const MetadataImage& image, Work& work) {
  NotMade not_made;
  std::set<Placement::Key> failed;
  size_t not_removed = 0;
  std::optional<Errc> removal_error;
  for (const PartitionWork& done : work) {
    for (const PartitionWork::Failed& one : done.failed) {
      if (one.is_removal) {
        ++not_removed;
        removal_error = one.error;
        continue;
      }
      failed.insert(one.key);
      not_made.emplace(Uuid{one.key.topic_id}, one.error);
    }
  }
  reactor::Pace pace(kPlannedAtOnce);
  for (size_t core = 0; core < work.size(); ++core) {
    for (const PartitionToMake& asked : work[core].create) {
      const Placement::Key key{asked.spec.topic_id, asked.spec.partition};
      if (!failed.contains(key)) placement_.add(key, static_cast<CoreId>(core));
      if (pace.is_due(1)) co_await core_.yield(reactor::CpuClass::kBackground);
    }
  }
  report(image, not_made);
  if (removal_error) {
    core_.log(reactor::LogLevel::kWarning, "partition_not_removed",
              fmt::format("partitions={} error={} consequence=\"the next start removes them\"", not_removed,
                          to_string(*removal_error)));
  }
  co_return not_made;
}

// Topics with partitions that the next change tries to make again.
void Applier::report(const MetadataImage& image, const NotMade& not_made) {
  for (const auto& [id, error] : not_made) {
    incomplete_.insert(id);
    core_.log(reactor::LogLevel::kError, "partitions_not_made",
              fmt::format("topic={} error={} consequence=\"LEADER_NOT_AVAILABLE until they can be made\"",
                          image.topic(id)->name, to_string(error)));
  }
}

Task<Applier::NotMade> Applier::applied(ChangePointer change) {
  check_core();
  if (change == nullptr) co_return NotMade();
  const auto following = std::static_pointer_cast<Following>(std::move(change));
  co_await following->done.wait();
  co_return following->not_made;
}

Task<void> Applier::retry() {
  check_core();
  if (incomplete_.empty()) co_return;
  ImageDelta delta;
  for (const Uuid& id : std::exchange(incomplete_, {})) {
    if (image_.topic(id) != nullptr) delta.changed.push_back(id);
  }
  const MetadataImage image = image_;
  co_await applied(follow(image, std::move(delta), topic_defaults_));
}

// The newest image and placement, whichever change they come from. Snapshots are lent and mailed in one step, so that
// each core gets them in order.
Task<void> Applier::publish(std::vector<Uuid> changed, bool all_changed) {
  auto view = std::make_unique<ClusterView>();
  view->cluster_id = cluster_id_;
  view->node_id = node_id_;
  view->endpoints = endpoints_;
  view->image = image_;
  view->placement = placement_;
  view->topic_defaults = topic_defaults_;
  view->changed = std::move(changed);
  view->all_changed = all_changed;
  co_await spread_view(broker_, cores_, std::move(view));
}

Task<void> Applier::stop() {
  check_core();
  co_await jobs_.join();
  CHECK(last_by_name_.empty(), "{} topics are still being changed", last_by_name_.size());
}

}  // namespace posthaste::broker
