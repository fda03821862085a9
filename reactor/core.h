// Core: the loop of one reactor thread. It owns what one core owns: the ready queue, timers, the batch of operations to
// submit, the mail of this core. Everything here is called by the owning core only. It knows nothing of the
// protocol that is served (tests/architecture/check.py).
//
//   real thread: while (!core.finished()) { core.turn(); backend.wait(core.sleep_deadline()); core.woke(); }
//   simulator:   the World completes operations and calls turn() of one core after another, as its seed says.
#pragma once
#include <array>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <vector>

#include "reactor/backend.h"
#include "reactor/io_scheduler.h"
#include "reactor/running.h"
#include "reactor/task.h"

namespace posthaste::reactor {

class Core;
class Mail;
class Mailroom;
class TaskScope;
class BufferPool;

// CPU classes: a turn drains kForeground for up to a slice, then gives kBackground one step, so neither starves.
enum class CpuClass : uint8_t { kForeground, kBackground };

// Something that the loop can run once. Lives in a coroutine frame or in a longer-lived object; unlinks itself when
// destroyed.
struct Runnable : ListNode<> {
  void (*run)(Runnable&) = nullptr;
  CpuClass cpu_class = CpuClass::kForeground;
  Rank rank = kJobRank;  // that it runs with
};

// Resumes a coroutine from the ready queue; awaiters keep one.
struct ResumeLater : Runnable {
  std::coroutine_handle<> frame;
  ResumeLater() {
    run = [](Runnable& self) { static_cast<ResumeLater&>(self).frame.resume(); };
  }
  // The coroutine waits from now on, and continues with the rank that it has now.
  void hold(std::coroutine_handle<> waiting) {
    frame = waiting;
    rank = running_now.rank;
  }
  // Instead of from the ready queue.
  void resume_now() {
    const RunningAs as(rank);
    frame.resume();
  }
};

// A one-shot timer. Lives in its user; armed and cancelled in O(log n); destroyed = cancelled.
class Timer {
 public:
  explicit Timer(Core& core) : core_(core) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }
  // Calls `fire(*this)` at the first turn at or after `at`. Re-arming replaces.
  void arm(Instant at, void (*fire)(Timer&));
  void cancel();
  bool armed() const { return position_ != kNotArmed; }
  Instant deadline() const { return deadline_; }

 private:
  friend class Core;
  static constexpr size_t kNotArmed = SIZE_MAX;
  Core& core_;
  Instant deadline_;
  uint64_t sequence_ = 0;  // ties fire in arming order
  size_t position_ = kNotArmed;
  void (*fire_)(Timer&) = nullptr;
};

// Counters that the host shows; read by the owning core.
struct CoreStats {
  uint64_t turns = 0;
  uint64_t runs = 0;
  uint64_t stalls = 0;  // single runs over kStallLimit
  uint64_t operations = 0;
  uint64_t log_lines_suppressed = 0;
};

class Core final : private CompletionSink {
 public:
  // One run of the ready queue may take this long before timers, mail and completions are checked again.
  static constexpr Duration kSlice = 500us;
  static constexpr Duration kStallLimit = 1ms;

  // `mailroom` connects the cores of one host and outlives them. `pool_bytes`: size of this core's buffer pool.
  Core(CoreId id, Backend& backend, Mailroom& mailroom, size_t pool_bytes);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core();

  CoreId id() const { return id_; }
  // Of this core's host; their ids are below it.
  CoreId core_count() const;
  Backend& backend() { return backend_; }
  Mail& mail() { return *mail_; }
  BufferPool& pool() { return *pool_; }
  IoScheduler& io() { return io_; }
  CoreStats& stats() { return stats_; }
  // Tasks that other cores sent here, and those without a natural parent, run in this scope.
  TaskScope& scope() { return *scope_; }

  // The clock as of the start of this turn; cheap. fresh_now() asks the backend.
  Instant now() const { return now_; }
  Instant fresh_now() { return now_ = backend_.now(); }
  WallMillis wall_now() { return backend_.wall_now(); }
  uint64_t random() { return backend_.random(); }
  // The same, as bytes of an id.
  std::array<uint8_t, 16> random_bytes() {
    return std::bit_cast<std::array<uint8_t, 16>>(std::array<uint64_t, 2>{random(), random()});
  }

  // Queues an operation for the end of this turn.
  void submit(Op& op);
  // Runs `runnable` in a later step of this or the next turn.
  void schedule(Runnable& runnable);

  // Runs `main` as this core's program: finished() once it has returned and the core's scope is empty.
  void start(Task<void> main);
  bool finished() const { return finished_; }
  // Asks the program to end: sets stopping(), wakes everyone in until_stopping(). Idempotent. Other threads and cores
  // use Mailroom::request_stop.
  void request_stop();
  bool stopping() const { return stopping_; }
  // Schedules `runnable` when the core is asked to stop, or now if it already was; unlink() cancels that.
  void on_stop(Runnable& runnable) {
    if (stopping_) return schedule(runnable);
    stop_waiters_.push_back(runnable);
  }

  // One turn of the loop.
  void turn();
  // The time until which the loop may sleep; in the past if there is work now. Marks the core asleep for its mail.
  Instant sleep_deadline();
  // The same for a core that has finished but still serves the mail of others, until all cores of its host have.
  Instant linger_deadline();
  void woke();

  // The core died with its host (simulator): destroys program, scope and everything they hold, running nothing.
  void abandon();
  bool abandoned() const { return abandoned_; }

  // One structured line ("event key=value ..."), at most kLogLinesPerSecond of each `event` a second.
  void log(LogLevel level, std::string_view event, std::string_view details);
  static constexpr uint32_t kLogLinesPerSecond = 10;

  // Await: `co_await core.until_stopping()`, `co_await core.yield()`, `co_await core.sleep(10ms)`.
  auto yield(CpuClass cpu_class = CpuClass::kForeground);
  auto sleep_until(Instant at);
  auto sleep(Duration duration);
  auto until_stopping();

 private:
  friend class Timer;
  struct LogGate {
    std::string event;
    Instant window_start;
    uint32_t lines = 0;
    uint32_t suppressed = 0;
  };
  void completed(Op& op) override;
  void fire_timers();
  void run_ready();
  void run_one(Runnable& runnable);
  void flush_operations();
  bool timer_before(const Timer& a, const Timer& b) const;
  void timer_sift_up(size_t position);
  void timer_sift_down(size_t position);
  void timer_place(size_t position, Timer* timer);
  static Task<void> run_main(Core& core, Task<void> main);

  CoreId id_;
  Backend& backend_;
  Instant now_;
  bool stopping_ = false;
  bool finished_ = false;
  bool abandoned_ = false;
  std::array<IntrusiveList<Runnable>, 2> ready_;
  IntrusiveList<Runnable> stop_waiters_;
  std::vector<Timer*> timers_;  // binary heap by (deadline, sequence)
  uint64_t timer_sequence_ = 0;
  std::vector<Op*> operations_;
  std::vector<LogGate> log_gates_;
  CoreStats stats_;
  IoScheduler io_;
  std::unique_ptr<Mail> mail_;
  std::unique_ptr<BufferPool> pool_;
  std::unique_ptr<TaskScope> scope_;
  std::unique_ptr<TaskScope> main_scope_;
};

inline auto Core::yield(CpuClass cpu_class) {
  struct Awaiter : ResumeLater {
    Core& core;
    Awaiter(Core& on, CpuClass as) : core(on) { cpu_class = as; }
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> parent) {
      hold(parent);
      core.schedule(*this);
    }
    void await_resume() {}
  };
  return Awaiter(*this, cpu_class);
}

inline auto Core::sleep_until(Instant at) {
  struct Awaiter : Timer {
    Instant at;
    ResumeLater later;
    Awaiter(Core& core, Instant until) : Timer(core), at(until) {}
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> parent) {
      later.hold(parent);
      arm(at, [](Timer& timer) { static_cast<Awaiter&>(timer).later.resume_now(); });
    }
    void await_resume() {}
  };
  return Awaiter(*this, at);
}

inline auto Core::sleep(Duration duration) { return sleep_until(now_ + duration); }

inline auto Core::until_stopping() {
  struct Awaiter : ResumeLater {
    Core& core;
    explicit Awaiter(Core& on) : core(on) {}
    bool await_ready() { return core.stopping_; }
    void await_suspend(std::coroutine_handle<> parent) {
      hold(parent);
      core.stop_waiters_.push_back(*this);
    }
    void await_resume() {}
  };
  return Awaiter(*this);
}

}  // namespace posthaste::reactor
