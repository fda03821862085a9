#include "replication/record_log.h"

#include "reactor/check.h"

namespace posthaste::replication {

using reactor::Errc;
using reactor::failure;
using reactor::Instant;
using reactor::Result;
using reactor::Task;

namespace {

// One read of a log that is being replayed.
constexpr uint32_t kReplayReadBytes = uint32_t{1} << 20;

}  // namespace

RecordLog::RecordLog(reactor::Core& core, storage::Engine& engine, storage::Partition& log, RecordLogReader& reader)
    : CoreOwned(core),
      core_(core),
      engine_(engine),
      log_(log),
      replica_(replication::Replica::of(log)),
      reader_(reader),
      scope_(core) {
  report_.owner = this;
  report_.run = [](reactor::Runnable& self) { static_cast<Report&>(self).owner->report(); };
}

// --- Loading ---------------------------------------------------------------------------------------------------------

Task<Result<void>> RecordLog::lead(int32_t leader_epoch) {
  check_core();
  CHECK(leader_epoch >= leader_epoch_, "epoch {} after {}", leader_epoch, leader_epoch_);
  resign();
  leader_epoch_ = leader_epoch;
  phase_ = Phase::kLoading;
  const uint64_t term = ++term_;
  // Nobody appends before this has loaded, so this is where the term begins.
  const int64_t end = log_.end_offset();
  Result<void> done = co_await wait_settled(end);
  if (term != term_) co_return failure(Errc::kCancelled);
  if (!done) co_return done;
  reader_.begin_load();
  int64_t offset = log_.log_start_offset();
  while (offset < end) {
    const Result<int64_t> next = co_await replay_piece(offset, end, term);
    if (term != term_) co_return failure(Errc::kCancelled);
    if (!next) co_return failure(next.error());
    offset = *next;
    co_await core_.yield(reactor::CpuClass::kBackground);
    if (term != term_) co_return failure(Errc::kCancelled);
  }
  CHECK(phase_ == Phase::kLoading && log_.end_offset() == end, "somebody else appends to {}-{}", log_.topic_name(),
        log_.partition());
  phase_ = Phase::kLeading;
  co_return Result<void>{};
}

Task<Result<void>> RecordLog::wait_settled(int64_t end) {
  Settled settled(core_);
  settled.offset = end;
  settled.done = [](storage::OffsetWaiter& waiter, Result<void> result) {
    auto& self = static_cast<Settled&>(waiter);
    self.result = result;
    self.finished.set();
  };
  settling_ = &settled;
  replica_.wait_high_watermark(settled);
  co_await settled.finished.wait();
  if (settling_ == &settled) settling_ = nullptr;
  co_return settled.result;
}

// Replays from `offset` on what one read gives; returns where the next piece begins.
Task<Result<int64_t>> RecordLog::replay_piece(int64_t offset, int64_t end, uint64_t term) {
  Result<storage::ReadResult> read =
      co_await log_.read({.offset = offset, .max_bytes = kReplayReadBytes, .limit_offset = end});
  if (term != term_) co_return failure(Errc::kCancelled);
  if (!read) co_return failure(read.error());
  if (read->next_offset <= offset) co_return failure(Errc::kDamaged);
  const storage::Bytes bytes = storage::joined(*read);
  CO_TRY(replay_batches(bytes));
  co_return read->next_offset;
}

Result<void> RecordLog::replay_batches(storage::ByteView bytes) {
  storage::BatchCursor cursor(bytes);
  while (auto batch = cursor.next()) {
    storage::RecordReader records(*batch);
    for (auto record = TRY(records.next()); record; record = TRY(records.next())) reader_.replay(*record);
  }
  if (cursor.error()) return failure(*cursor.error());
  return {};
}

// --- Appending -------------------------------------------------------------------------------------------------------

void RecordLog::append(storage::Bytes batch, Instant patience_ends, Done done) {
  check_core();
  CHECK(leads(), "an append to {}-{} outside a term", log_.topic_name(), log_.partition());
  Entry& entry = queued_.emplace_back();
  entry.owner = this;
  entry.batch = std::move(batch);
  entry.patience_ends = patience_ends;
  entry.done_with = std::move(done);
  entry.done = [](storage::OffsetWaiter& waiter, Result<void> result) {
    auto& self = static_cast<Entry&>(waiter);
    self.owner->take_outcome(self, result);
  };
  if (writing_) return;
  writing_ = true;
  scope_.spawn_job(write_queued());
}

// Appends batch after batch in order; does not wait for one to be safe before the next. After a wait the queue may be
// that of a newer term.
Task<void> RecordLog::write_queued() {
  while (!queued_.empty()) {
    Entry& entry = queued_.front();
    Result<storage::AppendResult> appended =
        replica_.append(entry.batch, {.leader_epoch = leader_epoch_, .from_client = false}, core_.wall_now());
    if (!appended && appended.error() == Errc::kNoMemory && core_.now() < entry.patience_ends) {
      co_await engine_.wait_for_room();
      continue;
    }
    in_flight_.splice(in_flight_.end(), queued_, queued_.begin());
    entry.batch = {};
    if (!appended) {
      take_outcome(entry, failure(appended.error()));
      continue;
    }
    entry.base_offset = appended->base_offset;
    entry.offset = appended->last_offset + 1;
    replica_.wait_high_watermark(entry);
  }
  writing_ = false;
}

void RecordLog::take_outcome(Entry& entry, Result<void> result) {
  CHECK(!entry.result, "an append has two outcomes");
  entry.result = result;
  if (!report_.is_linked()) core_.schedule(report_);
}

// In the order of the appends, so one may wait for those before it. Who is told may append.
void RecordLog::report() {
  while (!in_flight_.empty() && in_flight_.front().result) {
    Entry& first = in_flight_.front();
    const Outcome outcome{*first.result, first.base_offset};
    const Done done = std::move(first.done_with);
    in_flight_.pop_front();
    done(outcome);
  }
}

// --- Ends of terms ---------------------------------------------------------------------------------------------------

void RecordLog::resign() {
  check_core();
  ++term_;
  phase_ = Phase::kResigned;
  if (Settled* settling = std::exchange(settling_, nullptr); settling != nullptr && !settling->finished.is_set()) {
    settling->unlink();
    settling->result = failure(Errc::kCancelled);
    settling->finished.set();
  }
  in_flight_.splice(in_flight_.end(), queued_);
  for (Entry& entry : in_flight_) {
    if (entry.result) continue;
    entry.unlink();
    take_outcome(entry, failure(Errc::kCancelled));
  }
}

Task<void> RecordLog::stop() {
  resign();
  co_await scope_.join();
  report();
  report_.unlink();
}

}  // namespace posthaste::replication
