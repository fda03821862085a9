// Task<T>: a lazy coroutine. It starts when awaited, resumes its awaiter by symmetric transfer when done, and its frame
// dies with the Task object: a parent that is destroyed destroys its children. To run one beside the caller, spawn it
// in a TaskScope (scope.h). Tasks never move between cores; which core resumes them is decided by what they await. A
// lambda coroutine's captures live in the lambda object, not in the frame: keep the lambda alive as long as the task.
#pragma once
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "reactor/check.h"
#include "reactor/recycled.h"

namespace posthaste::reactor {

template <class T = void>
class Task;

namespace detail {

struct PromiseBase : Recycled {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      return self.promise().continuation;
    }
    void await_resume() noexcept {}
  };

  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  // Our code throws nothing; the only exception here is the simulator's own "this host died", on its way to the
  // simulator.
  void unhandled_exception() { throw; }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void take() {}
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using value_type = T;

  Task() = default;
  explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      destroy();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  ~Task() { destroy(); }

  // Handles are tested as bool, never with ==: libstdc++ 12 considers the operator== of every std::expected for it.
  bool valid() const { return static_cast<bool>(frame_); }
  bool done() const { return frame_ && frame_.done(); }

  auto operator co_await() noexcept {
    struct Awaiter {
      std::coroutine_handle<promise_type> frame;
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
        frame.promise().continuation = parent;
        return frame;
      }
      T await_resume() { return frame.promise().take(); }
    };
    CHECK(frame_ && !frame_.done());
    return Awaiter{frame_};
  }

 private:
  void destroy() {
    if (frame_) std::exchange(frame_, nullptr).destroy();
  }
  std::coroutine_handle<promise_type> frame_ = nullptr;
};

template <class T>
Task<T> detail::Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> detail::Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

}  // namespace posthaste::reactor
