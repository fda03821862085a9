// Shows what is in a store after a recovery: a program of a simulated host. Whether that is right the model says, not
// the reader.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <optional>
#include <string>

#include "reactor/program.h"
#include "storage/engine.h"
#include "tests/storage_crash/model.h"

namespace posthaste::storage_crash {

// Recovers a store and reads everything in it.
struct Reader {
  storage::EngineOptions options;
  bool done = false;
  std::optional<reactor::Errc> refused;  // recover() or open() refused
  std::string refusal;
  storage::RecoveryReport report;
  Image image;
  reactor::Program program();
  // What the report says, in one line.
  std::string notes() const { return fmt::format("{}", fmt::join(report.notes, "; ")); }

 private:
  std::weak_ptr<storage::EngineHost> host_;
};

}  // namespace posthaste::storage_crash
