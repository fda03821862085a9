#include "replication/metadata/elections.h"

#include <algorithm>
#include <utility>

namespace posthaste::replication {
namespace {

bool contains(std::span<const int32_t> brokers, int32_t id) { return std::ranges::find(brokers, id) != brokers.end(); }

// The first topic whose name is not less; null if there is none.
const TopicImage* topic_from(const MetadataImage& image, std::string_view name) {
  const TopicImage* first = nullptr;
  image.topics().visit_from(name, [&first](const TopicImage& topic) {
    first = &topic;
    return false;
  });
  return first;
}

// The next name, if it were one.
std::string behind(std::string name) {
  name.push_back('\0');
  return name;
}

bool has_settled(int32_t broker, const ElectionInputs& inputs) {
  const auto since = inputs.active_since.find(broker);
  return since != inputs.active_since.end() && inputs.now >= since->second + PreferredLeaders::kSettled;
}

}  // namespace

PartitionSweep PartitionSweep::of_lost(int32_t broker, std::vector<Uuid> kept) {
  PartitionSweep sweep(broker, {.lost = {broker}});
  sweep.kept_directories_ = std::move(kept);
  return sweep;
}

bool PartitionSweep::is_concerned(const PartitionImage& partition) const {
  if (broker_ == kNobody) return true;
  if (!contains(partition.replicas, broker_)) return false;
  return partition.leader == kNobody || contains(partition.isr, broker_) ||
         contains(partition.unsettled.elr(), broker_);
}

// Its directory is known, and is there.
bool PartitionSweep::is_kept(const PartitionImage& partition) const {
  if (!kept_directories_) return false;
  const auto at = std::ranges::find(partition.replicas, broker_) - partition.replicas.begin();
  const auto index = static_cast<size_t>(at);
  return index < partition.directories.size() &&
         std::ranges::find(*kept_directories_, partition.directories[index]) != kept_directories_->end();
}

bool PartitionSweep::next_portion(const MetadataImage& image, const ElectionInputs& inputs,
                                  std::vector<MetadataRecord>& records) {
  looked_at_ = 0;
  for (const TopicImage* topic = topic_from(image, topic_); topic != nullptr; topic = topic_from(image, topic_)) {
    if (topic->name != topic_) partition_ = 0;  // the one before is gone
    topic_ = topic->name;
    if (!sweep_topic({.image = image, .topic = *topic}, inputs, records)) return true;
    topic_ = behind(std::move(topic_));
    partition_ = 0;
  }
  return false;
}

// False: the portion is full.
bool PartitionSweep::sweep_topic(const PartitionAt& topic, const ElectionInputs& inputs,
                                 std::vector<MetadataRecord>& records) {
  for (; partition_ < topic.topic.partitions.size(); ++partition_) {
    if (looked_at_ >= kPartitionsInPortion || records.size() >= kChangesInPortion) return false;
    ++looked_at_;
    const PartitionImage& partition = topic.topic.partitions[partition_];
    if (!is_concerned(partition) || is_kept(partition)) continue;
    const PartitionAt at{.image = topic.image, .topic = topic.topic, .index = static_cast<int32_t>(partition_)};
    if (auto record = next_state(at, inputs, demand_)) records.emplace_back(std::move(*record));
  }
  return true;
}

void PreferredLeaders::next_step(const MetadataImage& image, const ElectionInputs& inputs,
                                 std::vector<MetadataRecord>& records) {
  if (inputs.now < next_at_) return;
  next_at_ = inputs.now + kInterval;
  size_t moves = 0;
  size_t looked_at = 0;
  const TopicImage* topic = topic_from(image, topic_);
  for (; topic != nullptr; topic = topic_from(image, topic_)) {
    if (topic->name != topic_) partition_ = 0;
    topic_ = topic->name;
    for (; partition_ < topic->partitions.size(); ++partition_) {
      if (moves >= kMovesInStep || looked_at >= kPartitionsInStep) return;
      ++looked_at;
      const PartitionImage& partition = topic->partitions[partition_];
      const int32_t preferred = partition.replicas.front();
      if (partition.leader == preferred || partition.leader == kNobody || !has_settled(preferred, inputs)) continue;
      const PartitionAt at{.image = image, .topic = *topic, .index = static_cast<int32_t>(partition_)};
      auto record = next_state(at, inputs, {.preferred = true});
      if (!record || record->leader != preferred) continue;
      records.emplace_back(std::move(*record));
      ++moves;
    }
    topic_ = behind(std::move(topic_));
    partition_ = 0;
  }
  topic_.clear();  // from the first one again
}

}  // namespace posthaste::replication
