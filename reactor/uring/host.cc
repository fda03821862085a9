#include "reactor/uring/host.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <barrier>
#include <mutex>
#include <system_error>
#include <thread>

#include "reactor/mail.h"
#include "reactor/scope.h"
#include "reactor/uring/signal_block.h"
#include "reactor/uring/thread_limit.h"

namespace posthaste::reactor::uring {
namespace {

void raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // no worse than before if it fails
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace

struct Host::Shared {
  Shared(const HostOptions& host_options, const UringOptions& uring_options, Program to_run,
         std::function<void()> to_call)
      : options(host_options),
        uring(uring_options),
        program(std::move(to_run)),
        on_ended(std::move(to_call)),
        mailroom(host_options.cores),
        cpus(allowed_cpus()),
        reports(host_options.cores),
        step(host_options.cores),
        started(static_cast<std::ptrdiff_t>(host_options.cores) + 1) {}

  void start_threads();
  void thread_main(CoreId id);
  void run_core(CoreId id, UringBackend& backend);
  void place_thread(CoreId id);
  void end_all();

  HostOptions options;
  UringOptions uring;
  Program program;
  std::function<void()> on_ended;
  std::unique_ptr<WakeBoard> wakes;
  Mailroom mailroom;
  std::vector<int> cpus;
  std::vector<CoreReport> reports;
  std::vector<std::thread> threads;
  std::barrier<> step;     // of the core threads
  std::barrier<> started;  // of the core threads and the starter
  std::mutex start_mutex;
  std::string start_error;  // guarded by start_mutex until all passed `started`
  // Cores whose program has ended and whose scope is empty, as of their last turn. A call between cores lives in a
  // frame of its sender, and a core counts as busy during its turn: when all are quiet nothing is under way anywhere.
  std::atomic<uint32_t> quiet{0};
  std::atomic<bool> ended{false};
  Profile profile = Profile::kAuto;  // written by core 0 before it passes `started`
  std::mutex stop_mutex;             // held by request_stop, so that no core goes away under it
  bool closed = false;               // guarded by stop_mutex
};

void Host::Shared::place_thread(CoreId id) {
  if (uring.pin_threads && !cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(cpus[id % cpus.size()]), &set);
    ::sched_setaffinity(0, sizeof set, &set);  // only speed depends on it
  }
  ::pthread_setname_np(::pthread_self(), fmt::format("core-{}", id).c_str());
}

// A thread that cannot be made fails the start; the others learn of it where all of them meet.
void Host::Shared::start_threads() {
  try {
    while (threads.size() < options.cores) {
      const auto core = static_cast<CoreId>(threads.size());
      threads.emplace_back([this, core] { thread_main(core); });
    }
  } catch (const std::system_error& error) {
    const std::lock_guard lock(start_mutex);
    start_error = fmt::format("cannot start a thread for each of {} cores ({}): {} or lower posthaste.cores",
                              options.cores, error.what(), kThreadRemedy);
    for (size_t missing = threads.size(); missing < options.cores; ++missing) started.arrive_and_drop();
  }
}

void Host::Shared::thread_main(CoreId id) {
  place_thread(id);
  auto backend = UringBackend::create(id, *wakes, uring);
  if (!backend) {
    const std::lock_guard lock(start_mutex);
    start_error = fmt::format("core {}: {}", id, backend.error());
  }
  if (backend && id == 0) profile = (*backend)->profile();
  started.arrive_and_wait();
  if (!start_error.empty()) return;
  run_core(id, **backend);
  step.arrive_and_wait();  // no core is left that could send mail
  reports[id].uring = (*backend)->stats();
  reports[id].profile = (*backend)->profile();
  backend->reset();
  step.arrive_and_wait();
  if (id == 0 && on_ended) on_ended();
}

void Host::Shared::run_core(CoreId id, UringBackend& backend) {
  Core core(id, backend, mailroom, options.pool_bytes_per_core);
  core.start(program(core));
  for (bool is_quiet = false; !ended.load(std::memory_order_acquire);) {
    if (is_quiet) quiet.fetch_sub(1, std::memory_order_acq_rel);
    core.turn();
    is_quiet = core.finished() && core.scope().running() == 0;
    if (is_quiet && quiet.fetch_add(1, std::memory_order_acq_rel) + 1 == options.cores) end_all();
    if (ended.load(std::memory_order_acquire)) break;
    backend.wait(core.linger_deadline());
    core.woke();
  }
  reports[id].core = core.stats();
  step.arrive_and_wait();
  const std::lock_guard lock(stop_mutex);
  closed = true;
}

void Host::Shared::end_all() {
  ended.store(true, std::memory_order_release);
  // Past claim(): a wake-up that was claimed may still lie in a ring that nobody submits any more.
  for (CoreId core = 0; core < options.cores; ++core) wakes->send(core);
}

Host::Host() = default;

std::expected<std::unique_ptr<Host>, std::string> Host::start(const HostOptions& options, const UringOptions& uring,
                                                              Program program, std::function<void()> on_ended) {
  raise_open_files();
  auto wakes = WakeBoard::create(options.cores);
  if (!wakes) return std::unexpected(std::move(wakes.error()));
  std::unique_ptr<Host> host(new Host);
  host->shared_ = std::make_unique<Shared>(options, uring, std::move(program), std::move(on_ended));
  Shared& shared = *host->shared_;
  shared.wakes = std::move(*wakes);

  {
    const SignalBlock block;
    shared.start_threads();
  }
  shared.started.arrive_and_wait();
  if (!shared.start_error.empty()) {
    host->wait();
    return std::unexpected(shared.start_error);
  }
  return host;
}

Host::~Host() { wait(); }

void Host::request_stop() {
  const std::lock_guard lock(shared_->stop_mutex);
  if (!shared_->closed) shared_->mailroom.request_stop();
}

Profile Host::profile() const { return shared_->profile; }

void Host::wait() {
  for (std::thread& thread : shared_->threads) {
    if (thread.joinable()) thread.join();
  }
}

const std::vector<Host::CoreReport>& Host::reports() const { return shared_->reports; }

std::expected<std::vector<Host::CoreReport>, std::string> run_host(const HostOptions& options,
                                                                   const UringOptions& uring, Program program) {
  auto host = Host::start(options, uring, std::move(program));
  if (!host) return std::unexpected(std::move(host.error()));
  (*host)->wait();
  return (*host)->reports();
}

}  // namespace posthaste::reactor::uring
