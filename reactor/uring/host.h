// A host on real threads: one pinned thread per core, each with its own ring and Core, running one Program. It ends
// when every core's program has ended; a core that is done early stays to answer the mail of the others. What it does
// not do: signals (the application waits for them and calls request_stop) and configuration.
#pragma once
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "reactor/program.h"
#include "reactor/uring/uring_backend.h"

namespace posthaste::reactor::uring {

class Host {
 public:
  // Starts the threads and returns when all rings are made, or with a sentence for the operator if one could not be.
  // Raises the limit of open files as far as it may. `on_ended` (may be empty) is called once, by one of the threads,
  // when all programs have ended. All signals are blocked in the threads.
  static std::expected<std::unique_ptr<Host>, std::string> start(const HostOptions& options, const UringOptions& uring,
                                                                 Program program, std::function<void()> on_ended = {});
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  // Waits for the end.
  ~Host();

  // Which kernel features its rings use; never kAuto.
  Profile profile() const;
  // Any thread, at any time: every core gets request_stop().
  void request_stop();
  // Returns when all cores have ended. One caller.
  void wait();
  // Of each core, as of its end. After wait().
  struct CoreReport {
    UringStats uring;
    CoreStats core;
    Profile profile = Profile::kAuto;
  };
  const std::vector<CoreReport>& reports() const;

 private:
  struct Shared;
  Host();
  std::unique_ptr<Shared> shared_;
};

// Host::start and Host::wait in one: for programs that end by themselves.
std::expected<std::vector<Host::CoreReport>, std::string> run_host(const HostOptions& options,
                                                                   const UringOptions& uring, Program program);

}  // namespace posthaste::reactor::uring
