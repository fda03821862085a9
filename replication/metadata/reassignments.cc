#include "replication/metadata/reassignments.h"

#include <algorithm>
#include <set>

#include "replication/metadata/elections.h"
#include "replication/planted_bugs.h"

namespace posthaste::replication {
namespace {

using net::kafka::ErrorCode;
using reactor::planted;
using Brokers = std::vector<int32_t>;

std::optional<Refusal> check_target(const MetadataImage& image, const Brokers& target) {
  if (target.empty()) {
    return refuse(ErrorCode::kInvalidReplicaAssignment,
                  "The manual partition assignment includes an empty replica list.");
  }
  std::set<int32_t> seen;
  for (const int32_t id : target) {
    if (image.broker(id) == nullptr) {
      return refuse(ErrorCode::kInvalidReplicaAssignment,
                    "The manual partition assignment includes broker {}, but no such broker is registered.", id);
    }
    if (!seen.insert(id).second) {
      return refuse(ErrorCode::kInvalidReplicaAssignment,
                    "The manual partition assignment includes the broker {} more than once.", id);
    }
  }
  return std::nullopt;
}

// Who is no replica any more takes along what only it holds: somebody beyond doubt must be left, and one who can lead
// if now there is one, or somebody in doubt who is there would be passed over for one who has nothing. Kafka would go
// on with a replica that may lack records if the topic allows that.
bool leaves_enough(const PartitionAt& at, const ReplicaPlan& plan) {
  if (planted(kBugs["cancelled-with-nobody-left"])) return true;
  const PartitionImage& partition = at.partition();
  const auto is_member = [&](int32_t id) {
    return contains(partition.isr, id) || contains(partition.unsettled.elr(), id);
  };
  const Brokers dropped = ReplicaPlan::without(partition.replicas, plan.replicas);
  if (std::ranges::none_of(dropped, is_member)) return true;
  const auto is_beyond_doubt = [&](int32_t id) {
    return is_member(id) && !contains(partition.unsettled.unverified(), id);
  };
  const auto can_lead = [&](int32_t id) { return is_beyond_doubt(id) && at.image.is_active(id); };
  const auto is_there = [&](int32_t id) { return is_member(id) && at.image.is_active(id); };
  const bool is_led = partition.leader != kNobody || std::ranges::any_of(dropped, is_there);
  return is_led ? std::ranges::any_of(plan.replicas, can_lead) : std::ranges::any_of(plan.replicas, is_beyond_doubt);
}

}  // namespace

std::optional<Refusal> Reassignments::reassign(const PartitionAt& at, const ElectionInputs& inputs,
                                               const std::optional<Brokers>& target,
                                               std::vector<MetadataRecord>& records) const {
  const ReplicaPlan before = plan_of(at.partition());
  if (target) {
    if (auto refusal = check_target(at.image, *target)) return refusal;
    const size_t factor = before.target().size();
    if (!request_.may_change_factor && factor != target->size()) {
      return refuse(ErrorCode::kInvalidReplicationFactor, "The replication factor is changed from {} to {}", factor,
                    target->size());
    }
  } else if (!before.is_under_way()) {
    return refuse(ErrorCode::kNoReassignmentInProgress, "No partition reassignment is in progress.");
  }
  const ReplicaPlan plan = target ? plan_towards(before, *target) : ReplicaPlan{.replicas = before.original()};
  if (!leaves_enough(at, plan)) {
    return refuse(ErrorCode::kInvalidReplicaAssignment,
                  "Only replicas that are being added hold all records of {}-{}: it would take an unclean leader "
                  "election",
                  at.topic.name, at.index);
  }
  if (auto record = next_state(at, inputs, {.plan = plan})) records.emplace_back(std::move(*record));
  return std::nullopt;
}

bool Reassignments::next_portion(const MetadataImage& image, const ElectionInputs& inputs,
                                 std::vector<MetadataRecord>& records) {
  size_t looked_at = 0;
  const auto is_full = [&] { return is_portion_full(looked_at, records); };
  std::set<std::pair<Uuid, int32_t>> decided;  // in this portion
  for (; topic_ < request_.topics.size(); ++topic_) {
    const ReassignRequest::Topic& asked = request_.topics[topic_];
    if (results_.size() == topic_) {
      if (is_full()) return true;
      ++looked_at;  // one without partitions is work too
      results_.push_back({asked.name, {}});
    }
    for (; partition_ < asked.partitions.size(); ++partition_) {
      const ReassignRequest::Partition& partition = asked.partitions[partition_];
      const std::optional<PartitionAt> at = find_partition(image, asked.name, partition.index);
      if (is_full() || (at && !decided.insert({at->topic.id, partition.index}).second)) return true;
      ++looked_at;
      const auto refusal =
          at ? reassign(*at, inputs, partition.replicas, records)
             : refuse(ErrorCode::kUnknownTopicOrPartition, "There is no partition {}-{}", asked.name, partition.index);
      ReassignResult::Partition& result = results_.back().partitions.emplace_back();
      result.index = partition.index;
      if (refusal) refusal->into(result);
    }
    partition_ = 0;
  }
  return false;
}

void ReassignmentList::list(const PartitionAt& at) {
  ReplicaPlan plan = plan_of(at.partition());
  if (!plan.is_under_way()) return;
  if (listed_.empty() || listed_.back().topic != at.topic.name) listed_.push_back({at.topic.name, {}});
  listed_.back().partitions.push_back({.index = at.index, .plan = std::move(plan)});
}

bool ReassignmentList::next_portion(const MetadataImage& image) {
  if (topics_) return next_of_named(image);
  size_t looked_at = 0;
  return !cursor_.advance(image, [&](const PartitionAt& at) {
    if (looked_at >= kPartitionsInPortion) return false;
    ++looked_at;
    list(at);
    return true;
  });
}

bool ReassignmentList::next_of_named(const MetadataImage& image) {
  size_t looked_at = 0;
  for (; topic_ < topics_->size(); ++topic_) {
    const Topic& asked = (*topics_)[topic_];
    if (++looked_at > kPartitionsInPortion) return true;
    for (; partition_ < asked.partitions.size(); ++partition_) {
      if (++looked_at > kPartitionsInPortion) return true;
      const int32_t index = asked.partitions[partition_];
      if (const auto at = find_partition(image, asked.name, index)) list(*at);
    }
    partition_ = 0;
  }
  return false;
}

}  // namespace posthaste::replication
