// Virtual time: what happens next in a simulated world. Events at the same instant fire in an order drawn from the
// seed. Time passes only here: from event to event, and by what a core's turn costs (advance). One thread.
#pragma once
#include <algorithm>
#include <vector>

#include "reactor/simulated/random.h"
#include "reactor/time.h"

namespace posthaste::reactor::simulated {

struct Event;

// Who handles an event. Targets live as long as the world; what may be gone by then (a life of a host, an operation) is
// named by numbers in the event.
class EventTarget {
 public:
  virtual void fire(const Event& event) = 0;

 protected:
  ~EventTarget() = default;
};

struct Event {
  int64_t at = 0;      // nanoseconds of world time; set by Timeline
  uint64_t order = 0;  // set by Timeline
  EventTarget* target = nullptr;
  uint32_t kind = 0;
  uint32_t life = 0;
  uint64_t a = 0;
  uint64_t b = 0;
};

class Timeline {
 public:
  explicit Timeline(uint64_t seed) : random_(seed) {}

  int64_t now() const { return now_; }
  Random& random() { return random_; }
  TraceHash& trace() { return trace_; }
  const TraceHash& trace() const { return trace_; }
  uint64_t events() const { return sequence_; }

  // Work took this long; what is due meanwhile happens late.
  void advance(int64_t nanoseconds) { now_ += nanoseconds; }

  void schedule(Event event, int64_t at) {
    event.at = std::max(at, now_);
    event.order = (random_.next() << 32U) | (sequence_++ & 0xffff'ffffU);
    heap_.push_back(event);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  bool empty() const { return heap_.empty(); }
  int64_t next_at() const { return heap_.front().at; }
  // Fires the next event; there must be one.
  void step() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Event event = heap_.back();
    heap_.pop_back();
    now_ = std::max(now_, event.at);
    event.target->fire(event);
  }
  // Nothing happens until then.
  void skip_to(int64_t at) { now_ = std::max(now_, at); }

 private:
  static bool later(const Event& a, const Event& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }

  int64_t now_ = 0;
  uint64_t sequence_ = 0;
  Random random_;
  TraceHash trace_;
  std::vector<Event> heap_;
};

}  // namespace posthaste::reactor::simulated
