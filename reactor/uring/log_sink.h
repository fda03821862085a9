// The log of the process: lines from all cores through one bounded queue to one thread that writes them to a file
// descriptor. Behind it stands spdlog; nothing else of the tree names it. A core never waits for the disk or the
// terminal: when the queue is full the oldest line goes, and is counted.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

#include "reactor/backend.h"

namespace posthaste::reactor::uring {

class LogSink {
 public:
  static constexpr size_t kQueueLines = 8192;  // about a second of a very bad day; 256 bytes and the text each

  // Lines below `least` are left out. `fd` is not owned (2 = standard error).
  explicit LogSink(LogLevel least = LogLevel::kInfo, int fd = 2);
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;
  // Writes what is queued, then returns.
  ~LogSink();

  // Any thread. The line is "TIME LEVEL core=N line", TIME in UTC with milliseconds.
  void write(LogLevel level, CoreId core, std::string_view line);
  uint64_t dropped() const;

 private:
  struct Spdlog;
  std::unique_ptr<Spdlog> spdlog_;
};

}  // namespace posthaste::reactor::uring
