// The controller of a lone broker, on core 0: decides about topics (broker/metadata) and keeps those decisions in the
// metadata log. What follows from them on this broker is the applier's (applier.h), which it tells of each change. The
// log is a partition of this broker's own (metadata_log.h); the cluster issue puts consensus under it.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/applier.h"
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

  // Replays the metadata log, registers this life of the broker, and has the applier make this broker what the log
  // says. On error `failure` says what is wrong.
  reactor::Task<reactor::Result<void>> load(std::string& failure);

  // Durable, on all cores, and usable when these return. Decided one at a time, in order of call; what follows from one
  // holds up no other. One whose turn does not come in time is refused (REQUEST_TIMED_OUT). On a full disk nothing is
  // made or grown (KAFKA_STORAGE_ERROR); all else goes on. The work is done by jobs of this core, so that a handler of
  // any class may wait for it.
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
  // To be awaited before it goes away, when nothing is asked of it any more.
  reactor::Task<void> stop();

 private:
  struct ProducerIdCall {
    std::optional<ProducerIdAllocator::Answer> answer;
  };
  // What was decided, and what of it could not be made here.
  template <class Outcome>
  struct Decided {
    Outcome outcome;
    Applier::NotMade not_made;
  };
  enum class Needs : uint8_t { kNothing, kRoom };

  template <class T>
  reactor::Task<T> as_job(reactor::Task<T> work);
  // Decides one change in its turn, commits it and waits until this broker has it. `decide()` returns an outcome with
  // records and results; `committed(outcome)` is told while it still has the turn.
  template <class Decide, class Committed>
  reactor::Task<Decided<std::invoke_result_t<Decide&>>> change(Needs needs, Decide decide, Committed committed);

  reactor::Task<reactor::Result<void>> register_broker();
  reactor::Task<std::optional<Refusal>> begin_change();
  std::optional<Refusal> refuse_on_full_disk() const;
  void end_change();
  reactor::Task<std::optional<Refusal>> commit(const std::vector<MetadataRecord>& records);
  void follow_broker_configs();
  reactor::Task<void> persist_producer_ids(ProducerIdsRecord record);
  void take_answers(ProducerIdAllocator::Output& out);

  BrokerCore& broker_;
  reactor::Core& core_;
  NodeIdentity identity_;
  std::vector<Endpoint> endpoints_;
  TopicRules rules_;
  std::shared_ptr<const ConfigMap> topic_defaults_;  // those of the rules, for the applier
  MetadataLog log_;
  MetadataImage image_;
  Applier applier_;
  reactor::Semaphore turn_;
  std::optional<ProducerIdAllocator> producer_ids_;
  reactor::Event producer_ids_changed_;
  uint64_t next_producer_id_call_ = 1;
  std::map<uint64_t, ProducerIdCall*> producer_id_calls_;
  reactor::TaskScope jobs_;
};

// From any core: asks the controller on core 0.
reactor::Task<CreateTopicsOutcome> create_topics_on_controller(BrokerCore& from, CreateTopicsRequest request);
reactor::Task<DeleteTopicsOutcome> delete_topics_on_controller(BrokerCore& from, std::vector<DeleteTopic> topics,
                                                               std::string asked_by);
reactor::Task<GrowTopicsOutcome> grow_topics_on_controller(BrokerCore& from, GrowTopicsRequest request);
reactor::Task<AlterConfigsOutcome> alter_configs_on_controller(BrokerCore& from, AlterConfigsRequest request);
reactor::Task<ProducerIdAllocator::Answer> producer_id_on_controller(BrokerCore& from);

}  // namespace posthaste::broker
