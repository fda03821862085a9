// The listeners of a broker at its start: names become addresses, addresses become sockets, and each gets the address
// that it advertises to clients. Core 0.
#pragma once
#include <expected>
#include <string>
#include <vector>

#include "broker/options.h"
#include "broker/partitions/cluster_view.h"
#include "net/listener.h"

namespace posthaste::broker {

struct Listening {
  std::vector<Endpoint> endpoints;  // by net::ListenerId
  std::vector<std::string> lines;   // one for each, for the operator of the broker
};

// Binds every address of every listener to `acceptor`, in order; ListenerId is the place in `listeners`. A name's
// address that this machine does not have (a kind of addresses that is switched off, say) is left out and logged, as
// long as one is left. The error is a sentence with the remedy; what was bound until then stays with the acceptor.
reactor::Task<std::expected<Listening, std::string>> open_listeners(reactor::Core& core, net::Acceptor& acceptor,
                                                                    const std::vector<BrokerListener>& listeners);

}  // namespace posthaste::broker
