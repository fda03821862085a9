// Holds back disk operations of the lower classes so that journal commits meet a short queue. Journal and network pass
// through; each other class has a limit of operations in flight and a FIFO behind it. The queue is bounded by its
// users: every operation belongs to a task that waits for it. Owned by one core.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "reactor/backend.h"

namespace posthaste::reactor {

class IoScheduler {
 public:
  // Operations in flight per class and core. File-system work (create, fallocate, unlink, directory sync) runs one at a
  // time: more of it beside a journal on ext4 turned a 160 us commit into 25 ms when measured (jbd2).
  static constexpr std::array<uint32_t, kIoClasses> kInFlightMax = {UINT32_MAX, UINT32_MAX, 16, 32, 4, 1};

  // Appends `op` to `ready` if its class has room, else queues it.
  void admit(Op& op, std::vector<Op*>& ready) {
    const auto c = static_cast<size_t>(op.io_class);
    if (in_flight_[c] >= kInFlightMax[c] || !waiting_[c].empty()) {
      waiting_[c].push_back(op);
      return;
    }
    ++in_flight_[c];
    ready.push_back(&op);
  }
  // To be called for each completion; releases the operations that may go next.
  void completed(IoClass io_class, std::vector<Op*>& ready) {
    const auto c = static_cast<size_t>(io_class);
    --in_flight_[c];
    while (!waiting_[c].empty() && in_flight_[c] < kInFlightMax[c]) {
      ++in_flight_[c];
      ready.push_back(&waiting_[c].pop_front());
    }
  }
  uint32_t in_flight(IoClass io_class) const { return in_flight_[static_cast<size_t>(io_class)]; }

 private:
  std::array<uint32_t, kIoClasses> in_flight_{};
  std::array<IntrusiveList<Op>, kIoClasses> waiting_;
};

}  // namespace posthaste::reactor
