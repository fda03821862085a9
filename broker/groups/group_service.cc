#include "broker/groups/group_service.h"

#include "storage/batch/record_batch_builder.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;
using reactor::Result;
using reactor::Task;
using replication::RecordLog;

// Before a log that could not be read is read again. Something outside must change.
constexpr reactor::Duration kLoadRetryDelay = std::chrono::milliseconds(500);

// Whether the same read may succeed a little later: what is known to be lost or wrong stays so.
bool may_pass(Errc error) {
  return error == Errc::kIoError || error == Errc::kPermission || error == Errc::kTooManyFiles ||
         error == Errc::kNoMemory;
}

storage::Bytes encode_batch(const GroupPersist& persist, reactor::WallMillis now) {
  storage::RecordBatchBuilder builder;
  for (const GroupLogRecord& record : persist.records) {
    storage::RecordToWrite to_write{.timestamp = now.value, .key = storage::bytes_of(record.key)};
    if (record.value) to_write.value = storage::bytes_of(*record.value);
    builder.add(to_write);
  }
  return builder.finish();
}

}  // namespace

GroupPartition::GroupPartition(reactor::Core& core, storage::Engine& engine, storage::Partition& log,
                               const GroupConfig& config, GroupMemory& memory, const AnswerSink& answer)
    : CoreOwned(core),
      core_(core),
      log_(core, engine, log, *this),
      answer_(answer),
      memory_(memory),
      coordinator_(config, memory),
      tick_(core),
      scope_(core) {
  tick_.owner = this;
}

GroupTime GroupPartition::now() { return {core_.now(), core_.wall_now()}; }

void GroupPartition::lead(int32_t leader_epoch) {
  check_core();
  if (leader_epoch <= leader_epoch_) return;
  if (leader_epoch_ >= 0) resign();
  leader_epoch_ = leader_epoch;
  resigned_ = false;
  coordinator_.begin_load();
  scope_.spawn_job(load(leader_epoch));
}

void GroupPartition::begin_load() { coordinator_.begin_load(); }

// What cannot be read is skipped, as Kafka does: a record of another kind of group, say.
void GroupPartition::replay(const storage::RecordView& record) {
  if (!record.key) return;
  std::optional<std::string_view> value;
  if (record.value) value = storage::text_of(*record.value);
  const Result<void> replayed = coordinator_.replay(storage::text_of(*record.key), value);
  if (!replayed) {
    core_.log(reactor::LogLevel::kWarning, "group_record_skipped",
              fmt::format("partition={} offset={} error={}", log_.log().partition(), record.offset,
                          to_string(replayed.error())));
  }
}

// Whether the log is loaded in this term. What may pass is waited out, for as long as the term lasts: groups are told
// that it loads.
Task<bool> GroupPartition::load_log(int32_t leader_epoch) {
  const auto is_over = [&] { return resigned_ || leader_epoch_ != leader_epoch; };
  for (bool said = false; !is_over(); co_await core_.sleep(kLoadRetryDelay)) {
    const Result<void> loaded = co_await log_.lead(leader_epoch);
    if (is_over()) break;
    if (loaded) co_return true;
    if (!may_pass(loaded.error())) {
      core_.log(reactor::LogLevel::kError, "group_load_failed",
                fmt::format("partition={} error={} consequence=\"groups of this partition are not served\"",
                            log_.log().partition(), to_string(loaded.error())));
      break;
    }
    if (!std::exchange(said, true)) {
      core_.log(reactor::LogLevel::kError, "group_load_waits",
                fmt::format("partition={} error={} consequence=\"tried again until it can be read\"",
                            log_.log().partition(), to_string(loaded.error())));
    }
  }
  co_return false;
}

Task<void> GroupPartition::load(int32_t leader_epoch) {
  if (!co_await load_log(leader_epoch)) co_return;
  if (memory_.held() > memory_.limit()) {
    core_.log(reactor::LogLevel::kWarning, "groups_above_their_memory",
              fmt::format("held_mib={} limit_mib={} consequence=\"no new groups, members and offsets\" remedy=\"delete "
                          "groups, or set posthaste.memory.bytes higher\"",
                          memory_.held() >> 20, memory_.limit() >> 20));
  }
  GroupOutput out;
  coordinator_.finish_load(now(), out);
  drive(out);
}

void GroupPartition::submit(RequestToken token, GroupEvent event) {
  check_core();
  GroupOutput out;
  const GroupTime at = now();
  std::visit(
      [&](auto& request) {
        using Event = std::decay_t<decltype(request)>;
        if constexpr (std::is_same_v<Event, JoinRequest>) {
          coordinator_.join(token, std::move(request), at, out);
        } else if constexpr (std::is_same_v<Event, SyncRequest>) {
          coordinator_.sync(token, request, at, out);
        } else if constexpr (std::is_same_v<Event, HeartbeatRequest>) {
          coordinator_.heartbeat(token, request, at, out);
        } else if constexpr (std::is_same_v<Event, LeaveRequest>) {
          coordinator_.leave(token, request, at, out);
        } else if constexpr (std::is_same_v<Event, OffsetCommitRequest>) {
          coordinator_.commit_offsets(token, request, at, out);
        } else if constexpr (std::is_same_v<Event, OffsetDeleteRequest>) {
          coordinator_.delete_offsets(token, request, at, out);
        } else {
          coordinator_.delete_groups(token, request, at, out);
        }
      },
      event);
  drive(out);
}

void GroupPartition::topics_deleted(std::span<const std::string> topics) {
  check_core();
  GroupOutput out;
  coordinator_.topics_deleted(topics, now(), out);
  drive(out);
}

// Carries out what an event caused: records into the log, answers to the requests.
void GroupPartition::drive(GroupOutput& out) {
  for (const GroupPersist& persist : out.persists) {
    log_.append(encode_batch(persist, core_.wall_now()), reactor::Instant::never(),
                [this, id = persist.id](const RecordLog::Outcome& outcome) { reported(id, outcome.result); });
  }
  for (GroupMessage& message : out.messages) answer_(message.token, std::move(message.response));
  if (const auto refused = memory_.refused_to_tell(core_.now())) {
    core_.log(
        reactor::LogLevel::kWarning, "group_memory_full",
        fmt::format("refused={} held_mib={} limit_mib={}", *refused, memory_.held() >> 20, memory_.limit() >> 20));
  }
  rearm();
}

// Of a term that is over too: the coordinator knows which it still asks for.
void GroupPartition::reported(PersistId id, const Result<void>& result) {
  GroupOutput out;
  if (result) {
    coordinator_.persisted(id, now(), out);
  } else {
    coordinator_.persist_failed(id, result.error(), now(), out);
  }
  drive(out);
}

void GroupPartition::rearm() {
  if (resigned_) return tick_.cancel();
  const reactor::Instant at = coordinator_.next_deadline();
  if (at == reactor::Instant::never()) return tick_.cancel();
  if (tick_.armed() && tick_.deadline() == at) return;
  tick_.arm(at, [](reactor::Timer& timer) {
    GroupPartition& self = *static_cast<Tick&>(timer).owner;
    GroupOutput out;
    self.coordinator_.tick(self.now(), out);
    self.drive(out);
  });
}

void GroupPartition::resign() {
  check_core();
  if (resigned_) return;
  resigned_ = true;
  GroupOutput out;
  coordinator_.resign(out);
  log_.resign();
  drive(out);
}

Task<void> GroupPartition::stop() {
  resign();
  co_await scope_.join();
  co_await log_.stop();
}

GroupService::GroupService(reactor::Core& core, const GroupConfig& config, uint64_t memory_bytes, AnswerSink answer)
    : CoreOwned(core), core_(core), config_(config), memory_(memory_bytes), answer_(std::move(answer)) {}

void GroupService::lead(int32_t index, storage::Engine& engine, storage::Partition& log, int32_t leader_epoch) {
  check_core();
  auto& slot = partitions_[index];
  if (slot == nullptr) slot = std::make_unique<GroupPartition>(core_, engine, log, config_, memory_, answer_);
  slot->lead(leader_epoch);
}

GroupPartition* GroupService::find(int32_t index) {
  check_core();
  const auto found = partitions_.find(index);
  return found == partitions_.end() ? nullptr : found->second.get();
}

void GroupService::for_each(const std::function<void(int32_t index, GroupPartition&)>& visit) {
  check_core();
  for (auto& [index, partition] : partitions_) visit(index, *partition);
}

Task<void> GroupService::stop() {
  for (auto& [index, partition] : partitions_) partition->resign();
  for (auto& [index, partition] : partitions_) co_await partition->stop();
}

}  // namespace posthaste::broker
