// The controller of a lone broker, on core 0: decides about topics (broker/metadata), keeps those decisions in the
// metadata log, makes and removes partitions on the cores they are placed on, and gives every core the new snapshot.
// The log is a partition of this broker's own (metadata_log.h); the cluster issue puts consensus under it.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/broker_core.h"
#include "broker/metadata/config_controller.h"
#include "broker/metadata/partition_growth.h"
#include "broker/metadata/refusal.h"
#include "broker/metadata/topic_controller.h"
#include "broker/metadata_log.h"
#include "broker/node_identity.h"
#include "broker/producer_ids.h"

namespace posthaste::broker {

class Controller : private reactor::CoreOwned {
 public:
  // `core` is the BrokerCore of core 0.
  Controller(BrokerCore& core, storage::EngineHost& engine_host, NodeIdentity identity,
             std::vector<Endpoint> endpoints);
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Replays the metadata log, registers this life of the broker, makes partitions agree with the log (a crash may lie
  // between the two) and publishes the first snapshot. On error `failure` says what is wrong.
  reactor::Task<reactor::Result<void>> load(std::string& failure);

  // Once no request needs it any more; must be awaited before it goes away, also when load() has failed.
  reactor::Task<void> stop();

  // Durable, on all cores, and usable when these return. One change at a time, in order of call; one whose turn does
  // not come in time is refused (REQUEST_TIMED_OUT). On a full disk nothing is made or grown (KAFKA_STORAGE_ERROR);
  // all else goes on.
  reactor::Task<CreateTopicsOutcome> create_topics(CreateTopicsRequest request);
  reactor::Task<DeleteTopicsOutcome> delete_topics(std::vector<DeleteTopic> topics, std::string asked_by);
  reactor::Task<GrowTopicsOutcome> grow_topics(GrowTopicsRequest request);
  reactor::Task<AlterConfigsOutcome> alter_configs(AlterConfigsRequest request);
  reactor::Task<ProducerIdAllocator::Answer> producer_id();
  const MetadataImage& image() const { return image_; }
  // The limits on connections as the settings stand.
  net::AcceptLimits accept_limits() const;
  // Told on core 0, before the change is answered, when settings of this broker have changed.
  std::function<void()> on_broker_configs;

 private:
  struct ProducerIdCall {
    std::optional<ProducerIdAllocator::Answer> answer;
  };

  reactor::Task<reactor::Result<void>> register_broker();
  reactor::Task<void> reconcile();
  reactor::Task<std::optional<Refusal>> begin_change();
  std::optional<Refusal> refuse_on_full_disk() const;
  void end_change();
  reactor::Task<std::optional<Refusal>> commit(const std::vector<MetadataRecord>& records);
  // By topic: why partitions of it could not be made.
  using NotMade = std::map<Uuid, reactor::Errc>;
  reactor::Task<NotMade> make_partitions(std::vector<Uuid> topics);
  reactor::Task<NotMade> create_partitions(std::vector<Uuid> topics);
  reactor::Task<void> delete_partitions(std::vector<storage::Placement::Key> partitions);
  reactor::Task<void> publish(std::vector<Uuid> changed, bool all_changed);
  void follow_broker_configs();
  reactor::Task<void> persist_producer_ids(ProducerIdsRecord record);
  void take_answers(ProducerIdAllocator::Output& out);

  BrokerCore& broker_;
  reactor::Core& core_;
  storage::EngineHost& engine_host_;
  NodeIdentity identity_;
  std::vector<Endpoint> endpoints_;
  TopicRules rules_;
  std::shared_ptr<const ConfigMap> topic_defaults_;  // those of the rules, for snapshots
  MetadataLog log_;
  MetadataImage image_;
  storage::Placement placement_;
  // Partitions that the image has are not all made: the next change tries again first, on the same cores, for some of
  // them may be there.
  bool incomplete_ = false;
  std::map<storage::Placement::Key, reactor::CoreId> attempted_;
  reactor::Semaphore turn_;
  std::optional<ProducerIdAllocator> producer_ids_;
  reactor::Event producer_ids_changed_;
  uint64_t next_producer_id_call_ = 1;
  std::map<uint64_t, ProducerIdCall*> producer_id_calls_;
};

// From any core: asks the controller on core 0.
reactor::Task<CreateTopicsOutcome> create_topics_on_controller(BrokerCore& from, CreateTopicsRequest request);
reactor::Task<DeleteTopicsOutcome> delete_topics_on_controller(BrokerCore& from, std::vector<DeleteTopic> topics,
                                                               std::string asked_by);
reactor::Task<GrowTopicsOutcome> grow_topics_on_controller(BrokerCore& from, GrowTopicsRequest request);
reactor::Task<AlterConfigsOutcome> alter_configs_on_controller(BrokerCore& from, AlterConfigsRequest request);
reactor::Task<ProducerIdAllocator::Answer> producer_id_on_controller(BrokerCore& from);

}  // namespace posthaste::broker
