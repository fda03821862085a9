// What a broker's configuration says of its cluster, as Kafka writes it: who votes in the quorum of the metadata log,
// where to ask for its leader, and which listeners are between brokers. It resolves no name and opens nothing.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config/listeners.h"

namespace posthaste::app {

class SettingValues;
struct BrokerConfig;

struct QuorumVoter {
  int32_t id = 0;
  std::string host;  // an IPv6 address without its brackets
  uint16_t port = 0;
  friend bool operator==(const QuorumVoter&, const QuorumVoter&) = default;
};

struct ClusterSettings {
  bool is_controller = true;                // process.roles: it votes, if the list of voters has it or there is none
  std::vector<QuorumVoter> voters;          // controller.quorum.voters; empty: none are named
  std::vector<Listener> bootstrap_servers;  // controller.quorum.bootstrap.servers; only host and port
  // Of controller.listener.names: where other brokers ask the quorum. A lone broker opens none of them.
  std::vector<Listener> controller_listeners;
  std::vector<Listener> advertised_controller_listeners;  // of some of them
};

// Reads `config.cluster` from the values; listeners, roles and node id of `config` are there already. Every mistake is
// one line in `errors` that names the key and what to do. Where `listeners` do not count (`--listen`), nothing is said
// of their names.
void read_cluster(const SettingValues& values, bool listeners_count, BrokerConfig& config,
                  std::vector<std::string>& errors);

// Why a valid configuration cannot be served: it makes this broker a part of a cluster of several. Nothing: it can.
std::optional<std::string> cluster_problem(const BrokerConfig& config);

}  // namespace posthaste::app
