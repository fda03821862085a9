// What consumers ask of a group coordinator about offsets in its tests, and members that live long.
#pragma once
#include "broker/groups/coordinator.h"
#include "broker/groups/testing/coordinator_driver.h"
#include "net/kafka/consumer_protocol.h"

namespace posthaste::broker {

inline constexpr int64_t kDay = 86'400'000;

inline OffsetCommitRequest commit_of(std::string group, int64_t offset, std::string topic = "t",
                                     int32_t partition = 0) {
  OffsetCommitRequest request;
  request.group_id = std::move(group);
  request.topics = {{std::move(topic), {{partition, offset, 5, "note"}}}};
  return request;
}

inline OffsetCommitRequest commit_by(const JoinResponse& member, int64_t offset) {
  OffsetCommitRequest request = commit_of("g", offset);
  request.generation_id = member.generation_id;
  request.member_id = member.member_id;
  return request;
}

inline ErrorCode commit_error(GroupTestDriver& d, const OffsetCommitRequest& request) {
  return d.answer<OffsetCommitResponse>(d.commit(request)).topics[0].partitions[0].error;
}

inline int64_t offset_of(const GroupTestDriver& d, const std::string& group, const std::string& topic = "t",
                         int32_t p = 0) {
  OffsetFetchRequest request;
  request.group_id = group;
  request.topics = {{topic, {p}}};
  const auto response = d.coordinator.fetch_offsets(request);
  CHECK(response.error == ErrorCode::kNone);
  return response.topics[0].partitions[0].offset;
}

inline std::string subscription(const std::vector<std::string>& topics) {
  net::kafka::ConsumerSubscription wants;
  wants.topics.assign(topics.begin(), topics.end());
  std::string text;
  for (const std::byte byte : net::kafka::encode_subscription(wants, 1)) text.push_back(static_cast<char>(byte));
  return text;
}

inline JoinRequest consumer(const std::vector<std::string>& topics, int32_t session_ms = 10'000) {
  JoinRequest request;
  request.group_id = "g";
  request.client_id = "c";
  request.protocol_type = "consumer";
  request.protocols = {{"range", subscription(topics)}};
  request.session_timeout_ms = session_ms;
  request.rebalance_timeout_ms = 60'000;
  return request;
}

inline JoinResponse stable_member(GroupTestDriver& d, const std::vector<std::string>& topics = {"t"},
                                  int32_t session_ms = 10'000) {
  const RequestToken token = d.join(consumer(topics, session_ms));
  d.advance(3'000);
  const JoinResponse joined = d.answer<JoinResponse>(token);
  SyncRequest sync;
  sync.group_id = "g";
  sync.generation_id = joined.generation_id;
  sync.member_id = joined.member_id;
  sync.assignments = {{joined.member_id, "all"}};
  d.sync(sync);
  return joined;
}

inline constexpr int32_t kLongSession = 1'800'000;

// Keeps a member of a long session alive for that long.
inline void live(GroupTestDriver& d, const JoinResponse& member, int64_t ms) {
  for (int64_t passed = 0; passed < ms; passed += kLongSession / 2) {
    d.advance(std::min<int64_t>(kLongSession / 2, ms - passed));
    d.heartbeat({"g", member.generation_id, member.member_id, std::nullopt});
  }
}

}  // namespace posthaste::broker
