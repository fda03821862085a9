// What a client may do with a resource while there are no ACLs: every operation of its kind, as the bits of the
// responses; each bit is the number of an operation (KIP-430).
#pragma once
#include <algorithm>
#include <cstdint>

#include "net/kafka/api_table.h"

namespace posthaste::broker {

constexpr int32_t bit_of(net::kafka::Operation operation) { return int32_t{1} << static_cast<int>(operation); }

constexpr int32_t all_operations(net::kafka::ResourceType resource) {
  using enum net::kafka::Operation;
  constexpr int32_t kConfigs = bit_of(kDescribeConfigs) | bit_of(kAlterConfigs);
  switch (resource) {
    case net::kafka::ResourceType::kTopic:
      return bit_of(kRead) | bit_of(kWrite) | bit_of(kCreate) | bit_of(kDelete) | bit_of(kAlter) | bit_of(kDescribe) |
             kConfigs;
    case net::kafka::ResourceType::kGroup:
      return bit_of(kRead) | bit_of(kDelete) | bit_of(kDescribe) | kConfigs;
    case net::kafka::ResourceType::kCluster:
      return bit_of(kCreate) | bit_of(kAlter) | bit_of(kDescribe) | bit_of(kClusterAction) | bit_of(kIdempotentWrite) |
             kConfigs;
    case net::kafka::ResourceType::kTransactionalId:
      return bit_of(kWrite) | bit_of(kDescribe);
  }
  return 0;
}

// An API that needs an operation that no client can have could never be served.
static_assert(std::ranges::all_of(net::kafka::kApis, [](const net::kafka::ApiInfo& info) {
  return std::ranges::all_of(info.permissions, [](const net::kafka::Permission& needed) {
    return (all_operations(needed.resource) & bit_of(needed.operation)) != 0;
  });
}));

}  // namespace posthaste::broker
