// TaskScope: the parent of tasks that run beside their spawner. Structured: the owner of the scope awaits join() before
// it is destroyed; only a host that died (Core::abandon) may drop running tasks. Gate: counts the users of an object
// that is closing.
#pragma once
#include "reactor/core.h"

namespace posthaste::reactor {

class TaskScope {
 public:
  explicit TaskScope(Core& core) : core_(core) {}
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;
  ~TaskScope();

  // Starts `task` from the ready queue. FIFO with other spawns of this turn. Its body has not begun when this returns:
  // what it must hold from now on (a Use, a lease, a place in a queue) is an argument that the caller makes, not
  // something taken in its body: otherwise a waiter for that resource could continue before the task begins. It has the
  // rank of the caller, which waits for the task or has it work on its behalf.
  void spawn(Task<void> task) { spawn_as(running_now.rank, std::move(task)); }
  // The same for a job of the core's own, which no caller waits for: it may start calls of any class.
  void spawn_job(Task<void> task) { spawn_as(kJobRank, std::move(task)); }
  size_t running() const { return running_; }

  // Await the end of all tasks, also of those spawned while waiting. One waiter at a time.
  auto join() {
    struct Awaiter {
      TaskScope& scope;
      bool await_ready() { return scope.running_ == 0; }
      void await_suspend(std::coroutine_handle<> parent) {
        CHECK(!scope.joiner_waits_, "one joiner per scope");
        scope.joiner_.hold(parent);
        scope.joiner_waits_ = true;
      }
      void await_resume() {}
    };
    return Awaiter{*this};
  }

  // Destroys all tasks in whatever state they are. For a dead host only.
  void abandon();

 private:
  struct Root;
  struct Frame : ListNode<> {
    ResumeLater start;
    std::coroutine_handle<> handle;
  };
  static Root run(TaskScope& scope, Task<void> task);
  void spawn_as(Rank rank, Task<void> task);
  void ended();

  Core& core_;
  size_t running_ = 0;
  bool joiner_waits_ = false;
  ResumeLater joiner_;
  IntrusiveList<Frame> frames_;
};

}  // namespace posthaste::reactor
