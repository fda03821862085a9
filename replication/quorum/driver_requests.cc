// What is asked of a driver and answered when it is committed: appends and changes of voters.
#include "reactor/check.h"
#include "replication/quorum/driver.h"

namespace posthaste::replication::quorum {

using reactor::Errc;
using reactor::failure;
using reactor::Instant;
using reactor::Result;
using reactor::Task;
using storage::AppendResult;
using storage::MutableBytes;
using storage::RecordBatchView;

Task<Driver::Appended> Driver::append(storage::Bytes batch, Instant patience_ends) {
  check_core();
  const auto view = RecordBatchView::parse(batch);
  CHECK(view && view->size_bytes() == batch.size(), "what is committed together is one batch");
  for (;;) {
    const Result<AppendResult> appended = append_now(batch);
    if (appended) {
      const Result<void> committed = co_await wait_committed(appended->last_offset + 1);
      co_return Appended{committed, appended->base_offset};
    }
    const Result<void> has_room = co_await wait_for_room(appended.error(), patience_ends);
    if (!has_room) co_return Appended{has_room};
  }
}

// The log first: what it refuses the quorum never hears of.
Result<AppendResult> Driver::append_now(MutableBytes batch) {
  if (!is_running()) return failure(has_failed_ ? Errc::kDamaged : Errc::kStopping);
  step(TimerFired{});  // what is due comes before; nothing is due in the step below
  const Refusal refusal = quorum_->why_no_append();
  if (refusal == Refusal::kNotLeader) return failure(Errc::kNotFound);
  if (refusal != Refusal::kNone || !writer_.is_idle()) return failure(Errc::kBusy);
  const AppendResult appended =
      TRY(log_.append(batch, {.leader_epoch = quorum_->epoch(), .from_client = false}, core_.wall_now()));
  CHECK(appended.base_offset == quorum_->log().end_offset());
  step(AppendRequested{.count = static_cast<int32_t>(appended.last_offset - appended.base_offset + 1),
                       .body = kIsInLog});
  CHECK(answered_.refusal == Refusal::kNone && answered_.end_offset == appended.last_offset + 1);
  return appended;
}

// Returns when the append that was refused for `error` is worth another attempt, or why none is.
Task<Result<void>> Driver::wait_for_room(Errc error, Instant patience_ends) {
  if (error != Errc::kBusy && error != Errc::kNoMemory) co_return failure(error);
  if (core_.now() >= patience_ends) co_return failure(Errc::kNoMemory);
  if (error == Errc::kNoMemory) {
    co_await engine_.wait_for_room();
  } else {
    co_await moved_.wait_until(patience_ends);
  }
  co_return Result<void>();
}

Task<Driver::Changed> Driver::change(Event request) {
  check_core();
  if (!is_running()) co_return Changed{.refusal = Refusal::kNotLeader};
  step(request);
  const RequestAnswered answered = answered_;
  if (answered.refusal != Refusal::kNone) co_return Changed{.refusal = answered.refusal};
  co_return Changed{.result = co_await wait_committed(answered.end_offset)};
}

Task<Result<void>> Driver::wait_committed(Offset end) {
  if (told_ >= end) co_return Result<void>();
  // It may have resigned in the step that appended.
  if (quorum_->role() != Role::kLeader) co_return failure(Errc::kCancelled);
  Waiting waiting(core_);
  waiting.end = end;
  waiting_.push_back(&waiting);
  co_await waiting.finished.wait();
  co_return waiting.result;
}

void Driver::finish_waiting(Offset up_to, const Result<void>& result) {
  std::erase_if(waiting_, [&](Waiting* waiting) {
    if (waiting->end > up_to) return false;
    waiting->result = result;
    waiting->finished.set();
    return true;
  });
}

}  // namespace posthaste::replication::quorum
