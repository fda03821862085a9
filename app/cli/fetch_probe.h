// What a broker answers for partitions from which a consumer gets nothing. librdkafka retries by itself on errors that
// may pass, and does not report them.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "app/cli/offsets.h"

namespace posthaste::app {

// Fetches once from each partition at this offset (negative: where it begins). One line of what did not work; empty if
// nothing was wrong. `timeout` applies to each request.
std::string fetch_problem(const std::string& bootstrap, const std::map<TopicPartition, int64_t>& positions,
                          std::chrono::milliseconds timeout);

}  // namespace posthaste::app
