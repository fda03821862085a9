// How one core of a host wakes another: an eventfd per core, which any thread may write, and, between reactor threads
// of the newer profile, the number of the ring that takes a message. One flag per core coalesces: while a wake-up is on
// its way no second one is sent. Made before the backends of a host and outlives them.
#pragma once
#include <array>
#include <atomic>
#include <expected>
#include <memory>
#include <string>

#include "reactor/backend.h"

namespace posthaste::reactor::uring {

class WakeBoard {
 public:
  // For cores 0 .. cores-1. The error is a sentence for the operator (no file descriptors left).
  static std::expected<std::unique_ptr<WakeBoard>, std::string> create(CoreId cores);
  WakeBoard(const WakeBoard&) = delete;
  WakeBoard& operator=(const WakeBoard&) = delete;
  ~WakeBoard();

  CoreId cores() const { return cores_; }

  // Any thread: true if the caller has to send the wake-up, false if one is on its way already.
  bool claim(CoreId core) { return !rows_[core].rung.exchange(true, std::memory_order_acq_rel); }
  // Any thread: sends the wake-up that was claimed, by the eventfd.
  void send(CoreId core);
  // The woken core, before it looks for what it was woken for: later wake-ups are sent again.
  void acknowledge(CoreId core) { rows_[core].rung.exchange(false, std::memory_order_acq_rel); }

  int event_fd(CoreId core) const { return rows_[core].event_fd; }
  // The ring that takes messages for `core`, or -1. Set by its backend for as long as it lives.
  int ring_fd(CoreId core) const { return rows_[core].ring_fd.load(std::memory_order_acquire); }
  void set_ring_fd(CoreId core, int fd) { rows_[core].ring_fd.store(fd, std::memory_order_release); }

 private:
  struct alignas(64) Row {
    std::atomic<bool> rung{false};
    std::atomic<int> ring_fd{-1};
    int event_fd = -1;
  };
  explicit WakeBoard(CoreId cores) : cores_(cores) {}
  CoreId cores_;
  std::array<Row, kCoresMax> rows_;
};

}  // namespace posthaste::reactor::uring
