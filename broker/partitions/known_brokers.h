// Which brokers a client is told of, and under which addresses: those of the listener that it came in by. All answers
// that name a broker take it from here, so that they agree. Any core, of its own view.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "broker/partitions/cluster_view.h"
#include "broker/partitions/partition_place.h"
#include "net/kafka/errors.h"
#include "net/kafka/types.h"

namespace posthaste::broker {

// Its views are good as long as the view of the cluster and the connection are.
struct KnownBroker {
  int32_t id = -1;
  std::string_view host;
  uint16_t port = 0;
  net::kafka::NullableString rack;
  bool is_fenced = false;
};

// Nothing: it is not registered, or has no listener of that name.
std::optional<KnownBroker> find_broker(const ClusterView& view, int32_t id, const net::ConnectionContext& client);
// The same, and nothing of one that is fenced: it serves nobody.
std::optional<KnownBroker> find_live_broker(const ClusterView& view, int32_t id, const net::ConnectionContext& client);
// As Kafka's clients are told: registered, not fenced, and with such a listener. With `fenced` those too.
std::vector<KnownBroker> known_brokers(const ClusterView& view, const net::ConnectionContext& client,
                                       bool fenced = false);

// What a client is told of who leads a partition.
struct KnownLeader {
  int32_t id = -1;
  // LEADER_NOT_AVAILABLE: nobody leads it now; LISTENER_NOT_FOUND: it cannot be reached by the client's listener.
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
};
// `index` is one of the topic's.
KnownLeader leader_for(const ClusterView& view, const replication::TopicImage& topic, int32_t index,
                       const net::ConnectionContext& client);

// Replicas of the partition whose brokers serve nobody by the client's listener now, in their order.
std::vector<int32_t> offline_replicas(const ClusterView& view, const replication::PartitionImage& partition,
                                      const net::ConnectionContext& client);

// KIP-951: an answer that refuses a partition because another broker leads it says who does, and where that is.
struct LeaderHint {
  int32_t leader = -1;
  int32_t leader_epoch = -1;
};
// By the newest view; -1 of a partition that is gone.
LeaderHint leader_hint(const ClusterView& view, const replication::Uuid& topic, int32_t index);
// Adds the leader's address to an answer's list, unless it is there already or is not known.
template <class Endpoints>
void add_endpoint(const ClusterView& view, int32_t leader, const net::ConnectionContext& client, Endpoints& endpoints) {
  for (const auto& known : endpoints) {
    if (known.node_id == leader) return;
  }
  const std::optional<KnownBroker> broker = find_live_broker(view, leader, client);
  if (!broker) return;
  endpoints.push_back({.node_id = broker->id, .host = broker->host, .port = broker->port, .rack = broker->rack});
}

}  // namespace posthaste::broker
