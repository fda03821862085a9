#include "reactor/scope.h"

namespace posthaste::reactor {

// The coroutine that runs one spawned task and destroys itself at its end.
struct TaskScope::Root {
  struct promise_type : TaskScope::Frame, Recycled {
    TaskScope& scope;
    promise_type(TaskScope& owner, const Task<void>&) : scope(owner) {}
    Root get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        TaskScope& owner = self.promise().scope;
        self.destroy();
        owner.ended();
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
  std::coroutine_handle<promise_type> frame;
};

TaskScope::Root TaskScope::run([[maybe_unused]] TaskScope& scope, Task<void> task) { co_await task; }

void TaskScope::spawn_as(Rank rank, Task<void> task) {
  Root root = run(*this, std::move(task));
  Frame& frame = root.frame.promise();
  frame.handle = root.frame;
  frame.start.frame = root.frame;
  frame.start.rank = rank;
  frames_.push_back(frame);
  ++running_;
  core_.schedule(frame.start);
}

void TaskScope::ended() {
  --running_;
  if (running_ == 0 && joiner_waits_) {
    joiner_waits_ = false;
    core_.schedule(joiner_);
  }
}

void TaskScope::abandon() {
  joiner_waits_ = false;
  joiner_.unlink();
  while (!frames_.empty()) frames_.front().handle.destroy();  // the frame unlinks itself
  running_ = 0;
}

TaskScope::~TaskScope() {
  if (running_ == 0) return;
  CHECK(core_.abandoned(), "a scope ended with {} tasks running: await join() first", running_);
  abandon();
}

}  // namespace posthaste::reactor
