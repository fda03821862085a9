#include "broker/partitions/known_brokers.h"

#include <algorithm>

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::kafka::ErrorCode;
using replication::PartitionImage;
using replication::RegisterBrokerRecord;
using replication::TopicImage;

net::kafka::NullableString rack_of(const RegisterBrokerRecord& broker) {
  if (!broker.rack) return std::nullopt;
  return std::string_view(*broker.rack);
}

std::optional<KnownBroker> seen_by(const ClusterView& view, const RegisterBrokerRecord& broker,
                                   const ConnectionContext& client) {
  KnownBroker known{.id = broker.broker_id, .rack = rack_of(broker), .is_fenced = broker.fenced};
  const Endpoint& ours = view.endpoints[client.listener];
  if (known.id == view.node_id) {
    known.host = ours.host_for(client);
    known.port = ours.port;
    return known;
  }
  const auto theirs = std::ranges::find(broker.endpoints, ours.listener, &RegisterBrokerRecord::Endpoint::name);
  if (theirs == broker.endpoints.end()) return std::nullopt;
  known.host = theirs->host;
  known.port = theirs->port;
  return known;
}

}  // namespace

std::optional<KnownBroker> find_broker(const ClusterView& view, int32_t id, const ConnectionContext& client) {
  const RegisterBrokerRecord* const broker = view.image.broker(id);
  if (broker == nullptr) return std::nullopt;
  return seen_by(view, *broker, client);
}

std::optional<KnownBroker> find_live_broker(const ClusterView& view, int32_t id, const ConnectionContext& client) {
  const std::optional<KnownBroker> broker = find_broker(view, id, client);
  return broker && !broker->is_fenced ? broker : std::nullopt;
}

std::vector<KnownBroker> known_brokers(const ClusterView& view, const ConnectionContext& client, bool fenced) {
  std::vector<KnownBroker> brokers;
  brokers.reserve(view.image.brokers().size());
  for (const auto& [id, registered] : view.image.brokers()) {
    if (registered.fenced && !fenced) continue;
    if (const auto known = seen_by(view, registered, client)) brokers.push_back(*known);
  }
  return brokers;
}

KnownLeader leader_for(const ClusterView& view, const TopicImage& topic, int32_t index,
                       const ConnectionContext& client) {
  const int32_t leader = place_of(view, topic, index).leader;
  if (leader < 0 || view.image.broker(leader) == nullptr) return {.error = ErrorCode::kLeaderNotAvailable};
  if (!find_broker(view, leader, client)) return {.error = ErrorCode::kListenerNotFound};
  return {.id = leader};
}

std::vector<int32_t> offline_replicas(const ClusterView& view, const PartitionImage& partition,
                                      const ConnectionContext& client) {
  std::vector<int32_t> offline;
  for (const int32_t id : partition.replicas) {
    if (!find_live_broker(view, id, client)) offline.push_back(id);
  }
  return offline;
}

LeaderHint leader_hint(const ClusterView& view, const replication::Uuid& topic, int32_t index) {
  const TopicImage* const image = view.image.topic(topic);
  if (image == nullptr || static_cast<size_t>(index) >= image->partitions.size()) return {};
  const PartitionImage& partition = image->partitions[static_cast<size_t>(index)];
  return {.leader = partition.leader, .leader_epoch = partition.leader_epoch};
}

}  // namespace posthaste::broker
