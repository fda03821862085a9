// Which requests exist, which versions of them the codec knows, which of those are advertised, how a connection
// treats them, and what an authorizer is asked for: one table of all that clients are served, one row per API. What
// brokers serve each other stands in broker_apis.h. It does not hold the messages themselves (produce.h, fetch.h, ...)
// nor who answers them (broker/handlers).
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "net/kafka/api_keys.h"
#include "net/kafka/permission.h"

namespace posthaste::net::kafka {

// What a request may overtake, and what may overtake it, on its connection.
enum class Order : uint8_t {
  kBarrier,    // starts when all earlier answers are sent; nothing later starts before it is answered
  kFollowed,   // starts when all earlier answers are sent; what is pipelined may start before it is answered
  kPipelined,  // starts beside earlier requests, unless one of them is a barrier
};

// What a request takes before its frame is received, besides memory for the frame.
enum class Admission : uint8_t {
  kAtOnce,
  // Memory for its answer, when the size of the answer depends on what is in the cluster and not on the request. Not
  // for a request that waits for other clients: it would hold the memory as long as it waits.
  kReservesAnswer,
  // Its turn among requests of this kind, if it is larger than tiny: it keeps its contents until those before it are
  // done, so only a few are admitted at once. These are the changes that the controller makes one at a time.
  kTakesTurns,
};

inline constexpr int16_t kNever = INT16_MAX;  // of a version: none has it

struct ApiInfo {
  ApiKey key{};
  int16_t codec_min = 0;  // versions that encode and decode know
  int16_t codec_max = 0;
  int16_t advertised_min = 0;  // versions that ApiVersions lists; everything in here must be served in full
  int16_t advertised_max = 0;
  int16_t first_flexible = kNever;     // KIP-482: compact lengths and tagged fields from here on
  int16_t first_by_topic_id = kNever;  // KIP-516: a topic id in place of the name
  Order order = Order::kBarrier;
  Admission admission = Admission::kAtOnce;
  Permissions permissions;

  constexpr bool codec_knows(int16_t version) const { return codec_min <= version && version <= codec_max; }
  constexpr bool advertises(int16_t version) const { return advertised_min <= version && version <= advertised_max; }
  constexpr bool is_flexible(int16_t version) const { return version >= first_flexible; }
  constexpr bool is_by_topic_id(int16_t version) const { return version >= first_by_topic_id; }
};

// In key order. The versions that name topics by id alone are advertised as one set, with the Metadata that
// returns the ids: otherwise clients would send ids that no broker gave them. Produce starts at 0 because librdkafka
// stops compressing when it does not (KAFKA-18659).
inline constexpr auto kApis = [] {
  using enum Order;
  using enum Admission;
  using enum Operation;
  using enum ResourceType;
  // clang-format off
  return std::to_array<ApiInfo>({
      //                                  codec,  listed, flexible, by id, order,   admission,       permissions
      {ApiKey::kProduce,                   0, 13,  0, 13,      9,     13, kPipelined, kAtOnce,
       {{kWrite, kTransactionalId}, {kIdempotentWrite, kCluster}, {kWrite, kTopic}}},
      {ApiKey::kFetch,                     4, 18,  4, 18,     12,     13, kFollowed,  kAtOnce,
       {{kClusterAction, kCluster}, {kRead, kTopic}}},
      {ApiKey::kListOffsets,               1, 11,  1, 11,      6, kNever, kBarrier,   kAtOnce,
       {{kDescribe, kTopic}}},
      {ApiKey::kMetadata,                  0, 13,  0, 13,      9, kNever, kBarrier,   kReservesAnswer,
       {{kDescribe, kTopic}, {kCreate, kCluster}, {kCreate, kTopic}}},
      {ApiKey::kOffsetCommit,              2, 10,  2, 10,      8,     10, kBarrier,   kAtOnce,
       {{kRead, kGroup}, {kRead, kTopic}}},
      {ApiKey::kOffsetFetch,               1, 10,  1, 10,      6,     10, kBarrier,   kReservesAnswer,
       {{kDescribe, kGroup}, {kDescribe, kTopic}}},
      {ApiKey::kFindCoordinator,           0,  6,  0,  4,      3, kNever, kBarrier,   kAtOnce,
       {{kDescribe, kGroup}, {kDescribe, kTransactionalId}}},
      {ApiKey::kJoinGroup,                 0,  9,  0,  9,      6, kNever, kBarrier,   kAtOnce,
       {{kRead, kGroup}}},
      {ApiKey::kHeartbeat,                 0,  4,  0,  4,      4, kNever, kBarrier,   kAtOnce,
       {{kRead, kGroup}}},
      {ApiKey::kLeaveGroup,                0,  5,  0,  5,      4, kNever, kBarrier,   kAtOnce,
       {{kRead, kGroup}}},
      {ApiKey::kSyncGroup,                 0,  5,  0,  5,      4, kNever, kBarrier,   kAtOnce,
       {{kRead, kGroup}}},
      {ApiKey::kDescribeGroups,            0,  6,  0,  5,      5, kNever, kBarrier,   kReservesAnswer,
       {{kDescribe, kGroup}}},
      {ApiKey::kListGroups,                0,  5,  0,  5,      3, kNever, kBarrier,   kReservesAnswer,
       {{kDescribe, kCluster}, {kDescribe, kGroup}}},
      {ApiKey::kApiVersions,               0,  4,  0,  4,      3, kNever, kBarrier,   kAtOnce,         {}},
      {ApiKey::kCreateTopics,              2,  7,  2,  7,      5, kNever, kBarrier,   kTakesTurns,
       {{kCreate, kCluster}, {kCreate, kTopic}}},
      {ApiKey::kDeleteTopics,              1,  6,  1,  6,      4, kNever, kBarrier,   kTakesTurns,
       {{kDelete, kTopic}}},
      {ApiKey::kDeleteRecords,             0,  2,  0,  2,      2, kNever, kBarrier,   kAtOnce,
       {{kDelete, kTopic}}},
      {ApiKey::kInitProducerId,            0,  6,  0,  4,      2, kNever, kBarrier,   kAtOnce,
       {{kWrite, kTransactionalId}, {kIdempotentWrite, kCluster}}},
      {ApiKey::kOffsetForLeaderEpoch,      2,  4,  2,  4,      4, kNever, kBarrier,   kAtOnce,
       {{kClusterAction, kCluster}, {kDescribe, kTopic}}},
      {ApiKey::kDescribeConfigs,           1,  4,  1,  4,      4, kNever, kBarrier,   kReservesAnswer,
       {{kDescribeConfigs, kCluster}, {kDescribeConfigs, kTopic}}},
      {ApiKey::kAlterConfigs,              0,  2,  0,  2,      2, kNever, kBarrier,   kTakesTurns,
       {{kAlterConfigs, kCluster}, {kAlterConfigs, kTopic}}},
      {ApiKey::kDescribeLogDirs,           1,  5,  1,  5,      2, kNever, kBarrier,   kReservesAnswer,
       {{kDescribe, kCluster}}},
      {ApiKey::kCreatePartitions,          0,  3,  0,  3,      2, kNever, kBarrier,   kTakesTurns,
       {{kAlter, kTopic}}},
      {ApiKey::kDeleteGroups,              0,  2,  0,  2,      2, kNever, kBarrier,   kAtOnce,
       {{kDelete, kGroup}}},
      {ApiKey::kElectLeaders,              0,  2,  0,  2,      2, kNever, kBarrier,   kTakesTurns,
       {{kClusterAction, kCluster}}},
      {ApiKey::kIncrementalAlterConfigs,   0,  1,  0,  1,      1, kNever, kBarrier,   kTakesTurns,
       {{kAlterConfigs, kCluster}, {kAlterConfigs, kTopic}}},
      {ApiKey::kAlterPartitionReassignments, 0, 1, 0, 1,      0, kNever, kBarrier,   kTakesTurns,
       {{kAlter, kCluster}}},
      {ApiKey::kListPartitionReassignments, 0, 0,  0,  0,      0, kNever, kBarrier,   kReservesAnswer,
       {{kDescribe, kCluster}}},
      {ApiKey::kOffsetDelete,              0,  0,  0,  0, kNever, kNever, kBarrier,   kAtOnce,
       {{kDelete, kGroup}, {kRead, kTopic}}},
      {ApiKey::kDescribeQuorum,            0,  2,  0,  2,      0, kNever, kBarrier,   kAtOnce,
       {{kDescribe, kCluster}}},
      {ApiKey::kDescribeCluster,           0,  2,  0,  2,      0, kNever, kBarrier,   kAtOnce,
       {{kDescribe, kCluster}}},
      {ApiKey::kDescribeProducers,         0,  0,  0,  0,      0, kNever, kBarrier,   kReservesAnswer,
       {{kRead, kTopic}}},
      {ApiKey::kDescribeTopicPartitions,   0,  0,  0,  0,      0, kNever, kBarrier,   kReservesAnswer,
       {{kDescribe, kTopic}}},
  });
  // clang-format on
}();

// What one kind of listener serves. Everything else that comes there ends its connection.
struct ServedApis {
  std::span<const ApiInfo> rows;           // in key order
  std::span<const ApiInfo* const> by_key;  // null where there is no row

  // The row of `key`, or null. For any number, also one that came from outside.
  constexpr const ApiInfo* find(ApiKey key) const {
    const auto number = static_cast<uint16_t>(key);
    return number < by_key.size() ? by_key[number] : nullptr;
  }
};

namespace detail {

template <const auto& kRows>
inline constexpr auto kRowsByKey = [] {
  std::array<const ApiInfo*, static_cast<size_t>(kRows.back().key) + 1> rows{};
  for (const ApiInfo& info : kRows) rows[static_cast<size_t>(info.key)] = &info;
  return rows;
}();

}  // namespace detail

inline constexpr ServedApis kServedToClients = {.rows = kApis, .by_key = detail::kRowsByKey<kApis>};

// The row of what a client may ask for, or null. As ServedApis::find.
constexpr const ApiInfo* find_api(ApiKey key) { return kServedToClients.find(key); }

}  // namespace posthaste::net::kafka
