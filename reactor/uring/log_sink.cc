#include "reactor/uring/log_sink.h"

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <system_error>

#include "reactor/bounded_write.h"
#include "reactor/uring/signal_block.h"
#include "reactor/uring/thread_limit.h"

namespace posthaste::reactor::uring {
namespace {

using Clock = std::chrono::steady_clock;

// How often a thread that waits for the reader looks whether the end has come.
constexpr std::chrono::milliseconds kLook{50};

// Writes whole lines without a stdio buffer that a sudden end would lose.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // `pool` (none: the caller's thread writes) stays until pool_ends().
  DescriptorSink(int fd, spdlog::details::thread_pool* pool) : fd_(fd), pool_(pool) {}

  // Any thread. Lines that are not written by then are dropped.
  void end_by(Clock::time_point when) { end_.store(when, std::memory_order_release); }
  uint64_t dropped() const { return lost_.load(std::memory_order_relaxed) + overrun(); }
  // After the last line.
  void say_rest() {
    const std::lock_guard lock(mutex_);
    say_dropped();
  }
  // Before the pool goes, whose thread may be in here until it has gone.
  void pool_ends() {
    overrun_at_end_.store(overrun(), std::memory_order_relaxed);
    pool_.store(nullptr, std::memory_order_release);
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (Clock::now() >= next_say_) say_dropped();
    if (!put(message)) lost_.fetch_add(1, std::memory_order_relaxed);
  }
  void flush_() override {}

 private:
  uint64_t overrun() const {
    auto* pool = pool_.load(std::memory_order_acquire);
    return pool != nullptr ? pool->overrun_counter() : overrun_at_end_.load(std::memory_order_relaxed);
  }

  bool put(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    std::string_view rest(text.data(), text.size());
    for (;;) {
      const Clock::time_point end = end_.load(std::memory_order_acquire);
      if (!write_until(fd_, rest, std::min(end, Clock::now() + kLook))) return false;
      if (rest.empty()) return true;
      if (Clock::now() >= end) return false;
    }
  }

  void say_dropped() {
    const uint64_t total = dropped();
    if (total == said_) return;
    const std::string text =
        fmt::format("core=0 log_lines_dropped count={} total={} reason=\"who reads the log did not take them in time\"",
                    total - said_, total);
    if (!put(spdlog::details::log_msg("posthaste", spdlog::level::warn, text))) return;
    said_ = total;
    next_say_ = Clock::now() + LogSink::kSayDropsEvery;
  }

  int fd_;
  std::atomic<spdlog::details::thread_pool*> pool_;
  std::atomic<uint64_t> overrun_at_end_{0};
  std::atomic<Clock::time_point> end_{Clock::time_point::max()};
  std::atomic<uint64_t> lost_{0};
  uint64_t said_ = 0;             // of dropped()
  Clock::time_point next_say_{};  // not earlier
};

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

struct LogSink::Spdlog {
  std::shared_ptr<DescriptorSink> sink;
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<spdlog::details::thread_pool> pool;
};

LogSink::LogSink(LogLevel least, int fd) : spdlog_(std::make_unique<Spdlog>()) {
  std::shared_ptr<spdlog::details::thread_pool>& pool = spdlog_->pool;
  try {
    const SignalBlock block;
    pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  } catch (const std::system_error& error) {
    problem_ = fmt::format("cannot start the thread of the log ({}): {}", error.what(), kThreadRemedy);
  }
  spdlog_->sink = std::make_shared<DescriptorSink>(fd, pool.get());
  if (pool) {
    spdlog_->logger = std::make_shared<spdlog::async_logger>("posthaste", spdlog_->sink, pool,
                                                             spdlog::async_overflow_policy::overrun_oldest);
  } else {
    spdlog_->sink->end_by(Clock::now() + kLastWordsWait);
    spdlog_->logger = std::make_shared<spdlog::logger>("posthaste", spdlog_->sink);
  }
  spdlog_->logger->set_level(spdlog_level(least));
  spdlog_->logger->set_formatter(
      std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
}

// The pool goes first and joins its thread: the logger then always ends here, and not with the last line, over there.
LogSink::~LogSink() {
  spdlog_->sink->end_by(Clock::now() + kEndWait);
  spdlog_->sink->pool_ends();
  spdlog_->pool.reset();
  spdlog_->sink->say_rest();
}

void LogSink::write(LogLevel level, CoreId core, std::string_view line) {
  spdlog_->logger->log(spdlog_level(level), "core={} {}", core, line);
}

uint64_t LogSink::dropped() const { return spdlog_->sink->dropped(); }

}  // namespace posthaste::reactor::uring
