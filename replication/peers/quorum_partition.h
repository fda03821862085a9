// The one partition that messages of the quorum are about: Kafka's form has lists of topics and of partitions, because
// it foresees several quorums. For the files of quorum_wire.h only.
#pragma once
#include <string_view>

#include "net/kafka/types.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::replication::peers {

// Kafka's id of the topic: the same in every cluster.
inline constexpr net::kafka::Uuid kMetadataTopicId{
    .bytes = {{std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0},
               std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0},
               std::byte{0}, std::byte{1}}}};

// A message names it by id or by one of two names of the field.
template <class Topic>
void name_metadata_log(Topic& topic) {
  if constexpr (requires { topic.topic_id; }) {
    topic.topic_id = kMetadataTopicId;
  } else if constexpr (requires { topic.topic_name; }) {
    topic.topic_name = kClusterMetadataTopic;
  } else {
    topic.name = kClusterMetadataTopic;
  }
}

template <class Topic>
bool is_metadata_log(const Topic& topic) {
  if constexpr (requires { topic.topic_id; }) {
    return topic.topic_id == kMetadataTopicId;
  } else if constexpr (requires { topic.topic_name; }) {
    return topic.topic_name == kClusterMetadataTopic;
  } else {
    return topic.name == kClusterMetadataTopic;
  }
}

template <class Partition>
int32_t index_of(const Partition& partition) {
  if constexpr (requires { partition.partition_index; }) {
    return partition.partition_index;
  } else if constexpr (requires { partition.index; }) {
    return partition.index;
  } else {
    return partition.partition;
  }
}

// Adds partition 0 of the metadata log to a message that is being made.
template <class Topics>
auto& add_partition(Topics& topics) {
  auto& topic = topics.emplace_back();
  name_metadata_log(topic);
  return topic.partitions.emplace_back();
}

// It, if the message is about it and nothing else; else null.
template <class Topics>
auto only_partition(const Topics& topics) -> decltype(&topics.front().partitions.front()) {
  if (topics.size() != 1 || !is_metadata_log(topics.front())) return nullptr;
  const auto& partitions = topics.front().partitions;
  return partitions.size() == 1 && index_of(partitions.front()) == 0 ? &partitions.front() : nullptr;
}

}  // namespace posthaste::replication::peers
