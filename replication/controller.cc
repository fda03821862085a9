#include "replication/controller.h"

#include <algorithm>
#include <iterator>

#include "config/connection_limits.h"
#include "reactor/pace.h"
#include "replication/change_log.h"
#include "replication/metadata/topic_name.h"
#include "replication/quorum/record_batches.h"

namespace posthaste::replication {
namespace {

using config::ConfigMap;
using config::topic_config_defaults;
using net::kafka::ErrorCode;
using reactor::Errc;
using reactor::Result;
using reactor::Task;

// Requests for a producer id that wait for the next block; a thousand ids per block, so more means that disk is stuck.
constexpr size_t kProducerIdWaitersMax = 10'000;

// How long a change waits for those before it. Clients wait for 30 s by default.
constexpr reactor::Duration kTurnPatience = std::chrono::seconds(15);

// What one change of a large request is about, so that another request waits for some milliseconds of it and for one
// commit: so many topics or resources, or as many as have so many records. A topic is never divided, however wide.
constexpr size_t kResultsInPiece = 256;
constexpr size_t kRecordsInPiece = 2'000;

// What core 0 does in one step: a few hundred microseconds each. The settings of a topic are what takes long to decide.
constexpr size_t kNotedAtOnce = 512;
constexpr size_t kDecidedAtOnce = 16;
constexpr size_t kRecordsAppliedAtOnce = 512;

// What the rules let pass and the log did not.
template <class Results>
void refuse_all(Results& results, const Refusal& refusal) {
  for (auto& result : results) {
    if (result.error == ErrorCode::kNone) refusal.into(result);
  }
}

// What was committed and could not be made.
template <class Result>
void refuse_if(const std::map<Uuid, Errc>& not_made, const Uuid& topic, Result& result) {
  const auto found = not_made.find(topic);
  if (found == not_made.end() || result.error != ErrorCode::kNone) return;
  Refusal{ErrorCode::kKafkaStorageError,
          fmt::format("the topic is there, its partitions cannot be made yet ({})", to_string(found->second))}
      .into(result);
}

}  // namespace

Controller::Controller(storage::Engine& engine, ImageFollower& follower, quorum::Transport& transport,
                       Registration self, ControllerOptions options)
    : CoreOwned(engine.core()),
      engine_(engine),
      core_(engine.core()),
      follower_(follower),
      self_(std::move(self)),
      given_(std::move(options.given)),
      connections_possible_(options.connections_possible),
      rules_(std::move(options.rules)),
      log_(engine, transport, {.id = self_.node_id, .directory = quorum::directory_of(self_.directory_id)}),
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
  active_since_ = {{self_.node_id, core_.now()}};
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
Task<std::optional<Refusal>> Controller::take_turn() {
  if (co_await turn_.acquire_until(1, core_.now() + kTurnPatience)) co_return std::nullopt;
  co_return Refusal{ErrorCode::kRequestTimedOut, "changes before this one take too long: nothing was changed"};
}

std::optional<Refusal> Controller::refuse_on_full_disk() const {
  if (!engine_.disk_full()) return std::nullopt;
  return Refusal{ErrorCode::kKafkaStorageError,
                 "the disk is full: delete topics, shorten their retention or make room on it"};
}

void Controller::end_turn() {
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
  co_await apply(records);
  co_return std::nullopt;
}

// Nobody sees a part of a change: the image is replaced when it has all of it.
Task<void> Controller::apply(const std::vector<MetadataRecord>& records) {
  MetadataImage next = image_;
  reactor::Pace pace(kRecordsAppliedAtOnce);
  for (const MetadataRecord& record : records) {
    const Result<void> applied = next.apply(record);
    CHECK(applied, "a metadata record of our own does not apply: {}", to_string(applied.error()));
    if (pace.is_due(1)) co_await core_.yield(reactor::CpuClass::kBackground);
  }
  image_ = std::move(next);
}

template <class Decisions>
Task<void> Controller::note_all(Decisions& decisions) {
  const MetadataImage image = image_;
  reactor::Pace pace(kNotedAtOnce);
  while (!decisions.all_noted()) {
    decisions.note_next(image);
    if (pace.is_due(1)) co_await core_.yield(reactor::CpuClass::kBackground);
  }
}

// With the turn, or when it did not come: then nobody else's change comes between, for all of it is refused.
template <class Decisions>
Task<typename Decisions::Outcome> Controller::decide_piece(Decisions& decisions) {
  typename Decisions::Outcome outcome;
  reactor::Pace pace(kDecidedAtOnce);
  decisions.begin_piece(image_);
  while (!decisions.all_decided() && outcome.results.size() < kResultsInPiece &&
         outcome.records.size() < kRecordsInPiece) {
    decisions.decide_next(image_, rules_, outcome);
    if (pace.is_due(1)) co_await core_.yield(reactor::CpuClass::kBackground);
  }
  co_return outcome;
}

template <class Decisions, class Committed>
Task<ImageFollower::ChangePointer> Controller::change_piece(Needs needs, Decisions& decisions, Committed& committed,
                                                            ResultsOf<Decisions>& results,
                                                            std::optional<Refusal>& given_up) {
  const bool has_turn = !given_up && !(given_up = co_await take_turn());
  auto outcome = co_await decide_piece(decisions);
  ImageFollower::ChangePointer applying;
  if (!outcome.records.empty()) {
    std::optional<Refusal> refusal = given_up;
    if (!refusal && needs == Needs::kRoom) refusal = refuse_on_full_disk();
    ImageDelta delta;
    if (!refusal) {
      delta = delta_of(image_, outcome.records);
      refusal = co_await commit(outcome.records);
    }
    if (refusal) {
      refuse_all(outcome.results, *refusal);
      // The next piece would wait as long for the same.
      if (refusal->error == ErrorCode::kRequestTimedOut) given_up = refusal;
    } else {
      committed(outcome);
      applying = follower_.follow(image_, std::move(delta), topic_defaults_);
    }
  }
  if (has_turn) end_turn();
  std::ranges::move(outcome.results, std::back_inserter(results));
  co_return applying;
}

// While one piece is decided the one before it is applied, and no more than that: what others ask for is applied beside
// two of them, not behind hundreds.
template <class Decisions, class Committed>
auto Controller::change(Needs needs, Decisions decisions, Committed committed) -> Task<Decided<ResultsOf<Decisions>>> {
  Decided<ResultsOf<Decisions>> decided;
  co_await follower_.retry();
  co_await note_all(decisions);
  std::optional<Refusal> given_up;
  ImageFollower::ChangePointer before;
  while (!decisions.all_decided()) {
    auto applying = co_await change_piece(needs, decisions, committed, decided.results, given_up);
    decided.not_made.merge(co_await follower_.applied(std::exchange(before, std::move(applying))));
    co_await core_.yield(reactor::CpuClass::kBackground);
  }
  decided.not_made.merge(co_await follower_.applied(std::move(before)));
  co_return decided;
}

Task<std::vector<CreateTopicResult>> Controller::create_topics(CreateTopicsRequest request) {
  check_core();
  auto decided = co_await change(Needs::kRoom, TopicCreation(request), [&](const CreateTopicsOutcome& outcome) {
    log_created(core_, outcome, request.asked_by);
  });
  for (CreateTopicResult& result : decided.results) refuse_if(decided.not_made, result.topic_id, result);
  co_return std::move(decided.results);
}

Task<std::vector<DeleteTopicResult>> Controller::delete_topics(std::vector<DeleteTopic> topics, std::string asked_by) {
  check_core();
  auto decided = co_await change(Needs::kNothing, TopicDeletion(topics),
                                 [&](const DeleteTopicsOutcome& outcome) { log_deleted(core_, outcome, asked_by); });
  co_return std::move(decided.results);
}

Task<std::vector<GrowTopicResult>> Controller::grow_topics(GrowTopicsRequest request) {
  check_core();
  std::map<std::string, Uuid> ids;
  auto decided = co_await change(Needs::kRoom, PartitionGrowth(request), [&](const GrowTopicsOutcome& outcome) {
    log_grown(core_, image_, outcome, request.asked_by);
    for (const Uuid& id : outcome.grown) ids.emplace(image_.topic(id)->name, id);
  });
  for (GrowTopicResult& result : decided.results) {
    if (const auto id = ids.find(result.name); id != ids.end()) refuse_if(decided.not_made, id->second, result);
  }
  co_return std::move(decided.results);
}

Task<std::vector<AlterConfigResult>> Controller::alter_configs(AlterConfigsRequest request) {
  check_core();
  auto decided =
      co_await change(Needs::kNothing, ConfigChanges(self_.node_id, request), [&](const AlterConfigsOutcome& outcome) {
        log_configured(core_, outcome, request.asked_by);
        if (!outcome.brokers) return;
        follow_broker_configs();
        if (on_broker_configs) on_broker_configs();
      });
  co_return std::move(decided.results);
}

// --- Portions --------------------------------------------------------------------------------------------------------

ElectionInputs Controller::election_inputs() const {
  return {.defaults = rules_.defaults, .reports = reports_, .active_since = active_since_, .now = core_.now()};
}

template <class Decisions>
Task<std::optional<Refusal>> Controller::change_portion(Decisions& decisions, bool& more,
                                                        ImageFollower::ChangePointer& applying) {
  if (auto refusal = co_await take_turn()) co_return refusal;
  std::vector<MetadataRecord> records;
  more = decisions.next_portion(image_, election_inputs(), records);
  std::optional<Refusal> refusal;
  if (!records.empty()) {
    ImageDelta delta = delta_of(image_, records);
    refusal = co_await commit(records);
    if (!refusal) applying = follower_.follow(image_, std::move(delta), topic_defaults_);
  }
  end_turn();
  co_return refusal;
}

template <class Decisions>
Task<std::optional<Refusal>> Controller::change_in_portions(Decisions& decisions) {
  for (bool more = true; more;) {
    ImageFollower::ChangePointer applying;
    std::optional<Refusal> refusal = co_await change_portion(decisions, more, applying);
    (void)co_await follower_.applied(std::move(applying));
    if (refusal) co_return refusal;
    co_await core_.yield(reactor::CpuClass::kBackground);
  }
  co_return std::nullopt;
}

Task<std::expected<std::vector<ElectionResult>, Refusal>> Controller::elect_leaders(ElectLeaders request) {
  check_core();
  AskedElections elections(std::move(request));
  std::optional<Refusal> refusal = elections.check();
  if (!refusal) refusal = co_await change_in_portions(elections);
  if (refusal) co_return std::unexpected(std::move(*refusal));
  co_return elections.results();
}

Task<std::expected<std::vector<ReassignResult>, Refusal>> Controller::reassign(ReassignRequest request) {
  check_core();
  Reassignments reassignments(std::move(request));
  if (auto refusal = co_await change_in_portions(reassignments)) co_return std::unexpected(std::move(*refusal));
  co_return reassignments.results();
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
  std::optional<Refusal> refusal = co_await take_turn();
  if (!refusal) {
    refusal = co_await commit({record});
    if (!refusal) follower_.follow(image_, {}, topic_defaults_);
    end_turn();
  }
  ProducerIdAllocator::Output out;
  refusal ? producer_ids_->persist_failed(out) : producer_ids_->persisted(out);
  take_answers(out);
}

}  // namespace posthaste::replication
