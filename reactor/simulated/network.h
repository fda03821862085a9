// The network between simulated hosts.
#pragma once
#include "reactor/simulated/simulated_backend.h"

namespace posthaste::reactor::simulated {

class World;

class Network {
 public:
  explicit Network(World& world) : world_(world) {}
  void start(SimulatedBackend& backend, Op& op, SimulatedBackend::Pending pending, EndpointId endpoint);
  // The endpoint's file was closed by its owner.
  void close(EndpointId endpoint);
  // Takes the operation off its endpoint; false if it is past that.
  bool cancel(SimulatedBackend& backend, const Op& op, SimulatedBackend::Pending pending);
  void buffer_recycled(SimulatedBackend& backend);
  void host_died(Host& host, bool machine_vanished);
  void host_is_back(Host& host);
  void moved(EndpointId endpoint, SimulatedBackend* to);

 private:
  [[maybe_unused]] World& world_;
};

}  // namespace posthaste::reactor::simulated
