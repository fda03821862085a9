// Names of hosts.
#pragma once
#include <string>
#include <vector>

#include "reactor/core.h"

namespace posthaste::reactor {

class Event;

// The ips that `name` stands for (an ip stands for itself), without port and brackets, each once. kNotFound: there is
// no such name; kTimedOut: the resolver had no answer within `patience`; kStopping: the core was asked to stop
// meanwhile.
Task<Result<std::vector<std::string>>> resolve(Core& core, std::string name, Duration patience);
// The same until `deadline`, or until `over` is set (kCancelled; timed_operation.h).
Task<Result<std::vector<std::string>>> resolve(Core& core, std::string name, Instant deadline, Event& over);

}  // namespace posthaste::reactor
