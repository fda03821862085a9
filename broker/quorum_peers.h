// How this broker and the other members of the metadata log's quorum reach each other: connections to the voters that
// the configuration names, and the listeners at which they ask this one. It knows no record and no role: that is the
// member's. Core 0.
#pragma once
#include <expected>
#include <string>
#include <vector>

#include "broker/node_identity.h"
#include "broker/options.h"
#include "replication/peers/peer_listener.h"
#include "replication/peers/quorum_transport.h"

namespace posthaste::broker {

class QuorumPeers : private reactor::CoreOwned {
 public:
  // `options` and `member` outlive it; the member hears of nothing before start().
  QuorumPeers(reactor::Core& core, const BrokerOptions& options, const NodeIdentity& identity,
              replication::peers::QuorumMember& member);

  // Binds the listeners; brokers that connect wait. Returns a line for each, for the operator. The error is a sentence
  // with the remedy.
  reactor::Task<std::expected<std::vector<std::string>, std::string>> listen();
  // Once, after listen(): connects to the others, and takes what they ask.
  void start();
  // Once; the member hears of nothing any more. Must be awaited before it goes away.
  reactor::Task<void> stop();

  // What the member sends with. It outlives the member's driver.
  replication::quorum::Transport& transport() { return transport_; }
  const replication::peers::QuorumTransport& connections() const { return transport_; }
  // Whom the member asks who leads, as long as it does not know.
  const std::vector<replication::quorum::NodeId>& known_voters() const { return known_voters_; }

 private:
  reactor::Core& core_;
  const BrokerOptions& options_;
  const std::vector<replication::quorum::NodeId> known_voters_;
  replication::peers::QuorumTransport transport_;
  replication::peers::PeerListener listener_;
};

}  // namespace posthaste::broker
