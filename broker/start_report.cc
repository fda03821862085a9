#include "broker/start_report.h"

#include <fmt/format.h>

namespace posthaste::broker {

reactor::Task<void> StartReport::run() {
  const reactor::Instant begin = core_.now();
  reactor::Instant next = begin + kFirstLineAfter;
  while (!co_await over_.wait_until(next)) {
    write_line(core_.now() - begin);
    next = core_.now() + kBetweenLines;
  }
}

void StartReport::write_line(reactor::Duration since) const {
  std::string line = fmt::format("step=\"{}\"", recovery_ != nullptr ? recovery_->step : step_);
  if (recovery_ != nullptr && !recovery_->unit.empty()) {
    line += fmt::format(" done=\"{} of {} {}\"", recovery_->done, recovery_->total, recovery_->unit);
  }
  const auto after = std::chrono::duration_cast<std::chrono::milliseconds>(since);
  core_.log(reactor::LogLevel::kInfo, "starting", fmt::format("{} after_ms={}", line, after.count()));
}

}  // namespace posthaste::broker
