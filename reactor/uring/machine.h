// What the program needs to know of the machine before a host runs, and the signals that end it: system calls that do
// not belong to one core. For the application's main thread only.
#pragma once
#include <cstdint>
#include <string>

namespace posthaste::reactor::uring {

struct Machine {
  uint16_t cpus = 1;          // that this process may use
  uint64_t memory_bytes = 0;  // of the machine or of this process' control group, whichever is less
  uint64_t descriptors = 0;   // that this process may have open; the host raises its limit that far
  std::string kernel;         // "6.12.9-amd64"
  std::string host_name;
};

Machine look_at_machine();

// Takes SIGTERM and SIGINT away from everybody else. Make it on the main thread before any other thread starts.
class StopSignals {
 public:
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Main thread: returns the name of the signal that came, or an empty text after wake().
  std::string wait();
  // Any thread: makes wait() return.
  void wake();

 private:
  unsigned long main_thread_;
};

}  // namespace posthaste::reactor::uring
