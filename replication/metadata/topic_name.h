// What a topic may be called (Kafka's rules), which names are the broker's own, and what a topic id is. Pure, any
// core.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/kafka/types.h"

namespace posthaste::replication {

inline constexpr size_t kLongestTopicName = 249;
inline constexpr std::string_view kConsumerOffsetsTopic = "__consumer_offsets";
inline constexpr std::string_view kTransactionStateTopic = "__transaction_state";
inline constexpr std::string_view kClusterMetadataTopic = "__cluster_metadata";

// Topics that clients see as internal (is_internal in Metadata).
bool is_internal_topic(std::string_view name);

// Why this cannot be the name of a topic; nothing when it can.
std::optional<std::string> topic_name_problem(std::string_view name);

// Names that differ only in '.' and '_' share the names of their metrics in Kafka and may not both exist. Two names
// collide when their keys are equal.
std::string collision_key(std::string_view name);

// A topic id from 16 random bytes: a random UUID (version 4), so neither zero nor one, whose text does not begin with
// '-', which command lines would take for an option.
net::kafka::Uuid make_topic_id(std::array<uint8_t, 16> random);

}  // namespace posthaste::replication
