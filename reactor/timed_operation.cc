#include "reactor/timed_operation.h"

namespace posthaste::reactor {
namespace {

struct Cancel : Op {
  explicit Cancel(Core& core) : done(core) {
    kind = OpKind::kCancel;
    complete = [](Op& op) { static_cast<Cancel&>(op).done.set(); };
  }
  Event done;
};

}  // namespace

TimedOperation::TimedOperation(Core& core, OpKind operation) : core_(core), ended_(core) {
  kind = operation;
  complete = [](Op& op) {
    auto& self = static_cast<TimedOperation&>(op);
    self.ended_.set();
    self.over_->notify_all();
  };
}

Task<Result<uint64_t>> TimedOperation::run(Instant deadline, Event& over) {
  CHECK(over_ == nullptr, "an operation is submitted once");
  over_ = &over;
  core_.submit(*this);
  bool in_time = true;
  while (!ended_.is_set() && !over.is_set() && in_time) in_time = co_await over.wait_until(deadline);
  if (!ended_.is_set()) co_await cancel();
  const Result<uint64_t> found = outcome();
  if (found || found.error() != Errc::kCancelled) co_return found;
  co_return failure(over.is_set() ? Errc::kCancelled : Errc::kTimedOut);
}

// The operation ends on its own when it was cancelled, before or after the cancellation itself.
Task<void> TimedOperation::cancel() {
  Cancel cancellation(core_);
  cancellation.target = this;
  core_.submit(cancellation);
  co_await cancellation.done.wait();
  co_await ended_.wait();
}

}  // namespace posthaste::reactor
