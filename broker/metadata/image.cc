#include "broker/metadata/image.h"

#include <algorithm>
#include <utility>

namespace posthaste::broker {
namespace {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

bool contains(const std::vector<int32_t>& values, int32_t value) {
  return std::ranges::find(values, value) != values.end();
}

bool has_duplicates(std::vector<int32_t> values) {
  std::ranges::sort(values);
  return std::ranges::adjacent_find(values) != values.end();
}

// The ISR lies within the replicas and the leader, if any, within the ISR.
bool is_consistent(const std::vector<int32_t>& replicas, const std::vector<int32_t>& isr, int32_t leader) {
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

}  // namespace

Result<void> MetadataImage::apply(const MetadataRecord& record) {
  TRY(std::visit([&](const auto& alternative) { return apply_one(alternative); }, record));
  ++version_;
  return {};
}

Result<void> MetadataImage::apply_bytes(std::string_view bytes) { return apply(TRY(decode_metadata_record(bytes))); }

TopicImage* MetadataImage::find(const Uuid& id) {
  const auto name = names_.find(id);
  return name == names_.end() ? nullptr : &topics_.find(name->second)->second;
}

const TopicImage* MetadataImage::topic(const Uuid& id) const {
  const auto name = names_.find(id);
  return name == names_.end() ? nullptr : &topics_.find(name->second)->second;
}

const TopicImage* MetadataImage::topic(std::string_view name) const {
  const auto found = topics_.find(name);
  return found == topics_.end() ? nullptr : &found->second;
}

const PartitionImage* MetadataImage::partition(std::string_view name, int32_t index) const {
  const TopicImage* found = topic(name);
  if (found == nullptr || index < 0 || static_cast<size_t>(index) >= found->partitions.size()) return nullptr;
  return &found->partitions[static_cast<size_t>(index)];
}

std::vector<int32_t> MetadataImage::active_brokers() const {
  std::vector<int32_t> ids;
  for (const auto& [id, broker] : brokers_) {
    if (!broker.fenced) ids.push_back(id);
  }
  return ids;
}

const ConfigMap& MetadataImage::broker_configs(std::string_view broker) const {
  const auto found = broker_configs_.find(broker);
  return found == broker_configs_.end() ? no_configs_ : found->second;
}

Result<void> MetadataImage::apply_one(const RegisterBrokerRecord& record) {
  if (record.broker_id < 0) return failure(Errc::kCorrupt);
  const auto before = brokers_.find(record.broker_id);
  const bool new_life = before != brokers_.end() && before->second.incarnation_id != record.incarnation_id;
  brokers_.insert_or_assign(record.broker_id, record);
  if (new_life) begin_epochs_of(record.broker_id);
  return {};
}

void MetadataImage::begin_epochs_of(int32_t leader) {
  for (auto& [name, topic] : topics_) {
    for (PartitionImage& partition : topic.partitions) {
      if (partition.leader != leader) continue;
      ++partition.leader_epoch;
      ++partition.partition_epoch;
    }
  }
}

Result<void> MetadataImage::apply_one(const TopicRecord& record) {
  if (record.name.empty() || record.topic_id.is_zero()) return failure(Errc::kCorrupt);
  if (topics_.contains(record.name) || names_.contains(record.topic_id)) return failure(Errc::kExists);
  topics_.emplace(record.name, TopicImage{record.name, record.topic_id, {}, {}});
  names_.emplace(record.topic_id, record.name);
  return {};
}

Result<void> MetadataImage::apply_one(const PartitionRecord& record) {
  TopicImage* found = find(record.topic_id);
  if (found == nullptr) return failure(Errc::kNotFound);
  if (record.partition_id < 0 || !is_consistent(record.replicas, record.isr, record.leader)) {
    return failure(Errc::kCorrupt);
  }
  const auto index = static_cast<size_t>(record.partition_id);
  if (index > found->partitions.size()) return failure(Errc::kOutOfOrder);
  if (index == found->partitions.size()) {
    found->partitions.emplace_back();
    ++partition_count_;
  }
  found->partitions[index] = {record.replicas,        record.isr,        record.leader, record.leader_epoch,
                              record.partition_epoch, record.directories};
  return {};
}

Result<void> MetadataImage::apply_one(const PartitionChangeRecord& record) {
  TopicImage* found = find(record.topic_id);
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
  found->partitions[index] = std::move(changed);
  return {};
}

Result<void> MetadataImage::apply_one(const RemoveTopicRecord& record) {
  const auto name = names_.find(record.topic_id);
  if (name == names_.end()) return failure(Errc::kNotFound);
  const auto found = topics_.find(name->second);
  partition_count_ -= found->second.partitions.size();
  topics_.erase(found);
  names_.erase(name);
  return {};
}

Result<void> MetadataImage::apply_one(const ConfigRecord& record) {
  if (record.resource_type == kBrokerResource) {
    set(broker_configs_[record.resource_name], record);
    return {};
  }
  if (record.resource_type != kTopicResource) return failure(Errc::kUnsupported);
  const auto found = topics_.find(record.resource_name);
  if (found == topics_.end()) return failure(Errc::kNotFound);
  set(found->second.configs, record);
  return {};
}

Result<void> MetadataImage::apply_one(const FeatureLevelRecord& record) {
  if (record.level == 0) {
    features_.erase(record.name);
  } else {
    features_.insert_or_assign(record.name, record.level);
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

std::vector<MetadataRecord> MetadataImage::to_records() const {
  std::vector<MetadataRecord> records;
  for (const auto& [name, level] : features_) records.emplace_back(FeatureLevelRecord{name, level});
  for (const auto& [id, broker] : brokers_) records.emplace_back(broker);
  for (const auto& [broker, configs] : broker_configs_) {
    for (const auto& [name, value] : configs) records.emplace_back(ConfigRecord{kBrokerResource, broker, name, value});
  }
  for (const auto& [topic_name, image] : topics_) {
    records.emplace_back(TopicRecord{topic_name, image.id});
    for (size_t i = 0; i < image.partitions.size(); ++i) {
      const PartitionImage& from = image.partitions[i];
      PartitionRecord record;
      record.partition_id = static_cast<int32_t>(i);
      record.topic_id = image.id;
      record.replicas = from.replicas;
      record.isr = from.isr;
      record.leader = from.leader;
      record.leader_epoch = from.leader_epoch;
      record.partition_epoch = from.partition_epoch;
      record.directories = from.directories;
      records.emplace_back(std::move(record));
    }
    for (const auto& [name, value] : image.configs) {
      records.emplace_back(ConfigRecord{kTopicResource, topic_name, name, value});
    }
  }
  if (next_producer_id_ > 0) {
    records.emplace_back(ProducerIdsRecord{producer_ids_broker_, producer_ids_epoch_, next_producer_id_});
  }
  return records;
}

}  // namespace posthaste::broker
