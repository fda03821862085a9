#include "broker/group_service.h"

#include "storage/record_batch_builder.h"
#include "storage/record_reader.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;
using reactor::Result;
using reactor::Task;

// One read of a log that is being replayed.
constexpr uint32_t kReplayReadBytes = uint32_t{1} << 20;
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

// The pieces of a read as one run of bytes: a batch may lie across two of them.
storage::Bytes flatten(const storage::ReadResult& read) {
  storage::Bytes bytes;
  bytes.reserve(read.size_bytes);
  for (const storage::LeasedBytes& piece : read.pieces)
    bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
  return bytes;
}

}  // namespace

GroupPartition::GroupPartition(reactor::Core& core, storage::Engine& engine, storage::Partition& log,
                               int32_t leader_epoch, const GroupConfig& config, GroupMemory& memory,
                               const AnswerSink& answer)
    : CoreOwned(core),
      core_(core),
      engine_(engine),
      log_(log),
      leader_epoch_(leader_epoch),
      answer_(answer),
      memory_(memory),
      coordinator_(config, memory),
      tick_(core),
      scope_(core) {
  report_.owner = this;
  report_.run = [](reactor::Runnable& self) { static_cast<Report&>(self).owner->report(); };
  tick_.owner = this;
}

GroupTime GroupPartition::now() { return {core_.now(), core_.wall_now()}; }

Task<Result<void>> GroupPartition::replay_log() {
  int64_t offset = log_.log_start_offset();
  const int64_t end = log_.end_offset();
  while (offset < end) {
    Result<storage::ReadResult> read =
        co_await log_.read({.offset = offset, .max_bytes = kReplayReadBytes, .limit_offset = end});
    if (resigned_) co_return Result<void>{};  // stopped while it loaded
    if (!read) co_return reactor::failure(read.error());
    if (read->next_offset <= offset) co_return reactor::failure(Errc::kDamaged);
    const storage::Bytes bytes = flatten(*read);
    offset = read->next_offset;
    storage::BatchCursor cursor(bytes);
    while (auto batch = cursor.next()) {
      Result<void> walked = storage::walk_records(*batch, [&](const storage::RecordView& record) {
        if (!record.key) return;
        std::optional<std::string_view> value;
        if (record.value) value = storage::text_of(*record.value);
        Result<void> replayed = coordinator_.replay(storage::text_of(*record.key), value);
        if (!replayed) {
          core_.log(reactor::LogLevel::kWarning, "group_record_skipped",
                    fmt::format("partition={} offset={} error={}", log_.partition(), record.offset,
                                to_string(replayed.error())));
        }
      });
      if (!walked) co_return walked;
    }
    if (cursor.error()) co_return reactor::failure(*cursor.error());
    co_await core_.yield(reactor::CpuClass::kBackground);
    if (resigned_) break;
  }
  co_return Result<void>{};
}

Task<void> GroupPartition::load() {
  Result<void> loaded = co_await replay_log();
  // What may pass is waited out, for as long as the partition is led: groups are told that it loads. Records that were
  // replayed before are replayed again; the last one of each key counts.
  for (bool said = false; !loaded && may_pass(loaded.error()) && !resigned_; loaded = co_await replay_log()) {
    if (!std::exchange(said, true)) {
      core_.log(reactor::LogLevel::kError, "group_load_waits",
                fmt::format("partition={} error={} consequence=\"tried again until it can be read\"", log_.partition(),
                            to_string(loaded.error())));
    }
    co_await core_.sleep(kLoadRetryDelay);
  }
  if (!loaded) {
    core_.log(reactor::LogLevel::kError, "group_load_failed",
              fmt::format("partition={} error={} consequence=\"groups of this partition are not served\"",
                          log_.partition(), to_string(loaded.error())));
    co_return;
  }
  if (resigned_) co_return;
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

// Does what an event caused: records into the writer's queue, answers to those who asked.
void GroupPartition::drive(GroupOutput& out) {
  for (GroupPersist& persist : out.persists) queued_.push_back(std::move(persist));
  if (!queued_.empty() && !writing_) {
    writing_ = true;
    scope_.spawn_job(write_queued());
  }
  for (GroupMessage& message : out.messages) answer_(message.token, std::move(message.response));
  if (const auto refused = memory_.refused_to_tell(core_.now())) {
    core_.log(
        reactor::LogLevel::kWarning, "group_memory_full",
        fmt::format("refused={} held_mib={} limit_mib={}", *refused, memory_.held() >> 20, memory_.limit() >> 20));
  }
  rearm();
}

// Appends batch after batch in order; does not wait for one to be durable before the next.
Task<void> GroupPartition::write_queued() {
  while (!queued_.empty() && !resigned_) {
    storage::Bytes batch = encode_batch(queued_.front(), core_.wall_now());
    const PersistId id = queued_.front().id;
    Result<storage::AppendResult> appended =
        log_.append(batch, {.leader_epoch = leader_epoch_, .from_client = false}, core_.wall_now());
    if (!appended && appended.error() == Errc::kNoMemory) {
      co_await engine_.wait_for_room();
      continue;
    }
    queued_.pop_front();
    InFlight& entry = in_flight_.emplace_back();
    entry.owner = this;
    entry.id = id;
    if (!appended) {
      entry.outcome = reactor::failure(appended.error());
      if (!report_.is_linked()) core_.schedule(report_);
      continue;
    }
    entry.offset = appended->last_offset + 1;
    entry.done = [](storage::OffsetWaiter& waiter, Result<void> outcome) {
      auto& self = static_cast<InFlight&>(waiter);
      self.outcome = outcome;
      if (!self.owner->report_.is_linked()) self.owner->core_.schedule(self.owner->report_);
    };
    log_.wait_high_watermark(entry);
  }
  writing_ = false;
}

void GroupPartition::report() {
  GroupOutput out;
  while (!in_flight_.empty() && in_flight_.front().outcome) {
    const PersistId id = in_flight_.front().id;
    const Result<void> outcome = *in_flight_.front().outcome;
    in_flight_.pop_front();
    if (resigned_) continue;
    if (outcome) {
      coordinator_.persisted(id, now(), out);
    } else {
      coordinator_.persist_failed(id, outcome.error(), now(), out);
    }
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
  GroupOutput out;
  coordinator_.resign(out);
  resigned_ = true;
  queued_.clear();
  drive(out);
}

Task<void> GroupPartition::stop() {
  resign();
  co_await scope_.join();
  in_flight_.clear();
  report_.unlink();
}

GroupService::GroupService(reactor::Core& core, const GroupConfig& config, uint64_t memory_bytes, AnswerSink answer)
    : CoreOwned(core), core_(core), config_(config), memory_(memory_bytes), answer_(std::move(answer)), scope_(core) {}

void GroupService::add(int32_t index, storage::Engine& engine, storage::Partition& log, int32_t leader_epoch) {
  check_core();
  auto& slot = partitions_[index];
  if (slot != nullptr) return;
  slot = std::make_unique<GroupPartition>(core_, engine, log, leader_epoch, config_, memory_, answer_);
  scope_.spawn_job(slot->load());
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
  co_await scope_.join();
  for (auto& [index, partition] : partitions_) co_await partition->stop();
}

}  // namespace posthaste::broker
