// Whether the journal that is configured can lie on the file system of the data folder at all: a mistake in a number is
// found before anything is made.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "app/config/broker_config.h"
#include "storage/engine.h"

namespace posthaste::app {

// Of the file system that a folder lies, or will lie, in. 0: not known.
struct DiskSpace {
  uint64_t total_bytes = 0;
  bool in_memory = false;  // tmpfs, ramfs: gone when the machine stops
};
DiskSpace look_at_space(const std::string& folder);

// One line with the remedy, or nothing. Compared with all of the file system, not with what is free: on a later start
// the journal is a part of what is taken.
std::optional<std::string> journal_problem(const BrokerConfig& config, const storage::EngineOptions& engine,
                                           DiskSpace space);

}  // namespace posthaste::app
