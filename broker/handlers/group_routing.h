// Finding a group's coordinator: the broker, and if it is this one the core; and asking that.
#pragma once
#include <expected>
#include <functional>
#include <string_view>
#include <utility>

#include "broker/broker_core.h"
#include "broker/groups/partition.h"
#include "broker/handlers/common.h"
#include "broker/partitions/known_brokers.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::broker {

struct CoordinatorPlace {
  int32_t index = 0;  // partition of __consumer_offsets
  reactor::CoreId owner = 0;
};

// The broker that coordinates `group`, as the client reaches it. Nothing: there is none now.
inline std::optional<KnownBroker> broker_of_group(const ClusterView& view, std::string_view group,
                                                  const net::ConnectionContext& client) {
  const replication::TopicImage* topic = view.image.topic(replication::kConsumerOffsetsTopic);
  if (topic == nullptr) return std::nullopt;
  const int32_t index = partition_of_group(group, static_cast<int32_t>(topic->partitions.size()));
  return find_live_broker(view, place_of(view, *topic, index).leader, client);
}

// COORDINATOR_NOT_AVAILABLE (retriable) as long as __consumer_offsets is not there; NOT_COORDINATOR if another broker
// leads the partition.
inline std::expected<CoordinatorPlace, ErrorCode> place_of_group(const ClusterView& view, std::string_view group) {
  const replication::TopicImage* topic = view.image.topic(replication::kConsumerOffsetsTopic);
  if (topic == nullptr) return std::unexpected(ErrorCode::kCoordinatorNotAvailable);
  const int32_t index = partition_of_group(group, static_cast<int32_t>(topic->partitions.size()));
  const PartitionPlace place = place_of(view, *topic, index);
  if (place.leader < 0) return std::unexpected(ErrorCode::kCoordinatorNotAvailable);
  if (!place.leads_here()) return std::unexpected(ErrorCode::kNotCoordinator);
  return CoordinatorPlace{.index = index, .owner = *place.core};
}

// Asks the coordinator of `group`; NOT_COORDINATOR or COORDINATOR_NOT_AVAILABLE (both retriable) if there is no answer.
// `make` makes the event on the coordinator's core, from the frame, so that a refused request was never copied twice.
// `waits`: a request that may wait for other members. Once the coordinator has copied what it keeps, the frame is given
// back, and views of it are invalid when this returns.
template <class Answer>
reactor::Task<std::expected<Answer, ErrorCode>> ask_coordinator(BrokerCore& core, net::ConnectionContext& context,
                                                                std::string_view group,
                                                                std::function<GroupEvent()> make,
                                                                net::Request* waits = nullptr) {
  const std::expected<CoordinatorPlace, ErrorCode> place = place_of_group(*core.view(), group);
  if (!place) co_return std::unexpected(place.error());
  std::optional<GroupResponse> answer = co_await core.ask_group(context, place->owner, place->index, make, waits);
  if (!answer) co_return std::unexpected(ErrorCode::kNotCoordinator);
  co_return std::move(std::get<Answer>(*answer));
}

}  // namespace posthaste::broker
