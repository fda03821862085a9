#include "reactor/uring/machine.h"

#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "reactor/uring/control_group.h"

namespace posthaste::reactor::uring {
namespace {

using Clock = std::chrono::steady_clock;

// Wakes wait(); ignored by everything else here.
constexpr int kWakeSignal = SIGUSR2;

sigset_t waited_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, kWakeSignal);
  // Nothing here changes how it is taken, so this is as the process was started with.
  struct sigaction hang_up{};
  if (::sigaction(SIGHUP, nullptr, &hang_up) != 0 || hang_up.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

bool is_in_memory(const std::string& path) {
  struct statfs found = {};
  if (statfs(path.c_str(), &found) != 0) return false;
  return found.f_type == TMPFS_MAGIC || found.f_type == RAMFS_MAGIC;
}

Machine look_at_machine() {
  Machine machine;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    machine.cpus = static_cast<uint16_t>(std::max(1, CPU_COUNT(&set)));
  }
  struct sysinfo info{};
  if (::sysinfo(&info) == 0) machine.memory_bytes = uint64_t{info.totalram} * info.mem_unit;
  const GroupLimits group = read_group_limits();
  if (group.memory_bytes < machine.memory_bytes) {
    machine.memory_bytes = group.memory_bytes;
    machine.memory_set_by = group.memory_set_by;
  }
  if (group.cpus() < machine.cpus) {
    machine.cpus = static_cast<uint16_t>(group.cpus());
    machine.cpus_by_quota = true;
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) machine.descriptors = limit.rlim_max;
  utsname names{};
  if (::uname(&names) == 0) machine.kernel = names.release;
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) == 0) machine.host_name = host.data();
  return machine;
}

StopSignals::StopSignals() : main_thread_(::pthread_self()) {
  const sigset_t set = waited_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

std::string_view StopSignals::wait() {
  const sigset_t set = waited_signals();
  for (;;) {
    int number = 0;
    if (time_limit_) {
      const auto left = std::max(*time_limit_ - Clock::now(), Clock::duration::zero());
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
      const timespec patience{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
      number = ::sigtimedwait(&set, nullptr, &patience);
    } else {
      number = ::sigwaitinfo(&set, nullptr);
    }
    switch (number) {
      case SIGTERM:
        return "SIGTERM";
      case SIGINT:
        return "SIGINT";
      case SIGHUP:
        return "SIGHUP";
      case kWakeSignal:
        return {};
      default:
        if (errno == EAGAIN) return kTimeIsUp;
    }
  }
}

void StopSignals::set_time_limit(std::chrono::milliseconds limit) { time_limit_ = Clock::now() + limit; }

void StopSignals::wake() { ::pthread_kill(main_thread_, kWakeSignal); }

}  // namespace posthaste::reactor::uring
