// What the program needs to know of the machine before a host runs, and the signals that end it: system calls that do
// not belong to one core. For the application's main thread only.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace posthaste::reactor::uring {

struct Machine {
  uint16_t cpus = 1;  // that this process may use: of the machine, of its set, by its quota, whichever is least
  // By a quota, not by a set: any processor may be used, for so much time.
  bool cpus_by_quota = false;
  uint64_t memory_bytes = 0;  // of the machine or of a control group that this process is in, whichever is least
  std::string memory_set_by;  // the control group's file; empty: the machine
  uint64_t descriptors = 0;   // that this process may have open; the host raises its limit that far
  std::string kernel;         // "6.12.9-amd64"
  std::string host_name;
};

Machine look_at_machine();

// Whether the file system of `path`, which is there, keeps its files in memory alone: tmpfs or ramfs (statfs(2)). False
// too if it cannot be asked.
bool is_in_memory(const std::string& path);

// Takes SIGTERM, SIGINT and SIGHUP away from everybody else. Make it on the main thread before any other thread starts.
// A SIGHUP that was ignored when the process began (nohup) stays ignored.
class StopSignals {
 public:
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  static constexpr std::string_view kTimeIsUp = "time";

  // Main thread: returns the name of the signal that came, kTimeIsUp at the time limit, or an empty text after wake().
  std::string_view wait();
  // Main thread: from `limit` from now on wait() returns kTimeIsUp.
  void set_time_limit(std::chrono::milliseconds limit);
  // Any thread: makes wait() return.
  void wake();

 private:
  unsigned long main_thread_;
  std::optional<std::chrono::steady_clock::time_point> time_limit_;
};

}  // namespace posthaste::reactor::uring
