// What every handler needs: decoding a body, making a response, finding the owner of a partition.
#pragma once
#include <optional>
#include <string>

#include "broker/broker_core.h"
#include "broker/error_codes.h"
#include "broker/partitions/partition_place.h"
#include "net/kafka/frame.h"
#include "net/request.h"

namespace posthaste::broker {

using net::kafka::ErrorCode;

// The body of `request`, or nothing: the caller then closes the connection (kBodyCorrupt), as Kafka does.
template <class Message>
std::optional<Message> decode_body(const net::Request& request) {
  reactor::Result<Message> message = net::kafka::decode<Message>(request.body, request.header.version);
  if (!message) return std::nullopt;
  return std::move(*message);
}

inline net::Response body_corrupt() { return net::Response::closing(net::CloseReason::kBodyCorrupt); }

// The frame of `message` in the version of the request. `hold` keeps what its records refer to.
template <class Message>
net::Response respond(const net::Request& request, const Message& message,
                      std::unique_ptr<net::ResponseHold> hold = nullptr) {
  net::Response response;
  response.frame = net::kafka::encode_response(message, request.header.version, request.header.correlation_id);
  response.hold = std::move(hold);
  return response;
}

inline std::string text(net::kafka::Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline net::kafka::Bytes bytes(std::string_view value) { return std::as_bytes(std::span(value.data(), value.size())); }
inline std::optional<std::string> owned(const net::kafka::NullableString& value) {
  if (!value) return std::nullopt;
  return std::string(*value);
}
inline net::kafka::NullableString view_of(const std::optional<std::string>& value) {
  if (!value) return std::nullopt;
  return std::string_view(*value);
}

// A partition as a request names it, found in the view. Without an error this broker leads it.
struct Located {
  ErrorCode error = ErrorCode::kNone;
  const replication::TopicImage* topic = nullptr;
  int32_t index = 0;
  int32_t leader_epoch = -1;
  bool is_epoch_asked = false;  // the client has named an epoch
  reactor::CoreId owner = 0;
};

// How a request names a topic: by its id where the version has ids, by its name in all others.
struct AskedTopic {
  std::string_view name;
  net::kafka::Uuid id;
  bool by_id = false;

  const replication::TopicImage* find(const ClusterView& view) const {
    return by_id ? view.image.topic(id) : view.image.topic(name);
  }
  friend auto operator<=>(const AskedTopic&, const AskedTopic&) = default;
  ErrorCode if_missing() const { return by_id ? ErrorCode::kUnknownTopicId : ErrorCode::kUnknownTopicOrPartition; }
};

inline bool is_by_topic_id(const net::Request& request) {
  return net::kafka::find_api(request.header.api)->is_by_topic_id(request.header.version);
}

// UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, LEADER_NOT_AVAILABLE while it is being made or has no leader,
// NOT_LEADER_OR_FOLLOWER if another broker leads it. `asked_epoch` -1: not checked; else FENCED_LEADER_EPOCH (of any
// other negative one too), UNKNOWN_LEADER_EPOCH (KIP-320).
inline Located locate(const ClusterView& view, const AskedTopic& topic, int32_t index, int32_t asked_epoch) {
  constexpr int32_t kNotChecked = -1;
  Located found{.topic = topic.find(view), .index = index};
  if (found.topic == nullptr) {
    found.error = topic.if_missing();
    return found;
  }
  if (index < 0 || static_cast<size_t>(index) >= found.topic->partitions.size()) {
    found.error = ErrorCode::kUnknownTopicOrPartition;
    return found;
  }
  const PartitionPlace place = place_of(view, *found.topic, index);
  if (!place.leads_here()) {
    found.error = place.leader < 0 ? ErrorCode::kLeaderNotAvailable : ErrorCode::kNotLeaderOrFollower;
    return found;
  }
  found.owner = *place.core;
  found.leader_epoch = place.term.leader_epoch;
  found.is_epoch_asked = asked_epoch != kNotChecked;
  if (asked_epoch != kNotChecked && asked_epoch < found.leader_epoch) found.error = ErrorCode::kFencedLeaderEpoch;
  if (asked_epoch > found.leader_epoch) found.error = ErrorCode::kUnknownLeaderEpoch;
  return found;
}
inline Located locate(const ClusterView& view, std::string_view topic, int32_t index, int32_t asked_epoch) {
  return locate(view, AskedTopic{.name = topic}, index, asked_epoch);
}

// The owner's error for a partition that it does not have: unknown once the topic is deleted, else that this core is
// not the owner (yet, or any more).
inline ErrorCode error_of_missing(BrokerCore& owner, const replication::TopicImage& asked) {
  const bool is_deleted = owner.view()->image.topic(asked.id) == nullptr;
  return is_deleted ? ErrorCode::kUnknownTopicOrPartition : ErrorCode::kNotLeaderOrFollower;
}

// The owner's error for a read whose view of the leader differs from the replica's: Replica::check_leads has failed
// with `why`. A client that named no epoch gets no error about epochs: it looks for the leader again.
inline ErrorCode error_of_other_term(reactor::Errc why, const Located& asked) {
  const bool is_led = why == reactor::Errc::kStale || why == reactor::Errc::kAhead;
  return is_led && asked.is_epoch_asked ? error_code_of(why) : ErrorCode::kNotLeaderOrFollower;
}

// READ_UNCOMMITTED and READ_COMMITTED; there are no others.
inline bool knows_isolation_level(int8_t level) { return level == 0 || level == 1; }

}  // namespace posthaste::broker
