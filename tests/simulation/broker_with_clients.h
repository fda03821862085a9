// One broker on a host of its own in a simulated world, with two hosts of clients for it and all that they must find
// true. A world may hold several. It draws the machine and the load from the world's seed; faults are the program's
// business. Lives as long as the world. One thread, between steps of the world.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "broker/server.h"
#include "reactor/simulated/world.h"
#include "tests/simulation/models.h"

namespace posthaste::simulation {

class BrokerWithClients {
 public:
  // `number`: from 0 on, another one for each; it gives addresses and, but for 0, the node id.
  BrokerWithClients(reactor::simulated::World& world, uint32_t number);
  BrokerWithClients(const BrokerWithClients&) = delete;
  BrokerWithClients& operator=(const BrokerWithClients&) = delete;

  reactor::simulated::Host& host() { return host_; }
  const reactor::simulated::Host& host() const { return host_; }
  Models& models() { return models_; }
  const Models& models() const { return models_; }
  // Of its present life, or of the last one.
  reactor::CoreId cores() const { return cores_; }
  broker::BrokerHost& broker() { return *shared_; }
  bool stop_asked() const { return stop_asked_; }

  // A life on as many cores, and with as much memory, as the seed says.
  void start();
  // Asks it to end in order.
  void stop();
  // Once.
  void start_clients();
  // They end at once, for a broker that never comes back.
  void kill_clients();

  // It has ended without being asked to.
  bool dead() const;
  // What is wrong with it by now, if anything is.
  std::optional<std::string> check() const;

 private:
  broker::BrokerOptions options();
  reactor::Task<void> run_producers(reactor::Core& core);
  reactor::Task<void> run_consumers(reactor::Core& core);
  void set_replica(const PartitionName& name, ReplicaState state);

  reactor::simulated::World& world_;
  reactor::simulated::Random& random_;
  uint32_t number_;
  reactor::simulated::Host& host_;
  reactor::simulated::Host* producers_ = nullptr;
  reactor::simulated::Host* consumers_ = nullptr;
  Models models_;
  std::shared_ptr<broker::BrokerHost> shared_;
  reactor::CoreId cores_ = 1;
  uint32_t producer_count_ = 0;
  uint32_t plain_count_ = 0;
  uint32_t consumer_count_ = 0;
  uint32_t member_count_ = 0;
  bool stop_asked_ = false;
  bool producers_over_ = false;
};

}  // namespace posthaste::simulation
