// What the metadata log says, all of it applied: brokers, topics, partitions, settings, producer ids. Applying a record
// is the only way to change an image, so every broker that has replayed the same log has the same one. A plain value:
// copy it to hand a snapshot to another core. It decides nothing; TopicController does.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "broker/config/topic_config.h"
#include "broker/metadata/records.h"
#include "reactor/result.h"

namespace posthaste::broker {

struct PartitionImage {
  std::vector<int32_t> replicas;
  std::vector<int32_t> isr;
  int32_t leader = -1;
  int32_t leader_epoch = -1;
  int32_t partition_epoch = -1;
  std::vector<Uuid> directories;
  friend bool operator==(const PartitionImage&, const PartitionImage&) = default;
};

struct TopicImage {
  std::string name;
  Uuid id;
  std::vector<PartitionImage> partitions;  // by index
  ConfigMap configs;                       // its own settings only
  friend bool operator==(const TopicImage&, const TopicImage&) = default;
};

// Owned by the caller; concurrent reading of one image is fine, applying is not.
class MetadataImage {
 public:
  // Fails without a change: kNotFound (a record about a topic that is not there), kExists (a topic twice),
  // kOutOfOrder (a partition index that leaves a gap), kCorrupt (a record that contradicts itself). Any of them means
  // that the log and this code disagree; whoever replays stops.
  reactor::Result<void> apply(const MetadataRecord& record);
  // Decodes and applies one record of the log. Also fails as decode_metadata_record does.
  reactor::Result<void> apply_bytes(std::string_view bytes);

  // Null when there is none.
  const TopicImage* topic(std::string_view name) const;
  const TopicImage* topic(const Uuid& id) const;
  const PartitionImage* partition(std::string_view topic, int32_t index) const;
  const std::map<std::string, TopicImage, std::less<>>& topics() const { return topics_; }

  const std::map<int32_t, RegisterBrokerRecord>& brokers() const { return brokers_; }
  // Ids of brokers that are not fenced, ascending.
  std::vector<int32_t> active_brokers() const;

  // Settings of all brokers (empty name) or of one.
  const ConfigMap& broker_configs(std::string_view broker) const;
  int64_t next_producer_id() const { return next_producer_id_; }
  const std::map<std::string, int16_t, std::less<>>& features() const { return features_; }
  size_t partition_count() const { return partition_count_; }
  // Changes with every record applied; lets a reader see that its copy is old.
  uint64_t version() const { return version_; }

  // Records that rebuild this image from nothing, in a fixed order: what a snapshot of the log holds.
  std::vector<MetadataRecord> to_records() const;

 private:
  reactor::Result<void> apply_one(const RegisterBrokerRecord& record);
  reactor::Result<void> apply_one(const TopicRecord& record);
  reactor::Result<void> apply_one(const PartitionRecord& record);
  reactor::Result<void> apply_one(const PartitionChangeRecord& record);
  reactor::Result<void> apply_one(const RemoveTopicRecord& record);
  reactor::Result<void> apply_one(const ConfigRecord& record);
  reactor::Result<void> apply_one(const FeatureLevelRecord& record);
  reactor::Result<void> apply_one(const ProducerIdsRecord& record);
  reactor::Result<void> apply_one(const BeginTransactionRecord& record);
  reactor::Result<void> apply_one(const EndTransactionRecord& record);
  void begin_epochs_of(int32_t leader);
  TopicImage* find(const Uuid& id);

  std::map<std::string, TopicImage, std::less<>> topics_;
  std::map<Uuid, std::string> names_;
  std::map<int32_t, RegisterBrokerRecord> brokers_;
  std::map<std::string, ConfigMap, std::less<>> broker_configs_;
  std::map<std::string, int16_t, std::less<>> features_;
  bool in_transaction_ = false;
  ConfigMap no_configs_;  // always empty
  int32_t producer_ids_broker_ = -1;
  int64_t producer_ids_epoch_ = -1;
  int64_t next_producer_id_ = 0;
  size_t partition_count_ = 0;
  uint64_t version_ = 0;
};

}  // namespace posthaste::broker
