// Names of hosts.
#pragma once
#include <string>
#include <vector>

#include "reactor/core.h"

namespace posthaste::reactor {

// The ips that `name` stands for (an ip stands for itself), without port and brackets, each once. kNotFound: there is
// no such name; kTimedOut: the resolver had no answer within `patience`; kStopping: the core was asked to stop
// meanwhile.
Task<Result<std::vector<std::string>>> resolve(Core& core, std::string name, Duration patience);

}  // namespace posthaste::reactor
