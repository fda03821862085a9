// For unit tests of decisions about a cluster: an image with brokers and topics, whose state a test changes in one line
// each, and what a decision is made on beside it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "config/topic_config.h"
#include "reactor/check.h"
#include "replication/metadata/partition_transition.h"

namespace posthaste::replication::testing {

using Ids = std::vector<int32_t>;

inline Uuid id_of(uint8_t fill) {
  Uuid id;
  id.bytes.fill(static_cast<std::byte>(fill));
  return id;
}

inline Ids ids(std::span<const int32_t> of) { return {of.begin(), of.end()}; }

// A topic is named by one letter, which is its id too.
inline Uuid topic_id(const std::string& name) { return id_of(static_cast<uint8_t>(name.front())); }

class TestCluster {
 public:
  using Change = BrokerRegistrationChangeRecord;

  // Brokers 1 to `brokers`, active; min.insync.replicas is 2.
  explicit TestCluster(int32_t brokers) : defaults_(config::topic_config_defaults({})) {
    defaults_.insert_or_assign("min.insync.replicas", "2");
    for (int32_t id = 1; id <= brokers; ++id) {
      start(id);
      unfence(id);
    }
  }

  void apply(const MetadataRecord& record) {
    const auto result = image.apply(record);
    CHECK(result.has_value(), "refused: {}", to_string(result.error()));
  }
  void apply(const std::vector<MetadataRecord>& records) {
    for (const MetadataRecord& record : records) apply(record);
  }
  // A new life of a broker, fenced.
  void start(int32_t id, bool is_unverified = false) {
    apply(RegisterBrokerRecord{.broker_id = id,
                               .incarnation_id = id_of(static_cast<uint8_t>(++lives_)),
                               .broker_epoch = 100 + int64_t{lives_},
                               .fenced = true,
                               .log_dirs = {directory(id)},
                               .is_unverified = is_unverified});
  }
  void fence(int32_t id) { apply(change(id, Change::Fenced::kFence)); }
  void unfence(int32_t id) {
    apply(change(id, Change::Fenced::kUnfence));
    active_since[id] = now;
  }
  void begin_shutdown(int32_t id) {
    Change record = change(id, Change::Fenced::kUnchanged);
    record.in_controlled_shutdown = Change::ControlledShutdown::kEnter;
    apply(record);
  }
  // Each of its partitions is led by the first replica and has all of them in sync.
  void add_topic(const std::string& name, Ids replicas, int32_t partitions = 1) {
    apply(TopicRecord{name, topic_id(name)});
    for (int32_t index = 0; index < partitions; ++index) {
      const int32_t leader = replicas.front();
      apply(PartitionRecord{.partition_id = index,
                            .topic_id = topic_id(name),
                            .replicas = replicas,
                            .isr = replicas,
                            .leader = leader,
                            .leader_epoch = 0,
                            .partition_epoch = 0});
    }
  }
  void set(const std::string& topic, const std::string& key, const std::string& value) {
    apply(ConfigRecord{kTopicResource, topic, key, value});
  }
  // A change of partition 0, as a test wants it.
  PartitionChangeRecord change_of(const std::string& topic) const {
    return {.partition_id = 0, .topic_id = topic_id(topic)};
  }

  static Uuid directory(int32_t id) { return id_of(static_cast<uint8_t>(100 + id)); }
  int64_t epoch(int32_t id) const { return image.broker(id)->broker_epoch; }
  const PartitionImage& partition(const std::string& topic) const { return *image.partition(topic, 0); }
  PartitionAt at(const std::string& topic) const { return {.image = image, .topic = *image.topic(topic), .index = 0}; }
  ElectionInputs inputs() const {
    return {.defaults = defaults_, .reports = reports, .active_since = active_since, .now = now};
  }
  // Decides about partition 0 and applies it. Whether anything changed.
  bool settle(const std::string& topic, const TransitionDemand& demand = {}) {
    const auto record = next_state(at(topic), inputs(), demand);
    if (record) apply(*record);
    return record.has_value();
  }

  MetadataImage image;
  LogReports reports;
  std::map<int32_t, reactor::Instant> active_since;
  reactor::Instant now;

 private:
  Change change(int32_t id, Change::Fenced fenced) const {
    return {.broker_id = id, .broker_epoch = epoch(id), .fenced = fenced};
  }

  config::ConfigMap defaults_;
  int lives_ = 0;
};

}  // namespace posthaste::replication::testing
