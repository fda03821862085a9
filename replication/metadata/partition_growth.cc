#include "replication/metadata/partition_growth.h"

#include <algorithm>
#include <map>
#include <set>

#include "replication/metadata/refusal.h"
#include "replication/metadata/replica_plan.h"
#include "replication/metadata/topic_name.h"
#include "storage/folder_names.h"

namespace posthaste::replication {
namespace {

using net::kafka::ErrorCode;
using Replicas = std::vector<int32_t>;

struct Growing {
  const MetadataImage& image;
  const TopicRules& rules;
  const ReplicaPlacer& placer;
  int64_t& partitions;        // added by this request
  int64_t& partitions_ahead;  // of these, what the image does not have
};

std::optional<Refusal> check_count(const Growing& growing, const TopicImage& topic, const GrowTopic& asked) {
  const auto now = static_cast<int32_t>(topic.partitions.size());
  if (is_internal_topic(topic.name)) {
    return refuse(ErrorCode::kInvalidRequest,
                  "Topic {} is the broker's own: its number of partitions says where each group lives", topic.name);
  }
  if (asked.count == now) return refuse(ErrorCode::kInvalidPartitions, "Topic already has {} partition(s)", now);
  if (asked.count < now) {
    return refuse(ErrorCode::kInvalidPartitions, "Topic '{}' has {} partition(s); {} would not be an increase",
                  topic.name, now, asked.count);
  }
  const int64_t in_request = growing.partitions + asked.count - now;
  if (in_request > growing.rules.max_partitions_per_request) {
    return refuse(ErrorCode::kPolicyViolation, "{} new partitions: at most {} in one request", in_request,
                  growing.rules.max_partitions_per_request);
  }
  const int64_t ahead = growing.partitions_ahead + asked.count - now;
  if (growing.image.partition_count() + static_cast<size_t>(ahead) > growing.rules.max_partitions) {
    return refuse(ErrorCode::kPolicyViolation, "No room for {} more partitions: {} of at most {} exist",
                  asked.count - now, growing.image.partition_count(), growing.rules.max_partitions);
  }
  if (!storage::partition_folder(topic.name, asked.count - 1)) {
    return refuse(
        ErrorCode::kInvalidPartitions,
        "Topic '{}' cannot have {} partitions: a topic has at most {}, and its name with the number must not be "
        "too long for a folder",
        topic.name, asked.count, storage::kPartitionsOfTopicMax);
  }
  return std::nullopt;
}

// What the first partition has, or shall have when a reassignment of it ends.
size_t factor_of(const TopicImage& topic) { return plan_of(topic.partitions.front()).target().size(); }

std::optional<Refusal> check_assignment(const Growing& growing, const Replicas& replicas, size_t factor) {
  if (replicas.size() != factor) {
    return refuse(ErrorCode::kInvalidReplicaAssignment, "{} replicas are assigned; the topic's partitions have {}",
                  replicas.size(), factor);
  }
  std::set<int32_t> seen;
  for (const int32_t broker : replicas) {
    if (!seen.insert(broker).second) {
      return refuse(ErrorCode::kInvalidReplicaAssignment, "Broker {} is assigned twice to a partition", broker);
    }
    if (!growing.image.brokers().contains(broker)) {
      return refuse(ErrorCode::kInvalidReplicaAssignment, "Broker {} is assigned and not registered", broker);
    }
  }
  const bool any_active =
      std::ranges::any_of(replicas, [&](int32_t broker) { return growing.image.is_active(broker); });
  if (any_active) return std::nullopt;
  return refuse(ErrorCode::kInvalidReplicaAssignment, "All brokers assigned to a partition are fenced");
}

std::optional<Refusal> place_by_hand(const Growing& growing, const TopicImage& topic, const GrowTopic& asked,
                                     std::vector<Replicas>& placement) {
  const size_t added = static_cast<size_t>(asked.count) - topic.partitions.size();
  if (asked.assignments->size() != added) {
    return refuse(ErrorCode::kInvalidReplicaAssignment, "{} partition(s) are added, {} are assigned", added,
                  asked.assignments->size());
  }
  for (const Replicas& replicas : *asked.assignments) {
    if (auto refusal = check_assignment(growing, replicas, factor_of(topic))) return refusal;
  }
  placement = *asked.assignments;
  return std::nullopt;
}

// Goes on where the last partition of the topic stands.
std::optional<Refusal> place_in_turn(const Growing& growing, const TopicImage& topic, const GrowTopic& asked,
                                     std::vector<Replicas>& placement) {
  const size_t factor = factor_of(topic);
  if (auto refusal = growing.placer.check(factor)) return refusal;
  const size_t there = topic.partitions.size();
  const size_t turn = growing.placer.turn_behind(topic.partitions[there - 1].replicas.front(), there);
  for (size_t added = 0; there + added < static_cast<size_t>(asked.count); ++added) {
    placement.push_back(growing.placer.place(turn + added, factor));
  }
  return std::nullopt;
}

void append_records(const Growing& growing, const TopicImage& topic, std::vector<Replicas>& placement,
                    std::vector<MetadataRecord>& records) {
  auto index = static_cast<int32_t>(topic.partitions.size());
  for (Replicas& replicas : placement) {
    PartitionRecord record;
    record.partition_id = index++;
    record.topic_id = topic.id;
    std::ranges::copy_if(replicas, std::back_inserter(record.isr),
                         [&](int32_t broker) { return growing.image.is_active(broker); });
    record.replicas = std::move(replicas);
    record.leader = record.isr.front();
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    records.emplace_back(std::move(record));
  }
}

std::optional<Refusal> grow_one(Growing& growing, const GrowTopic& asked, bool validate_only,
                                GrowTopicsOutcome& outcome) {
  const TopicImage* topic = growing.image.topic(asked.name);
  if (topic == nullptr) return refuse(ErrorCode::kUnknownTopicOrPartition, "There is no topic '{}'", asked.name);
  if (auto refusal = check_count(growing, *topic, asked)) return refusal;
  std::vector<Replicas> placement;
  auto refusal = asked.assignments ? place_by_hand(growing, *topic, asked, placement)
                                   : place_in_turn(growing, *topic, asked, placement);
  if (refusal) return refusal;
  growing.partitions += static_cast<int64_t>(placement.size());
  growing.partitions_ahead += static_cast<int64_t>(placement.size());
  if (validate_only) return std::nullopt;
  append_records(growing, *topic, placement, outcome.records);
  outcome.grown.push_back(topic->id);
  return std::nullopt;
}

}  // namespace

void PartitionGrowth::note_next(const MetadataImage& /*image*/) { ++times_[request_.topics.at(noted_++).name]; }

void PartitionGrowth::begin_piece(const MetadataImage& image) {
  placer_ = ReplicaPlacer(image);
  if (!request_.validate_only) partitions_ahead_ = 0;
}

void PartitionGrowth::decide_next(const MetadataImage& image, const TopicRules& rules, GrowTopicsOutcome& outcome) {
  CHECK(all_noted() && !all_decided(), "{} of {} topics are decided about", decided_, noted_);
  const GrowTopic& topic = request_.topics[decided_++];
  size_t& count = times_[topic.name];
  if (count == 0) return;  // the second of two: answered already
  std::optional<Refusal> refusal;
  if (count > 1) {
    refusal = refuse(ErrorCode::kInvalidRequest, "Topic '{}' is in this request {} times", topic.name, count);
    count = 0;
  } else {
    Growing growing{image, rules, placer_, partitions_, partitions_ahead_};
    refusal = grow_one(growing, topic, request_.validate_only, outcome);
  }
  GrowTopicResult& result = outcome.results.emplace_back(GrowTopicResult{.name = topic.name});
  if (refusal) refusal->into(result);
}

}  // namespace posthaste::replication
