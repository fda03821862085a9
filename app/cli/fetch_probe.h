// What a broker says of the partitions that a consumer gets nothing from. librdkafka tries again by itself on errors
// that may pass, and does not tell them.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "app/cli/offsets.h"

namespace posthaste::app {

// Fetches once from each partition at this offset (negative: where it begins). One line of what did not work; empty if
// nothing was wrong. `timeout` holds for each question.
std::string fetch_problem(const std::string& bootstrap, const std::map<TopicPartition, int64_t>& positions,
                          std::chrono::milliseconds timeout);

}  // namespace posthaste::app
