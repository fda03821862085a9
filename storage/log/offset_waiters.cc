#include "storage/log/offset_waiters.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;

void OffsetWaiters::advanced_to(int64_t offset) {
  waiting_.for_each([offset](OffsetWaiter& waiter) {
    if (waiter.offset > offset) return;
    waiter.unlink();
    waiter.done(waiter, {});
  });
}

void OffsetWaiters::cut_to(int64_t offset) {
  waiting_.for_each([offset](OffsetWaiter& waiter) {
    if (waiter.offset <= offset) return;
    waiter.unlink();
    waiter.done(waiter, failure(Errc::kStale));
  });
}

void OffsetWaiters::fail_all(Errc error) {
  while (!waiting_.empty()) {
    OffsetWaiter& waiter = waiting_.pop_front();
    waiter.done(waiter, failure(error));
  }
}

void OffsetWaiters::end_moved() {
  listening_.for_each([](OffsetListener& listener) { listener.advanced(listener); });
}

}  // namespace posthaste::storage
