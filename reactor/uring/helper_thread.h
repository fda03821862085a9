// One thread per backend for the few calls that block and that the ring does not offer in this profile: list a folder,
// stat, truncate. Its queue is bounded by its users: each operation belongs to
// somebody who waits for it, and the I/O scheduler lets one file-system operation through at a time. Results come back
// through collect() after a wake-up of the core.
#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>

#include "reactor/backend.h"
#include "reactor/uring/wake_board.h"

namespace posthaste::reactor::uring {

class HelperThread {
 public:
  HelperThread(CoreId core, WakeBoard& wakes) : core_(core), wakes_(wakes) {}
  HelperThread(const HelperThread&) = delete;
  HelperThread& operator=(const HelperThread&) = delete;
  // Finishes what it is doing, drops what is queued.
  ~HelperThread();

  // Core's thread, once, before the rest. False: the system has no thread for it.
  bool start();
  // Core's thread: queues `op`; `fd` is that of op.file, or -1.
  void submit(Op& op, int fd);
  // Core's thread: takes `op` back if it has not begun.
  bool withdraw(Op& op);
  // Core's thread: moves finished operations, result set, to `done`.
  void collect(IntrusiveList<Op>& done);

 private:
  void run();
  static void execute(Op& op, int fd);

  CoreId core_;
  WakeBoard& wakes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  IntrusiveList<Op> queued_;    // guarded by mutex_
  IntrusiveList<Op> finished_;  // guarded by mutex_
  bool stop_ = false;           // guarded by mutex_
  std::thread thread_;
};

}  // namespace posthaste::reactor::uring
