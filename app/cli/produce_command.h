// `posthaste produce TOPIC`: every line of standard input becomes a record. librdkafka batches, retries and keeps order
// (idempotent producer, acks=all).
#pragma once
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/result.h"

namespace posthaste::app {

struct ProduceOptions {
  std::string bootstrap;
  std::string topic;
  std::string key_separator;  // empty: lines have no key
  std::string compression = "none";
  int32_t partition = -1;  // -1: by key, else spread
  std::vector<std::string> properties;
  std::chrono::milliseconds timeout{30'000};  // for the first answer and for each record
};

// What the broker acknowledged.
struct ProduceReport {
  uint64_t acknowledged = 0;
  uint64_t failed = 0;
};

// Reads `input` to its end, or until a stop signal, and waits for every acknowledgement. Fails: kUsage, kUnreachable,
// and kRefused when a record was not acknowledged (the message says how many and why).
CliResult<ProduceReport> produce_lines(const ProduceOptions& options, std::FILE* input);

}  // namespace posthaste::app
