// An operation of the network that may take longer than its owner has patience for: it is cancelled at a deadline, or
// as soon as its owner has no use for it any more.
#pragma once
#include "reactor/sync.h"

namespace posthaste::reactor {

class TimedOperation : public Op {
 public:
  TimedOperation(Core& core, OpKind operation);
  // Once: submits it and waits for its end. Returns its outcome, also where that came before a cancellation could;
  // else kTimedOut (`deadline` has passed) or kCancelled (`over` is set). `over` is notified when the operation ends,
  // so who else waits for that event may wake for nothing.
  Task<Result<uint64_t>> run(Instant deadline, Event& over);

 private:
  Task<void> cancel();

  Core& core_;
  Event ended_;
  Event* over_ = nullptr;
};

}  // namespace posthaste::reactor
