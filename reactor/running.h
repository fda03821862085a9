// What this thread runs now: which core, and on behalf of which class of call. The core's loop sets it, and a
// coroutine keeps its class over every wait. Two laws are checked with it in every build: what a core owns is
// used on that core alone (CoreOwned), and a call is started by work of a lower class only (mail.h).
#pragma once
#include <cstdint>

#include "reactor/check.h"

namespace posthaste::reactor {

class Core;

// Classes of calls between cores, in their order. kControl: changes of what exists (controller), one at a time; it may
// call any class below. kRequest: work for a client or a job. kPush: what a handler of kRequest may start (a commit
// at the core that writes it, notices that something is ready, memory that goes back). kNews: what a handler of
// kPush may start and every core must know before the handler continues (the disk is full). Replies are above all.
enum class MessageClass : uint8_t { kControl, kRequest, kPush, kNews };
inline constexpr uint8_t kMessageClasses = 4;

// The position of work in the order: a job of a core's own is below every call.
using Rank = uint8_t;
inline constexpr Rank kJobRank = 0;
constexpr Rank rank_of(MessageClass message_class) {
  return static_cast<Rank>(static_cast<uint8_t>(message_class) + 1);
}

struct Running {
  const Core* core = nullptr;  // null outside of a core's turn: a test's own code, the main thread
  Rank rank = kJobRank;
};
extern constinit thread_local Running running_now;

// For a scope of code: runs as core `core`, or with rank `rank`. They nest when a simulator steps hosts.
class RunningAs {
 public:
  explicit RunningAs(const Core& core) : before_(running_now) { running_now = {.core = &core, .rank = kJobRank}; }
  explicit RunningAs(Rank rank) : before_(running_now) { running_now.rank = rank; }
  RunningAs(const RunningAs&) = delete;
  RunningAs& operator=(const RunningAs&) = delete;
  ~RunningAs() { running_now = before_; }

 private:
  Running before_;
};

// Base of what one core owns. check_core() at the public entries: a comparison, in every build.
class CoreOwned {
 public:
  explicit CoreOwned(const Core& owner) : owner_(&owner) {}
  void check_core() const {
    CHECK(running_now.core == owner_ || running_now.core == nullptr, "used on another core than its own");
  }

 private:
  const Core* owner_;
};

}  // namespace posthaste::reactor
