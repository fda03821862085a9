// `posthaste serve`: one broker in this process, from its configuration to its exit code.
#pragma once
#include "app/config/broker_config.h"
#include "app/memory_plan.h"
#include "broker/options.h"

namespace posthaste::app {

// The broker's plain values from Kafka's keys and the plan for its memory.
broker::BrokerOptions make_broker_options(const BrokerConfig& config, const MemoryPlan& plan, uint16_t cores,
                                          const std::string& host_name);

// Runs until SIGTERM, SIGINT or SIGHUP, then stops in order, also while it starts. A second signal says what the stop
// waits for, a third ends the process at once, as does the end of posthaste.stop.timeout.ms. Exit codes: 0 stopped on
// request; 2 it cannot start (one line on standard error says why and what to do); 76 ended at once; those of
// reactor::FatalReason.
int serve(const BrokerConfig& config);

}  // namespace posthaste::app
