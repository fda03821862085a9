// One thread per backend for the few calls that block and that the ring does not offer in this profile: list a folder,
// stat, truncate; and to make memory usable ahead. Its queue is bounded by its users: each operation belongs to
// somebody who waits for it, and the I/O scheduler lets one file-system operation through at a time. Results come back
// through collect() after a wake-up of the core.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
#include <thread>

#include "reactor/backend.h"
#include "reactor/uring/wake_board.h"

namespace posthaste::reactor::uring {

class HelperThread {
 public:
  HelperThread(CoreId core, WakeBoard& wakes) : core_(core), wakes_(wakes) {}
  HelperThread(const HelperThread&) = delete;
  HelperThread& operator=(const HelperThread&) = delete;
  ~HelperThread() { stop(); }

  // Core's thread, once, before the rest. False: the system has no thread for it.
  bool start();
  // Core's thread: finishes what it is doing, drops what is queued. Nothing is asked of it afterwards.
  void stop();
  // Core's thread: queues `op`; `fd` is that of op.file, or -1.
  void submit(Op& op, int fd);
  // Core's thread: takes `op` back if it has not begun.
  bool withdraw(Op& op);
  // Core's thread: has the pages of `memory` found and zeroed, when no operation is queued. Never waits for it.
  void prepare(std::span<std::byte> memory);
  // Core's thread: moves finished operations, result set, to `done`.
  void collect(IntrusiveList<Op>& done);

 private:
  void run();
  void execute_one(std::unique_lock<std::mutex>& lock);
  void prepare_one(std::unique_lock<std::mutex>& lock);
  static void execute(Op& op, int fd);

  CoreId core_;
  WakeBoard& wakes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  IntrusiveList<Op> queued_;                     // guarded by mutex_
  IntrusiveList<Op> finished_;                   // guarded by mutex_
  std::deque<std::span<std::byte>> to_prepare_;  // guarded by mutex_; each part of the pool once at the most
  bool stop_ = false;                            // guarded by mutex_
  std::thread thread_;
};

}  // namespace posthaste::reactor::uring
