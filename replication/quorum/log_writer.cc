#include "replication/quorum/log_writer.h"

#include <fmt/format.h>

#include "reactor/check.h"

namespace posthaste::replication::quorum {

using reactor::Core;
using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;
using storage::Bytes;
using storage::OffsetWaiter;
using storage::Partition;

namespace {
// What waits for something that passes looks again this often.
constexpr reactor::Duration kRetry = std::chrono::milliseconds(100);
}  // namespace

LogWriter::LogWriter(storage::Engine& engine, Partition& log, SnapshotStore& snapshots, LogWriterUser& user)
    : CoreOwned(engine.core()),
      core_(engine.core()),
      engine_(engine),
      log_(log),
      snapshots_(snapshots),
      user_(user),
      scope_(engine.core()) {
  report_.owner = this;
  report_.run = [](reactor::Runnable& self) { static_cast<Report&>(self).owner->report(); };
}

// --- What is asked for -----------------------------------------------------------------------------------------------

void LogWriter::append_own(uint64_t number, Epoch epoch, Offset base_offset, Bytes batch) {
  queue(number, Own{epoch, base_offset, std::move(batch)});
}

void LogWriter::append_fetched(uint64_t number, Bytes batches) { queue(number, Fetched{std::move(batches)}); }

void LogWriter::appended(uint64_t number) {
  check_core();
  CHECK(is_idle(), "an append that overtakes what was asked for before it");
  Write& write = in_flight_.emplace_back();
  write.owner = this;
  write.number = number;
  wait_durable(write);
}

void LogWriter::truncate(uint64_t number, Offset to) { queue(number, Cut{to}); }

void LogWriter::write_piece(SnapshotId id, uint64_t position, Bytes piece) {
  queue(0, Piece{id, position, std::move(piece)});
}

void LogWriter::install(SnapshotId id) { queue(0, Install{.id = id}); }

void LogWriter::queue(uint64_t number, What what) {
  check_core();
  Write& write = queued_.emplace_back();
  write.owner = this;
  write.number = number;
  write.what = std::move(what);
  if (is_working_ || has_failed_) return;
  is_working_ = true;
  scope_.spawn_job(work());
}

// --- Doing it --------------------------------------------------------------------------------------------------------

Task<void> LogWriter::work() {
  while (!queued_.empty() && !stopping_) {
    Write& first = queued_.front();
    const Result<void> done = co_await apply(first);
    if (stopping_) break;
    if (!done) {
      has_failed_ = true;
      user_.log_failed(done.error());
      break;
    }
    in_flight_.splice(in_flight_.end(), queued_, queued_.begin());
    wait_durable(first);
    if (queued_.empty()) user_.log_is_as_asked();
  }
  is_working_ = false;
}

Task<Result<void>> LogWriter::apply(Write& write) {
  if (auto* own = std::get_if<Own>(&write.what)) co_return co_await apply_own(*own);
  if (auto* fetched = std::get_if<Fetched>(&write.what)) co_return co_await apply_fetched(*fetched);
  if (const auto* cut = std::get_if<Cut>(&write.what)) co_return co_await apply_cut(cut->to);
  if (auto* install = std::get_if<Install>(&write.what)) co_return co_await apply_install(*install);
  if (auto* piece = std::get_if<Piece>(&write.what)) co_await apply_piece(*piece);
  co_return Result<void>();
}

// After what passes: the same may succeed when this returns. Else the error.
Task<Result<void>> LogWriter::wait_or_fail(Errc error) {
  if (stopping_) co_return failure(Errc::kStopping);
  if (error == Errc::kNoMemory) {
    co_await engine_.wait_for_room();
    co_return Result<void>();
  }
  if (error != Errc::kNoSpace && error != Errc::kIoError && error != Errc::kBusy) co_return failure(error);
  core_.log(reactor::LogLevel::kWarning, "quorum.log_waits",
            fmt::format("log={}-{} error={} consequence=\"this member confirms nothing until it can write\"",
                        log_.topic_name(), log_.partition(), to_string(error)));
  co_await core_.sleep(kRetry);
  co_return stopping_ ? failure(Errc::kStopping) : Result<void>();
}

Task<Result<void>> LogWriter::apply_own(Own& own) {
  for (;;) {
    const auto appended = log_.append(own.batch, {.leader_epoch = own.epoch, .from_client = false}, core_.wall_now());
    if (appended) {
      CHECK(appended->base_offset == own.base_offset, "the log goes on at {}, the quorum at {}", appended->base_offset,
            own.base_offset);
      own.batch = {};
      co_return Result<void>();
    }
    if (const Result<void> may_go_on = co_await wait_or_fail(appended.error()); !may_go_on) co_return may_go_on;
  }
}

// An epoch that has written nothing here, which the quorum does not know of, must not stand in the way of an older one.
Task<Result<void>> LogWriter::apply_fetched(Fetched& fetched) {
  for (bool has_cut = false;;) {
    const auto appended = log_.append_replicated(fetched.batches, core_.wall_now());
    if (appended) {
      fetched.batches = {};
      co_return Result<void>();
    }
    if (appended.error() == Errc::kStale && !has_cut) {
      has_cut = true;
      if (const Result<void> may_go_on = co_await apply_cut(log_.end_offset()); !may_go_on) co_return may_go_on;
      continue;
    }
    if (const Result<void> may_go_on = co_await wait_or_fail(appended.error()); !may_go_on) co_return may_go_on;
  }
}

Task<Result<void>> LogWriter::apply_cut(Offset to) {
  for (;;) {
    const Result<void> cut = co_await log_.truncate(to);
    if (cut) break;
    if (const Result<void> may_go_on = co_await wait_or_fail(cut.error()); !may_go_on) co_return may_go_on;
  }
  CHECK(log_.end_offset() == to, "cut to {}, which lies inside a batch: the log ends at {}", to, log_.end_offset());
  co_return Result<void>();
}

Task<void> LogWriter::apply_piece(Piece& piece) {
  if (piece.position == 0) piece_failed_.reset();
  if (piece_failed_) co_return;
  const Result<void> written = co_await snapshots_.write_piece(piece.id, piece.position, std::move(piece.bytes));
  if (!written) piece_failed_ = written.error();
}

// The snapshot first: a start that finds it newer than the log ends what was begun here (log_scan.h).
Task<Result<void>> LogWriter::apply_install(Install& install) {
  if (piece_failed_) {
    install.done = failure(*piece_failed_);
    co_return Result<void>();
  }
  install.done = co_await snapshots_.install(install.id);
  if (!install.done || stopping_) co_return Result<void>();
  for (;;) {
    const Result<void> begun = co_await log_.reset(install.id.offset);
    if (begun) co_return begun;
    if (const Result<void> may_go_on = co_await wait_or_fail(begun.error()); !may_go_on) co_return may_go_on;
  }
}

// --- Reporting it ----------------------------------------------------------------------------------------------------

void LogWriter::wait_durable(Write& write) {
  const bool is_append = !std::holds_alternative<Cut>(write.what) && !std::holds_alternative<Piece>(write.what) &&
                         !std::holds_alternative<Install>(write.what);
  if (!is_append) return settle(write, {});
  write.offset = log_.end_offset();
  write.done = [](OffsetWaiter& waiter, Result<void> result) {
    auto& self = static_cast<Write&>(waiter);
    self.owner->settle(self, result);
  };
  log_.wait_durable(write);
}

void LogWriter::settle(Write& write, Result<void> durable) {
  CHECK(!write.durable, "a write ends twice");
  write.durable = durable;
  if (!report_.is_linked() && !stopping_) core_.schedule(report_);
}

// In the order of the writes. A cut waits for all before it, so none of them can be cut while it is in flight.
void LogWriter::report() {
  while (!in_flight_.empty() && in_flight_.front().durable && !has_failed_ && !stopping_) {
    std::list<Write> first;
    first.splice(first.end(), in_flight_, in_flight_.begin());
    tell(first.front());
  }
}

void LogWriter::tell(Write& write) {
  if (!*write.durable) {
    has_failed_ = true;
    return user_.log_failed(write.durable->error());
  }
  if (write.number != 0) return user_.log_written(write.number);
  const auto* install = std::get_if<Install>(&write.what);
  if (install == nullptr) return;
  install->done ? user_.snapshot_installed(*install->done) : user_.snapshot_failed(install->id, install->done.error());
}

Task<void> LogWriter::stop() {
  check_core();
  stopping_ = true;
  co_await scope_.join();
  report_.unlink();
  in_flight_.clear();
  queued_.clear();
}

}  // namespace posthaste::replication::quorum
