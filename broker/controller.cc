#include "broker/controller.h"

#include <algorithm>

#include "broker/broker_host.h"
#include "broker/change_log.h"
#include "broker/config/connection_limits.h"
#include "broker/metadata/topic_name.h"
#include "broker/partition_work.h"

namespace posthaste::broker {
namespace {

using net::kafka::ErrorCode;
using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using storage::Placement;

// Requests for a producer id that wait for the next block; a thousand ids per block, so more means that disk is stuck.
constexpr size_t kProducerIdWaitersMax = 10'000;

// How long a change waits for those before it. Clients wait for 30 s by default.
constexpr reactor::Duration kTurnPatience = std::chrono::seconds(15);

// What the rules let pass and the log did not.
template <class Results>
void refuse_all(Results& results, const Refusal& refusal) {
  for (auto& result : results) {
    if (result.error != ErrorCode::kNone) continue;
    result.error = refusal.error;
    result.message = refusal.message;
  }
}

// What was committed and could not be made.
template <class Result>
void refuse_if(const std::map<Uuid, Errc>& not_made, const Uuid& topic, Result& result) {
  const auto found = not_made.find(topic);
  if (found == not_made.end() || result.error != ErrorCode::kNone) return;
  result.error = ErrorCode::kKafkaStorageError;
  result.message = fmt::format("the topic is there, its partitions cannot be made yet ({})", to_string(found->second));
}

std::vector<Uuid> created_by(const CreateTopicsOutcome& outcome) {
  std::vector<Uuid> created;
  for (const CreateTopicResult& result : outcome.results) {
    if (!result.topic_id.is_zero()) created.push_back(result.topic_id);
  }
  return created;
}

// Of the topics that `outcome` removes from `image`.
std::vector<Placement::Key> partitions_of(const MetadataImage& image, const DeleteTopicsOutcome& outcome,
                                          std::vector<Uuid>& topics) {
  std::vector<Placement::Key> partitions;
  for (const DeleteTopicResult& result : outcome.results) {
    const TopicImage* topic = result.error == ErrorCode::kNone ? image.topic(result.topic_id) : nullptr;
    if (topic == nullptr) continue;
    topics.push_back(topic->id);
    for (int32_t index = 0; index < static_cast<int32_t>(topic->partitions.size()); ++index) {
      partitions.push_back({topic->id.bytes, index});
    }
  }
  return partitions;
}

}  // namespace

Controller::Controller(BrokerCore& core, storage::EngineHost& engine_host, NodeIdentity identity,
                       std::vector<Endpoint> endpoints)
    : CoreOwned(core.core()),
      broker_(core),
      core_(core.core()),
      engine_host_(engine_host),
      identity_(std::move(identity)),
      endpoints_(std::move(endpoints)),
      rules_(core.options().topics),
      log_(core.engine()),
      placement_(engine_host.take_placement()),
      turn_(core_, 1),
      producer_ids_changed_(core_) {}

Task<Result<void>> Controller::load(std::string& why) {
  check_core();
  Result<void> done = co_await log_.open();
  if (!done) {
    why = fmt::format("cannot create the metadata log ({})", to_string(done.error()));
    co_return done;
  }
  placement_.remove({kMetadataTopicId.bytes, 0});
  done = co_await log_.replay(image_, why);
  if (!done) co_return done;
  core_.log(
      reactor::LogLevel::kDebug, "metadata_log",
      fmt::format("end={} partitions={} placed={}", log_.end_offset(), image_.partition_count(), placement_.size()));
  follow_broker_configs();
  done = co_await register_broker();
  if (!done) {
    why = fmt::format("cannot write the metadata log ({})", to_string(done.error()));
    co_return done;
  }
  co_await reconcile();
  log_.keep_small(image_);
  producer_ids_.emplace(identity_.node_id, image_.brokers().at(identity_.node_id).broker_epoch,
                        image_.next_producer_id(), kProducerIdWaitersMax);
  co_await publish({}, true);
  co_return Result<void>{};
}

Task<void> Controller::stop() { co_await log_.stop(); }

// This broker as it is now, under a new incarnation: that begins a new leader epoch everywhere (WS B).
Task<Result<void>> Controller::register_broker() {
  RegisterBrokerRecord broker;
  broker.broker_id = identity_.node_id;
  broker.incarnation_id = make_topic_id(random_bytes(core_));
  broker.broker_epoch = log_.end_offset();
  for (const Endpoint& endpoint : endpoints_) {
    broker.endpoints.push_back({.name = endpoint.listener, .host = endpoint.host, .port = endpoint.port});
  }
  broker.fenced = false;
  broker.log_dirs = {identity_.directory_id};
  Result<void> done = co_await log_.append({broker});
  if (done) done = image_.apply(broker);
  co_return done;
}

// Partitions that the log knows and the engine does not were about to be made; the other way round, to be removed. What
// cannot be made keeps nothing else from being served; the next change tries again.
Task<void> Controller::reconcile() {
  std::vector<Placement::Key> unknown;
  placement_.for_each([&](const Placement::Key& key, CoreId) {
    const TopicImage* topic = image_.topic(Uuid{key.topic_id});
    if (topic == nullptr || static_cast<size_t>(key.partition) >= topic->partitions.size()) unknown.push_back(key);
  });
  co_await delete_partitions(std::move(unknown));
  std::vector<Uuid> incomplete;
  image_.topics().for_each([&](const TopicImage& topic) {
    for (int32_t index = 0; index < static_cast<int32_t>(topic.partitions.size()); ++index) {
      if (placement_.find({topic.id.bytes, index})) continue;
      incomplete.push_back(topic.id);
      break;
    }
  });
  incomplete_ = !(co_await create_partitions(std::move(incomplete))).empty();
}

// Only one change is decided at a time, and on an image that has all before it. Refused: its turn did not come.
Task<std::optional<Refusal>> Controller::begin_change() {
  if (!co_await turn_.acquire_until(1, core_.now() + kTurnPatience)) {
    co_return Refusal{ErrorCode::kRequestTimedOut, "changes before this one take too long: nothing was changed"};
  }
  if (!incomplete_) co_return std::nullopt;
  co_await reconcile();
  co_await publish({}, true);
  co_return std::nullopt;
}

std::optional<Refusal> Controller::refuse_on_full_disk() const {
  if (!broker_.engine().disk_full()) return std::nullopt;
  return Refusal{ErrorCode::kKafkaStorageError,
                 "the disk is full: delete topics, shorten their retention or make room on it"};
}

void Controller::end_change() {
  log_.keep_small(image_);
  turn_.release(1);
}

// Appends one change, waits until it is durable, applies it. Refused: it was not applied, and is not in the log unless
// the log is not trusted any more; then this controller makes no change until a restart reads what is there.
Task<std::optional<Refusal>> Controller::commit(const std::vector<MetadataRecord>& records) {
  const Result<void> appended = co_await log_.append(records);
  if (!appended && appended.error() == Errc::kTooLarge) {
    co_return Refusal{
        ErrorCode::kPolicyViolation,
        fmt::format("the request changes too much at once ({} records, at most {} bytes of them): split it",
                    records.size(), kMetadataChangeBytesMax)};
  }
  if (!appended && appended.error() == Errc::kNoMemory) {
    co_return Refusal{ErrorCode::kRequestTimedOut, "there was no room for the change in time: nothing was changed"};
  }
  if (!appended) {
    core_.log(reactor::LogLevel::kError, "metadata_change_failed",
              fmt::format("error={} log_trusted={}", to_string(appended.error()), log_.trusted()));
    co_return Refusal{ErrorCode::kKafkaStorageError,
                      fmt::format("the metadata log cannot be written ({}){}", to_string(appended.error()),
                                  log_.trusted() ? "" : "; no change is taken until the broker is started again")};
  }
  for (const MetadataRecord& record : records) {
    Result<void> applied = image_.apply(record);
    CHECK(applied, "a metadata record of our own does not apply: {}", to_string(applied.error()));
  }
  co_return std::nullopt;
}

// After a commit: the partitions of these topics that are not there yet, then the snapshot that shows them.
Task<Controller::NotMade> Controller::make_partitions(std::vector<Uuid> topics) {
  NotMade not_made = co_await create_partitions(topics);
  co_await publish(std::move(topics), false);
  incomplete_ = incomplete_ || !not_made.empty();
  co_return not_made;
}

// Places and makes all partitions of these topics that are not placed yet.
Task<Controller::NotMade> Controller::create_partitions(std::vector<Uuid> topics) {
  std::vector<PartitionWork> work(engine_host_.cores());
  std::vector<std::pair<Placement::Key, CoreId>> placed;
  for (const Uuid& id : topics) {
    const TopicImage* topic = image_.topic(id);
    const storage::LogConfig config =
        log_config(TopicSettings(topic->configs, rules_.defaults), broker_.options().producers);
    for (int32_t index = 0; index < static_cast<int32_t>(topic->partitions.size()); ++index) {
      const Placement::Key key{id.bytes, index};
      if (placement_.find(key)) continue;
      const auto before = attempted_.find(key);
      const CoreId core = before == attempted_.end() ? placement_.choose_core(id.bytes) : before->second;
      placement_.add(key, core);
      placed.emplace_back(key, core);
      work[core].create.push_back(
          {.topic_id = id.bytes, .topic_name = topic->name, .partition = index, .config = config});
    }
  }
  co_await spread_partition_work(broker_, work);
  for (const auto& [key, core] : placed) attempted_.erase(key);
  // What was not made is not placed: Metadata then says LEADER_NOT_AVAILABLE until another attempt succeeds.
  NotMade not_made;
  for (size_t core = 0; core < work.size(); ++core) {
    for (const PartitionWork::Failed& failed : work[core].failed) {
      attempted_.insert_or_assign(failed.key, static_cast<CoreId>(core));
      placement_.remove(failed.key);
      not_made.emplace(Uuid{failed.key.topic_id}, failed.error);
    }
  }
  for (const auto& [id, error] : not_made) {
    core_.log(reactor::LogLevel::kError, "partitions_not_made",
              fmt::format("topic={} error={} consequence=\"LEADER_NOT_AVAILABLE until they can be made\"",
                          image_.topic(id)->name, to_string(error)));
  }
  co_return not_made;
}

Task<void> Controller::delete_partitions(std::vector<Placement::Key> partitions) {
  std::vector<PartitionWork> work(engine_host_.cores());
  for (const Placement::Key& key : partitions) {
    std::optional<CoreId> core = placement_.find(key);
    if (core) placement_.remove(key);
    if (const auto attempt = attempted_.find(key); attempt != attempted_.end()) {
      core = attempt->second;
      attempted_.erase(attempt);
    }
    if (core) work[*core].remove.push_back(key);
  }
  co_await spread_partition_work(broker_, work);
  for (const PartitionWork& done : work) {
    if (done.failed.empty()) continue;
    core_.log(reactor::LogLevel::kWarning, "partition_not_removed",
              fmt::format("partitions={} error={} consequence=\"the next start removes them\"", done.failed.size(),
                          to_string(done.failed.front().error)));
  }
}

Task<void> Controller::publish(std::vector<Uuid> changed, bool all_changed) {
  auto view = std::make_unique<ClusterView>();
  view->cluster_id = identity_.cluster_id;
  view->node_id = identity_.node_id;
  view->endpoints = endpoints_;
  view->image = std::make_shared<const MetadataImage>(image_);
  view->placement = std::make_shared<const Placement>(placement_);
  view->topic_defaults = topic_defaults_;
  view->changed = std::move(changed);
  view->all_changed = all_changed;
  co_await spread_view(broker_, engine_host_.cores(), std::move(view));
}

Task<CreateTopicsOutcome> Controller::create_topics(CreateTopicsRequest request) {
  check_core();
  std::optional<Refusal> refusal = co_await begin_change();
  const bool has_turn = !refusal;
  CreateTopicsOutcome outcome = broker::create_topics(image_, rules_, request);
  if (!outcome.records.empty()) {
    if (!refusal) refusal = refuse_on_full_disk();
    if (!refusal) refusal = co_await commit(outcome.records);
    if (refusal) {
      refuse_all(outcome.results, *refusal);
    } else {
      log_created(core_, outcome, request.asked_by);
      const NotMade not_made = co_await make_partitions(created_by(outcome));
      for (CreateTopicResult& result : outcome.results) refuse_if(not_made, result.topic_id, result);
    }
  }
  if (has_turn) end_change();
  co_return outcome;
}

Task<DeleteTopicsOutcome> Controller::delete_topics(std::vector<DeleteTopic> topics, std::string asked_by) {
  check_core();
  std::optional<Refusal> refusal = co_await begin_change();
  const bool has_turn = !refusal;
  DeleteTopicsOutcome outcome = broker::delete_topics(image_, rules_, topics);
  if (!outcome.records.empty()) {
    std::vector<Uuid> changed;
    std::vector<Placement::Key> partitions = partitions_of(image_, outcome, changed);
    if (!refusal) refusal = co_await commit(outcome.records);
    if (refusal) {
      refuse_all(outcome.results, *refusal);
    } else {
      log_deleted(core_, outcome, asked_by);
      co_await publish(std::move(changed), false);  // nobody is routed there any more
      co_await delete_partitions(std::move(partitions));
      co_await spread_deleted_topics(broker_, engine_host_.cores(), outcome.deleted);
    }
  }
  if (has_turn) end_change();
  co_return outcome;
}

Task<GrowTopicsOutcome> Controller::grow_topics(GrowTopicsRequest request) {
  check_core();
  std::optional<Refusal> refusal = co_await begin_change();
  const bool has_turn = !refusal;
  GrowTopicsOutcome outcome = broker::grow_topics(image_, rules_, request);
  if (!outcome.records.empty()) {
    if (!refusal) refusal = refuse_on_full_disk();
    if (!refusal) refusal = co_await commit(outcome.records);
    if (refusal) {
      refuse_all(outcome.results, *refusal);
    } else {
      log_grown(core_, image_, outcome, request.asked_by);
      const NotMade not_made = co_await make_partitions(outcome.grown);
      for (GrowTopicResult& result : outcome.results) {
        if (const TopicImage* topic = image_.topic(result.name)) refuse_if(not_made, topic->id, result);
      }
    }
  }
  if (has_turn) end_change();
  co_return outcome;
}

Task<AlterConfigsOutcome> Controller::alter_configs(AlterConfigsRequest request) {
  check_core();
  std::optional<Refusal> refusal = co_await begin_change();
  const bool has_turn = !refusal;
  AlterConfigsOutcome outcome = broker::alter_configs(image_, identity_.node_id, broker_.options().given, request);
  if (!outcome.records.empty()) {
    if (!refusal) refusal = co_await commit(outcome.records);
    if (refusal) {
      refuse_all(outcome.results, *refusal);
    } else {
      log_configured(core_, outcome, request.asked_by);
      if (outcome.brokers) {
        follow_broker_configs();
        if (on_broker_configs) on_broker_configs();
      }
      co_await publish(outcome.topics, outcome.brokers);  // the settings of every topic hang on the broker's
    }
  }
  if (has_turn) end_change();
  co_return outcome;
}

void Controller::follow_broker_configs() {
  rules_.layers = config_layers(image_, identity_.node_id, broker_.options().given);
  rules_.defaults = topic_config_defaults(merged(rules_.layers));
  topic_defaults_ = std::make_shared<const ConfigMap>(rules_.defaults);
}

net::AcceptLimits Controller::accept_limits() const {
  return broker::accept_limits(merged(rules_.layers), broker_.options().connections_possible);
}

Task<ProducerIdAllocator::Answer> Controller::producer_id() {
  check_core();
  const uint64_t token = next_producer_id_call_++;
  ProducerIdCall call;
  producer_id_calls_.emplace(token, &call);
  ProducerIdAllocator::Output out;
  producer_ids_->request(token, out);
  take_answers(out);
  while (!call.answer) co_await producer_ids_changed_.wait();
  producer_id_calls_.erase(token);
  co_return *call.answer;
}

void Controller::take_answers(ProducerIdAllocator::Output& out) {
  for (const ProducerIdAllocator::Answer& answer : out.answers) {
    if (const auto call = producer_id_calls_.find(answer.token); call != producer_id_calls_.end()) {
      call->second->answer = answer;
    }
  }
  if (!out.answers.empty()) producer_ids_changed_.notify_all();
  if (out.record) broker_.scope().spawn(persist_producer_ids(*out.record));
}

Task<void> Controller::persist_producer_ids(ProducerIdsRecord record) {
  std::optional<Refusal> refusal = co_await begin_change();
  if (!refusal) {
    refusal = co_await commit({record});
    end_change();
  }
  ProducerIdAllocator::Output out;
  refusal ? producer_ids_->persist_failed(out) : producer_ids_->persisted(out);
  take_answers(out);
}

Task<CreateTopicsOutcome> create_topics_on_controller(BrokerCore& from, CreateTopicsRequest request) {
  auto run = [&](Core&) { return from.host().controller().create_topics(std::move(request)); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run), reactor::MessageClass::kControl);
}

Task<DeleteTopicsOutcome> delete_topics_on_controller(BrokerCore& from, std::vector<DeleteTopic> topics,
                                                      std::string asked_by) {
  auto run = [&](Core&) { return from.host().controller().delete_topics(std::move(topics), std::move(asked_by)); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run), reactor::MessageClass::kControl);
}

Task<GrowTopicsOutcome> grow_topics_on_controller(BrokerCore& from, GrowTopicsRequest request) {
  auto run = [&](Core&) { return from.host().controller().grow_topics(std::move(request)); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run), reactor::MessageClass::kControl);
}

Task<AlterConfigsOutcome> alter_configs_on_controller(BrokerCore& from, AlterConfigsRequest request) {
  auto run = [&](Core&) { return from.host().controller().alter_configs(std::move(request)); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run), reactor::MessageClass::kControl);
}

Task<ProducerIdAllocator::Answer> producer_id_on_controller(BrokerCore& from) {
  auto run = [&](Core&) { return from.host().controller().producer_id(); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run), reactor::MessageClass::kControl);
}

}  // namespace posthaste::broker
