// Host names into addresses, by the system's resolver. getaddrinfo() blocks for as long as its name servers please, a
// minute and more, and cannot be ended. So each name gets a thread of its own that shares nothing with the operation
// but a box for the answer: a cancelled operation completes at once, and the thread ends whenever it ends, with nobody
// listening, even after this object is gone. Names are looked up at starts and when a peer is not known yet: rarely.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "reactor/backend.h"
#include "reactor/uring/wake_board.h"

namespace posthaste::reactor::uring {

class Resolver {
 public:
  // Names being looked up at one time, abandoned ones included; further ones wait for their turn.
  static constexpr size_t kThreadsMax = 8;

  // `wakes` outlives it. All calls by the core's thread.
  Resolver(CoreId core, WakeBoard& wakes);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  // Forgets what is under way.
  ~Resolver();

  // Takes a kResolve. It ends later through collect(), after a wake-up of the core.
  void submit(Op& op);
  // Takes `op` back; false if it is not here.
  bool withdraw(Op& op);
  // Moves finished operations, result and addresses set, to `done`.
  void collect(IntrusiveList<Op>& done);

 private:
  struct Board;  // what threads see
  struct Asked {
    uint64_t ticket = 0;
    Op* op = nullptr;
  };
  void start_queued();

  std::shared_ptr<Board> board_;
  IntrusiveList<Op> queued_;
  std::vector<Asked> asked_;
  uint64_t tickets_ = 0;
};

}  // namespace posthaste::reactor::uring
