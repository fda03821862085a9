#include "reactor/core.h"

#include <algorithm>

#include "reactor/buffer.h"
#include "reactor/mail.h"
#include "reactor/scope.h"

namespace posthaste::reactor {

void Timer::arm(Instant at, void (*fire)(Timer&)) {
  cancel();
  deadline_ = at;
  fire_ = fire;
  sequence_ = core_.timer_sequence_++;
  core_.timers_.push_back(this);
  position_ = core_.timers_.size() - 1;
  core_.timer_sift_up(position_);
}

void Timer::cancel() {
  if (!armed()) return;
  const size_t hole = std::exchange(position_, kNotArmed);
  Timer* last = core_.timers_.back();
  core_.timers_.pop_back();
  if (last == this) return;
  core_.timer_place(hole, last);
  core_.timer_sift_up(hole);
  core_.timer_sift_down(last->position_);
}

bool Core::timer_before(const Timer& a, const Timer& b) const {
  return std::pair(a.deadline_, a.sequence_) < std::pair(b.deadline_, b.sequence_);
}

void Core::timer_place(size_t position, Timer* timer) {
  timers_[position] = timer;
  timer->position_ = position;
}

void Core::timer_sift_up(size_t position) {
  while (position > 0) {
    const size_t parent = (position - 1) / 2;
    if (!timer_before(*timers_[position], *timers_[parent])) return;
    Timer* moved = timers_[parent];
    timer_place(parent, timers_[position]);
    timer_place(position, moved);
    position = parent;
  }
}

void Core::timer_sift_down(size_t position) {
  for (;;) {
    size_t least = position;
    for (size_t child = 2 * position + 1; child <= 2 * position + 2 && child < timers_.size(); ++child) {
      if (timer_before(*timers_[child], *timers_[least])) least = child;
    }
    if (least == position) return;
    Timer* moved = timers_[least];
    timer_place(least, timers_[position]);
    timer_place(position, moved);
    position = least;
  }
}

Core::Core(CoreId id, Backend& backend, Mailroom& mailroom, size_t pool_bytes)
    : id_(id), backend_(backend), now_(backend.now()) {
  backend_.set_sink(this);
  mail_ = std::make_unique<Mail>(*this, mailroom);
  pool_ = std::make_unique<BufferPool>(*this, pool_bytes);
  scope_ = std::make_unique<TaskScope>(*this);
  main_scope_ = std::make_unique<TaskScope>(*this);
}

Core::~Core() {
  CHECK(abandoned_ || main_scope_->running() == 0, "core {} destroyed while its program runs", id_);
  backend_.set_sink(nullptr);
}

CoreId Core::core_count() const { return mail_->cores(); }

void Core::submit(Op& op) {
  ++stats_.operations;
  io_.admit(op, operations_);
}

void Core::completed(Op& op) {
  const RunningAs as(*this);
  const IoClass io_class = op.io_class;
  op.complete(op);
  io_.completed(io_class, operations_);
}

void Core::schedule(Runnable& runnable) { ready_[static_cast<size_t>(runnable.cpu_class)].push_back(runnable); }

Task<void> Core::run_main(Core& core, Task<void> main) {
  co_await main;
  co_await core.scope_->join();
  core.finished_ = true;
}

void Core::start(Task<void> main) {
  CHECK(main_scope_->running() == 0);
  finished_ = false;
  main_scope_->spawn(run_main(*this, std::move(main)));
}

void Core::request_stop() {
  if (stopping_) return;
  stopping_ = true;
  while (!stop_waiters_.empty()) schedule(stop_waiters_.pop_front());
}

void Core::fire_timers() {
  const uint64_t armed_now = timer_sequence_;  // what is armed meanwhile waits for the next turn
  while (!timers_.empty() && timers_.front()->deadline_ <= now_ && timers_.front()->sequence_ < armed_now) {
    Timer& timer = *timers_.front();
    timer.cancel();
    running_now.rank = kJobRank;
    timer.fire_(timer);
  }
}

void Core::run_one(Runnable& runnable) {
  ++stats_.runs;
  running_now.rank = runnable.rank;
  runnable.run(runnable);
}

void Core::run_ready() {
  const Instant slice_end = now_ + kSlice;
  auto& foreground = ready_[static_cast<size_t>(CpuClass::kForeground)];
  auto& background = ready_[static_cast<size_t>(CpuClass::kBackground)];
  // The clock is read once per this many runs: a read costs about as much as a short run.
  constexpr uint32_t kRunsPerClockRead = 16;
  for (uint32_t runs = 1; !foreground.empty(); ++runs) {
    run_one(foreground.pop_front());
    if (runs % kRunsPerClockRead == 0 && backend_.now() >= slice_end) break;
  }
  if (!background.empty()) run_one(background.pop_front());
}

void Core::flush_operations() {
  if (operations_.empty()) return;
  backend_.submit(operations_);
  operations_.clear();
}

void Core::turn() {
  const RunningAs as(*this);
  ++stats_.turns;
  now_ = backend_.now();
  if (!stopping_ && mail_->stop_requested()) request_stop();
  fire_timers();
  mail_->receive();
  run_ready();
  mail_->ring_doorbells();
  flush_operations();
  const Instant end = backend_.now();
  if (end - now_ > kSlice + kStallLimit) ++stats_.stalls;
}

Instant Core::sleep_deadline() { return finished_ ? now_ : linger_deadline(); }

Instant Core::linger_deadline() {
  if (!ready_[0].empty() || !ready_[1].empty() || !operations_.empty()) return now_;
  if (!mail_->prepare_sleep()) return now_;
  return timers_.empty() ? Instant::never() : timers_.front()->deadline_;
}

void Core::woke() { mail_->woke(); }

void Core::abandon() {
  abandoned_ = true;
  // Work for others first: it refers to what the program holds.
  scope_->abandon();
  main_scope_->abandon();
}

void Core::log(LogLevel level, std::string_view event, std::string_view details) {
  auto gate = std::find_if(log_gates_.begin(), log_gates_.end(), [&](const LogGate& g) { return g.event == event; });
  if (gate == log_gates_.end()) {
    log_gates_.push_back({.event = std::string(event), .window_start = now_});
    gate = log_gates_.end() - 1;
  }
  if (now_ - gate->window_start >= 1s) {
    if (gate->suppressed > 0) {
      backend_.log(level, fmt::format("{} suppressed={}", event, gate->suppressed));
    }
    *gate = {.event = std::string(event), .window_start = now_};
  }
  if (gate->lines++ >= kLogLinesPerSecond) {
    ++gate->suppressed;
    ++stats_.log_lines_suppressed;
    return;
  }
  backend_.log(level, details.empty() ? std::string(event) : fmt::format("{} {}", event, details));
}

}  // namespace posthaste::reactor
