// Logs what a start waits for when it takes long: a slow disk can keep it for many seconds. A usual start (under 100
// ms) adds no line.
#pragma once
#include <string_view>

#include "reactor/sync.h"
#include "reactor/task.h"
#include "storage/recovery/recovery_progress.h"

namespace posthaste::broker {

// Core 0.
class StartReport {
 public:
  // An operator sees this as "at once".
  static constexpr reactor::Duration kFirstLineAfter = std::chrono::milliseconds(500);
  // Often enough to see progress, seldom enough for a start of minutes.
  static constexpr reactor::Duration kBetweenLines = std::chrono::seconds(2);

  explicit StartReport(reactor::Core& core) : core_(core), over_(core) {}

  // The step that the start is at from now on, for people; with a recovery it is what that says, until the next step.
  void begin(std::string_view step) {
    step_ = step;
    recovery_ = nullptr;
  }
  void begin(const storage::RecoveryProgress& recovery) { recovery_ = &recovery; }
  // It serves, or has failed.
  void end() { over_.set(); }

  // Writes the lines; returns after end(). From the beginning of the start, as a job.
  reactor::Task<void> run();

 private:
  void write_line(reactor::Duration since) const;

  reactor::Core& core_;
  reactor::Event over_;
  std::string_view step_ = "opening the data folder";
  const storage::RecoveryProgress* recovery_ = nullptr;
};

}  // namespace posthaste::broker
