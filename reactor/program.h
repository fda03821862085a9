// What a host runs: one coroutine per core. The same program runs on real threads (reactor/uring/host.h) and in the
// simulator (reactor/simulated/world.h). The host ends when every core's program has returned.
#pragma once
#include <functional>

#include "reactor/core.h"

namespace posthaste::reactor {

// Called once on each core at start. It should return soon after core.stopping(); what it spawned on core.scope() is
// awaited.
using Program = std::function<Task<void>(Core&)>;

struct HostOptions {
  CoreId cores = 1;
  size_t pool_bytes_per_core = size_t{64} << 20;  // of core.pool(); see BufferPool
};

}  // namespace posthaste::reactor
