// Waiting of coroutines on one core: Event, Semaphore, Queue. FIFO, no allocation per waiter, never shared between
// cores (mail.h is for that). A waiter's frame may be destroyed while it waits; it then leaves the queue by itself.
#pragma once
#include <deque>
#include <optional>

#include "reactor/core.h"

namespace posthaste::reactor {

// set() wakes all and lets later waiters pass until reset(); notify_all() wakes the present waiters and leaves the
// state as it is.
class Event {
  struct Deadline : Timer {
    using Timer::Timer;
    ResumeLater* waiter = nullptr;
    bool fired = false;
  };

 public:
  explicit Event(Core& core) : core_(core) {}
  void set() {
    set_ = true;
    notify_all();
  }
  void reset() { set_ = false; }
  bool is_set() const { return set_; }
  void notify_all() {
    while (!waiters_.empty()) core_.schedule(waiters_.pop_front());
  }

  // True if the event came first, false if `deadline` did.
  auto wait_until(Instant deadline) {
    struct Awaiter : ResumeLater {
      Event& event;
      Instant at;
      Deadline timer;
      Awaiter(Event& of, Instant until) : event(of), at(until), timer(of.core_) {}
      bool await_ready() { return event.set_; }
      void await_suspend(std::coroutine_handle<> parent) {
        hold(parent);
        event.waiters_.push_back(*this);
        if (at == Instant::never()) return;
        timer.waiter = this;
        timer.arm(at, [](Timer& timer_fired) {
          auto& self = static_cast<Deadline&>(timer_fired);
          self.fired = true;
          self.waiter->unlink();
          self.waiter->resume_now();
        });
      }
      bool await_resume() { return !timer.fired; }
    };
    return Awaiter(*this, deadline);
  }
  auto wait() { return wait_until(Instant::never()); }

 private:
  Core& core_;
  bool set_ = false;
  IntrusiveList<Runnable> waiters_;
};

// Counts units of something limited (bytes, slots). acquire() is FIFO: a large request is not overtaken by small ones.
class Semaphore {
  struct Waiter : ResumeLater {
    explicit Waiter(uint64_t wanted) : units(wanted) {}
    uint64_t units;
    bool granted = false;  // it has its units and is about to run
  };
  struct Deadline : Timer {
    using Timer::Timer;
    Semaphore* semaphore = nullptr;
    Waiter* waiter = nullptr;
    bool fired = false;
  };

 public:
  Semaphore(Core& core, uint64_t units) : core_(core), free_(units), total_(units) {}
  uint64_t available() const { return free_; }
  uint64_t total() const { return total_; }
  bool has_waiters() const { return !waiters_.empty(); }

  bool try_acquire(uint64_t units) {
    if (!waiters_.empty() || units > free_) return false;
    free_ -= units;
    return true;
  }
  // `units` must not exceed total(), or it would wait for ever.
  auto acquire(uint64_t units) {
    struct Awaiter : Waiter {
      Semaphore& semaphore;
      Awaiter(Semaphore& of, uint64_t count) : Waiter(count), semaphore(of) {}
      bool await_ready() { return semaphore.try_acquire(units); }
      void await_suspend(std::coroutine_handle<> parent) { semaphore.enqueue(*this, parent); }
      void await_resume() {}
    };
    return Awaiter(*this, units);
  }
  // The same until `deadline`: false if it came first, and nothing was acquired.
  auto acquire_until(uint64_t units, Instant deadline) {
    struct Awaiter : Waiter {
      Semaphore& semaphore;
      Instant at;
      Deadline timer;
      Awaiter(Semaphore& of, uint64_t count, Instant until)
          : Waiter(count), semaphore(of), at(until), timer(of.core_) {}
      bool await_ready() { return semaphore.try_acquire(units); }
      void await_suspend(std::coroutine_handle<> parent) {
        semaphore.enqueue(*this, parent);
        timer.semaphore = &semaphore;
        timer.waiter = this;
        timer.arm(at, [](Timer& ended) {
          auto& self = static_cast<Deadline&>(ended);
          if (self.waiter->granted) return;
          self.fired = true;
          self.waiter->unlink();
          self.semaphore->serve();  // the next waiter may need less
          self.waiter->resume_now();
        });
      }
      bool await_resume() { return !timer.fired; }
    };
    return Awaiter(*this, units, deadline);
  }
  void release(uint64_t units) {
    free_ += units;
    CHECK(free_ <= total_);
    serve();
  }

 private:
  void enqueue(Waiter& waiter, std::coroutine_handle<> parent) {
    CHECK(waiter.units <= total_);
    waiter.hold(parent);
    waiters_.push_back(waiter);
  }
  void serve() {
    while (!waiters_.empty()) {
      auto& waiter = static_cast<Waiter&>(static_cast<ResumeLater&>(waiters_.front()));
      if (waiter.units > free_) return;
      free_ -= waiter.units;
      waiter.granted = true;
      waiter.unlink();
      core_.schedule(waiter);
    }
  }

  Core& core_;
  uint64_t free_;
  uint64_t total_;
  IntrusiveList<Runnable> waiters_;
};

// A bounded FIFO between tasks of one core. Full: push() waits, try_push() says no. close(): pop() drains, then
// nullopt.
template <class T>
class Queue {
 public:
  Queue(Core& core, size_t limit) : limit_(limit), readable_(core), writable_(core) {}
  bool try_push(T value) {
    if (closed_ || items_.size() >= limit_) return false;
    items_.push_back(std::move(value));
    readable_.notify_all();
    return true;
  }
  // False if the queue was closed.
  Task<bool> push(T value) {
    while (!closed_ && items_.size() >= limit_) co_await writable_.wait();
    co_return try_push(std::move(value));
  }
  Task<std::optional<T>> pop() {
    while (items_.empty() && !closed_) co_await readable_.wait();
    if (items_.empty()) co_return std::nullopt;
    std::optional<T> value(std::move(items_.front()));
    items_.pop_front();
    writable_.notify_all();
    co_return value;
  }
  void close() {
    closed_ = true;
    readable_.notify_all();
    writable_.notify_all();
  }
  size_t size() const { return items_.size(); }

 private:
  size_t limit_;
  bool closed_ = false;
  std::deque<T> items_;
  Event readable_;
  Event writable_;
};

}  // namespace posthaste::reactor
