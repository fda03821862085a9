// A whole broker as a program for a host: the same on real threads (reactor/uring) and in the simulator.
#pragma once
#include <memory>

#include "broker/broker_host.h"
#include "broker/options.h"
#include "reactor/program.h"

namespace posthaste::broker {

// One life of a broker. It starts (folder, recovery, metadata, listeners), serves until the host is asked to stop, then
// ends in order: no new connections, answers finished, logs written back. `host` is new for every life. If the start
// fails, all cores end and host->failure() says why.
reactor::Program make_broker_program(BrokerOptions options, std::shared_ptr<BrokerHost> host);

}  // namespace posthaste::broker
