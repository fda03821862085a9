#include "replication/metadata/isr_changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>

#include "reactor/check.h"
#include "replication/planted_bugs.h"

namespace posthaste::replication {
namespace {

using net::kafka::ErrorCode;
using reactor::planted;

std::vector<int32_t> ids_of(const std::vector<IsrChange::Member>& members) {
  std::vector<int32_t> ids;
  ids.reserve(members.size());
  for (const IsrChange::Member& member : members) ids.push_back(member.broker);
  return ids;
}

// The partition is as the leader knows it, and it is the leader.
std::optional<Refusal> check_epochs(const PartitionImage& partition, int32_t broker, const IsrChange& change) {
  // What is not here yet was decided by a later controller.
  if (change.leader_epoch > partition.leader_epoch || change.partition_epoch > partition.partition_epoch) {
    return refuse(ErrorCode::kNotController, "leader epoch {} and partition epoch {} are not known here, {} and {} are",
                  change.leader_epoch, change.partition_epoch, partition.leader_epoch, partition.partition_epoch);
  }
  if (change.leader_epoch < partition.leader_epoch) {
    return refuse(ErrorCode::kFencedLeaderEpoch, "the leader epoch is {}, not {}", partition.leader_epoch,
                  change.leader_epoch);
  }
  if (broker != partition.leader) {
    return refuse(ErrorCode::kInvalidRequest, "broker {} leads, not {}", partition.leader, broker);
  }
  if (change.partition_epoch < partition.partition_epoch) {
    return refuse(ErrorCode::kInvalidUpdateVersion, "the partition epoch is {}, not {}", partition.partition_epoch,
                  change.partition_epoch);
  }
  return std::nullopt;
}

std::optional<Refusal> check_isr(const PartitionImage& partition, const IsrChange& change) {
  std::vector<int32_t> isr = ids_of(change.isr);
  std::ranges::sort(isr);
  const bool are_replicas = std::ranges::all_of(isr, [&](int32_t id) { return contains(partition.replicas, id); });
  if (isr.empty() || std::ranges::adjacent_find(isr) != isr.end() || !are_replicas) {
    return refuse(ErrorCode::kInvalidRequest, "the ISR is not made of replicas, each once");
  }
  if (!contains(isr, partition.leader)) {
    return refuse(ErrorCode::kInvalidRequest, "the ISR is without the leader, {}", partition.leader);
  }
  if (change.recovery_state != kRecovered && change.recovery_state != kRecovering) {
    return refuse(ErrorCode::kInvalidRequest, "there is no recovery state {}", change.recovery_state);
  }
  if (change.recovery_state == kRecovering && isr.size() > 1) {
    return refuse(ErrorCode::kInvalidRequest, "a leader that recovers is in sync with nobody");
  }
  if (change.recovery_state == kRecovering && partition.leader_recovery_state == kRecovered) {
    return refuse(ErrorCode::kInvalidRequest, "the leader has recovered");
  }
  for (const int32_t id : change.lost) {
    if (!contains(isr, id)) continue;
    return refuse(ErrorCode::kInvalidRequest, "broker {} is in sync and lost what was committed", id);
  }
  return std::nullopt;
}

// Each member takes part, in the life in which it acknowledged. An epoch that is left open is no such life.
std::optional<Refusal> check_members(const MetadataImage& image, const std::vector<IsrChange::Member>& isr) {
  for (const IsrChange::Member& member : isr) {
    const RegisterBrokerRecord* registration = image.broker(member.broker);
    if (registration == nullptr) {
      return refuse(ErrorCode::kIneligibleReplica, "broker {} is not registered", member.broker);
    }
    if (registration->fenced) return refuse(ErrorCode::kIneligibleReplica, "broker {} is fenced", member.broker);
    if (registration->in_controlled_shutdown) {
      return refuse(ErrorCode::kIneligibleReplica, "broker {} is shutting down", member.broker);
    }
    if (planted(kBugs["stale-ack-expands"])) continue;
    if (registration->broker_epoch != member.broker_epoch) {
      return refuse(ErrorCode::kIneligibleReplica, "broker {} has epoch {}, not {}", member.broker,
                    registration->broker_epoch, member.broker_epoch);
    }
  }
  return std::nullopt;
}

TransitionDemand demand_of(const PartitionImage& partition, const IsrChange& change) {
  TransitionDemand demand{.isr = ids_of(change.isr),
                          .verified = change.verified,
                          .lost = change.lost,
                          .has_recovered = change.recovery_state == kRecovered};
  // Who comes in has been found to hold all that is committed.
  std::ranges::copy_if(*demand.isr, std::back_inserter(demand.verified),
                       [&](int32_t id) { return !contains(partition.isr, id); });
  return demand;
}

void fill(IsrChangeResult& result, const PartitionImage& partition, const PartitionChangeRecord* record) {
  result.leader = partition.leader;
  result.leader_epoch = partition.leader_epoch;
  result.isr.assign(partition.isr.begin(), partition.isr.end());
  result.recovery_state = partition.leader_recovery_state;
  result.partition_epoch = partition.partition_epoch;
  if (record == nullptr) return;
  ++result.partition_epoch;
  if (record->isr) result.isr = *record->isr;
  if (record->leader_recovery_state) result.recovery_state = *record->leader_recovery_state;
  if (!record->leader) return;
  result.leader = *record->leader;
  ++result.leader_epoch;
}

std::optional<Refusal> alter_one(const PartitionAt& at, const ElectionInputs& inputs, int32_t broker,
                                 const IsrChange& change, IsrChangeResult& result, IsrOutcome& outcome) {
  const PartitionImage& partition = at.partition();
  if (auto refusal = check_epochs(partition, broker, change)) return refusal;
  if (auto refusal = check_isr(partition, change)) return refusal;
  if (auto refusal = check_members(at.image, change.isr)) return refusal;
  auto record = next_state(at, inputs, demand_of(partition, change));
  if (!record && change.renews) {
    record = PartitionChangeRecord{.partition_id = at.index, .topic_id = at.topic.id, .isr = ids_of(change.isr)};
  }
  fill(result, partition, record ? &*record : nullptr);
  if (record) outcome.records.emplace_back(*record);
  if (result.leader == broker) return std::nullopt;
  // A reassignment has ended by this change, and the leader was among those that go.
  CHECK(record && record->replicas && !contains(*record->replicas, broker),
        "an ISR that its leader asked for deposed it");
  result.error = ErrorCode::kNewLeaderElected;
  result.message = fmt::format("broker {} leads", result.leader);
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> IsrChanges::check(const MetadataImage& image) const {
  const RegisterBrokerRecord* registration = image.broker(request_.broker);
  if (registration != nullptr && registration->broker_epoch == request_.broker_epoch) return std::nullopt;
  return refuse(ErrorCode::kStaleBrokerEpoch, "broker {} with epoch {} is not registered", request_.broker,
                request_.broker_epoch);
}

void IsrChanges::decide_next(const MetadataImage& image, const ElectionInputs& inputs, IsrOutcome& outcome) {
  CHECK(!all_decided(), "{} changes are decided about", decided_);
  const IsrChange& change = request_.changes[decided_++];
  IsrChangeResult& result =
      outcome.results.emplace_back(IsrChangeResult{.topic_id = change.topic_id, .index = change.index});
  const TopicImage* topic = image.topic(change.topic_id);
  const bool is_there =
      topic != nullptr && change.index >= 0 && static_cast<size_t>(change.index) < topic->partitions.size();
  std::optional<Refusal> refusal;
  if (topic == nullptr) {
    refusal = refuse(ErrorCode::kUnknownTopicId, "there is no such topic");
  } else if (!is_there) {
    refusal = refuse(ErrorCode::kUnknownTopicOrPartition, "there is no such partition");
  } else if (changed_.contains({change.topic_id, change.index})) {
    refusal = refuse(ErrorCode::kInvalidUpdateVersion, "the partition is changed by this request already");
  } else {
    refusal = alter_one({.image = image, .topic = *topic, .index = change.index}, inputs, request_.broker, change,
                        result, outcome);
  }
  if (refusal) {
    refusal->into(result);
  } else {
    changed_.insert({change.topic_id, change.index});
  }
}

}  // namespace posthaste::replication
