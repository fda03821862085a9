// Checks whether the configured journal fits on the file system of the data folder at all, so that a mistake in a
// number is found before any file is made.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "app/config/broker_config.h"
#include "storage/engine.h"

namespace posthaste::app {

// The size of the file system that holds, or will hold, a folder. 0: not known.
struct DiskSpace {
  uint64_t total_bytes = 0;
  bool in_memory = false;  // tmpfs, ramfs: gone when the machine stops
};
DiskSpace look_at_space(const std::string& folder);

// One line with the remedy, or nothing. Compared with the whole file system, not with the free space: on a later start
// the journal already uses a part of it.
std::optional<std::string> journal_problem(const BrokerConfig& config, const storage::EngineOptions& engine,
                                           DiskSpace space);

}  // namespace posthaste::app
