// The APIs whose messages the codec has although no client is served them: what brokers and controllers ask each other,
// and what waits for its handler. Their messages can be sent, read and tested like any others. Nothing here reaches a
// client: at its listener a request of these APIs is as unknown as if it were not here, and ApiVersions lists none of
// them. Who writes a handler for clients moves the row to api_table.h; what brokers serve each other gets a row in
// broker_apis.h, too.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "net/kafka/api_table.h"

namespace posthaste::net::kafka {

// The versions of one, none of which is advertised.
constexpr ApiInfo unserved(ApiKey key, int16_t codec_min, int16_t codec_max, int16_t first_flexible) {
  return {.key = key,
          .codec_min = codec_min,
          .codec_max = codec_max,
          .advertised_min = kNever,
          .advertised_max = -1,
          .first_flexible = first_flexible};
}

// In key order.
// clang-format off
inline constexpr auto kUnservedApis = std::to_array<ApiInfo>({
    //                                              codec, flexible
    unserved(ApiKey::kVote,                         0, 2, 0),
    unserved(ApiKey::kBeginQuorumEpoch,             0, 1, 1),
    unserved(ApiKey::kEndQuorumEpoch,               0, 1, 1),
    unserved(ApiKey::kAlterPartition,               2, 3, 0),
    unserved(ApiKey::kUpdateFeatures,               0, 2, 0),
    unserved(ApiKey::kEnvelope,                     0, 0, 0),
    unserved(ApiKey::kFetchSnapshot,                0, 1, 0),
    unserved(ApiKey::kBrokerRegistration,           0, 4, 0),
    unserved(ApiKey::kBrokerHeartbeat,              0, 2, 0),
    unserved(ApiKey::kUnregisterBroker,             0, 0, 0),
    unserved(ApiKey::kAllocateProducerIds,          0, 0, 0),
    unserved(ApiKey::kControllerRegistration,       0, 0, 0),
    unserved(ApiKey::kAssignReplicasToDirs,         0, 0, 0),
    unserved(ApiKey::kAddRaftVoter,                 0, 1, 0),
    unserved(ApiKey::kRemoveRaftVoter,              0, 0, 0),
    unserved(ApiKey::kUpdateRaftVoter,              0, 0, 0),
});
// clang-format on

// The row of `key`, served or not, or null if the codec has no messages for it. For any number. What may be asked for
// is a listener's to say (ServedApis).
constexpr const ApiInfo* find_messages(ApiKey key) {
  if (const ApiInfo* served = find_api(key)) return served;
  const auto* const row = std::ranges::find(kUnservedApis, key, &ApiInfo::key);
  return row == kUnservedApis.end() ? nullptr : row;
}

}  // namespace posthaste::net::kafka
