// Threads that this room starts take no signals: those are for the thread that the application chose. A new thread
// inherits the mask of its maker, so the maker holds one of these meanwhile.
#pragma once
#include <signal.h>

namespace posthaste::reactor::uring {

class SignalBlock {
 public:
  SignalBlock() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;
  ~SignalBlock() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace posthaste::reactor::uring
