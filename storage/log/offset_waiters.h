// Who waits for a log: for an offset to be durable, or for its end to move. Intrusive lists; nothing is allocated. It
// knows no log: the partition says what has happened to it. Belongs to the partition's core.
#pragma once
#include "storage/log/log_types.h"

namespace posthaste::storage {

class OffsetWaiters {
 public:
  // Until advanced_to() reaches its offset. The caller has looked whether it is reached already.
  void wait(OffsetWaiter& waiter) { waiting_.push_back(waiter); }
  // Until it unlinks itself.
  void listen(OffsetListener& listener) { listening_.push_back(listener); }

  // Everything below `offset` is durable: wakes those who wait for it, in the order of their coming.
  void advanced_to(int64_t offset);
  // The log was truncated to end at `offset`: waiters for more get kStale.
  void cut_to(int64_t offset);
  // All waiters get `error`, also one that is added from a waiter's `done`.
  void fail_all(reactor::Errc error);

  // The end has moved, or the log is going.
  void end_moved();
  void forget_listeners() { listening_.clear(); }

 private:
  reactor::IntrusiveList<OffsetWaiter> waiting_;
  reactor::IntrusiveList<OffsetListener> listening_;
};

}  // namespace posthaste::storage
