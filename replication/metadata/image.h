// What the metadata log says, all of it applied: brokers, topics, partitions, settings, producer ids. Applying a record
// is the only way to change an image, so every broker that has replayed the same log has the same one. It decides
// nothing; TopicController does. A copy is a snapshot, made in one step however much there is, and a record then costs
// what it changes: topics are copied when they are written (reactor/cow.h, which says who may do what with a copy).
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/topic_config.h"
#include "reactor/cow_map.h"
#include "reactor/inline_vector.h"
#include "reactor/result.h"
#include "replication/metadata/records.h"

namespace posthaste::replication {

// The setting that says how many replicas must have a record before it is committed.
inline constexpr std::string_view kMinIsrKey = "min.insync.replicas";

// Whether a leader holds all that was committed (KIP-704). The numbers are those of records.
inline constexpr int8_t kRecovered = 0;
inline constexpr int8_t kRecovering = 1;

// Few brokers have a replica, of most partitions.
using PartitionBrokers = reactor::InlineVector<int32_t, 4>;

// Of replicas, an ISR, an ELR. std::ranges::contains() is not in the standard library of every supported system.
inline bool contains(std::span<const int32_t> brokers, int32_t id) {
  return std::ranges::find(brokers, id) != brokers.end();
}

// What is said of a partition only while something is wrong or under way. Most partitions have nothing of it, and no
// memory for it.
struct UnsettledPartition {
  PartitionBrokers elr;             // left the ISR when too few were in it; holds all that was committed (KIP-966)
  PartitionBrokers last_known_elr;  // who led last, once nobody does
  PartitionBrokers unverified;      // of ISR and ELR: on a disk that may have lied
  PartitionBrokers removing_replicas;
  PartitionBrokers adding_replicas;
  friend bool operator==(const UnsettledPartition&, const UnsettledPartition&) = default;
};

// An UnsettledPartition, or none when all of it is empty. A plain value.
class Unsettled {
 public:
  using View = std::span<const int32_t>;

  Unsettled() = default;
  explicit Unsettled(UnsettledPartition state) { set(std::move(state)); }
  Unsettled(const Unsettled& other) { set(other.state()); }
  Unsettled(Unsettled&&) noexcept = default;
  Unsettled& operator=(Unsettled other) noexcept {
    state_ = std::move(other.state_);
    return *this;
  }
  ~Unsettled() = default;

  View elr() const { return part(&UnsettledPartition::elr); }
  View last_known_elr() const { return part(&UnsettledPartition::last_known_elr); }
  View unverified() const { return part(&UnsettledPartition::unverified); }
  View adding_replicas() const { return part(&UnsettledPartition::adding_replicas); }
  View removing_replicas() const { return part(&UnsettledPartition::removing_replicas); }
  // All of it, to change and to set again.
  UnsettledPartition state() const { return state_ ? *state_ : UnsettledPartition(); }
  void set(UnsettledPartition state) {
    state_ = state == UnsettledPartition() ? nullptr : std::make_unique<UnsettledPartition>(std::move(state));
  }
  friend bool operator==(const Unsettled& a, const Unsettled& b) {
    return a.state_ && b.state_ ? *a.state_ == *b.state_ : a.state_ == b.state_;
  }

 private:
  View part(PartitionBrokers UnsettledPartition::* member) const { return state_ ? View((*state_).*member) : View(); }

  std::unique_ptr<UnsettledPartition> state_;
};

struct PartitionImage {
  using Brokers = PartitionBrokers;
  Brokers replicas;
  Brokers isr;
  int32_t leader = -1;
  int32_t leader_epoch = -1;
  int32_t partition_epoch = -1;
  int8_t leader_recovery_state = kRecovered;
  reactor::InlineVector<Uuid, 1> directories;
  Unsettled unsettled;
  friend bool operator==(const PartitionImage&, const PartitionImage&) = default;
};

struct TopicImage {
  std::string name;
  Uuid id;
  reactor::CowVector<PartitionImage> partitions;  // by index
  reactor::Cow<config::ConfigMap> own_configs;    // topics without settings of their own share an empty one

  // Its own settings only.
  const config::ConfigMap& configs() const { return *own_configs; }
  config::ConfigMap& write_configs() { return own_configs.write(); }
  friend bool operator==(const TopicImage& a, const TopicImage& b) {
    return a.name == b.name && a.id == b.id && a.partitions == b.partitions && a.configs() == b.configs();
  }
};

// Owned by the core that made it and its copies; concurrent reading of one image is fine, applying, copying and
// dropping are not.
class MetadataImage {
 public:
  struct TopicName {
    using View = std::string_view;
    using Key = std::string;
    static std::string_view view_of(const TopicImage& topic) { return topic.name; }
    static std::string_view view_of(const std::string& name) { return name; }
  };
  using Topics = reactor::CowMap<TopicImage, TopicName>;  // in the order of their names
  using Brokers = std::map<int32_t, RegisterBrokerRecord>;
  using Features = std::map<std::string, int16_t, std::less<>>;

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
  const Topics& topics() const { return by_name_; }

  const Brokers& brokers() const { return settings_->brokers; }
  // Null when there is none.
  const RegisterBrokerRecord* broker(int32_t id) const;
  // Takes part: neither fenced nor in controlled shutdown. Only such brokers lead and enter an ISR.
  bool is_active(int32_t id) const;
  // Ids of those, ascending.
  std::vector<int32_t> active_brokers() const;

  // Settings of all brokers (empty name) or of one.
  const config::ConfigMap& broker_configs(std::string_view broker) const;
  int64_t next_producer_id() const { return next_producer_id_; }
  const Features& features() const { return settings_->features; }
  size_t partition_count() const { return partition_count_; }
  // Partitions that have an ELR. While there are none, no change of a setting can make one unsafe.
  size_t partitions_with_elr() const { return partitions_with_elr_; }
  // Changes with every record applied; lets a reader see that its copy is old.
  uint64_t version() const { return version_; }

  // How far next_records() has come.
  struct RecordsPosition {
    bool settings_given = false;
    std::string topic;     // the next one is this or the first behind it
    size_t partition = 0;  // of that topic
  };
  // Records that rebuild this image from nothing, in a fixed order: what a snapshot of the log holds. Adds some to
  // `records` until it has `enough` (or one more), or all have been given; then false. Not across a change of the
  // image: take a copy.
  bool next_records(RecordsPosition& at, size_t enough, std::vector<MetadataRecord>& records) const;
  // All of them.
  std::vector<MetadataRecord> to_records() const;

 private:
  reactor::Result<void> apply_one(const RegisterBrokerRecord& record);
  reactor::Result<void> apply_one(const UnregisterBrokerRecord& record);
  reactor::Result<void> apply_one(const BrokerRegistrationChangeRecord& record);
  reactor::Result<void> apply_one(const TopicRecord& record);
  reactor::Result<void> apply_one(const PartitionRecord& record);
  reactor::Result<void> apply_one(const PartitionChangeRecord& record);
  reactor::Result<void> apply_one(const RemoveTopicRecord& record);
  reactor::Result<void> apply_one(const ConfigRecord& record);
  reactor::Result<void> apply_one(const FeatureLevelRecord& record);
  reactor::Result<void> apply_one(const ClearElrRecord& record);
  reactor::Result<void> apply_one(const ProducerIdsRecord& record);
  reactor::Result<void> apply_one(const BeginTransactionRecord& record);
  reactor::Result<void> apply_one(const EndTransactionRecord& record);
  template <class Touches, class Change>
  void change_partitions(Touches touches, Change change);
  void begin_epochs_of(int32_t leader);
  void mark_unverified(int32_t broker);
  TopicImage& write(const TopicImage& topic);
  void replace(TopicImage& topic, size_t index, PartitionImage partition);
  void add_settings(std::vector<MetadataRecord>& records) const;
  const TopicImage* topic_from(std::string_view name) const;

  struct TopicId {
    using View = Uuid;
    using Key = Uuid;
    static const Uuid& view_of(const TopicImage& topic) { return topic.id; }
    static const Uuid& view_of(const Uuid& id) { return id; }
  };
  // What is not of a topic: little, and changed seldom.
  struct Settings {
    Brokers brokers;
    std::map<std::string, config::ConfigMap, std::less<>> broker_configs;
    Features features;
    config::ConfigMap none;  // always empty
  };

  // Two ways to the same topics: both maps hold each of them.
  Topics by_name_;
  reactor::CowMap<TopicImage, TopicId> by_id_;
  reactor::Cow<Settings> settings_{Settings()};
  reactor::Cow<config::ConfigMap> no_configs_{config::ConfigMap()};  // what topics begin with
  bool in_transaction_ = false;
  int32_t producer_ids_broker_ = -1;
  int64_t producer_ids_epoch_ = -1;
  int64_t next_producer_id_ = 0;
  size_t partition_count_ = 0;
  size_t partitions_with_elr_ = 0;
  uint64_t version_ = 0;
};

}  // namespace posthaste::replication
