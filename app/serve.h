// `posthaste serve`: one broker in this process, from its configuration to its exit code.
#pragma once
#include "app/config/broker_config.h"
#include "broker/options.h"

namespace posthaste::app {

// The broker's plain values from Kafka's keys. `request_pool_bytes`: size of one core's buffer pool, of which the
// shares of requests, tails, cache and answers are parts.
broker::BrokerOptions make_broker_options(const BrokerConfig& config, size_t pool_bytes, uint16_t cores,
                                          const std::string& host_name);

// Runs until SIGTERM or SIGINT, then stops in order. Exit codes: 0 stopped as asked; 2 it cannot start (one line on
// standard error says why and what to do); those of reactor::FatalReason.
int serve(const BrokerConfig& config);

}  // namespace posthaste::app
