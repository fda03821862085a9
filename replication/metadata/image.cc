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

bool has_duplicates(std::span<const int32_t> of) {
  Brokers values;
  values.assign(of);
  std::ranges::sort(values);
  return std::ranges::adjacent_find(values) != values.end();
}

// Who comes and who goes are different replicas, and neither are all of them.
bool is_consistent(std::span<const int32_t> replicas, std::span<const int32_t> adding,
                   std::span<const int32_t> removing) {
  const auto is_replica = [&](int32_t id) { return contains(replicas, id); };
  return !has_duplicates(adding) && !has_duplicates(removing) && std::ranges::all_of(adding, is_replica) &&
         std::ranges::all_of(removing, [&](int32_t id) { return is_replica(id) && !contains(adding, id); }) &&
         adding.size() < replicas.size() && removing.size() < replicas.size();
}

// ISR and ELR lie within the replicas and have nobody in common; the leader, if any, is in the ISR and verified.
bool is_consistent(const PartitionImage& partition) {
  const auto is_replica = [&](int32_t id) { return contains(partition.replicas, id); };
  const auto may_be_eligible = [&](int32_t id) { return is_replica(id) && !contains(partition.isr, id); };
  const Unsettled::View elr = partition.unsettled.elr();
  return !partition.replicas.empty() &&
         is_consistent(partition.replicas, partition.unsettled.adding_replicas(),
                       partition.unsettled.removing_replicas()) &&
         !has_duplicates(partition.replicas) && !has_duplicates(elr) &&
         std::ranges::all_of(partition.isr, is_replica) && std::ranges::all_of(elr, may_be_eligible) &&
         (partition.leader == -1 || contains(partition.isr, partition.leader)) &&
         !contains(partition.unsettled.unverified(), partition.leader);
}

// Who is in neither set any more is nobody whose log has to be verified.
void forget_strangers(const Brokers& isr, UnsettledPartition& state) {
  Brokers kept;
  for (const int32_t id : state.unverified) {
    if (contains(isr, id) || contains(state.elr, id)) kept.push_back(id);
  }
  state.unverified = kept;
}

// No record of a partition stated a recovery that is none.
bool is_recovery_state(int8_t state) { return state == kRecovered || state == kRecovering; }

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
  record.leader_recovery_state = from.leader_recovery_state;
  record.leader_epoch = from.leader_epoch;
  record.partition_epoch = from.partition_epoch;
  record.directories.assign(from.directories.begin(), from.directories.end());
  const UnsettledPartition state = from.unsettled.state();
  record.removing_replicas.assign(state.removing_replicas.begin(), state.removing_replicas.end());
  record.adding_replicas.assign(state.adding_replicas.begin(), state.adding_replicas.end());
  record.elr.assign(state.elr.begin(), state.elr.end());
  record.last_known_elr.assign(state.last_known_elr.begin(), state.last_known_elr.end());
  record.unverified.assign(state.unverified.begin(), state.unverified.end());
  return record;
}

PartitionImage image_of(const PartitionRecord& record) {
  UnsettledPartition state{.elr = record.elr,
                           .last_known_elr = record.last_known_elr,
                           .unverified = record.unverified,
                           .removing_replicas = record.removing_replicas,
                           .adding_replicas = record.adding_replicas};
  forget_strangers(record.isr, state);
  return {.replicas = record.replicas,
          .isr = record.isr,
          .leader = record.leader,
          .leader_epoch = record.leader_epoch,
          .partition_epoch = record.partition_epoch,
          .leader_recovery_state = record.leader_recovery_state,
          .directories = record.directories,
          .unsettled = Unsettled(std::move(state))};
}

void take(Brokers& to, const std::optional<std::vector<int32_t>>& from) {
  if (from) to = *from;
}

PartitionImage changed(PartitionImage partition, const PartitionChangeRecord& record) {
  take(partition.replicas, record.replicas);
  take(partition.isr, record.isr);
  if (record.leader) {
    partition.leader = *record.leader;
    ++partition.leader_epoch;
  }
  if (record.leader_recovery_state) partition.leader_recovery_state = *record.leader_recovery_state;
  if (record.directories) partition.directories = *record.directories;
  ++partition.partition_epoch;
  UnsettledPartition state = partition.unsettled.state();
  take(state.elr, record.elr);
  take(state.last_known_elr, record.last_known_elr);
  take(state.unverified, record.unverified);
  take(state.removing_replicas, record.removing_replicas);
  take(state.adding_replicas, record.adding_replicas);
  forget_strangers(partition.isr, state);
  partition.unsettled.set(std::move(state));
  return partition;
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

const RegisterBrokerRecord* MetadataImage::broker(int32_t id) const {
  const auto found = brokers().find(id);
  return found == brokers().end() ? nullptr : &found->second;
}

bool MetadataImage::is_active(int32_t id) const {
  const RegisterBrokerRecord* registration = broker(id);
  return registration != nullptr && !registration->fenced && !registration->in_controlled_shutdown;
}

std::vector<int32_t> MetadataImage::active_brokers() const {
  std::vector<int32_t> ids;
  for (const auto& [id, broker] : brokers()) {
    if (is_active(id)) ids.push_back(id);
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
  if (new_life && record.is_unverified) mark_unverified(record.broker_id);
  if (new_life) begin_epochs_of(record.broker_id);
  return {};
}

Result<void> MetadataImage::apply_one(const UnregisterBrokerRecord& record) {
  const RegisterBrokerRecord* registration = broker(record.broker_id);
  if (registration == nullptr) return failure(Errc::kNotFound);
  if (registration->broker_epoch != record.broker_epoch) return failure(Errc::kCorrupt);
  settings_.write().brokers.erase(record.broker_id);
  return {};
}

Result<void> MetadataImage::apply_one(const BrokerRegistrationChangeRecord& record) {
  using Fenced = BrokerRegistrationChangeRecord::Fenced;
  using ControlledShutdown = BrokerRegistrationChangeRecord::ControlledShutdown;
  const RegisterBrokerRecord* before = broker(record.broker_id);
  if (before == nullptr) return failure(Errc::kNotFound);
  const bool is_fenced_known = record.fenced >= Fenced::kUnfence && record.fenced <= Fenced::kFence;
  const bool is_shutdown_known = record.in_controlled_shutdown == ControlledShutdown::kUnchanged ||
                                 record.in_controlled_shutdown == ControlledShutdown::kEnter;
  if (before->broker_epoch != record.broker_epoch || !is_fenced_known || !is_shutdown_known) {
    return failure(Errc::kCorrupt);
  }
  RegisterBrokerRecord& registration = settings_.write().brokers.at(record.broker_id);
  if (record.fenced != Fenced::kUnchanged) registration.fenced = record.fenced == Fenced::kFence;
  if (record.in_controlled_shutdown == ControlledShutdown::kEnter) registration.in_controlled_shutdown = true;
  if (!record.log_dirs.empty()) registration.log_dirs = record.log_dirs;
  return {};
}

// Calls change(PartitionImage&) for each partition that touches(partition).
template <class Touches, class Change>
void MetadataImage::change_partitions(Touches touches, Change change) {
  std::vector<Uuid> topics;
  by_id_.for_each([&](const TopicImage& topic) {
    const auto is_touched = [&](const PartitionImage& partition) { return touches(topic, partition); };
    if (std::ranges::any_of(topic.partitions, is_touched)) topics.push_back(topic.id);
  });
  for (const Uuid& id : topics) {
    TopicImage& topic_image = write(*topic(id));
    for (size_t index = 0; index < topic_image.partitions.size(); ++index) {
      if (!touches(topic_image, topic_image.partitions[index])) continue;
      PartitionImage partition = topic_image.partitions[index];
      change(partition);
      replace(topic_image, index, std::move(partition));
    }
  }
}

void MetadataImage::begin_epochs_of(int32_t leader) {
  const auto is_led = [leader](const TopicImage&, const PartitionImage& partition) {
    return partition.leader == leader;
  };
  change_partitions(is_led, [](PartitionImage& partition) {
    ++partition.leader_epoch;
    ++partition.partition_epoch;
  });
}

// It must not lead on what its disk may have lost: whoever is elected has been compared with the others.
void MetadataImage::mark_unverified(int32_t broker) {
  const auto counts_on_it = [broker](const TopicImage&, const PartitionImage& partition) {
    const bool is_member = contains(partition.isr, broker) || contains(partition.unsettled.elr(), broker);
    return is_member && !contains(partition.unsettled.unverified(), broker);
  };
  change_partitions(counts_on_it, [broker](PartitionImage& partition) {
    UnsettledPartition state = partition.unsettled.state();
    state.unverified.push_back(broker);
    if (partition.leader == broker) {
      state.last_known_elr = {broker};
      partition.leader = -1;
      ++partition.leader_epoch;
    }
    partition.unsettled.set(std::move(state));
    ++partition.partition_epoch;
  });
}

// `partition`, which is consistent, in place of what stands there or behind the last one.
void MetadataImage::replace(TopicImage& topic, size_t index, PartitionImage partition) {
  if (!partition.unsettled.elr().empty()) ++partitions_with_elr_;
  if (index == topic.partitions.size()) {
    topic.partitions.push_back(std::move(partition));
    ++partition_count_;
    return;
  }
  if (!topic.partitions[index].unsettled.elr().empty()) --partitions_with_elr_;
  topic.partitions.write(index) = std::move(partition);
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
  PartitionImage partition = image_of(record);
  if (record.partition_id < 0 || !is_consistent(partition) || !is_recovery_state(record.leader_recovery_state)) {
    return failure(Errc::kCorrupt);
  }
  const auto index = static_cast<size_t>(record.partition_id);
  if (index > found->partitions.size()) return failure(Errc::kOutOfOrder);
  replace(write(*found), index, std::move(partition));
  return {};
}

Result<void> MetadataImage::apply_one(const PartitionChangeRecord& record) {
  const TopicImage* found = topic(record.topic_id);
  if (found == nullptr || record.partition_id < 0) return failure(Errc::kNotFound);
  const auto index = static_cast<size_t>(record.partition_id);
  if (index >= found->partitions.size()) return failure(Errc::kNotFound);
  PartitionImage partition = changed(found->partitions[index], record);
  if (!is_consistent(partition) || !is_recovery_state(partition.leader_recovery_state)) return failure(Errc::kCorrupt);
  replace(write(*found), index, std::move(partition));
  return {};
}

Result<void> MetadataImage::apply_one(const RemoveTopicRecord& record) {
  const TopicImage* found = topic(record.topic_id);
  if (found == nullptr) return failure(Errc::kNotFound);
  CHECK(partition_count_ >= found->partitions.size(), "{} partitions are counted", partition_count_);
  partition_count_ -= found->partitions.size();
  partitions_with_elr_ -= static_cast<size_t>(std::ranges::count_if(
      found->partitions, [](const PartitionImage& partition) { return !partition.unsettled.elr().empty(); }));
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

Result<void> MetadataImage::apply_one(const ClearElrRecord& record) {
  if (!record.topic_name.empty() && topic(record.topic_name) == nullptr) return failure(Errc::kNotFound);
  const auto is_meant = [&](const TopicImage& topic, const PartitionImage& partition) {
    const bool is_of_record =
        record.topic_name.empty() ? !topic.configs().contains(kMinIsrKey) : topic.name == record.topic_name;
    return is_of_record && partition.leader != -1 && !partition.unsettled.elr().empty();
  };
  change_partitions(is_meant, [](PartitionImage& partition) {
    UnsettledPartition state = partition.unsettled.state();
    state.elr.clear();
    state.last_known_elr.clear();
    forget_strangers(partition.isr, state);
    partition.unsettled.set(std::move(state));
    ++partition.partition_epoch;
  });
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
