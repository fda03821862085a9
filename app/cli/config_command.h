// `posthaste config check`: what a broker would make of each line of a configuration, without starting one.
#pragma once
#include <span>

#include "app/config/broker_config.h"

namespace posthaste::app {

// Prints a line for each setting, then what is wrong with them together and the warnings, then the verdict.
// Values are not printed: some are secrets. Returns the exit code: 0 if a broker would start with it, else 1.
int run_config_check(std::span<const Property> properties, const ServeOptions& options, bool json);

}  // namespace posthaste::app
