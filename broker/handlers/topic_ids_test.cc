// Produce, Fetch, OffsetCommit and OffsetFetch in the versions that name topics by id alone (KIP-516).
#include <algorithm>

#include "broker/testing/simulated_broker.h"
#include "net/kafka/group_offsets.h"
#include "net/kafka/groups.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using kafka::FetchRequest;
using kafka::Uuid;
using net::kafka::Uuid;
using TopicIdsTest = BrokerTest;
using Values = std::vector<std::string>;

constexpr int16_t kProduceById = 13;
constexpr int16_t kFetchById = 13;
constexpr int16_t kFetchByName = 12;
constexpr int16_t kOffsetsById = 10;

constexpr Uuid kNobodys{.bytes = {std::byte{7}}};

Task<Uuid> make_topic(Client& client, std::string name, int32_t partitions = 1) {
  EXPECT_EQ(co_await client.create_topic(name, partitions), ErrorCode::kNone);
  kafka::MetadataRequest request;
  request.topics.emplace().push_back({.name = name});
  co_return (co_await client.call(request, 13)).message.topics.at(0).topic_id;
}

Task<void> remove_topic(Client& client, std::string name) {
  kafka::DeleteTopicsRequest request;
  request.topic_names = {name};
  EXPECT_EQ((co_await client.call(request, 5)).message.responses.at(0).error_code, ErrorCode::kNone);
}

Task<ErrorCode> produce(Client& client, Uuid id, int32_t partition, std::string value) {
  const storage::Bytes batch = make_batch({value});
  kafka::ProduceRequest request;
  request.acks = -1;
  request.timeout_ms = 30'000;
  request.topic_data.push_back({.topic_id = id});
  request.topic_data[0].partition_data.push_back({.index = partition, .records = {.whole = batch}});
  const auto answer = co_await client.call(request, kProduceById);
  EXPECT_EQ(answer.message.responses.at(0).topic_id, id);
  co_return answer.message.responses.at(0).partition_responses.at(0).error_code;
}

void want(FetchRequest& request, const Uuid& id, int32_t partition, int64_t offset) {
  request.topics.push_back({.topic_id = id});
  request.topics.back().partitions.push_back(
      {.partition = partition, .fetch_offset = offset, .partition_max_bytes = 1 << 20});
}

FetchRequest fetch_of(int32_t session = 0, int32_t epoch = -1) {
  FetchRequest request;
  request.max_wait_ms = 0;
  request.min_bytes = 1;
  request.max_bytes = 1 << 20;
  request.session_id = session;
  request.session_epoch = epoch;
  return request;
}

// One partition of an answer, by its topic's id.
struct Read {
  Uuid id;
  int32_t partition = 0;
  ErrorCode error = ErrorCode::kNone;
  Values values;
  friend bool operator==(const Read&, const Read&) = default;
};

struct Answer {
  ErrorCode error = ErrorCode::kNone;
  int32_t session = 0;
  std::vector<Read> read;
};

Task<Answer> fetch(Client& client, FetchRequest request, int16_t version = kFetchById) {
  const auto answer = co_await client.call(request, version);
  Answer result{answer.message.error_code, answer.message.session_id, {}};
  for (const auto& topic : answer.message.responses) {
    for (const auto& partition : topic.partitions) {
      result.read.push_back(
          {topic.topic_id, partition.partition_index, partition.error_code, values_in(partition.records.whole)});
    }
  }
  co_return result;
}

TEST_F(TopicIdsTest, WhatIsProducedIsFetchedInEveryVersion) {
  start();
  run([](Client& client) -> Task<void> {
    const Uuid a = co_await make_topic(client, "a", 2);
    const Uuid b = co_await make_topic(client, "b");
    EXPECT_EQ(co_await produce(client, a, 0, "a0"), ErrorCode::kNone);
    EXPECT_EQ(co_await produce(client, a, 1, "a1"), ErrorCode::kNone);
    EXPECT_EQ(co_await produce(client, b, 0, "b0"), ErrorCode::kNone);
    FetchRequest request = fetch_of();
    want(request, a, 0, 0);
    want(request, a, 1, 0);
    want(request, b, 0, 0);
    want(request, a, 2, 0);
    want(request, kNobodys, 0, 0);
    want(request, Uuid{}, 0, 0);
    const std::vector<Read> wanted = {{a, 0, ErrorCode::kNone, {"a0"}},
                                      {a, 1, ErrorCode::kNone, {"a1"}},
                                      {b, 0, ErrorCode::kNone, {"b0"}},
                                      {a, 2, ErrorCode::kUnknownTopicOrPartition, {}},
                                      {kNobodys, 0, ErrorCode::kUnknownTopicId, {}},
                                      {Uuid{}, 0, ErrorCode::kUnknownTopicId, {}}};
    for (int16_t version = kFetchById; version <= kafka::find_api(kafka::ApiKey::kFetch)->advertised_max; ++version) {
      EXPECT_EQ((co_await fetch(client, request, version)).read, wanted) << version;
    }
    EXPECT_EQ(co_await produce(client, a, 2, "x"), ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ(co_await produce(client, kNobodys, 0, "x"), ErrorCode::kUnknownTopicId);
    EXPECT_EQ(co_await produce(client, Uuid{}, 0, "x"), ErrorCode::kUnknownTopicId);
  });
}

TEST_F(TopicIdsTest, Pitfall09TheIdOfADeletedTopicIsRefusedAtOnceAlsoWhenItsNameIsBack) {
  start();
  run([](Client& client) -> Task<void> {
    const Uuid old = co_await make_topic(client, "t");
    EXPECT_EQ(co_await produce(client, old, 0, "old"), ErrorCode::kNone);
    co_await remove_topic(client, "t");
    for (const bool recreated : {false, true}) {
      if (recreated) {
        const Uuid now = co_await make_topic(client, "t");
        EXPECT_NE(now, old);
        EXPECT_EQ(co_await produce(client, now, 0, "new"), ErrorCode::kNone);
        FetchRequest request = fetch_of();
        want(request, now, 0, 0);
        EXPECT_EQ((co_await fetch(client, request)).read, (std::vector<Read>{{now, 0, ErrorCode::kNone, {"new"}}}));
      }
      EXPECT_EQ(co_await produce(client, old, 0, "x"), ErrorCode::kUnknownTopicId);
      FetchRequest request = fetch_of();
      want(request, old, 0, 0);
      request.max_wait_ms = 60'000;
      const auto begin = client.core().now();
      EXPECT_EQ((co_await fetch(client, request)).read, (std::vector<Read>{{old, 0, ErrorCode::kUnknownTopicId, {}}}));
      EXPECT_LT(client.core().now() - begin, 1s);
    }
  });
}

TEST_F(TopicIdsTest, Pitfall09And10ASessionSaysEveryTimeThatAnIdIsGone) {
  start();
  run([](Client& client) -> Task<void> {
    const Uuid a = co_await make_topic(client, "a", 2);
    const Uuid b = co_await make_topic(client, "b");
    EXPECT_EQ(co_await produce(client, b, 0, "b0"), ErrorCode::kNone);
    FetchRequest full = fetch_of(0, 0);
    want(full, a, 0, 0);
    want(full, a, 1, 0);
    want(full, b, 0, 1);
    const Answer first = co_await fetch(client, full);
    EXPECT_NE(first.session, 0);
    EXPECT_EQ(first.read.size(), 3U);
    EXPECT_EQ((co_await fetch(client, fetch_of(first.session, 1))).read, std::vector<Read>{});
    EXPECT_EQ(co_await produce(client, b, 0, "b1"), ErrorCode::kNone);
    EXPECT_EQ((co_await fetch(client, fetch_of(first.session, 2))).read,
              (std::vector<Read>{{b, 0, ErrorCode::kNone, {"b1"}}}));
    co_await remove_topic(client, "b");
    (void)co_await make_topic(client, "b");
    for (const int32_t epoch : {3, 4}) {
      EXPECT_EQ((co_await fetch(client, fetch_of(first.session, epoch))).read,
                (std::vector<Read>{{b, 0, ErrorCode::kUnknownTopicId, {}}}));
    }
    FetchRequest without = fetch_of(first.session, 5);
    without.forgotten_topics_data.push_back({.topic_id = b, .partitions = {0}});
    EXPECT_EQ((co_await fetch(client, without)).read, std::vector<Read>{});
    EXPECT_EQ(co_await produce(client, a, 1, "a1"), ErrorCode::kNone);
    EXPECT_EQ((co_await fetch(client, fetch_of(first.session, 6))).read,
              (std::vector<Read>{{a, 1, ErrorCode::kNone, {"a1"}}}));
  });
}

TEST_F(TopicIdsTest, ASessionDoesNotChangeBetweenNamesAndIds) {
  start();
  run([](Client& client) -> Task<void> {
    const Uuid id = co_await make_topic(client, "t");
    FetchRequest by_id = fetch_of(0, 0);
    want(by_id, id, 0, 0);
    const int32_t ids = (co_await fetch(client, by_id)).session;
    EXPECT_EQ((co_await fetch(client, fetch_of(ids, 1), kFetchByName)).error, ErrorCode::kFetchSessionTopicIdError);
    EXPECT_EQ((co_await fetch(client, fetch_of(ids, 2))).error, ErrorCode::kInvalidFetchSessionEpoch);
    EXPECT_EQ((co_await fetch(client, fetch_of(ids, 1))).error, ErrorCode::kNone);
    FetchRequest by_name = fetch_of(0, 0);
    by_name.topics.push_back({.topic = "t"});
    by_name.topics[0].partitions.push_back({.partition = 0, .partition_max_bytes = 1 << 20});
    const int32_t names = (co_await fetch(client, by_name, kFetchByName)).session;
    EXPECT_EQ((co_await fetch(client, fetch_of(names, 1))).error, ErrorCode::kFetchSessionTopicIdError);
    EXPECT_EQ((co_await fetch(client, fetch_of(names, 1), kFetchByName)).error, ErrorCode::kNone);
  });
}

kafka::OffsetCommitRequest commit_of(std::string_view group, std::initializer_list<Uuid> ids, int64_t offset) {
  kafka::OffsetCommitRequest request{.group_id = group};
  for (const Uuid& id : ids) {
    request.topics.push_back({.topic_id = id});
    request.topics.back().partitions = {{.partition_index = 9}, {.partition_index = 0, .committed_offset = offset}};
  }
  return request;
}

kafka::OffsetFetchRequest offsets_of(std::string_view group) {
  kafka::OffsetFetchRequest request;
  request.groups.emplace_back().group_id = group;
  return request;
}

TEST_F(TopicIdsTest, Pitfall23OffsetsAreCommittedAndFound) {
  start();
  run([](Client& client) -> Task<void> {
    const Uuid a = co_await make_topic(client, "a");
    const Uuid b = co_await make_topic(client, "b");
    (void)co_await client.call(kafka::FindCoordinatorRequest{.key = "g"}, 0);
    const auto committed = co_await client.call(commit_of("g", {b, kNobodys, a}, 5), kOffsetsById);
    const auto& topics = committed.message.topics;
    EXPECT_EQ(topics.at(0).topic_id, b);
    EXPECT_EQ(topics.at(0).partitions.at(0).error_code, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ(topics.at(0).partitions.at(1).error_code, ErrorCode::kNone);
    EXPECT_EQ(topics.at(1).topic_id, kNobodys);
    EXPECT_EQ(topics.at(1).partitions.at(0).error_code, ErrorCode::kUnknownTopicId);
    EXPECT_EQ(topics.at(1).partitions.at(1).error_code, ErrorCode::kUnknownTopicId);
    EXPECT_EQ(topics.at(2).topic_id, a);
    EXPECT_EQ(topics.at(2).partitions.at(1).error_code, ErrorCode::kNone);

    kafka::OffsetFetchRequest request = offsets_of("g");
    auto& asked = request.groups[0].topics.emplace();
    for (const Uuid& id : {b, kNobodys, a}) asked.push_back({.topic_id = id, .partition_indexes = {0, 1}});
    const auto found = co_await client.call(request, kOffsetsById);
    std::map<Uuid, std::vector<std::pair<int64_t, ErrorCode>>> offsets;
    for (const auto& topic : found.message.groups.at(0).topics) {
      for (const auto& partition : topic.partitions) {
        offsets[topic.topic_id].emplace_back(partition.committed_offset, partition.error_code);
      }
    }
    const std::pair none{int64_t{-1}, ErrorCode::kNone};
    const std::pair unknown{int64_t{-1}, ErrorCode::kUnknownTopicId};
    const std::pair five{int64_t{5}, ErrorCode::kNone};
    EXPECT_EQ(offsets.size(), 3U);
    EXPECT_EQ(offsets[a], (std::vector{five, none}));
    EXPECT_EQ(offsets[b], (std::vector{five, none}));
    EXPECT_EQ(offsets[kNobodys], (std::vector{unknown, unknown}));

    co_await remove_topic(client, "b");
    const auto all = co_await client.call(offsets_of("g"), kOffsetsById);
    EXPECT_EQ(all.message.groups.at(0).topics.size(), 1U);
    EXPECT_EQ(all.message.groups.at(0).topics.at(0).topic_id, a);
    // By name the same offsets are there.
    const auto named = co_await client.call(offsets_of("g"), 9);
    EXPECT_EQ(named.message.groups.at(0).topics.at(0).name, "a");
    EXPECT_EQ(named.message.groups.at(0).topics.at(0).partitions.at(0).committed_offset, 5);
  });
}

TEST_F(TopicIdsTest, ACommitOfNothingIsAnsweredForATopicThatIsNotThereOnly) {
  start();
  run([](Client& client) -> Task<void> {
    const Uuid a = co_await make_topic(client, "a");
    (void)co_await client.call(kafka::FindCoordinatorRequest{.key = "g"}, 0);
    kafka::OffsetCommitRequest request{.group_id = "g"};
    request.topics.push_back({.topic_id = a});
    request.topics.push_back({.topic_id = kNobodys});
    const auto answer = co_await client.call(request, kOffsetsById);
    EXPECT_EQ(answer.message.topics.size(), 1U);
    EXPECT_EQ(answer.message.topics.at(0).topic_id, kNobodys);
  });
}

TEST_F(TopicIdsTest, AMemberOfAGroupThatIsNotThereIsToldSoFromVersion9) {
  start();
  run([](Client& client) -> Task<void> {
    const Uuid id = co_await make_topic(client, "t");
    (void)co_await client.call(kafka::FindCoordinatorRequest{.key = "g"}, 0);
    kafka::OffsetCommitRequest request{.group_id = "nobody", .generation_id_or_member_epoch = 3, .member_id = "m"};
    request.topics.push_back({.name = "t", .topic_id = id, .partitions = {{.partition_index = 0}}});
    for (int16_t version = 2; version <= kOffsetsById; ++version) {
      EXPECT_EQ((co_await client.call(request, version)).message.topics.at(0).partitions.at(0).error_code,
                version < 9 ? ErrorCode::kIllegalGeneration : ErrorCode::kGroupIdNotFound)
          << version;
    }
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
