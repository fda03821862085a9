// When a long loop of one core is to let others run: after so much work, counted by who does it. It does not wait
// itself: `if (pace.is_due(n)) co_await core.yield();`
#pragma once
#include <cstddef>

namespace posthaste::reactor {

class Pace {
 public:
  explicit Pace(size_t at_once) : at_once_(at_once) {}
  // `done` more has been done. True: it is time; then it counts anew.
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
