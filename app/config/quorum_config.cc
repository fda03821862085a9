#include "app/config/quorum_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <expected>

#include "app/config/broker_config.h"
#include "app/config/setting_values.h"
#include "net/address.h"
#include "replication/quorum/types.h"

namespace posthaste::app {
namespace {

using Errors = std::vector<std::string>;

constexpr std::string_view kVoters = "controller.quorum.voters";
constexpr std::string_view kBootstrap = "controller.quorum.bootstrap.servers";
constexpr std::string_view kControllers = "controller.listener.names";
constexpr std::string_view kInterBroker = "inter.broker.listener.name";

std::string names_of(const std::vector<Listener>& listeners) {
  std::vector<std::string_view> names;
  names.reserve(listeners.size());
  for (const Listener& listener : listeners) names.push_back(listener.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string describe(const QuorumVoter& voter) {
  return fmt::format("{}@{}", voter.id, net::join_address(voter.host, voter.port));
}

// ID@HOST:PORT; nothing when malformed.
std::optional<QuorumVoter> parse_voter(std::string_view text) {
  const size_t at = text.find('@');
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view digits = trimmed(text.substr(0, at));
  QuorumVoter voter;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), voter.id);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || voter.id < 0) {
    return std::nullopt;
  }
  const auto where = parse_host_port(text.substr(at + 1));
  if (!where || where->host.empty() || where->port == 0) return std::nullopt;
  voter.host = where->host;
  voter.port = where->port;
  return voter;
}

void read_voters(const SettingValues& values, ClusterSettings& cluster, Errors& errors) {
  const std::string_view source = values.source(kVoters);
  for (const std::string_view element : split_list(values.text(kVoters))) {
    const std::optional<QuorumVoter> voter = parse_voter(element);
    if (!voter) {
      errors.push_back(fmt::format("{}: {}: \"{}\" must have the form ID@HOST:PORT, for example 1@broker-1:9093",
                                   source, kVoters, element));
      continue;
    }
    const auto is_same_id = [&](const QuorumVoter& other) { return other.id == voter->id; };
    const auto is_same_place = [&](const QuorumVoter& other) {
      return other.host == voter->host && other.port == voter->port;
    };
    if (const auto other = std::ranges::find_if(cluster.voters, is_same_id); other != cluster.voters.end()) {
      errors.push_back(fmt::format("{}: {} names the id {} twice ({} and {}): each broker has a node.id of its own",
                                   source, kVoters, voter->id, describe(*other), describe(*voter)));
    } else if (const auto place = std::ranges::find_if(cluster.voters, is_same_place); place != cluster.voters.end()) {
      errors.push_back(
          fmt::format("{}: {}: {} and {} have one address; name for each broker the host and port of its "
                      "controller listener",
                      source, kVoters, describe(*place), describe(*voter)));
    }
    cluster.voters.push_back(*voter);
  }
  if (cluster.voters.size() > replication::quorum::kVotersMax) {
    errors.push_back(
        fmt::format("{}: {} names {} voters, at most {} vote: let the other brokers be none "
                    "(process.roles=broker)",
                    source, kVoters, cluster.voters.size(), replication::quorum::kVotersMax));
  }
}

void read_bootstrap_servers(const SettingValues& values, ClusterSettings& cluster, Errors& errors) {
  for (const std::string_view element : split_list(values.text(kBootstrap))) {
    auto server = parse_host_port(element);
    if (server && !server->host.empty() && server->port != 0) {
      cluster.bootstrap_servers.push_back(std::move(*server));
      continue;
    }
    errors.push_back(fmt::format("{}: {}: \"{}\" must have the form HOST:PORT, for example broker-1:9093",
                                 values.source(kBootstrap), kBootstrap, element));
  }
}

// Which voter this broker is has one answer, or it is none.
void check_own_id(const SettingValues& values, const BrokerConfig& config, Errors& errors) {
  const ClusterSettings& cluster = config.cluster;
  if (cluster.voters.empty()) return;
  const std::string_view source = values.source(kVoters);
  std::vector<int32_t> ids;
  ids.reserve(cluster.voters.size());
  for (const QuorumVoter& voter : cluster.voters) ids.push_back(voter.id);
  if (!config.node_id) {
    errors.push_back(fmt::format("{}: {} is given without node.id: set node.id, to one of {} if this broker is a voter",
                                 source, kVoters, fmt::join(ids, ", ")));
    return;
  }
  const bool is_named = std::ranges::find(ids, *config.node_id) != ids.end();
  if (cluster.is_controller && !is_named) {
    errors.push_back(
        fmt::format("{}: {} has no voter {}, the node.id of this broker: add {}@HOST:PORT, or set node.id to one of "
                    "{}, or let it be no voter (process.roles=broker)",
                    source, kVoters, *config.node_id, *config.node_id, fmt::join(ids, ", ")));
  }
  if (!cluster.is_controller && is_named) {
    errors.push_back(
        fmt::format("{}: {} has the voter {}, this broker, whose process.roles={} say that it does not "
                    "vote: add controller to process.roles, or take it out of the list",
                    source, kVoters, *config.node_id, values.get<"process.roles">()));
  }
}

// Where the others look for this voter must be where it listens. Of a lone broker nobody looks.
void check_own_place(const SettingValues& values, const BrokerConfig& config, Errors& errors) {
  const ClusterSettings& cluster = config.cluster;
  if (cluster.voters.size() < 2) return;
  for (const QuorumVoter& voter : cluster.voters) {
    if (!net::is_every_address(voter.host)) continue;
    errors.push_back(fmt::format("{}: {}: {} names no host that another broker can connect to: name it",
                                 values.source(kVoters), kVoters, describe(voter)));
  }
  const auto own = std::ranges::find_if(cluster.voters, [&](const auto& voter) { return voter.id == config.node_id; });
  if (own == cluster.voters.end()) return;
  if (cluster.controller_listeners.empty()) {
    errors.push_back(
        fmt::format("{}: {} names this broker and {} others, and it has no listener for them: add "
                    "CONTROLLER://:{} to listeners and set {}=CONTROLLER",
                    values.source(kVoters), kVoters, cluster.voters.size() - 1, own->port, kControllers));
    return;
  }
  for (const Listener& listener : cluster.controller_listeners) {
    if (listener.protocol == "PLAINTEXT") continue;
    errors.push_back(fmt::format("{}: listeners={} wants {}; this version serves PLAINTEXT only",
                                 values.source("listeners"), to_string(listener), listener.protocol));
  }
  const auto is_at_port = [&](const Listener& listener) { return listener.port == own->port || listener.port == 0; };
  if (std::ranges::any_of(cluster.controller_listeners, is_at_port) ||
      std::ranges::any_of(cluster.advertised_controller_listeners, is_at_port)) {
    return;
  }
  errors.push_back(
      fmt::format("{}: {} says that this broker is {}, and {} is another port: name one port in both, or "
                  "say with advertised.listeners which port is mapped to it",
                  values.source(kVoters), kVoters, describe(*own), to_string(cluster.controller_listeners.front())));
}

// As in Kafka, a controller has a listener of at least one of the names.
void check_controller_names(const SettingValues& values, const BrokerConfig& config, Errors& errors) {
  if (!values.has(kControllers) || !values.has("process.roles") || !config.cluster.is_controller) return;
  if (!config.cluster.controller_listeners.empty()) return;
  errors.push_back(
      fmt::format("{}: {}={}: none of them is in listeners; add one, for example CONTROLLER://:9093, or "
                  "delete the line",
                  values.source(kControllers), kControllers, values.get<"controller.listener.names">()));
}

void check_inter_broker(const SettingValues& values, const BrokerConfig& config, Errors& errors) {
  const std::string_view given = values.text(kInterBroker);
  const auto is_given = [&](const Listener& listener) { return listener_name(given) == listener.name; };
  if (given.empty()) return;
  if (std::ranges::any_of(config.listeners, is_given)) return;
  if (std::ranges::any_of(config.cluster.controller_listeners, is_given)) {
    errors.push_back(fmt::format("{}: {}={} is a listener of controllers ({}): name one of {}",
                                 values.source(kInterBroker), kInterBroker, given, kControllers,
                                 names_of(config.listeners)));
  } else {
    errors.push_back(fmt::format("{}: {}={} is not in listeners: name one of {}", values.source(kInterBroker),
                                 kInterBroker, given, names_of(config.listeners)));
  }
}

}  // namespace

void read_cluster(const SettingValues& values, bool listeners_count, BrokerConfig& config, Errors& errors) {
  ClusterSettings& cluster = config.cluster;
  const std::vector<std::string_view> roles = split_list(values.get<"process.roles">());
  cluster.is_controller = std::ranges::find(roles, "controller") != roles.end();
  read_voters(values, cluster, errors);
  read_bootstrap_servers(values, cluster, errors);
  check_own_id(values, config, errors);
  if (config.listeners.empty()) return;  // which is an error already
  if (!listeners_count) return;
  check_controller_names(values, config, errors);
  check_inter_broker(values, config, errors);
  check_own_place(values, config, errors);
}

std::optional<std::string> cluster_problem(const BrokerConfig& config) {
  constexpr std::string_view kAlone =
      "this version runs brokers that are alone, each its own controller, and no cluster: name this broker only, or "
      "delete the line, to start it alone";
  const ClusterSettings& cluster = config.cluster;
  if (cluster.voters.size() > 1) {
    return fmt::format("{} names {} voters, and {}", kVoters, cluster.voters.size(), kAlone);
  }
  if (!cluster.voters.empty() && !cluster.is_controller) {
    return fmt::format("{} names another broker, {}, and {}", kVoters, describe(cluster.voters.front()), kAlone);
  }
  if (cluster.bootstrap_servers.size() > 1) {
    return fmt::format("{} names {} servers, and {}", kBootstrap, cluster.bootstrap_servers.size(), kAlone);
  }
  return std::nullopt;
}

}  // namespace posthaste::app
