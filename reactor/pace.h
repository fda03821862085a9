// Says when a long loop of one core should let others run: after a certain amount of work, which the loop counts. It
// does not wait itself: `if (pace.is_due(n)) co_await core.yield();`
#pragma once
#include <cstddef>

namespace posthaste::reactor {

class Pace {
 public:
  explicit Pace(size_t at_once) : at_once_(at_once) {}
  // Adds `done` units of work. True: it is time to yield; the count begins again.
  bool is_due(size_t done) {
    done_ += done;
    if (done_ < at_once_) return false;
    done_ = 0;
    return true;
  }

 private:
  size_t at_once_;
  size_t done_ = 0;
};

}  // namespace posthaste::reactor
