#include "replication/metadata/image.h"

#include <algorithm>
#include <utility>

namespace posthaste::replication {
namespace {

using config::ConfigMap;
using reactor::Errc;
using reactor::failure;
using reactor::Result;

using Brokers = PartitionImage::Brokers;

bool contains(const Brokers& values, int32_t value) { return std::ranges::find(values, value) != values.end(); }

bool has_duplicates(Brokers values) {
  std::ranges::sort(values);
  return std::ranges::adjacent_find(values) != values.end();
}

// The ISR lies within the replicas and the leader, if any, within the ISR.
bool is_consistent(const Brokers& replicas, const Brokers& isr, int32_t leader) {
  const bool isr_fits = std::ranges::all_of(isr, [&](int32_t id) { return contains(replicas, id); });
  return !replicas.empty() && !has_duplicates(replicas) && isr_fits && (leader == -1 || contains(isr, leader));
}

void set(ConfigMap& configs, const ConfigRecord& record) {
  if (record.value) {
    configs.insert_or_assign(record.name, *record.value);
  } else {
    configs.erase(record.name);
  }
}

PartitionRecord record_of(const Uuid& topic, size_t index, const PartitionImage& from) {
  PartitionRecord record;
  record.partition_id = static_cast<int32_t>(index);
  record.topic_id = topic;
  record.replicas.assign(from.replicas.begin(), from.replicas.end());
  record.isr.assign(from.isr.begin(), from.isr.end());
  record.leader = from.leader;
  record.leader_epoch = from.leader_epoch;
  record.partition_epoch = from.partition_epoch;
  record.directories.assign(from.directories.begin(), from.directories.end());
  return record;
}

}  // namespace

Result<void> MetadataImage::apply(const MetadataRecord& record) {
  TRY(std::visit([&](const auto& alternative) { return apply_one(alternative); }, record));
  ++version_;
  return {};
}

Result<void> MetadataImage::apply_bytes(std::string_view bytes) { return apply(TRY(decode_metadata_record(bytes))); }

const TopicImage* MetadataImage::topic(const Uuid& id) const { return by_id_.find(id); }

const TopicImage* MetadataImage::topic(std::string_view name) const { return by_name_.find(name); }

// A topic of this image, for a change that no snapshot sees.
TopicImage& MetadataImage::write(const TopicImage& topic) {
  constexpr uint32_t kMaps = 2;
  const Uuid id = topic.id;
  reactor::Cow<TopicImage>* held = by_id_.find_to_write(id);
  CHECK(held != nullptr && held->holders() >= kMaps, "topic {} is not in both maps", to_string(id));
  // Its way in this map is unshared now, so a snapshot that has this topic holds it by itself.
  if (held->holders() > kMaps) {
    *held = reactor::Cow(TopicImage(**held));
    *by_name_.find_to_write((*held)->name) = *held;
  }
  return held->write_among(kMaps);
}

const PartitionImage* MetadataImage::partition(std::string_view name, int32_t index) const {
  const TopicImage* found = topic(name);
  if (found == nullptr || index < 0 || static_cast<size_t>(index) >= found->partitions.size()) return nullptr;
  return &found->partitions[static_cast<size_t>(index)];
}

std::vector<int32_t> MetadataImage::active_brokers() const {
  std::vector<int32_t> ids;
  for (const auto& [id, broker] : brokers()) {
    if (!broker.fenced) ids.push_back(id);
  }
  return ids;
}

const ConfigMap& MetadataImage::broker_configs(std::string_view broker) const {
  const auto found = settings_->broker_configs.find(broker);
  return found == settings_->broker_configs.end() ? settings_->none : found->second;
}

Result<void> MetadataImage::apply_one(const RegisterBrokerRecord& record) {
  if (record.broker_id < 0) return failure(Errc::kCorrupt);
  const auto before = brokers().find(record.broker_id);
  const bool new_life = before != brokers().end() && before->second.incarnation_id != record.incarnation_id;
  settings_.write().brokers.insert_or_assign(record.broker_id, record);
  if (new_life) begin_epochs_of(record.broker_id);
  return {};
}

void MetadataImage::begin_epochs_of(int32_t leader) {
  std::vector<Uuid> topics;
  const auto is_led = [leader](const PartitionImage& partition) { return partition.leader == leader; };
  by_id_.for_each([&](const TopicImage& topic) {
    if (std::ranges::any_of(topic.partitions, is_led)) topics.push_back(topic.id);
  });
  for (const Uuid& id : topics) {
    TopicImage& changed = write(*topic(id));
    for (size_t index = 0; index < changed.partitions.size(); ++index) {
      if (!is_led(changed.partitions[index])) continue;
      PartitionImage& partition = changed.partitions.write(index);
      ++partition.leader_epoch;
      ++partition.partition_epoch;
    }
  }
}

Result<void> MetadataImage::apply_one(const TopicRecord& record) {
  if (record.name.empty() || record.topic_id.is_zero()) return failure(Errc::kCorrupt);
  if (topic(record.name) != nullptr || topic(record.topic_id) != nullptr) return failure(Errc::kExists);
  const reactor::Cow<TopicImage> made(TopicImage{record.name, record.topic_id, {}, no_configs_});
  const bool is_new = by_name_.insert(made) && by_id_.insert(made);
  CHECK(is_new, "topic {} is in one map only", record.name);
  return {};
}

Result<void> MetadataImage::apply_one(const PartitionRecord& record) {
  const TopicImage* found = topic(record.topic_id);
  if (found == nullptr) return failure(Errc::kNotFound);
  PartitionImage partition{record.replicas,        record.isr,        record.leader, record.leader_epoch,
                           record.partition_epoch, record.directories};
  if (record.partition_id < 0 || !is_consistent(partition.replicas, partition.isr, partition.leader)) {
    return failure(Errc::kCorrupt);
  }
  const auto index = static_cast<size_t>(record.partition_id);
  if (index > found->partitions.size()) return failure(Errc::kOutOfOrder);
  TopicImage& changed = write(*found);
  if (index < changed.partitions.size()) {
    changed.partitions.write(index) = std::move(partition);
  } else {
    changed.partitions.push_back(std::move(partition));
    ++partition_count_;
  }
  return {};
}

Result<void> MetadataImage::apply_one(const PartitionChangeRecord& record) {
  const TopicImage* found = topic(record.topic_id);
  if (found == nullptr || record.partition_id < 0) return failure(Errc::kNotFound);
  const auto index = static_cast<size_t>(record.partition_id);
  if (index >= found->partitions.size()) return failure(Errc::kNotFound);
  PartitionImage changed = found->partitions[index];
  if (record.isr) changed.isr = *record.isr;
  if (record.leader) {
    changed.leader = *record.leader;
    ++changed.leader_epoch;
  }
  ++changed.partition_epoch;
  if (!is_consistent(changed.replicas, changed.isr, changed.leader)) return failure(Errc::kCorrupt);
  write(*found).partitions.write(index) = std::move(changed);
  return {};
}

Result<void> MetadataImage::apply_one(const RemoveTopicRecord& record) {
  const TopicImage* found = topic(record.topic_id);
  if (found == nullptr) return failure(Errc::kNotFound);
  CHECK(partition_count_ >= found->partitions.size(), "{} partitions are counted", partition_count_);
  partition_count_ -= found->partitions.size();
  const std::string name = found->name;
  const bool was_there = by_name_.erase(name) && by_id_.erase(record.topic_id);
  CHECK(was_there, "topic {} was in one map only", name);
  return {};
}

Result<void> MetadataImage::apply_one(const ConfigRecord& record) {
  if (record.resource_type == kBrokerResource) {
    set(settings_.write().broker_configs[record.resource_name], record);
    return {};
  }
  if (record.resource_type != kTopicResource) return failure(Errc::kUnsupported);
  const TopicImage* found = topic(record.resource_name);
  if (found == nullptr) return failure(Errc::kNotFound);
  set(write(*found).write_configs(), record);
  return {};
}

Result<void> MetadataImage::apply_one(const FeatureLevelRecord& record) {
  if (record.level == 0) {
    settings_.write().features.erase(record.name);
  } else {
    settings_.write().features.insert_or_assign(record.name, record.level);
  }
  return {};
}

Result<void> MetadataImage::apply_one(const ProducerIdsRecord& record) {
  // An id that was given away once must never come back.
  if (record.next_producer_id < next_producer_id_) return failure(Errc::kCorrupt);
  next_producer_id_ = record.next_producer_id;
  producer_ids_broker_ = record.broker_id;
  producer_ids_epoch_ = record.broker_epoch;
  return {};
}

Result<void> MetadataImage::apply_one(const BeginTransactionRecord&) {
  if (in_transaction_) return failure(Errc::kCorrupt);
  in_transaction_ = true;
  return {};
}

Result<void> MetadataImage::apply_one(const EndTransactionRecord&) {
  if (!in_transaction_) return failure(Errc::kCorrupt);
  in_transaction_ = false;
  return {};
}

// What is not of a topic, but for producer ids: those come last.
void MetadataImage::add_settings(std::vector<MetadataRecord>& records) const {
  for (const auto& [name, level] : features()) records.emplace_back(FeatureLevelRecord{name, level});
  for (const auto& [id, broker] : brokers()) records.emplace_back(broker);
  for (const auto& [broker, configs] : settings_->broker_configs) {
    for (const auto& [name, value] : configs) records.emplace_back(ConfigRecord{kBrokerResource, broker, name, value});
  }
}

// The first topic whose name is not less; null if there is none.
const TopicImage* MetadataImage::topic_from(std::string_view name) const {
  const TopicImage* first = nullptr;
  by_name_.visit_from(name, [&first](const TopicImage& topic) {
    first = &topic;
    return false;
  });
  return first;
}

bool MetadataImage::next_records(RecordsPosition& at, size_t enough, std::vector<MetadataRecord>& records) const {
  if (!std::exchange(at.settings_given, true)) add_settings(records);
  for (const TopicImage* topic = topic_from(at.topic); topic != nullptr; topic = topic_from(at.topic)) {
    if (records.size() >= enough) return true;
    if (at.partition == 0) records.emplace_back(TopicRecord{topic->name, topic->id});
    // Its first partition goes with it, whatever is enough: else the next call would not see that the topic was given.
    while (at.partition < topic->partitions.size() && (at.partition == 0 || records.size() < enough)) {
      records.emplace_back(record_of(topic->id, at.partition, topic->partitions[at.partition]));
      ++at.partition;
    }
    at.topic = topic->name;
    if (at.partition < topic->partitions.size()) return true;
    for (const auto& [name, value] : topic->configs()) {
      records.emplace_back(ConfigRecord{kTopicResource, topic->name, name, value});
    }
    at.topic.push_back('\0');  // the next name, if it were one
    at.partition = 0;
  }
  if (next_producer_id_ > 0) {
    records.emplace_back(ProducerIdsRecord{producer_ids_broker_, producer_ids_epoch_, next_producer_id_});
  }
  return false;
}

std::vector<MetadataRecord> MetadataImage::to_records() const {
  std::vector<MetadataRecord> records;
  RecordsPosition at;
  while (next_records(at, SIZE_MAX, records)) {
  }
  return records;
}

}  // namespace posthaste::replication
