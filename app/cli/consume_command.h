// `posthaste consume TOPIC`: prints records, alone or as a member of a consumer group (librdkafka's).
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/result.h"

namespace posthaste::app {

struct ConsumeOptions {
  std::string bootstrap;
  std::string topic;
  std::string group;  // empty: reads all partitions by itself and commits nothing
  bool from_beginning = false;
  bool exit_at_end = false;
  bool with_keys = false;
  bool json = false;
  uint64_t count = 0;  // 0: no limit
  std::vector<std::string> properties;
  std::chrono::milliseconds timeout{30'000};  // for each next record or word that there is none
};

// Prints one line per record until the count, the end (with exit_at_end), a stop signal, or a closed standard output.
// In a group a record counts as read when it is printed; what is printed is committed at the end. Returns how many were
// printed. Fails, with the broker's error, if a partition returns within `timeout` neither a record nor its end. A
// member of a group to which nothing is assigned waits, unless it is to exit at the end.
CliResult<uint64_t> consume_records(const ConsumeOptions& options);

}  // namespace posthaste::app
