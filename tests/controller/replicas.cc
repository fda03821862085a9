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
  // Terms that are over, and answers that the metadata give.
  std::map<Partition, Leading> leading;
  for_each_partition(broker, [&](const Partition& key, const TopicImage&, const PartitionImage& partition) {
    if (!leads(broker, partition)) return;
    const auto before = broker.leading.find(key);
    ReplicaLog& log = broker.logs[key];
    if (before != broker.leading.end() && before->second.leader_epoch == partition.leader_epoch) {
      leading[key] = std::move(before->second);
    } else {
      leading[key] = {.leader_epoch = partition.leader_epoch,
                      .epoch_start = log.entries.size(),
                      .high_watermark = std::min(broker.high_watermarks[key], log.durable),
                      .acks = {},
                      .pending = {}};
    }
    auto& pending = leading[key].pending;
    if (pending && partition.partition_epoch > pending->partition_epoch) pending.reset();
  });
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
  return known.leader == leader.id && known.leader_epoch == here->partitions[index].leader_epoch &&
         registration != nullptr && registration->broker_epoch == leader.broker_epoch;
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
  acknowledge(leader, key, partition);
  ask_for_isr(leader, key, partition);
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
  if (!chance(5)) leading.acks[follower.id] = {.broker_epoch = follower.broker_epoch, .durable = to.durable};
}

// The high watermark is what all of the maximal ISR hold durably, while the ISR is large enough.
void World::acknowledge(Broker& leader, const Partition& key, const PartitionImage& partition) {
  Leading& leading = leader.leading.at(key);
  const ReplicaLog& log = leader.logs.at(key);
  const TopicImage& topic = *leader.view.topic(key.first);
  if (static_cast<int32_t>(partition.isr.size()) < min_isr_of(leader.view, topic, partition)) return;
  std::vector<int32_t> maximal(partition.isr.begin(), partition.isr.end());
  if (leading.pending) {
    for (const IsrChange::Member& member : leading.pending->isr) maximal.push_back(member.broker);
  }
  size_t all = log.durable;
  for (const int32_t id : maximal) {
    if (id == leader.id) continue;
    const auto ack = leading.acks.find(id);
    const RegisterBrokerRecord* registration = leader.view.broker(id);
    const bool counts =
        ack != leading.acks.end() && registration != nullptr && ack->second.broker_epoch == registration->broker_epoch;
    all = std::min(all, counts ? ack->second.durable : 0);
  }
  if (all <= leading.high_watermark) return;
  leading.high_watermark = all;
  leader.high_watermarks[key] = all;
  checker_.acknowledged(image_, key, leading.leader_epoch, log, all);
}

std::optional<IsrChange> World::wanted_isr(Broker& leader, const Partition& key, const PartitionImage& partition) {
  Leading& leading = leader.leading.at(key);
  IsrChange change{.topic_id = key.first,
                   .index = key.second,
                   .leader_epoch = partition.leader_epoch,
                   .partition_epoch = partition.partition_epoch,
                   .isr = {}};
  bool differs = partition.leader_recovery_state == kRecovering;
  const Unsettled::View unverified = partition.unsettled.unverified();
  for (const int32_t id : partition.replicas) {
    const RegisterBrokerRecord* registration = leader.view.broker(id);
    if (registration == nullptr) continue;
    const auto ack = leading.acks.find(id);
    const bool is_heard = ack != leading.acks.end();
    const bool holds_all = is_heard && ack->second.durable >= std::max(leading.high_watermark, leading.epoch_start);
    int64_t epoch = registration->broker_epoch;
    bool is_in_sync = contains(partition.isr, id);
    if (id != leader.id && is_in_sync) {
      if (contains(unverified, id) && is_heard && ack->second.broker_epoch == epoch) {
        if (ack->second.durable < leading.high_watermark) {
          change.lost.push_back(id);  // it has held that: its disk has lied
          is_in_sync = false;
        } else if (holds_all) {
          change.verified.push_back(id);
          differs = true;
        }
      } else if (!is_healed_ && chance(12)) {
        is_in_sync = false;
      }
    } else if (id != leader.id && holds_all && leader.view.is_active(id)) {
      is_in_sync = true;
      epoch = ack->second.broker_epoch;
    }
    differs = differs || is_in_sync != contains(partition.isr, id);
    if (is_in_sync) change.isr.push_back({.broker = id, .broker_epoch = epoch});
  }
  if (!differs) return std::nullopt;
  return change;
}

void World::ask_for_isr(Broker& leader, const Partition& key, const PartitionImage& partition) {
  Leading& leading = leader.leading.at(key);
  if (!leading.pending) {
    leading.pending = wanted_isr(leader, key, partition);
    leading.copies = 0;
    leading.must_renew = false;
    if (!leading.pending) return;
  } else if (!chance(6)) {
    return;  // later the same again: the controller that was asked may be gone
  }
  if (leader.cut_off_until > now_ || chance(8)) return;  // lost
  ++leading.copies;
  asked_.push_back({.broker = leader.id,
                    .broker_epoch = leader.broker_epoch,
                    .incarnation = leader.incarnation,
                    .change = leading.must_renew ? renewal(leader, key, partition) : *leading.pending});
}

IsrChange World::renewal(const Broker& leader, const Partition& key, const PartitionImage& partition) const {
  IsrChange change{.topic_id = key.first,
                   .index = key.second,
                   .leader_epoch = partition.leader_epoch,
                   .partition_epoch = partition.partition_epoch,
                   .isr = {},
                   .recovery_state = partition.leader_recovery_state,
                   .renews = true};
  for (const int32_t id : partition.isr) {
    const RegisterBrokerRecord* registration = leader.view.broker(id);
    change.isr.push_back({.broker = id, .broker_epoch = registration == nullptr ? -1 : registration->broker_epoch});
  }
  return change;
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
      if (partition.leader_recovery_state != kRecovered) wrong = fmt::format("{} recovers", topic.name);
    }
  });
  return wrong;
}

}  // namespace posthaste::controller_model
