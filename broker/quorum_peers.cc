#include "broker/quorum_peers.h"

#include "broker/listening.h"
#include "replication/quorum/record_batches.h"

namespace posthaste::broker {

using reactor::Task;
using replication::peers::QuorumTransportOptions;
using replication::quorum::NodeId;

namespace {

std::vector<NodeId> ids_of(const std::vector<QuorumOptions::Voter>& voters) {
  std::vector<NodeId> ids;
  ids.reserve(voters.size());
  for (const QuorumOptions::Voter& voter : voters) ids.push_back(voter.id);
  return ids;
}

QuorumTransportOptions transport_options(const BrokerOptions& options, const NodeIdentity& identity) {
  QuorumTransportOptions out{
      .client_id = fmt::format("broker-{}", identity.node_id),
      .us = {.cluster_id = identity.cluster_id,
             .self = {.id = identity.node_id, .directory = replication::quorum::directory_of(identity.directory_id)}}};
  for (const QuorumOptions::Voter& voter : options.quorum.voters) {
    if (voter.id != identity.node_id) out.others.push_back({.broker = voter.id, .address = voter.address});
  }
  return out;
}

}  // namespace

QuorumPeers::QuorumPeers(reactor::Core& core, const BrokerOptions& options, const NodeIdentity& identity,
                         replication::peers::QuorumMember& member)
    : CoreOwned(core),
      core_(core),
      options_(options),
      known_voters_(ids_of(options.quorum.voters)),
      transport_(core, transport_options(options, identity), member),
      listener_(core, {.cluster_id = identity.cluster_id, .idle_timeout = options.connection.idle_timeout},
                transport_.desk()) {}

Task<std::expected<std::vector<std::string>, std::string>> QuorumPeers::listen() {
  check_core();
  std::expected<Listening, std::string> listening =
      co_await open_listeners(core_, listener_.acceptor(), options_.quorum.listeners);
  if (!listening) co_return std::unexpected(std::move(listening.error()));
  co_return std::move(listening->lines);
}

void QuorumPeers::start() {
  check_core();
  transport_.start();
  listener_.begin();
}

Task<void> QuorumPeers::stop() {
  check_core();
  co_await transport_.close();
  co_await listener_.stop();
}

}  // namespace posthaste::broker
