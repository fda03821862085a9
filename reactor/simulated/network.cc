#include "reactor/simulated/network.h"

#include "reactor/simulated/world.h"

namespace posthaste::reactor::simulated {

void Network::start(SimulatedBackend& backend, Op&, SimulatedBackend::Pending pending, EndpointId) {
  backend.finish(pending, -static_cast<int64_t>(Errc::kUnsupported));
}
void Network::close(EndpointId) {}
bool Network::cancel(SimulatedBackend&, const Op&, SimulatedBackend::Pending) { return false; }
void Network::buffer_recycled(SimulatedBackend&) {}
void Network::host_died(Host&, bool) {}
void Network::host_is_back(Host&) {}
void Network::moved(EndpointId, SimulatedBackend*) {}

}  // namespace posthaste::reactor::simulated
