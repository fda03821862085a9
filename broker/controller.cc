#include "broker/controller.h"

#include <algorithm>

#include "broker/broker_host.h"
#include "broker/metadata/topic_name.h"
#include "storage/record_batch_builder.h"
#include "storage/record_reader.h"

namespace posthaste::broker {
namespace {

using net::kafka::ErrorCode;
using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;
using storage::Placement;

// A batch of the metadata log is closed at about this size; records of one change stay together as far as they fit.
constexpr size_t kBatchBytes = size_t{256} << 10;
constexpr uint32_t kReplayReadBytes = uint32_t{1} << 20;
// Requests for a producer id that wait for the next block; a thousand ids per block, so more means that disk is stuck.
constexpr size_t kProducerIdWaitersMax = 10'000;

storage::LogConfig metadata_log_config() {
  storage::LogConfig config;
  config.retention = {.retention_ms = -1, .retention_bytes = -1};
  return config;
}

// What one core is to make or remove.
struct PartitionWork {
  std::vector<storage::PartitionSpec> create;
  std::vector<Placement::Key> remove;
};

Task<void> create_one(storage::Engine& engine, storage::PartitionSpec spec, Result<void>& result) {
  Result<storage::Partition*> created = co_await engine.create_partition(std::move(spec));
  if (!created && created.error() != Errc::kExists && result) result = failure(created.error());
}

// Runs on the owning core. Creations go side by side, so that their journal records share commits.
Task<Result<void>> do_partition_work(BrokerCore& there, PartitionWork& work) {
  Result<void> result;
  reactor::TaskScope scope(there.core());
  for (storage::PartitionSpec& spec : work.create) scope.spawn(create_one(there.engine(), std::move(spec), result));
  co_await scope.join();
  if (work.remove.empty()) co_return result;
  co_await there.operations().drain();
  for (const Placement::Key& key : work.remove) {
    storage::Partition* partition = there.engine().find(key.topic_id, key.partition);
    if (partition == nullptr) continue;
    Result<void> removed = co_await there.engine().delete_partition(*partition);
    if (!removed && result) result = removed;
  }
  co_return result;
}

Task<void> mail_partition_work(BrokerCore& from, CoreId to, PartitionWork& work, Result<void>& result) {
  auto run = [&](Core& there) { return do_partition_work(from.there(there), work); };
  Result<void> done = co_await reactor::on_core(from.core(), to, std::move(run));
  if (!done && result) result = done;
}

Task<Result<void>> spread_partition_work(BrokerCore& from, std::vector<PartitionWork>& work) {
  Result<void> result;
  reactor::TaskScope scope(from.core());
  for (size_t to = 0; to < work.size(); ++to) {
    if (work[to].create.empty() && work[to].remove.empty()) continue;
    scope.spawn(mail_partition_work(from, static_cast<CoreId>(to), work[to], result));
  }
  co_await scope.join();
  co_return result;
}

Task<void> mail_view(BrokerCore& from, CoreId to, std::shared_ptr<const ClusterView> view) {
  auto adopt = [&](Core& there) { from.there(there).adopt_view(view); };
  co_await reactor::on_core(from.core(), to, std::move(adopt));
}

Task<void> mail_deleted_topics(BrokerCore& from, CoreId to, const std::vector<std::string>& topics) {
  auto tell = [&](Core& there) {
    from.there(there).groups().for_each([&](int32_t, GroupPartition& partition) { partition.topics_deleted(topics); });
  };
  co_await reactor::on_core(from.core(), to, std::move(tell));
}

}  // namespace

Controller::Controller(BrokerCore& core, storage::EngineHost& engine_host, NodeIdentity identity,
                       std::vector<Endpoint> endpoints)
    : broker_(core),
      core_(core.core()),
      engine_host_(engine_host),
      identity_(std::move(identity)),
      endpoints_(std::move(endpoints)),
      rules_(core.options().topics),
      placement_(engine_host.placement()),
      turn_(core_, 1),
      producer_ids_changed_(core_) {}

Task<Result<void>> Controller::load(std::string& why) {
  storage::Engine& engine = broker_.engine();
  log_ = engine.find(kMetadataTopicId.bytes, 0);
  if (log_ == nullptr) {
    Result<storage::Partition*> created =
        co_await engine.create_partition({.topic_id = kMetadataTopicId.bytes,
                                          .topic_name = std::string(kClusterMetadataTopic),
                                          .partition = 0,
                                          .config = metadata_log_config()});
    if (!created) {
      why = fmt::format("cannot create the metadata log ({})", to_string(created.error()));
      co_return failure(created.error());
    }
    log_ = *created;
  }
  placement_.remove({kMetadataTopicId.bytes, 0});
  log_->set_config(metadata_log_config());
  core_.log(reactor::LogLevel::kDebug, "metadata_log",
            fmt::format("start={} end={} partitions={}", log_->log_start_offset(), log_->end_offset(),
                        placement_.entries().size()));
  Result<void> done = co_await replay(why);
  if (!done) co_return done;
  done = co_await take_the_lead();
  if (done) done = co_await reconcile();
  if (!done) {
    why = fmt::format("cannot bring the partitions in line with the metadata log ({})", to_string(done.error()));
    co_return done;
  }
  producer_ids_.emplace(identity_.node_id, image_.brokers().at(identity_.node_id).broker_epoch,
                        image_.next_producer_id(), kProducerIdWaitersMax);
  co_await publish({}, true);
  co_return Result<void>{};
}

Task<Result<void>> Controller::replay(std::string& why) {
  int64_t offset = log_->log_start_offset();
  const int64_t end = log_->end_offset();
  while (offset < end) {
    Result<storage::ReadResult> read =
        co_await log_->read({.offset = offset, .max_bytes = kReplayReadBytes, .limit_offset = end});
    if (!read || read->next_offset <= offset) {
      const Errc error = read ? Errc::kDamaged : read.error();
      why = fmt::format("the metadata log cannot be read at offset {} ({})", offset, to_string(error));
      co_return failure(error);
    }
    storage::Bytes bytes;
    for (const auto& piece : read->pieces) bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
    storage::BatchCursor cursor(bytes);
    while (auto batch = cursor.next()) {
      Result<void> applied;
      int64_t at = batch->base_offset();
      Result<void> walked = storage::walk_records(*batch, [&](const storage::RecordView& record) {
        if (!applied || !record.value) return;
        at = record.offset;
        applied = image_.apply_bytes(storage::text_of(*record.value));
      });
      if (!walked) applied = walked;
      if (!applied) {
        why = fmt::format("the metadata log has a record at offset {} that this version cannot apply ({})", at,
                          to_string(applied.error()));
        co_return applied;
      }
    }
    offset = read->next_offset;
  }
  co_return Result<void>{};
}

// Registers this broker as it is now and starts a new leader epoch everywhere: a restarted leader never goes on under
// an epoch that it may have used before (WS B).
Task<Result<void>> Controller::take_the_lead() {
  RegisterBrokerRecord broker;
  broker.broker_id = identity_.node_id;
  broker.incarnation_id = make_topic_id(random_bytes(core_));
  broker.broker_epoch = log_->end_offset();
  for (const Endpoint& endpoint : endpoints_) {
    broker.endpoints.push_back({.name = endpoint.listener, .host = endpoint.host, .port = endpoint.port});
  }
  broker.fenced = false;
  broker.log_dirs = {identity_.directory_id};
  std::vector<MetadataRecord> records = {broker};
  for (const auto& [name, topic] : image_.topics()) {
    for (int32_t index = 0; index < static_cast<int32_t>(topic.partitions.size()); ++index) {
      records.push_back(PartitionChangeRecord{
          .partition_id = index, .topic_id = topic.id, .isr = std::nullopt, .leader = identity_.node_id});
    }
  }
  co_return co_await commit(records);
}

// Partitions that the log knows and the engine does not were about to be made; the other way round, to be removed.
Task<Result<void>> Controller::reconcile() {
  std::vector<Placement::Key> unknown;
  for (const auto& [key, core] : placement_.entries()) {
    const TopicImage* topic = image_.topic(Uuid{key.topic_id});
    if (topic == nullptr || static_cast<size_t>(key.partition) >= topic->partitions.size()) unknown.push_back(key);
  }
  co_await delete_partitions(std::move(unknown));
  std::vector<Uuid> incomplete;
  for (const auto& [name, topic] : image_.topics()) {
    for (int32_t index = 0; index < static_cast<int32_t>(topic.partitions.size()); ++index) {
      if (placement_.find({topic.id.bytes, index})) continue;
      incomplete.push_back(topic.id);
      break;
    }
  }
  co_return co_await create_partitions(std::move(incomplete));
}

// Appends records, waits until they are durable, applies them. On error nothing was applied; the log may then hold a
// part of it, which a restart would apply: the caller's answer is an error either way, and a retry finds what is there.
Task<Result<void>> Controller::commit(const std::vector<MetadataRecord>& records) {
  size_t at = 0;
  while (at < records.size()) {
    storage::RecordBatchBuilder builder(storage::BatchToWrite{.leader_epoch = 0});
    const int64_t now = core_.wall_now().value;
    for (; at < records.size() && (builder.count() == 0 || builder.size_bytes() < kBatchBytes); ++at) {
      const std::string value = encode(records[at]);
      builder.add({.timestamp = now, .value = storage::bytes_of(value)});
    }
    Result<void> appended = co_await append_batch(builder.finish());
    if (!appended) co_return appended;
  }
  for (const MetadataRecord& record : records) {
    Result<void> applied = image_.apply(record);
    CHECK(applied, "a metadata record of our own does not apply: {}", to_string(applied.error()));
  }
  co_return Result<void>{};
}

Task<Result<void>> Controller::append_batch(storage::Bytes batch) {
  for (;;) {
    Result<storage::AppendResult> appended =
        log_->append(batch, {.leader_epoch = 0, .from_client = false}, core_.wall_now());
    if (!appended && appended.error() == Errc::kNoMemory) {
      co_await broker_.engine().wait_for_room();
      continue;
    }
    if (!appended) co_return failure(appended.error());
    struct Wait : storage::OffsetWaiter {
      explicit Wait(Core& core) : finished(core) {}
      reactor::Event finished;
      Result<void> outcome;
    };
    Wait wait(core_);
    wait.offset = appended->last_offset + 1;
    wait.done = [](storage::OffsetWaiter& waiter, Result<void> outcome) {
      auto& self = static_cast<Wait&>(waiter);
      self.outcome = outcome;
      self.finished.set();
    };
    log_->wait_high_watermark(wait);
    co_await wait.finished.wait();
    co_return wait.outcome;
  }
}

// Places and makes all partitions of these topics that are not placed yet.
Task<Result<void>> Controller::create_partitions(std::vector<Uuid> topics) {
  std::vector<PartitionWork> work(engine_host_.cores());
  std::vector<std::pair<Placement::Key, CoreId>> placed;
  for (const Uuid& id : topics) {
    const TopicImage* topic = image_.topic(id);
    const storage::LogConfig config =
        log_config(typed_topic_config(topic->configs, rules_.defaults), broker_.options().producers);
    for (int32_t index = 0; index < static_cast<int32_t>(topic->partitions.size()); ++index) {
      const Placement::Key key{id.bytes, index};
      if (placement_.find(key)) continue;
      const CoreId core = placement_.choose_core(id.bytes);
      placement_.add(key, core);
      placed.emplace_back(key, core);
      work[core].create.push_back(
          {.topic_id = id.bytes, .topic_name = topic->name, .partition = index, .config = config});
    }
  }
  Result<void> done = co_await spread_partition_work(broker_, work);
  // What was not made is not placed: Metadata then says LEADER_NOT_AVAILABLE, and the next start tries again.
  if (!done) {
    for (const auto& [key, core] : placed) placement_.remove(key);
  }
  co_return done;
}

Task<void> Controller::delete_partitions(std::vector<Placement::Key> partitions) {
  std::vector<PartitionWork> work(engine_host_.cores());
  for (const Placement::Key& key : partitions) {
    const std::optional<CoreId> core = placement_.find(key);
    if (!core) continue;
    work[*core].remove.push_back(key);
    placement_.remove(key);
  }
  Result<void> done = co_await spread_partition_work(broker_, work);
  if (!done) {
    core_.log(reactor::LogLevel::kWarning, "partition_not_removed",
              fmt::format("error={} consequence=\"the next start removes it\"", to_string(done.error())));
  }
}

Task<void> Controller::publish(std::vector<Uuid> changed, bool all_changed) {
  auto view = std::make_shared<ClusterView>();
  view->cluster_id = identity_.cluster_id;
  view->node_id = identity_.node_id;
  view->endpoints = endpoints_;
  view->image = std::make_shared<const MetadataImage>(image_);
  view->placement = std::make_shared<const Placement>(placement_);
  view->changed = std::move(changed);
  view->all_changed = all_changed;
  reactor::TaskScope scope(core_);
  for (CoreId to = 0; to < engine_host_.cores(); ++to) scope.spawn(mail_view(broker_, to, view));
  co_await scope.join();
}

Task<CreateTopicsOutcome> Controller::create_topics(CreateTopicsRequest request) {
  co_await turn_.acquire(1);
  CreateTopicsOutcome outcome = broker::create_topics(image_, rules_, request);
  std::vector<Uuid> created;
  for (const CreateTopicResult& result : outcome.results) {
    if (!result.topic_id.is_zero()) created.push_back(result.topic_id);
  }
  if (!outcome.records.empty()) {
    Result<void> done = co_await commit(outcome.records);
    if (done) {
      done = co_await create_partitions(created);
      co_await publish(created, false);
    }
    if (!done) {
      core_.log(reactor::LogLevel::kError, "create_topics_failed", fmt::format("error={}", to_string(done.error())));
      for (CreateTopicResult& result : outcome.results) {
        if (result.error != ErrorCode::kNone) continue;
        result.error = ErrorCode::kKafkaStorageError;
        result.message =
            fmt::format("the metadata log or the partitions could not be written: {}", to_string(done.error()));
      }
    }
  }
  turn_.release(1);
  co_return outcome;
}

Task<DeleteTopicsOutcome> Controller::delete_topics(std::vector<DeleteTopic> topics) {
  co_await turn_.acquire(1);
  DeleteTopicsOutcome outcome = broker::delete_topics(image_, rules_, topics);
  std::vector<Placement::Key> partitions;
  std::vector<Uuid> changed;
  for (const DeleteTopicResult& result : outcome.results) {
    const TopicImage* topic = result.error == ErrorCode::kNone ? image_.topic(result.topic_id) : nullptr;
    if (topic == nullptr) continue;
    changed.push_back(topic->id);
    for (int32_t index = 0; index < static_cast<int32_t>(topic->partitions.size()); ++index) {
      partitions.push_back({topic->id.bytes, index});
    }
  }
  if (!outcome.records.empty()) {
    Result<void> done = co_await commit(outcome.records);
    if (done) {
      co_await publish(changed, false);  // nobody is routed there any more
      co_await delete_partitions(std::move(partitions));
      co_await tell_coordinators(outcome.deleted);
    } else {
      for (DeleteTopicResult& result : outcome.results) {
        if (result.error == ErrorCode::kNone) result.error = ErrorCode::kKafkaStorageError;
      }
    }
  }
  turn_.release(1);
  co_return outcome;
}

Task<void> Controller::tell_coordinators(std::vector<std::string> deleted_topics) {
  reactor::TaskScope scope(core_);
  for (CoreId to = 0; to < engine_host_.cores(); ++to) scope.spawn(mail_deleted_topics(broker_, to, deleted_topics));
  co_await scope.join();
}

Task<ProducerIdAllocator::Answer> Controller::producer_id() {
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
  co_await turn_.acquire(1);
  Result<void> done = co_await commit({record});
  turn_.release(1);
  ProducerIdAllocator::Output out;
  done ? producer_ids_->persisted(out) : producer_ids_->persist_failed(out);
  take_answers(out);
}

Task<CreateTopicsOutcome> create_topics_on_controller(BrokerCore& from, CreateTopicsRequest request) {
  auto run = [&](Core&) { return from.host().controller().create_topics(std::move(request)); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run));
}

Task<DeleteTopicsOutcome> delete_topics_on_controller(BrokerCore& from, std::vector<DeleteTopic> topics) {
  auto run = [&](Core&) { return from.host().controller().delete_topics(std::move(topics)); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run));
}

Task<ProducerIdAllocator::Answer> producer_id_on_controller(BrokerCore& from) {
  auto run = [&](Core&) { return from.host().controller().producer_id(); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run));
}

}  // namespace posthaste::broker
