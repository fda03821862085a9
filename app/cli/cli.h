// The command line of `posthaste`: declares every subcommand and option, and dispatches. What a command does lives in
// the file named after it.
#pragma once
#include <string_view>

#include "app/config/broker_config.h"

namespace posthaste::app {

// What `posthaste version` prints and the start-up log says.
std::string_view version();

// Runs a broker until it is asked to stop; returns the exit code of the process.
using ServeFunction = int (*)(const BrokerConfig& config);

// Runs one command. Returns the exit code: 0 done, 1 refused by the broker, 2 wrong usage or configuration, 3 no broker
// reached; `serve` adds those of reactor::FatalReason.
int run_cli(int argc, char** argv, ServeFunction serve);

}  // namespace posthaste::app
