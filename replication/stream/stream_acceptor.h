// Where a follower's connection comes in: hears its first message, OPEN, and hands the connection to the core that it
// names (reactor/backend.h: detach and adopt). Any core may accept. Who listens, and how many connections may be in
// this state, is the broker's business.
#pragma once
#include <functional>

#include "reactor/file.h"
#include "replication/stream/leader_stream.h"

namespace posthaste::replication::stream {

// Takes a connection on the core that serves it. `open` is its first message; it has not been answered.
using ServeStream = std::function<void(reactor::Core& there, reactor::Socket socket, Open open)>;

// Until `socket`, which was accepted on `core`, is in the hands of `serve`, or closed: whoever does not say OPEN within
// `patience` is no follower. A core that is not there is refused by the one that has accepted.
reactor::Task<void> accept_stream(reactor::Core& core, reactor::Socket socket, int32_t cores,
                                  reactor::Duration patience, ServeStream serve);

}  // namespace posthaste::replication::stream
