// The APIs that brokers of a cluster serve each other, at listeners of their own: the handshake, and the requests of
// the quorum of the metadata log. Each has a row here and its handler in replication/peers; a listener for clients
// knows none of these rows, and one between brokers no others.
#pragma once
#include <array>

#include "net/kafka/unserved_apis.h"

namespace posthaste::net::kafka {

// All brokers of a cluster ask in one version, the first one that can say all, so no other is served.
constexpr ApiInfo between_brokers(ApiKey key, int16_t version, Order order = Order::kPipelined) {
  ApiInfo info = *find_messages(key);
  info.advertised_min = info.advertised_max = version;
  // A request that waits for news does not hold up what comes behind it.
  info.order = order;
  info.admission = Admission::kAtOnce;
  info.permissions = {{Operation::kClusterAction, ResourceType::kCluster}};
  return info;
}

// Of what whoever connects asks first, whatever its release: all that clients are served.
constexpr ApiInfo of_handshake(ApiKey key) { return *find_api(key); }

// In key order.
inline constexpr auto kBrokerApis = std::to_array<ApiInfo>({
    between_brokers(ApiKey::kFetch, 18),
    of_handshake(ApiKey::kApiVersions),
    between_brokers(ApiKey::kVote, 2),
    between_brokers(ApiKey::kBeginQuorumEpoch, 1),
    between_brokers(ApiKey::kEndQuorumEpoch, 1),
    between_brokers(ApiKey::kFetchSnapshot, 1),
    of_handshake(ApiKey::kDescribeCluster),
});

inline constexpr ServedApis kServedToBrokers = {.rows = kBrokerApis, .by_key = detail::kRowsByKey<kBrokerApis>};

// The one version in which brokers ask each other for `key`, which has such a row.
consteval int16_t version_between_brokers(ApiKey key) {
  const ApiInfo* row = kServedToBrokers.find(key);
  if (row == nullptr || row->advertised_min != row->advertised_max) throw "no row, or several versions";
  return row->advertised_max;
}

}  // namespace posthaste::net::kafka
