// Pitfalls of ApiVersions and of what follows from the ranges that it lists: what clients conclude, which sets belong
// together, what a request gets that is not served. Numbers are those of docs/testing.md.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "broker/broker_host.h"
#include "broker/testing/raw_connection.h"
#include "net/kafka/producer_ids.h"
#include "net/kafka/testing/all_messages.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using kafka::ApiKey;

struct Range {
  int16_t least = 0;
  int16_t greatest = -1;
  bool has(int version) const { return least <= version && version <= greatest; }
};
using Ranges = std::map<ApiKey, Range>;

Ranges to_ranges(const kafka::ApiVersionsResponse& response) {
  Ranges ranges;
  for (const auto& api : response.api_keys) ranges[api.api_key] = {api.min_version, api.max_version};
  return ranges;
}

kafka::ApiVersionsRequest software(std::string_view name, std::string_view version = "1.0") {
  return {.client_software_name = name, .client_software_version = version};
}

class VersionPitfalls : public BrokerTest {
 protected:
  // The answer for a client without a version of its own.
  Ranges listed() {
    Ranges ranges;
    run([&](Client& client) -> Task<void> {
      ranges = to_ranges((co_await client.call(kafka::ApiVersionsRequest{}, 0)).message);
    });
    return ranges;
  }
  uint64_t closed_for(net::CloseReason reason) {
    uint64_t count = 0;
    for (reactor::CoreId core = 0; core < kCores; ++core) {
      count += shared_->connections(core).stats().closed_for(reason);
    }
    return count;
  }
  // Sends each frame on a connection of its own: it is closed without a byte, for `reason`, and counted.
  void expect_closed(const std::vector<std::vector<std::byte>>& frames, net::CloseReason reason) {
    const uint64_t before = closed_for(reason);
    run([&](Client& client) -> Task<void> {
      for (const auto& frame : frames) {
        RawConnection raw(client.core());
        co_await raw.connect();
        co_await raw.send(frame);
        EXPECT_EQ(co_await raw.bytes_until_closed(), 0U);
        co_await raw.close();
      }
    });
    world_.run_for(1s);
    EXPECT_EQ(closed_for(reason) - before, frames.size());
  }
  void expect_not_served(std::initializer_list<ApiKey> keys) {
    const Ranges ranges = listed();
    std::vector<std::vector<std::byte>> frames;
    for (const ApiKey key : keys) {
      EXPECT_FALSE(ranges.contains(key)) << kafka::to_string(key);
      frames.push_back(bare_request(key, 0));
    }
    expect_closed(frames, net::CloseReason::kUnknownApi);
  }
};

TEST_F(VersionPitfalls, Pitfall01AVersionOfApiVersionsAboveOursGetsTheBodyOfVersion0) {
  start();
  run([](Client& client) -> Task<void> {
    RawConnection raw(client.core());
    co_await raw.connect();
    auto newer = kafka::encode_request(software("java"), 4, 42, "producer-1").flatten();
    for (const int version : {5, 77}) {
      newer[7] = static_cast<std::byte>(version);
      co_await raw.send(newer);
      const auto answer = (co_await raw.receive()).value_or(std::vector<std::byte>{});
      EXPECT_EQ(number_at<int32_t>(answer, 0), 42);
      EXPECT_EQ(number_at<int16_t>(answer, 4), static_cast<int16_t>(ErrorCode::kUnsupportedVersion));
      constexpr size_t kBefore = 4 + 2 + 4;  // correlation id, error, number of entries: no tags, no throttle time
      EXPECT_EQ(answer.size(), kBefore + std::size(kafka::kApis) * 6);
      const auto body = kafka::decode<kafka::ApiVersionsResponse>(kafka::Bytes(answer).subspan(4), 0);
      EXPECT_TRUE(body && to_ranges(*body).contains(ApiKey::kApiVersions)) << "what clients look for next";
    }
    // And they try again on the same connection.
    co_await raw.send(kafka::encode_request(software("java"), 4, 43, "producer-1").flatten());
    const auto answer = (co_await raw.receive()).value_or(std::vector<std::byte>{});
    EXPECT_EQ(number_at<int32_t>(answer, 0), 43);
    EXPECT_EQ(number_at<int16_t>(answer, 4), 0);
    co_await raw.close();
  });
}

TEST_F(VersionPitfalls, Pitfall02TheHeaderOfAnApiVersionsAnswerHasNoTags) {
  start();
  run([](Client& client) -> Task<void> {
    RawConnection raw(client.core());
    co_await raw.connect();
    for (const int16_t version : {int16_t{3}, int16_t{4}}) {
      co_await raw.send(kafka::encode_request(software("java"), version, 42, "c").flatten());
      const auto answer = (co_await raw.receive()).value_or(std::vector<std::byte>{});
      EXPECT_EQ(number_at<int16_t>(answer, 4), 0) << "the error stands right behind the correlation id";
      EXPECT_EQ(number_at<uint8_t>(answer, 6), std::size(kafka::kApis) + 1) << "then the compact array";
    }
    co_await raw.close();
  });
}

TEST_F(VersionPitfalls, Pitfall02TheNameOfTheClientsSoftwareMustHaveKafkasForm) {
  start();
  run([](Client& client) -> Task<void> {
    for (const std::string_view good : {"a", "7", "kafka-python", "apache-kafka-java", "a..-b"}) {
      EXPECT_EQ((co_await client.call(software(good), 3)).message.error_code, ErrorCode::kNone) << good;
      EXPECT_EQ((co_await client.call(software("a", good), 3)).message.error_code, ErrorCode::kNone) << good;
    }
    for (const std::string_view bad : {"", "-a", "a-", ".a", "a.", "a b", "a_b", "caf\xc3\xa9"}) {
      EXPECT_EQ((co_await client.call(software(bad), 3)).message.error_code, ErrorCode::kInvalidRequest) << bad;
      EXPECT_EQ((co_await client.call(software("a", bad), 3)).message.error_code, ErrorCode::kInvalidRequest) << bad;
    }
    // librdkafka then asks with version 0, on the same connection.
    EXPECT_EQ((co_await client.call(kafka::ApiVersionsRequest{}, 0)).message.error_code, ErrorCode::kNone);
  });
}

// transaction.version, group.version and share.version are what clients gate on.
TEST_F(VersionPitfalls, Pitfall03NoFeatureIsAdvertisedThatIsNotThere) {
  start();
  run([](Client& client) -> Task<void> {
    for (int16_t version = 0; version <= 4; ++version) {
      const auto answer = co_await client.call(software("test"), version);
      EXPECT_TRUE(answer.message.supported_features.empty()) << version;
      EXPECT_TRUE(answer.message.finalized_features.empty()) << version;
      EXPECT_EQ(answer.message.finalized_features_epoch, -1) << version;
    }
  });
}

// librdkafka derives what it may do from ranges that must overlap with its own, and stops compressing without Produce
// 0.
TEST_F(VersionPitfalls, Pitfall04TheRangesThatLibrdkafkaDerivesFeaturesFrom) {
  start();
  Ranges ranges = listed();
  EXPECT_EQ(ranges[ApiKey::kProduce].least, 0);
  EXPECT_TRUE(ranges[ApiKey::kProduce].has(3)) << "batches of format 2";
  EXPECT_TRUE(ranges[ApiKey::kFetch].has(4)) << "batches of format 2";
  EXPECT_TRUE(ranges[ApiKey::kProduce].has(7)) << "zstd";
  EXPECT_TRUE(ranges[ApiKey::kFetch].has(10)) << "zstd";
  EXPECT_TRUE(ranges[ApiKey::kInitProducerId].has(0)) << "idempotence";
}

// kafka-python 2.0.2 guesses a release from single versions, then sends fixed ones without looking, and sends Metadata
// 0 behind ApiVersions 0 without waiting.
TEST_F(VersionPitfalls, Pitfall05KafkaPythonGuessesAReleaseAndPipelinesMetadata) {
  start();
  Ranges ranges = listed();
  EXPECT_TRUE(ranges[ApiKey::kProduce].has(8)) << "its mark of 2.4";
  EXPECT_TRUE(ranges[ApiKey::kFetch].has(11)) << "its mark of 2.3";
  EXPECT_TRUE(ranges[ApiKey::kMetadata].has(1)) << "its mark of 0.10";
  constexpr std::pair<ApiKey, int> kFixed[] = {
      {ApiKey::kProduce, 7},      {ApiKey::kFetch, 4},       {ApiKey::kListOffsets, 1},     {ApiKey::kMetadata, 1},
      {ApiKey::kOffsetCommit, 2}, {ApiKey::kOffsetFetch, 1}, {ApiKey::kFindCoordinator, 0}, {ApiKey::kJoinGroup, 2},
      {ApiKey::kSyncGroup, 1},    {ApiKey::kHeartbeat, 1},   {ApiKey::kLeaveGroup, 1}};
  for (const auto& [key, version] : kFixed) EXPECT_TRUE(ranges[key].has(version)) << kafka::to_string(key);
  run([](Client& client) -> Task<void> {
    RawConnection raw(client.core());
    co_await raw.connect();
    auto both = kafka::encode_request(kafka::ApiVersionsRequest{}, 0, 1, "kafka-python").flatten();
    kafka::MetadataRequest everything;
    everything.topics.emplace();
    const auto metadata = kafka::encode_request(everything, 0, 2, "kafka-python").flatten();
    both.insert(both.end(), metadata.begin(), metadata.end());
    co_await raw.send(both);
    for (const int32_t correlation_id : {1, 2}) {
      const auto answer = (co_await raw.receive()).value_or(std::vector<std::byte>{});
      EXPECT_EQ(number_at<int32_t>(answer, 0), correlation_id);
      if (correlation_id == 1) continue;
      const auto body = kafka::decode<kafka::MetadataResponse>(kafka::Bytes(answer).subspan(4), 0);
      EXPECT_TRUE(body && body->brokers.size() == 1);
    }
    co_await raw.close();
  });
}

// sarama sends its own greatest version where our least is above it, and knows no limit where a key is missing; others
// need an overlap. So what the oldest of today's clients (KafkaJS 2.2.4) knows at most, we know at least.
TEST_F(VersionPitfalls, Pitfall06EveryClientFindsAVersionOfWhatItNeeds) {
  start();
  Ranges ranges = listed();
  constexpr std::pair<ApiKey, int> kOldest[] = {
      {ApiKey::kProduce, 7},         {ApiKey::kFetch, 11},        {ApiKey::kListOffsets, 3},
      {ApiKey::kMetadata, 6},        {ApiKey::kOffsetCommit, 5},  {ApiKey::kOffsetFetch, 4},
      {ApiKey::kFindCoordinator, 2}, {ApiKey::kJoinGroup, 5},     {ApiKey::kHeartbeat, 3},
      {ApiKey::kLeaveGroup, 3},      {ApiKey::kSyncGroup, 3},     {ApiKey::kDescribeGroups, 2},
      {ApiKey::kListGroups, 3},      {ApiKey::kApiVersions, 2},   {ApiKey::kCreateTopics, 3},
      {ApiKey::kDeleteTopics, 1},    {ApiKey::kDeleteRecords, 1}, {ApiKey::kInitProducerId, 1},
      {ApiKey::kDescribeConfigs, 2}, {ApiKey::kAlterConfigs, 1},  {ApiKey::kCreatePartitions, 1},
      {ApiKey::kDeleteGroups, 1}};
  for (const auto& [key, version] : kOldest) EXPECT_TRUE(ranges[key].has(version)) << kafka::to_string(key);
  // From requests between brokers clients would conclude a release that we are not.
  expect_not_served({ApiKey::kLeaderAndIsr, ApiKey::kStopReplica, ApiKey::kUpdateMetadata, ApiKey::kControlledShutdown,
                     ApiKey::kWriteTxnMarkers, ApiKey::kAlterPartition, ApiKey::kEnvelope});
}

TEST_F(VersionPitfalls, Pitfall07WhatIsNotServedClosesWithoutAByte) {
  start();
  std::vector<std::vector<std::byte>> frames;
  for (const kafka::ApiInfo& info : kafka::kApis) {
    if (info.key == ApiKey::kApiVersions) continue;
    frames.push_back(bare_request(info.key, info.advertised_max + 1));
    if (info.advertised_min > 0) frames.push_back(bare_request(info.key, info.advertised_min - 1));
    frames.push_back(bare_request(info.key, -1));
  }
  expect_closed(frames, net::CloseReason::kUnsupportedVersion);
  // Those that the codec knows and the broker does not serve.
  frames.clear();
  for (const kafka::ApiInfo& api : kafka::kUnservedApis) {
    frames.push_back(bare_request(api.key, api.codec_max));
  }
  expect_closed(frames, net::CloseReason::kUnknownApi);
  expect_closed({bare_request(static_cast<ApiKey>(93), 0), bare_request(static_cast<ApiKey>(1000), 0),
                 bare_request(static_cast<ApiKey>(-1), 0)},
                net::CloseReason::kUnknownApi);
}

// With only some of them clients send ids that they have not got from a broker.
TEST_F(VersionPitfalls, Pitfall08VersionsWithTopicIdsComeAsOneSet) {
  start();
  Ranges ranges = listed();
  constexpr std::pair<ApiKey, int16_t> kFirst[] = {
      {ApiKey::kProduce, 13}, {ApiKey::kFetch, 13}, {ApiKey::kOffsetCommit, 10}, {ApiKey::kOffsetFetch, 10}};
  for (const auto& [key, version] : kFirst) {
    EXPECT_TRUE(ranges[key].has(version)) << kafka::to_string(key);
    EXPECT_EQ(kafka::find_api(key)->first_by_topic_id, version) << kafka::to_string(key);
  }
  EXPECT_TRUE(ranges[ApiKey::kMetadata].has(12)) << "where the ids come from";
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    EXPECT_FALSE((co_await client.call(kafka::MetadataRequest{}, 12)).message.topics.at(0).topic_id.is_zero());
  });
}

// Without quotas it is 0 everywhere; KafkaJS sticks on tiny ones.
TEST_F(VersionPitfalls, Pitfall17NoAnswerThrottles) {
  start();
  run([](Client& client) -> Task<void> {
    std::vector<Task<void>> calls;
    const auto ask = [&]<class Request>(Request request) -> Task<void> {
      const kafka::ApiInfo* info = kafka::find_api(Request::kKey);
      for (int16_t version = info->advertised_min; version <= info->advertised_max; ++version) {
        const auto answer = co_await client.call(request, version);
        if constexpr (requires { answer.message.throttle_time_ms; }) {
          EXPECT_EQ(answer.message.throttle_time_ms, 0) << to_string(info->key) << " v" << version;
        }
      }
    };
    kafka::AllRequests::for_each([&]<class Request>() {
      if (kafka::find_api(Request::kKey) == nullptr) return;  // not served
      Request request;
      if constexpr (std::is_same_v<Request, kafka::ProduceRequest>) request.acks = -1;  // 0 has no answer
      calls.push_back(ask(std::move(request)));
    });
    for (Task<void>& call : calls) co_await std::move(call);
  });
}

TEST_F(VersionPitfalls, Pitfall18UnknownTagsAreSkippedAndTheClientIdIsNeverCompact) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    RawConnection raw(client.core());
    co_await raw.connect();
    // Metadata 9: client id "me" with a length of two bytes, one tag in the header; all topics, three flags, two tags.
    co_await raw.send(frame_of({0, 3, 0, 9, 0, 0, 0, 7,    0,    2,    'm', 'e', 1, 5, 2, 0x11, 0x22,  //
                                0, 0, 0, 0, 2, 9, 1, 0x33, 0xc8, 0x01, 0}));
    const auto answer = (co_await raw.receive()).value_or(std::vector<std::byte>{});
    const auto body = kafka::decode<kafka::MetadataResponse>(kafka::Bytes(answer).subspan(5), 9);
    EXPECT_TRUE(body && body->topics.size() == 1 && body->topics[0].name == "t");
    co_await raw.close();
    EXPECT_FALSE(kafka::find_api(ApiKey::kOffsetDelete)->is_flexible(0));
  });
}

TEST_F(VersionPitfalls, Pitfall19AuthenticationIsNotAdvertised) {
  start();
  expect_not_served({ApiKey::kSaslHandshake, ApiKey::kSaslAuthenticate});
}

TEST_F(VersionPitfalls, Pitfall22TransactionsAreNotAdvertisedAndRefused) {
  start();
  expect_not_served({ApiKey::kAddPartitionsToTxn, ApiKey::kAddOffsetsToTxn, ApiKey::kEndTxn, ApiKey::kTxnOffsetCommit,
                     ApiKey::kDescribeTransactions, ApiKey::kListTransactions});
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    kafka::InitProducerIdRequest init;
    init.transactional_id = "payments";
    const auto refused = co_await client.call(init, 4);
    EXPECT_EQ(refused.message.error_code, ErrorCode::kTransactionalIdAuthorizationFailed);
    EXPECT_EQ(refused.message.producer_id, -1);
    storage::BatchToWrite header{.producer_id = 7, .producer_epoch = 0, .base_sequence = 0};
    header.transactional = true;
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"a"}, header))).error,
              ErrorCode::kTransactionalIdAuthorizationFailed);
  });
}

// Fetch below 4 would need batches in formats that are not kept. Java's client says which range it was offered.
TEST_F(VersionPitfalls, Pitfall26RequestsForOldFormatsAreNeitherListedNorServed) {
  start();
  Ranges ranges = listed();
  EXPECT_EQ(ranges[ApiKey::kFetch].least, 4);
  EXPECT_EQ(ranges[ApiKey::kListOffsets].least, 1);
  expect_closed(
      {bare_request(ApiKey::kFetch, 3), bare_request(ApiKey::kFetch, 0), bare_request(ApiKey::kListOffsets, 0)},
      net::CloseReason::kUnsupportedVersion);
}

TEST_F(VersionPitfalls, Pitfall27NewGroupProtocolsAreNotAdvertised) {
  start();
  expect_not_served({ApiKey::kConsumerGroupHeartbeat, ApiKey::kConsumerGroupDescribe, ApiKey::kShareGroupHeartbeat,
                     ApiKey::kShareFetch, ApiKey::kStreamsGroupHeartbeat});
}

// librdkafka, Java and franz-go begin to push as soon as it is listed.
TEST_F(VersionPitfalls, Pitfall28TelemetryIsNotAdvertised) {
  start();
  expect_not_served({ApiKey::kGetTelemetrySubscriptions, ApiKey::kPushTelemetry});
}

}  // namespace
}  // namespace posthaste::broker::testing
