// The log of the process: lines from all cores through one bounded queue to one thread that writes them to a file
// descriptor. Behind it stands spdlog; nothing else of the tree names it. A core never waits for the disk or the
// terminal: when the queue is full the oldest line goes. Nor does an end wait for who reads: what is not taken within
// kEndWait is dropped. Lines that were dropped are counted, and a line says so as soon as lines are taken again.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "reactor/backend.h"

namespace posthaste::reactor::uring {

class LogSink {
 public:
  static constexpr size_t kQueueLines = 8192;  // about a second of a very bad day; 256 bytes and the text each

  static constexpr std::chrono::milliseconds kEndWait{1000};        // for a reader that lives to take a full queue
  static constexpr std::chrono::milliseconds kSayDropsEvery{1000};  // at most, while more and more is dropped

  // Lines below `least` are left out. `fd` is not owned (2 = standard error). Look at problem() after it.
  explicit LogSink(LogLevel least = LogLevel::kInfo, int fd = 2);
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;
  // Writes what is queued, for kEndWait at most.
  ~LogSink();

  // A sentence for the operator when the log has no thread; empty: it has. Without one write() writes by itself, for as
  // long as last words may take: enough to say it.
  const std::string& problem() const { return problem_; }

  // Any thread. The line is "TIME LEVEL core=N line", TIME in UTC with milliseconds.
  void write(LogLevel level, CoreId core, std::string_view line);
  // Lines that never reached the descriptor, so far.
  uint64_t dropped() const;

 private:
  struct Spdlog;
  std::unique_ptr<Spdlog> spdlog_;
  std::string problem_;
};

}  // namespace posthaste::reactor::uring
