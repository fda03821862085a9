// The brokers' side of the model world: who leads and follows as its own view of the metadata says, what is
// acknowledged, and which ISR a leader asks for. This is what the rules of docs/controller.md expect of brokers.
#include <fmt/format.h>

#include <algorithm>

#include "tests/controller/world.h"

namespace posthaste::controller_model {

using namespace replication;

const ReplicaLog* World::log(int32_t broker, const Partition& partition) const {
  const Broker& of = brokers_[static_cast<size_t>(broker - 1)];
  const auto found = of.logs.find(partition);
  return found == of.logs.end() ? nullptr : &found->second;
}

template <class Visit>
void World::for_each_partition(const Broker& broker, Visit visit) {
  const MetadataImage view = broker.view;
  view.topics().for_each([&](const TopicImage& topic) {
    for (size_t index = 0; index < topic.partitions.size(); ++index) {
      visit(Partition{topic.id, static_cast<int32_t>(index)}, topic, topic.partitions[index]);
    }
  });
}

void World::follow_metadata(Broker& broker) {
  size_t batches = random_.below(4) == 0 ? batches_.size() : random_.below(6);
  for (; batches > 0 && broker.followed < batches_.size(); --batches) {
    for (const MetadataRecord& record : batches_[broker.followed]) {
      if (!broker.view.apply(record)) return checker_.fail("a broker cannot follow the metadata");
    }
    ++broker.followed;
  }
  for (const Broker& other : brokers_) {
    const RegisterBrokerRecord* registration = broker.view.broker(other.id);
    std::optional<BrokerLife> life;
    if (registration != nullptr) life = {registration->broker_epoch, broker.view.is_active(other.id)};
    broker.isr->keeper.broker_changed(other.id, life, now_);
  }
  // A log goes when its broker is no replica any more.
  std::erase_if(broker.logs, [&](const auto& log) {
    const auto& [topic, index] = log.first;
    const TopicImage* there = broker.view.topic(topic);
    const bool is_here = there != nullptr && static_cast<size_t>(index) < there->partitions.size();
    if (!is_here) return false;
    const PartitionImage& partition = there->partitions[static_cast<size_t>(index)];
    if (contains(partition.replicas, broker.id)) return false;
    checker_.thrown_away(broker.id, log.first, partition.leader_epoch);
    broker.high_watermarks.erase(log.first);
    return true;
  });
  // Terms that are over, and answers that the metadata give.
  std::map<Partition, Leading> leading;
  std::map<Partition, Leading> before = std::move(broker.leading);
  for_each_partition(broker, [&](const Partition& key, const TopicImage& topic, const PartitionImage& partition) {
    if (!leads(broker, partition)) return;
    const auto known = before.find(key);
    ReplicaLog& log = broker.logs[key];
    if (known != before.end() && known->second.leader_epoch == partition.leader_epoch) {
      leading[key] = known->second;
    } else {
      leading[key] = {.leader_epoch = partition.leader_epoch,
                      .epoch_start = log.entries.size(),
                      .high_watermark = std::min(broker.high_watermarks[key], log.durable)};
    }
    before.erase(key);
    const Term term{.leader_epoch = partition.leader_epoch, .broker_epoch = broker.broker_epoch};
    broker.isr->keeper.lead(key, led_partition(partition, term, min_isr_of(broker.view, topic, partition)), now_);
  });
  for (const auto& [key, over] : before) broker.isr->keeper.leave(key);
  broker.leading = std::move(leading);
}

// Only in the life that this registration stands for.
bool World::leads(const Broker& broker, const PartitionImage& partition) const {
  const RegisterBrokerRecord* self = broker.view.broker(broker.id);
  return broker.is_alive && broker.broker_epoch != -1 && self != nullptr && self->broker_epoch == broker.broker_epoch &&
         partition.leader == broker.id;
}

bool World::is_one_term(const Broker& leader, const Broker& follower, const Partition& key) const {
  const TopicImage* here = leader.view.topic(key.first);
  const TopicImage* there = follower.view.topic(key.first);
  const auto index = static_cast<size_t>(key.second);
  if (here == nullptr || there == nullptr || index >= there->partitions.size()) return false;
  const PartitionImage& known = there->partitions[index];
  const RegisterBrokerRecord* registration = follower.view.broker(leader.id);
  return contains(known.replicas, follower.id) && known.leader == leader.id &&
         known.leader_epoch == here->partitions[index].leader_epoch && registration != nullptr &&
         registration->broker_epoch == leader.broker_epoch;
}

void World::replicate(Broker& leader, const Partition& key, const PartitionImage& partition) {
  const auto found = leader.leading.find(key);
  if (found == leader.leading.end()) return;
  ReplicaLog& log = leader.logs[key];
  for (uint64_t more = random_.below(3); more > 0 && !is_healed_; --more) {
    log.entries.push_back({.epoch = partition.leader_epoch, .value = ++values_});
  }
  if (chance(2)) log.durable = log.entries.size();
  for (const int32_t id : partition.replicas) {
    Broker& follower = brokers_[static_cast<size_t>(id - 1)];
    if (id == leader.id || !follower.is_alive || follower.broker_epoch == -1 || chance(4)) continue;
    if (is_one_term(leader, follower, key)) fetch(leader, found->second, follower, key);
  }
  acknowledge(leader, key);
}

void World::fetch(Broker& leader, Leading& leading, Broker& follower, const Partition& key) {
  const ReplicaLog& from = leader.logs[key];
  ReplicaLog& to = follower.logs[key];
  size_t same = 0;
  while (same < from.entries.size() && same < to.entries.size() && from.entries[same] == to.entries[same]) ++same;
  to.entries.resize(same);
  to.durable = std::min(to.durable, same);
  const size_t left = from.entries.size() - same;
  const size_t taken = is_healed_ ? left : random_.below(left + 1);
  to.entries.insert(to.entries.end(), from.entries.begin() + static_cast<ptrdiff_t>(same),
                    from.entries.begin() + static_cast<ptrdiff_t>(same + taken));
  if (chance(2)) to.durable = to.entries.size();
  follower.high_watermarks[key] = std::min(leading.high_watermark, to.durable);
  if (chance(5)) return;
  const stream::FollowerProgress progress{.broker = follower.id,
                                          .broker_epoch = follower.broker_epoch,
                                          .durable = static_cast<int64_t>(to.durable),
                                          .end = static_cast<int64_t>(to.entries.size())};
  leader.isr->keeper.progressed(key, progress, leader_log(leader.id, key), now_);
}

LeaderLog World::leader_log(int32_t broker, const Partition& key) const {
  const Broker& leader = brokers_[static_cast<size_t>(broker - 1)];
  const Leading& leading = leader.leading.at(key);
  return {.high_watermark = static_cast<int64_t>(leading.high_watermark),
          .end = static_cast<int64_t>(leader.logs.at(key).entries.size()),
          .epoch_start = static_cast<int64_t>(leading.epoch_start)};
}

LeaderLog IsrKeeping::log_of(const Partition& key) { return world_.leader_log(broker_, key); }

// The high watermark is what all of the maximal ISR hold durably, while the ISR is large enough.
void World::acknowledge(Broker& leader, const Partition& key) {
  Leading& leading = leader.leading.at(key);
  const ReplicaLog& log = leader.logs.at(key);
  const InSyncSet in_sync = leader.isr->keeper.in_sync(key);
  if (in_sync.others.size() - in_sync.wished + 1 < in_sync.size_min) return;
  size_t all = log.durable;
  for (const InSyncMember& member : in_sync.others) all = std::min(all, static_cast<size_t>(member.durable));
  if (all <= leading.high_watermark) return;
  leading.high_watermark = all;
  leader.high_watermarks[key] = all;
  checker_.acknowledged(image_, key, leading.leader_epoch, log, all);
}

// A request, or its answer, may be lost: after a while it is given up, whatever became of it.
void World::ask_for_isrs(Broker& leader) {
  if (!leader.is_alive || leader.broker_epoch == -1) return;
  IsrKeeping& isr = *leader.isr;
  if (isr.request != 0 && chance(6)) {
    isr.request = 0;
    isr.keeper.unanswered(now_);
  }
  std::optional<AlterIsrRequest> request = isr.keeper.take_request(now_);
  if (!request) return;
  isr.request = ++requests_;
  if (chance(leader.cut_off_until > now_ ? 3 : 8)) return;  // lost
  // Some come when their sender has long given them up, and asked again, or who they speak of has begun another life.
  const Instant late = chance(3) ? now_ + std::chrono::milliseconds(random_.between(0, 8'000)) : now_;
  const Instant arrives_at = std::max(late, leader.cut_off_until);
  asked_.push_back({.incarnation = leader.incarnation,
                    .number = isr.request,
                    .arrives_at = arrives_at,
                    .request = std::move(*request)});
}

// Of partitions that nobody leads, in which it is an unverified member.
void World::report_logs(Broker& broker) {
  if (broker.broker_epoch == -1) return;
  for_each_partition(broker, [&](const Partition& key, const TopicImage&, const PartitionImage& partition) {
    if (partition.leader != kNobody || !contains(partition.unsettled.unverified(), broker.id)) return;
    const ReplicaLog& log = broker.logs[key];
    const ReplicaPosition position{.last_epoch = log.durable == 0 ? -1 : log.entries[log.durable - 1].epoch,
                                   .durable = static_cast<int64_t>(log.durable)};
    reports_.add(image_, key.first, key.second, broker.id, broker.broker_epoch, position);
  });
}

void World::step() {
  now_ = now_ + std::chrono::milliseconds(random_.between(50, 300));
  if (!is_healed_ && chance(fault_every_)) disturb();
  for (Broker& broker : brokers_) {
    if (!broker.is_alive && broker.start_at <= now_) start(broker);
    if (!broker.is_alive) continue;
    const bool is_cut_off = broker.cut_off_until > now_;
    if (!is_cut_off && !chance(3)) heartbeat(broker);
    if (broker.is_alive && !is_cut_off && !chance(3)) follow_metadata(broker);
    if (broker.is_alive && !is_cut_off && chance(2)) report_logs(broker);
  }
  for (Broker& leader : brokers_) {
    for_each_partition(leader, [&](const Partition& key, const TopicImage&, const PartitionImage& partition) {
      if (leader.is_alive) replicate(leader, key, partition);
    });
    ask_for_isrs(leader);
  }
  control();
  checker_.check_logs(image_);
}

std::optional<std::string> World::unwell() const {
  std::optional<std::string> wrong;
  image_.topics().for_each([&](const TopicImage& topic) {
    for (const PartitionImage& partition : topic.partitions) {
      const bool is_gone = partition.isr.empty() && partition.unsettled.elr().empty();
      const bool may_lose = topic.configs().contains("unclean.leader.election.enable");
      if (is_gone && !may_lose) continue;
      if (partition.leader == kNobody) wrong = fmt::format("nobody leads a partition of {}", topic.name);
      if (partition.isr.size() < partition.replicas.size()) wrong = fmt::format("{} is not in sync", topic.name);
      if (!partition.unsettled.unverified().empty()) wrong = fmt::format("{} is not verified", topic.name);
      if (plan_of(partition).is_under_way()) wrong = fmt::format("replicas of {} move", topic.name);
      if (partition.leader_recovery_state != kRecovered) wrong = fmt::format("{} recovers", topic.name);
    }
  });
  return wrong;
}

}  // namespace posthaste::controller_model
