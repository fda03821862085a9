// Where other brokers of the cluster connect to this one: the listeners of controllers (controller.listener.names),
// apart from those of clients, with memory and limits of their own, so that no load of clients keeps the quorum's
// requests from their answers. It answers the handshake itself; the rest is the desk's. All connections stay on the
// desk's core.
#pragma once
#include <string>

#include "net/listener.h"
#include "replication/peers/quorum_desk.h"

namespace posthaste::replication::peers {

// Each broker of a cluster has two connections to each other one; this is for clusters of hundreds.
inline constexpr uint32_t kPeerConnectionsMax = 1000;

struct PeerListenerOptions {
  std::string cluster_id;
  reactor::Duration idle_timeout = std::chrono::minutes(10);  // connections.max.idle.ms
};

class PeerListener final : private net::RequestHandler, private reactor::CoreOwned {
 public:
  // `desk` outlives it.
  PeerListener(reactor::Core& core, PeerListenerOptions options, QuorumDesk& desk);

  // To bind addresses: before begin().
  net::Acceptor& acceptor() { return acceptor_; }
  // Begins to accept. Until then brokers that connect wait.
  void begin() { acceptor_.begin(); }
  // Once; ends all connections, those that wait for the member's answer too. Must be awaited before it goes away.
  reactor::Task<void> stop() { return acceptor_.stop(); }
  const net::NetStats& stats() { return connections_.stats(); }

 private:
  reactor::Task<net::Response> handle(net::ConnectionContext& context, net::Request& request) override;
  bool waits_for_readers() const override { return desk_.is_pressed(); }
  net::Response describe_cluster(const net::Request& request) const;

  const PeerListenerOptions options_;
  QuorumDesk& desk_;
  net::ConnectionSet connections_;
  net::Acceptor acceptor_;
};

}  // namespace posthaste::replication::peers
