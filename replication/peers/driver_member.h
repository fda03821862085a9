// A quorum's driver as those who carry messages see it: what arrives goes to the driver, which is made after its
// transport. One core.
#pragma once
#include "replication/peers/quorum_desk.h"
#include "replication/quorum/driver.h"

namespace posthaste::replication::peers {

class DriverMember final : public QuorumMember {
 public:
  // Until then what arrives is thrown away, as for a member that has not started. `driver` outlives the transport.
  void attach(quorum::Driver& driver) { driver_ = &driver; }

  void received(quorum::NodeId from, quorum::PeerMessage message) override {
    if (driver_ != nullptr) driver_->received(from, std::move(message));
  }
  void connection_lost(quorum::NodeId peer, bool is_refused) override {
    if (driver_ != nullptr) driver_->connection_lost(peer, is_refused);
  }

 private:
  quorum::Driver* driver_ = nullptr;
};

}  // namespace posthaste::replication::peers
