#include "reactor/uring/log_sink.h"

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <mutex>

#include "reactor/uring/signal_block.h"

namespace posthaste::reactor::uring {
namespace {

// Writes whole lines with write(2): no stdio buffer that a sudden end would lose.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit DescriptorSink(int fd) : fd_(fd) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    size_t written = 0;
    while (written < line.size()) {
      const ssize_t count = ::write(fd_, line.data() + written, line.size() - written);
      if (count <= 0) return;  // nowhere to say it
      written += static_cast<size_t>(count);
    }
  }
  void flush_() override {}

 private:
  int fd_;
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

// The pool goes first and joins its thread: the logger then always ends here, and not with the last line, over there.
struct LogSink::Spdlog {
  std::shared_ptr<spdlog::async_logger> logger;
  std::shared_ptr<spdlog::details::thread_pool> pool;
};

LogSink::LogSink(LogLevel least, int fd) : spdlog_(std::make_unique<Spdlog>()) {
  const SignalBlock block;
  spdlog_->pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  spdlog_->logger = std::make_shared<spdlog::async_logger>(
      "posthaste", std::make_shared<DescriptorSink>(fd), spdlog_->pool, spdlog::async_overflow_policy::overrun_oldest);
  spdlog_->logger->set_level(spdlog_level(least));
  spdlog_->logger->set_formatter(
      std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
}

LogSink::~LogSink() = default;

void LogSink::write(LogLevel level, CoreId core, std::string_view line) {
  spdlog_->logger->log(spdlog_level(level), "core={} {}", core, line);
}

uint64_t LogSink::dropped() const { return spdlog_->pool->overrun_counter(); }

}  // namespace posthaste::reactor::uring
