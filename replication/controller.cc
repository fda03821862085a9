#include "replication/controller.h"

#include <algorithm>

#include "config/connection_limits.h"
#include "replication/change_log.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::replication {
namespace {

using config::ConfigMap;
using config::topic_config_defaults;
using net::kafka::ErrorCode;
using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::Result;
using reactor::Task;

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

}  // namespace

Controller::Controller(storage::Engine& engine, ImageFollower& follower, Registration self, ControllerOptions options)
    : CoreOwned(engine.core()),
      engine_(engine),
      core_(engine.core()),
      follower_(follower),
      self_(std::move(self)),
      given_(std::move(options.given)),
      connections_possible_(options.connections_possible),
      rules_(std::move(options.rules)),
      log_(engine),
      turn_(core_, 1),
      producer_ids_changed_(core_),
      jobs_(core_) {}

Task<Result<void>> Controller::load(std::string& why) {
  check_core();
  Result<void> done = co_await log_.open();
  if (!done) {
    why = fmt::format("cannot create the metadata log ({})", to_string(done.error()));
    co_return done;
  }
  done = co_await log_.replay(image_, why);
  if (!done) co_return done;
  core_.log(reactor::LogLevel::kDebug, "metadata_log",
            fmt::format("end={} partitions={}", log_.end_offset(), image_.partition_count()));
  follow_broker_configs();
  done = co_await register_broker();
  if (!done) {
    why = fmt::format("cannot write the metadata log ({})", to_string(done.error()));
    co_return done;
  }
  co_await follower_.start(image_, topic_defaults_);
  log_.keep_small(image_);
  producer_ids_.emplace(self_.node_id, image_.brokers().at(self_.node_id).broker_epoch, image_.next_producer_id(),
                        kProducerIdWaitersMax);
  co_return Result<void>{};
}

// This broker as it is now, under a new incarnation: that begins a new leader epoch everywhere.
Task<Result<void>> Controller::register_broker() {
  RegisterBrokerRecord broker;
  broker.broker_id = self_.node_id;
  broker.incarnation_id = make_topic_id(core_.random_bytes());
  broker.broker_epoch = log_.end_offset();
  broker.endpoints = self_.endpoints;
  broker.fenced = false;
  broker.log_dirs = {self_.directory_id};
  Result<void> done = co_await log_.append({broker});
  if (done) done = image_.apply(broker);
  co_return done;
}

// Only one change is decided at a time, and on an image that has all before it. Refused: its turn did not come.
Task<std::optional<Refusal>> Controller::begin_change() {
  if (!co_await turn_.acquire_until(1, core_.now() + kTurnPatience)) {
    co_return Refusal{ErrorCode::kRequestTimedOut, "changes before this one take too long: nothing was changed"};
  }
  co_await follower_.retry();
  co_return std::nullopt;
}

std::optional<Refusal> Controller::refuse_on_full_disk() const {
  if (!engine_.disk_full()) return std::nullopt;
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

// Beside the handler that waits for it, whose class does not bind it.
template <class T>
Task<T> Controller::as_job(Task<T> work) {
  struct Job {
    Task<T> work;
    std::optional<T> result;
    reactor::Event done;
  };
  Job job{.work = std::move(work), .result = std::nullopt, .done = reactor::Event(core_)};
  auto run = [](Job& started) -> Task<void> {
    started.result.emplace(co_await started.work);
    started.done.set();
  };
  jobs_.spawn_job(run(job));
  co_await job.done.wait();
  co_return std::move(*job.result);
}

template <class Decide, class Committed>
auto Controller::change(Needs needs, Decide decide, Committed committed)
    -> Task<Decided<std::invoke_result_t<Decide&>>> {
  std::optional<Refusal> refusal = co_await begin_change();
  const bool has_turn = !refusal;
  Decided<std::invoke_result_t<Decide&>> decided{.outcome = decide(), .not_made = {}};
  auto& outcome = decided.outcome;
  ImageFollower::ChangePointer applying;
  if (!outcome.records.empty()) {
    if (!refusal && needs == Needs::kRoom) refusal = refuse_on_full_disk();
    ImageDelta delta = delta_of(image_, outcome.records);
    if (!refusal) refusal = co_await commit(outcome.records);
    if (refusal) {
      refuse_all(outcome.results, *refusal);
    } else {
      committed(outcome);
      applying = follower_.follow(image_, std::move(delta), topic_defaults_);
    }
  }
  if (has_turn) end_change();
  decided.not_made = co_await follower_.applied(std::move(applying));
  co_return decided;
}

Task<CreateTopicsOutcome> Controller::create_topics(CreateTopicsRequest request) {
  check_core();
  auto decided = co_await as_job(change(
      Needs::kRoom, [&] { return replication::create_topics(image_, rules_, request); },
      [&](const CreateTopicsOutcome& outcome) { log_created(core_, outcome, request.asked_by); }));
  for (CreateTopicResult& result : decided.outcome.results) refuse_if(decided.not_made, result.topic_id, result);
  co_return std::move(decided.outcome);
}

Task<DeleteTopicsOutcome> Controller::delete_topics(std::vector<DeleteTopic> topics, std::string asked_by) {
  check_core();
  auto decided = co_await as_job(change(
      Needs::kNothing, [&] { return replication::delete_topics(image_, rules_, topics); },
      [&](const DeleteTopicsOutcome& outcome) { log_deleted(core_, outcome, asked_by); }));
  co_return std::move(decided.outcome);
}

Task<GrowTopicsOutcome> Controller::grow_topics(GrowTopicsRequest request) {
  check_core();
  std::map<std::string, Uuid> ids;
  auto decided = co_await as_job(change(
      Needs::kRoom, [&] { return replication::grow_topics(image_, rules_, request); },
      [&](const GrowTopicsOutcome& outcome) {
        log_grown(core_, image_, outcome, request.asked_by);
        for (const Uuid& id : outcome.grown) ids.emplace(image_.topic(id)->name, id);
      }));
  for (GrowTopicResult& result : decided.outcome.results) {
    if (const auto id = ids.find(result.name); id != ids.end()) refuse_if(decided.not_made, id->second, result);
  }
  co_return std::move(decided.outcome);
}

Task<AlterConfigsOutcome> Controller::alter_configs(AlterConfigsRequest request) {
  check_core();
  auto decided = co_await as_job(change(
      Needs::kNothing, [&] { return replication::alter_configs(image_, self_.node_id, given_, request); },
      [&](const AlterConfigsOutcome& outcome) {
        log_configured(core_, outcome, request.asked_by);
        if (!outcome.brokers) return;
        follow_broker_configs();
        if (on_broker_configs) on_broker_configs();
      }));
  co_return std::move(decided.outcome);
}

Task<void> Controller::stop() {
  check_core();
  co_await jobs_.join();
  co_await log_.stop();
}

void Controller::follow_broker_configs() {
  rules_.layers = config_layers(image_, self_.node_id, given_);
  rules_.defaults = topic_config_defaults(merged(rules_.layers));
  topic_defaults_ = std::make_shared<const ConfigMap>(rules_.defaults);
}

net::AcceptLimits Controller::accept_limits() const {
  return config::accept_limits(merged(rules_.layers), connections_possible_);
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
  if (out.record) jobs_.spawn_job(persist_producer_ids(*out.record));
}

Task<void> Controller::persist_producer_ids(ProducerIdsRecord record) {
  std::optional<Refusal> refusal = co_await begin_change();
  if (!refusal) {
    refusal = co_await commit({record});
    if (!refusal) follower_.follow(image_, {}, topic_defaults_);
    end_change();
  }
  ProducerIdAllocator::Output out;
  refusal ? producer_ids_->persist_failed(out) : producer_ids_->persisted(out);
  take_answers(out);
}

}  // namespace posthaste::replication
