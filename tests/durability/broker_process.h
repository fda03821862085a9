// A broker as a child process that the test starts, kills with SIGKILL and starts again on the same folder and port.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace posthaste::durability {

class BrokerProcess {
 public:
  // `command` is the whole command line; its output goes to `log_path`, appended.
  BrokerProcess(std::vector<std::string> command, std::string log_path)
      : command_(std::move(command)), log_path_(std::move(log_path)) {}
  BrokerProcess(const BrokerProcess&) = delete;
  BrokerProcess& operator=(const BrokerProcess&) = delete;
  ~BrokerProcess() { kill(); }

  // Starts it and returns without waiting for it to answer. Ends the test program when it cannot.
  void start();
  // SIGKILL, then waits until the process has ended. No effect when none runs.
  void kill();
  // Whether the process runs; false also after it ended unasked.
  bool runs();

  // Waits until a client gets an answer at `bootstrap`; returns how long, or a negative duration when the process ended
  // or `limit` passed.
  std::chrono::milliseconds wait_until_ready(const std::string& bootstrap, std::chrono::milliseconds limit);

 private:
  std::vector<std::string> command_;
  std::string log_path_;
  pid_t child_ = -1;
};

// A free port on loopback below the range from which clients get theirs.
uint16_t free_port(uint64_t seed);

}  // namespace posthaste::durability
