#include "replication/quorum/driver.h"

#include <fmt/format.h>

#include <algorithm>

#include "reactor/check.h"
#include "replication/quorum/record_batches.h"

namespace posthaste::replication::quorum {

using reactor::Errc;
using reactor::Instant;
using reactor::LogLevel;
using reactor::Result;
using reactor::Task;
using storage::ByteView;
using storage::RecordBatchView;

namespace {

std::string_view name_of(Role role) {
  switch (role) {
    case Role::kUnattached:
      return "unattached";
    case Role::kFollower:
      return "follower";
    case Role::kProspective:
      return "prospective";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  return "?";
}

}  // namespace

Driver::Driver(const Parts& parts, DriverOptions options)
    : CoreOwned(parts.engine.core()),
      core_(parts.engine.core()),
      engine_(parts.engine),
      log_(parts.log),
      snapshots_(parts.snapshots),
      transport_(parts.transport),
      user_(parts.user),
      options_(std::move(options)),
      writer_(parts.engine, parts.log, parts.snapshots, *this),
      answers_(core_, parts.log, parts.snapshots, parts.transport, [this](Epoch epoch) { return leads_in(epoch); }),
      wakeup_(core_, *this),
      moved_(core_),
      scope_(core_) {}

// --- What happens ----------------------------------------------------------------------------------------------------

void Driver::received(NodeId from, PeerMessage message) {
  check_core();
  if (!is_running()) return;
  if (auto* answer = std::get_if<FetchResponse>(&message.message)) {
    auto batches = describe_all(message.payload);
    if (!batches) {
      return core_.log(
          LogLevel::kWarning, "quorum.answer_damaged",
          fmt::format("from={} error={} consequence=\"it is asked again\"", from, to_string(batches.error())));
    }
    answer->batches = std::move(*batches);
  } else if (auto* piece = std::get_if<FetchSnapshotResponse>(&message.message)) {
    piece->bytes = message.payload.size();
  }
  payload_ = std::move(message.payload);
  step(Received{from, std::move(message.message)});
  payload_ = {};
}

void Driver::connection_lost(NodeId peer, bool is_refused) {
  check_core();
  if (is_running()) step(ConnectionLost{peer, is_refused});
}

void Driver::resign() {
  check_core();
  if (is_running()) step(ResignRequested{});
}

void Driver::snapshot_written(SnapshotId id) {
  check_core();
  if (is_running()) step(SnapshotWritten{id});
}

void Driver::log_written(uint64_t number) {
  done_.persists.log = number;
  if (!is_running()) return;
  step(LogPersisted{number});
  moved_.notify_all();
}

void Driver::snapshot_installed(const StoredSnapshot& snapshot) {
  if (!is_running()) return;
  user_.snapshot_installed(snapshot.id);
  step(SnapshotInstalled{snapshot.id, snapshot.voters});
}

void Driver::snapshot_failed(SnapshotId id, Errc error) {
  core_.log(LogLevel::kWarning, "quorum.snapshot_not_installed",
            fmt::format("offset={} epoch={} error={} consequence=\"it is fetched again\"", id.offset, id.epoch,
                        to_string(error)));
  if (is_running()) step(SnapshotFailed{id});
}

void Driver::log_is_as_asked() {
  if (!is_running()) return;
  finish_step();
  moved_.notify_all();
}

void Driver::step(const Event& event) {
  CHECK(!is_stepping_, "a step inside a step");
  carry_out(quorum_->step(event, core_.now()));
}

// What is due after each step, and when the log has caught up with what was asked of it.
void Driver::finish_step() {
  tell_committed();
  send_ready();
  const Instant due = quorum_->deadline();
  if (due == Instant::never()) return wakeup_.cancel();
  wakeup_.arm(due, [](reactor::Timer& timer) {
    Driver& driver = static_cast<Wakeup&>(timer).driver;
    if (driver.is_running()) driver.step(TimerFired{});
  });
}

// --- What is to be done ----------------------------------------------------------------------------------------------

void Driver::carry_out(Actions actions) {
  is_stepping_ = true;
  for (Action& action : actions) {
    std::visit([this](auto& what) { act(what); }, action);
  }
  is_stepping_ = false;
  finish_step();
}

void Driver::act(Send& action) { outbox_.add(std::move(action)); }

void Driver::act(PersistVote& action) {
  next_vote_ = action;
  if (is_writing_vote_) return;
  is_writing_vote_ = true;
  scope_.spawn_job(write_votes());
}

Task<void> Driver::write_votes() {
  while (next_vote_ && is_running()) {
    const PersistVote write = *std::exchange(next_vote_, std::nullopt);
    const Result<void> written = co_await vote_file_->write(write.vote);
    if (!is_running()) break;
    if (!written) {
      fail(vote_file_path(options_.folder), written.error());
      break;
    }
    done_.persists.vote = write.number;
    step(VotePersisted{write.number});
  }
  is_writing_vote_ = false;
}

void Driver::act(AppendLog& action) {
  const Batch& first = action.batches.front();
  if (first.body == kIsInLog) return writer_.appended(action.number);
  if (first.body != 0) return writer_.append_fetched(action.number, fetched_bytes(action.batches));
  CHECK(action.batches.size() == 1 && first.kind != BatchKind::kData);
  storage::Bytes batch =
      first.kind == BatchKind::kVoters
          ? voters_batch(first.voters, core_.wall_now())
          : leader_change_batch(options_.self.id, quorum_->voters(), quorum_->elected_by(), core_.wall_now());
  writer_.append_own(action.number, first.epoch, first.base_offset, std::move(batch));
}

// Of the message that this step is about.
storage::Bytes Driver::fetched_bytes(std::span<const Batch> batches) {
  const size_t from = batches.front().body - 1;
  const size_t last = batches.back().body - 1;
  const size_t to = last + RecordBatchView::parse(ByteView(payload_).subspan(last))->size_bytes();
  if (from == 0 && to == payload_.size()) return std::move(payload_);
  return {payload_.begin() + static_cast<std::ptrdiff_t>(from), payload_.begin() + static_cast<std::ptrdiff_t>(to)};
}

void Driver::act(TruncateLog& action) {
  core_.log(LogLevel::kInfo, "quorum.log_cut",
            fmt::format("from={} to={} epoch={}", log_.end_offset(), action.to, quorum_->epoch()));
  writer_.truncate(action.number, action.to);
}

void Driver::act(WriteSnapshotPiece& action) {
  writer_.write_piece(action.id, action.position, std::exchange(payload_, {}));
}

void Driver::act(InstallSnapshot& action) { writer_.install(action.id); }

void Driver::act(TrimLog& action) {
  trim_to_ = action.to;
  if (!std::exchange(is_trimming_, true)) scope_.spawn_job(trim());
}

// What stays in its way stays until the next snapshot.
Task<void> Driver::trim() {
  const Result<void> trimmed = co_await log_.set_log_start(std::min(trim_to_, snapshots_.log_needed_from()));
  if (!trimmed) {
    core_.log(LogLevel::kWarning, "quorum.log_not_trimmed",
              fmt::format("to={} error={} consequence=\"the log grows until the next snapshot\"", trim_to_,
                          to_string(trimmed.error())));
  }
  is_trimming_ = false;
}

void Driver::act(Committed& /*action*/) { tell_committed(); }

// As far as the log is what the quorum means: while a cut waits, records stand there that are of no leader.
void Driver::tell_committed() {
  const Offset here = writer_.is_idle() ? quorum_->log().end_offset() : quorum_->log().durable_offset();
  const Offset committed = std::min(quorum_->high_watermark(), here);
  log_.set_high_watermark(std::min(committed, log_.durable_offset()));
  if (committed <= told_) return;
  told_ = committed;
  user_.committed(committed);
  finish_waiting(committed, {});
  moved_.notify_all();
}

void Driver::act(RoleChanged& action) {
  // Who is alone has no other role but for a moment.
  core_.log(quorum_->is_lone_voter() ? LogLevel::kDebug : LogLevel::kInfo, "quorum.role",
            fmt::format("role={} epoch={} leader={}", name_of(action.role), action.epoch, action.leader));
  if (action.role != Role::kLeader) finish_waiting(INT64_MAX, reactor::failure(Errc::kCancelled));
  moved_.notify_all();
  user_.role_changed(action);
}

void Driver::act(AlarmRaised& action) {
  const bool is_damage = action.alarm == Alarm::kCutBelowHighWatermark;
  core_.log(LogLevel::kError, is_damage ? "quorum.logs_differ" : "quorum.disk_trusted",
            is_damage ? "consequence=\"this member's log or its leader's is damaged; nothing is cut\""
                      : "reason=\"no leader could confirm what this disk holds after the power was lost\"");
}

void Driver::send_ready() {
  done_.log_is_as_asked = writer_.is_idle();
  for (Send& send : outbox_.ready(done_)) {
    if (takes_batches(send.message)) {
      const auto& answer = std::get<FetchResponse>(send.message);
      if (leads_in(answer.epoch)) answers_.send(send.to, answer);
    } else if (const auto* piece = std::get_if<FetchSnapshotResponse>(&send.message)) {
      answers_.send(send.to, *piece);
    } else {
      transport_.send(send.to, {std::move(send.message), {}});
    }
  }
}

bool Driver::leads_in(Epoch epoch) const {
  return is_running() && quorum_->role() == Role::kLeader && quorum_->epoch() == epoch;
}

// --- Ends ------------------------------------------------------------------------------------------------------------

void Driver::fail(std::string_view what, Errc error) {
  if (std::exchange(has_failed_, true)) return;
  core_.log(LogLevel::kError, "quorum.failed",
            fmt::format("cannot_write={} error={} consequence=\"this member takes no part any more\"", what,
                        to_string(error)));
  wakeup_.cancel();
  outbox_.clear();
  finish_waiting(INT64_MAX, reactor::failure(Errc::kDamaged));
  moved_.notify_all();
  user_.failed(error);
}

Task<void> Driver::stop() {
  check_core();
  stopping_ = true;
  wakeup_.cancel();
  outbox_.clear();
  finish_waiting(INT64_MAX, reactor::failure(Errc::kStopping));
  moved_.notify_all();
  co_await writer_.stop();
  co_await answers_.stop();
  co_await scope_.join();
  if (vote_file_) static_cast<void>(co_await std::exchange(vote_file_, std::nullopt)->close());
}

}  // namespace posthaste::replication::quorum
