// The controller of a lone broker, on core 0: decides about topics (metadata/) and keeps those decisions in the
// metadata log, a partition of this broker's own (metadata/metadata_log.h). What follows from them on this broker is
// not its business: it tells who follows the image (image_follower.h) of each change.
#pragma once
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/listener.h"
#include "reactor/scope.h"
#include "reactor/sync.h"
#include "replication/image_follower.h"
#include "replication/metadata/asked_elections.h"
#include "replication/metadata/config_controller.h"
#include "replication/metadata/metadata_log.h"
#include "replication/metadata/partition_growth.h"
#include "replication/metadata/reassignments.h"
#include "replication/metadata/refusal.h"
#include "replication/metadata/topic_controller.h"
#include "replication/producer_ids.h"
#include "replication/quorum_description.h"
#include "storage/engine.h"

namespace posthaste::replication {

// Who registers with the metadata, and where clients find it.
struct Registration {
  int32_t node_id = 0;
  Uuid directory_id;
  std::vector<RegisterBrokerRecord::Endpoint> endpoints;
};

struct ControllerOptions {
  TopicRules rules;
  config::ConfigMap given;            // broker keys as they were given, checked
  uint32_t connections_possible = 0;  // what the process can have at all, whatever max.connections says
};

class Controller : private reactor::CoreOwned {
 public:
  // `engine` is core 0's. It, `follower` and `transport` (metadata_log.h) outlive the controller.
  Controller(storage::Engine& engine, ImageFollower& follower, quorum::Transport& transport, Registration self,
             ControllerOptions options);
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Replays the metadata log, registers this life of the broker, and has the follower make this broker what the
  // log says. On error `failure` says what is wrong.
  reactor::Task<reactor::Result<void>> load(std::string& failure);

  // Durable, on all cores, and usable when these return. Changes are decided one at a time, in order of call; what
  // follows from one holds up no other. A request about many topics is several changes (kResultsInPiece), between which
  // those of others have their turns: each topic is changed in full or not at all, the request as a whole is not, and
  // each result says what became of its topic. One whose turn does not come in time is refused (REQUEST_TIMED_OUT), and
  // so is what comes behind it in its request. On a full disk nothing is made or grown (KAFKA_STORAGE_ERROR); all else
  // goes on. To be awaited in a job of this core (broker/ask_controller.cc): they make calls of all classes.
  reactor::Task<std::vector<CreateTopicResult>> create_topics(CreateTopicsRequest request);
  reactor::Task<std::vector<DeleteTopicResult>> delete_topics(std::vector<DeleteTopic> topics, std::string asked_by);
  reactor::Task<std::vector<GrowTopicResult>> grow_topics(GrowTopicsRequest request);
  reactor::Task<std::vector<AlterConfigResult>> alter_configs(AlterConfigsRequest request);
  // Leaders elected on request, and replicas moved, portion by portion. Refused: what was committed before stays, and
  // nothing of the rest was decided.
  reactor::Task<std::expected<std::vector<ElectionResult>, Refusal>> elect_leaders(ElectLeaders request);
  reactor::Task<std::expected<std::vector<ReassignResult>, Refusal>> reassign(ReassignRequest request);
  reactor::Task<ProducerIdAllocator::Answer> producer_id();
  // Who agrees on the metadata log, as this member knows it. Once load() is done.
  QuorumDescription describe_quorum() const { return describe(log_.quorum(), core_.now(), core_.wall_now()); }
  const MetadataImage& image() const { return image_; }
  // For who brings messages of the other members.
  MetadataLog& metadata_log() { return log_; }
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
  // What was decided of all topics or resources of a request, and what of it could not be made here.
  template <class Results>
  struct Decided {
    Results results;
    ImageFollower::NotMade not_made;
  };
  template <class Decisions>
  using ResultsOf = decltype(Decisions::Outcome::results);
  enum class Needs : uint8_t { kNothing, kRoom };

  // Decides a request piece by piece, commits each and waits until this broker has them all. `decisions` are of the
  // kind of TopicCreation; `committed(outcome)` is told of each piece while that still has the turn.
  template <class Decisions, class Committed>
  reactor::Task<Decided<ResultsOf<Decisions>>> change(Needs needs, Decisions decisions, Committed committed);
  // One piece, in a turn of its own; with a `given_up` it is refused. Returns what is being applied.
  template <class Decisions, class Committed>
  reactor::Task<ImageFollower::ChangePointer> change_piece(Needs needs, Decisions& decisions, Committed& committed,
                                                           ResultsOf<Decisions>& results,
                                                           std::optional<Refusal>& given_up);
  template <class Decisions>
  reactor::Task<void> note_all(Decisions& decisions);
  template <class Decisions>
  reactor::Task<typename Decisions::Outcome> decide_piece(Decisions& decisions);

  // Decides a portion at a time, commits it and waits until this broker has it. `decisions` are of the kind of
  // AskedElections.
  template <class Decisions>
  reactor::Task<std::optional<Refusal>> change_in_portions(Decisions& decisions);
  template <class Decisions>
  reactor::Task<std::optional<Refusal>> change_portion(Decisions& decisions, bool& more,
                                                       ImageFollower::ChangePointer& applying);
  ElectionInputs election_inputs() const;

  reactor::Task<reactor::Result<void>> register_broker();
  reactor::Task<std::optional<Refusal>> take_turn();
  std::optional<Refusal> refuse_on_full_disk() const;
  void end_turn();
  reactor::Task<std::optional<Refusal>> commit(const std::vector<MetadataRecord>& records);
  reactor::Task<void> apply(const std::vector<MetadataRecord>& records);
  void follow_broker_configs();
  reactor::Task<void> persist_producer_ids(ProducerIdsRecord record);
  void take_answers(ProducerIdAllocator::Output& out);

  storage::Engine& engine_;
  reactor::Core& core_;
  ImageFollower& follower_;
  Registration self_;
  config::ConfigMap given_;
  uint32_t connections_possible_;
  TopicRules rules_;
  std::map<int32_t, reactor::Instant> active_since_;         // this broker
  LogReports reports_;                                       // none: nobody is in doubt
  std::shared_ptr<const config::ConfigMap> topic_defaults_;  // those of the rules, for the follower
  MetadataLog log_;
  MetadataImage image_;
  reactor::Semaphore turn_;
  std::optional<ProducerIdAllocator> producer_ids_;
  reactor::Event producer_ids_changed_;
  uint64_t next_producer_id_call_ = 1;
  std::map<uint64_t, ProducerIdCall*> producer_id_calls_;
  reactor::TaskScope jobs_;
};

}  // namespace posthaste::replication
