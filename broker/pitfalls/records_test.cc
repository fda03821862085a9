// Pitfalls of producing, fetching and finding offsets, and of frames that no good client sends. Numbers are those of
// docs/testing.md.
#include <climits>

#include "broker/testing/raw_connection.h"
#include "net/kafka/groups.h"
#include "net/kafka/log_admin.h"
#include "net/kafka/partitions.h"
#include "net/kafka/producer_ids.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using Values = std::vector<std::string>;

class RecordPitfalls : public BrokerTest {};

kafka::ProduceRequest produce_of(std::string_view topic, int32_t partition, kafka::Bytes batch, int16_t acks) {
  kafka::ProduceRequest request;
  request.acks = acks;
  request.timeout_ms = 30'000;
  request.topic_data.push_back({.name = topic});
  request.topic_data[0].partition_data.push_back({.index = partition, .records = {.whole = batch}});
  return request;
}

// A Fetch and a JoinGroup that wait hold up their own connection, whose answers stay in order, and no other.
TEST_F(RecordPitfalls, Pitfall16WhatWaitsHoldsUpItsOwnConnectionOnly) {
  start(1);
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    (void)co_await client.call(kafka::FindCoordinatorRequest{.key = "g"}, 0);
    kafka::JoinGroupRequest join{.group_id = "g", .session_timeout_ms = 30'000, .rebalance_timeout_ms = 30'000};
    join.protocol_type = "consumer";
    join.protocols.push_back({.name = "range"});
    const auto first = co_await client.call(join, 3);
    kafka::SyncGroupRequest sync{.group_id = "g", .generation_id = 1, .member_id = first.message.member_id};
    EXPECT_EQ((co_await client.call(sync, 3)).message.error_code, ErrorCode::kNone);
    RawConnection fetching(client.core());
    RawConnection joining(client.core());
    co_await fetching.connect();
    co_await joining.connect();
    const auto metadata = kafka::encode_request(kafka::MetadataRequest{}, 9, 2, "c").flatten();
    co_await fetching.send(kafka::encode_request(Client::fetch_request("t", 0, 0, 60'000), 11, 1, "c").flatten());
    co_await fetching.send(metadata);
    co_await joining.send(kafka::encode_request(join, 3, 1, "c").flatten());
    co_await joining.send(metadata);
    co_await client.core().sleep(1s);
    const auto begin = client.core().now();
    EXPECT_EQ((co_await client.call(kafka::MetadataRequest{}, 9)).message.topics.size(), 2U);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"news"}))).error, ErrorCode::kNone);
    EXPECT_LT(client.core().now() - begin, 1s);
    join.member_id = first.message.member_id;
    EXPECT_EQ((co_await client.call(join, 3)).message.error_code, ErrorCode::kNone);
    EXPECT_LT(client.core().now() - begin, 5s);
    for (RawConnection* raw : {&fetching, &joining}) {
      for (const int32_t correlation_id : {1, 2}) {
        const auto answer = (co_await raw->receive()).value_or(std::vector<std::byte>{});
        EXPECT_EQ(number_at<int32_t>(answer, 0), correlation_id);
      }
      co_await raw->close();
    }
  });
}

TEST_F(RecordPitfalls, Pitfall20WithoutAcksNoByteComesBack) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    RawConnection raw(client.core());
    co_await raw.connect();
    const storage::Bytes batch = make_batch({"a"});
    for (const int16_t version : {int16_t{3}, int16_t{9}}) {
      co_await raw.send(kafka::encode_request(produce_of("t", 0, batch, 0), version, 1, "c").flatten());
    }
    co_await raw.send(kafka::encode_request(kafka::MetadataRequest{}, 9, 2, "c").flatten());
    EXPECT_EQ(number_at<int32_t>((co_await raw.receive()).value_or(std::vector<std::byte>{}), 0), 2);
    EXPECT_EQ((co_await client.fetch("t", 0, 0, 1'000, 200)).values, (Values{"a", "a"}));
    // An error can only be shown by closing.
    co_await raw.send(kafka::encode_request(produce_of("t", 5, batch, 0), 9, 3, "c").flatten());
    EXPECT_EQ(co_await raw.bytes_until_closed(), 0U);
    co_await raw.close();
  });
}

TEST_F(RecordPitfalls, Pitfall20ARefusedBatchHasNeitherOffsetNorTime) {
  start();
  run([](Client& client) -> Task<void> {
    const storage::Bytes batch = make_batch({"a"});
    for (int16_t version = 3; version <= 12; ++version) {
      const auto answer = co_await client.call(produce_of("missing", 0, batch, -1), version);
      const auto& refused = answer.message.responses.at(0).partition_responses.at(0);
      EXPECT_EQ(refused.error_code, ErrorCode::kUnknownTopicOrPartition) << version;
      EXPECT_EQ(refused.base_offset, -1) << version;
      EXPECT_EQ(refused.log_append_time_ms, -1) << version;
    }
  });
}

// The last five batches of a producer, sent again, are answered as the first time, also by the next life of the broker,
// where the next one in order is welcome.
TEST_F(RecordPitfalls, Pitfall21ARepeatedBatchKeepsItsOffsetAlsoAfterARestart) {
  start();
  storage::BatchToWrite header{.producer_epoch = 1, .base_sequence = 0};
  const auto batch = [&](int32_t sequence, int16_t epoch = 1) {
    header.base_sequence = sequence;
    header.producer_epoch = epoch;
    return make_batch({"x"}, header);
  };
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const auto first = co_await client.call(kafka::InitProducerIdRequest{}, 4);
    const auto second = co_await client.call(kafka::InitProducerIdRequest{}, 4);
    EXPECT_EQ(first.message.error_code, ErrorCode::kNone);
    EXPECT_NE(first.message.producer_id, second.message.producer_id);
    header.producer_id = first.message.producer_id;
    for (int32_t sequence = 0; sequence < 7; ++sequence) {
      EXPECT_EQ((co_await client.produce("t", 0, batch(sequence))).base_offset, sequence);
    }
  });
  for (int life = 0; life < 3; ++life) {
    run([&](Client& client) -> Task<void> {
      for (int32_t sequence = 2 + life; sequence < 7 + life; ++sequence) {
        const Produced again = co_await client.produce("t", 0, batch(sequence));
        EXPECT_EQ(again.error, ErrorCode::kNone) << life << ": " << sequence;
        EXPECT_EQ(again.base_offset, sequence) << life;
      }
      EXPECT_EQ((co_await client.produce("t", 0, batch(8 + life))).error, ErrorCode::kOutOfOrderSequenceNumber);
      EXPECT_EQ((co_await client.produce("t", 0, batch(0, 0))).error, ErrorCode::kInvalidProducerEpoch);
      EXPECT_EQ((co_await client.produce("t", 0, batch(7 + life))).base_offset, 7 + life);
      EXPECT_EQ((co_await client.list_offset("t", 0, -1)).offset, 8 + life) << "nothing twice";
    });
    life == 0 ? broker_->kill() : broker_->power_off();
    start();
  }
}

TEST_F(RecordPitfalls, Pitfall21BatchesWithoutAProducerIdAreNotCompared) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const storage::Bytes batch = make_batch({"x"}, {.producer_id = -1, .producer_epoch = -1, .base_sequence = -1});
    for (int64_t offset = 0; offset < 3; ++offset) {
      EXPECT_EQ((co_await client.produce("t", 0, batch)).base_offset, offset);
    }
  });
}

Task<kafka::ListOffsetsResponse::Topic::Partition> list_for(Client& client, int32_t replica, int64_t timestamp,
                                                            int16_t version) {
  kafka::ListOffsetsRequest request{.replica_id = replica};
  request.topics.push_back({.name = "t"});
  request.topics[0].partitions.push_back({.partition_index = 0, .timestamp = timestamp});
  co_return (co_await client.call(request, version)).message.topics.at(0).partitions.at(0);
}

TEST_F(RecordPitfalls, Pitfall24AnOffsetThatIsNotFoundIsMinusOne) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    (void)co_await client.produce("t", 0, make_batch({"a"}, {}, 1'000));
    (void)co_await client.produce("t", 0, make_batch({"b"}, {}, 2'000));
    for (int16_t version = 1; version <= 7; ++version) {
      const auto found = co_await list_for(client, -1, 1'500, version);
      EXPECT_EQ(found.offset, 1) << version;
      EXPECT_EQ(found.timestamp, 2'000) << version;
      const auto missing = co_await list_for(client, -1, 2'001, version);
      EXPECT_EQ(missing.error_code, ErrorCode::kNone) << version;
      EXPECT_EQ(missing.offset, -1) << version;
      EXPECT_EQ(missing.timestamp, -1) << version;
      EXPECT_EQ((co_await list_for(client, -1, -1, version)).offset, 2) << version;
      EXPECT_EQ((co_await list_for(client, -1, -2, version)).offset, 0) << version;
    }
  });
}

// Between append and durability a consumer sees neither the record nor its offset: a fetch from there waits, it is no
// error. Who asks as a replica (-2 for debugging) is shown the log's end.
TEST_F(RecordPitfalls, Pitfall24And25WhatIsNotDurableYetIsNeitherListedNorAnError) {
  start();
  run([this](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    Client producer(client.core());
    co_await producer.connect();
    broker_->slow_disk(1'000);
    int seen = 0;
    for (int64_t round = 0; round < 10; ++round) {
      reactor::TaskScope scope(client.core());
      auto produce = [&]() -> Task<void> { (void)co_await producer.produce("t", 0, make_batch({"news"})); };
      scope.spawn(produce());
      co_await client.core().sleep(reactor::Duration(std::chrono::milliseconds(2 * round)));
      const auto latest = co_await list_for(client, -1, -1, 7);
      const auto end = co_await list_for(client, -2, -1, 7);
      const Fetched beyond = co_await client.fetch("t", 0, end.offset);
      EXPECT_EQ(beyond.error, ErrorCode::kNone);
      EXPECT_TRUE(beyond.values.empty());
      EXPECT_GE(end.offset, latest.offset);
      if (end.offset > latest.offset && beyond.high_watermark == latest.offset) ++seen;
      co_await scope.join();
      EXPECT_EQ((co_await list_for(client, -1, -1, 7)).offset, round + 1);
    }
    EXPECT_GT(seen, 0) << "no round came between append and durability";
    co_await producer.close();
  });
}

TEST_F(RecordPitfalls, Pitfall25OutsideTheLogThereIsAnErrorAndNoHighWatermark) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    for (int i = 0; i < 4; ++i) (void)co_await client.produce("t", 0, make_batch({"a"}));
    kafka::DeleteRecordsRequest remove{.timeout_ms = 1'000};
    remove.topics.push_back({.name = "t", .partitions = {{.partition_index = 0, .offset = 2}}});
    EXPECT_EQ((co_await client.call(remove, 1)).message.topics.at(0).partitions.at(0).error_code, ErrorCode::kNone);
    for (const int64_t offset : {int64_t{-1}, int64_t{0}, int64_t{1}, int64_t{5}, INT64_MAX}) {
      const Fetched outside = co_await client.fetch("t", 0, offset, 10'000);
      EXPECT_EQ(outside.error, ErrorCode::kOffsetOutOfRange) << offset;
      EXPECT_EQ(outside.high_watermark, -1) << offset;
    }
    EXPECT_EQ((co_await client.fetch("t", 0, 2)).values.size(), 2U);
    const Fetched end = co_await client.fetch("t", 0, 4);
    EXPECT_EQ(end.error, ErrorCode::kNone);
    EXPECT_EQ(end.high_watermark, 4);
  });
}

TEST_F(RecordPitfalls, Pitfall25TheFirstBatchIsNeverCut) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const storage::Bytes batch = make_batch({std::string(5'000, 'x')});
    for (int i = 0; i < 3; ++i) (void)co_await client.produce("t", 0, batch);
    for (const auto& [request_bytes, partition_bytes] :
         {std::pair{0, 0}, std::pair{1, 1 << 20}, std::pair{1 << 20, 1}}) {
      kafka::FetchRequest request = Client::fetch_request("t", 0, 0);
      request.max_bytes = request_bytes;
      request.topics[0].partitions[0].partition_max_bytes = partition_bytes;
      const auto answer = co_await client.call(request, 11);
      EXPECT_EQ(answer.message.responses.at(0).partitions.at(0).records.whole.size(), batch.size());
    }
  });
}

TEST_F(RecordPitfalls, Pitfall31CorrelationIdsComeBackWhateverTheyAre) {
  start();
  run([](Client& client) -> Task<void> {
    RawConnection raw(client.core());
    co_await raw.connect();
    for (const int32_t id : {INT32_MAX - 1, INT32_MAX, INT32_MIN, -1, 0, 0, 5, 4}) {
      co_await raw.send(kafka::encode_request(kafka::MetadataRequest{}, 9, id, "c").flatten());
      EXPECT_EQ(number_at<int32_t>((co_await raw.receive()).value_or(std::vector<std::byte>{}), 0), id);
    }
    co_await raw.close();
  });
}

TEST_F(RecordPitfalls, Pitfall31BytesBehindARequestAreTolerated) {
  start();
  run([](Client& client) -> Task<void> {
    RawConnection raw(client.core());
    co_await raw.connect();
    for (const int16_t version : {int16_t{8}, int16_t{9}}) {
      auto frame = kafka::encode_request(kafka::MetadataRequest{}, version, 1, "c").flatten();
      frame.resize(frame.size() + 3, std::byte{0xee});
      frame[3] = static_cast<std::byte>(frame.size() - kafka::kFrameLengthSize);
      co_await raw.send(frame);
      EXPECT_TRUE((co_await raw.receive()).has_value()) << version;
    }
    co_await raw.close();
  });
}

// Of a partition named twice in a Produce nothing is stored: its one answer could not tell which batch is. A Fetch
// takes the last request for it. Each partition is answered once.
TEST_F(RecordPitfalls, Pitfall31APartitionNamedTwice) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const storage::Bytes batch = make_batch({"twice"});
    kafka::ProduceRequest produce = produce_of("t", 0, batch, -1);
    produce.topic_data[0].partition_data.push_back(produce.topic_data[0].partition_data[0]);
    produce.topic_data.push_back(produce.topic_data[0]);
    const auto produced = co_await client.call(produce, 9);
    std::vector<ErrorCode> errors;
    for (const auto& topic : produced.message.responses) {
      for (const auto& partition : topic.partition_responses) errors.push_back(partition.error_code);
    }
    EXPECT_EQ(errors, std::vector<ErrorCode>{ErrorCode::kInvalidRequest});
    EXPECT_EQ((co_await client.list_offset("t", 0, -1)).offset, 0);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"once"}))).base_offset, 0);
    kafka::FetchRequest fetch = Client::fetch_request("t", 0, 7);
    fetch.topics[0].partitions.push_back(fetch.topics[0].partitions[0]);
    fetch.topics[0].partitions[1].fetch_offset = 0;
    const auto fetched = co_await client.call(fetch, 11);
    EXPECT_EQ(fetched.message.responses.at(0).partitions.size(), 1U);
    EXPECT_EQ(values_in(fetched.message.responses.at(0).partitions.at(0).records.whole), (Values{"once"}));
  });
}

TEST_F(RecordPitfalls, Pitfall31NothingAskedIsAnsweredAtOnce) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const auto begin = client.core().now();
    kafka::ProduceRequest produce;
    produce.acks = -1;
    produce.timeout_ms = 30'000;
    EXPECT_TRUE((co_await client.call(produce, 9)).message.responses.empty());
    produce.topic_data.push_back({.name = "t"});
    EXPECT_EQ((co_await client.call(produce, 9)).message.responses.at(0).partition_responses.size(), 0U);
    kafka::FetchRequest fetch = Client::fetch_request("t", 0, 0, 30'000);
    fetch.topics[0].partitions.clear();
    EXPECT_EQ((co_await client.call(fetch, 11)).message.error_code, ErrorCode::kNone);
    fetch.topics.clear();
    EXPECT_EQ((co_await client.call(fetch, 11)).message.error_code, ErrorCode::kNone);
    kafka::ListOffsetsRequest list;
    list.topics.push_back({.name = "t"});
    EXPECT_EQ((co_await client.call(list, 7)).message.topics.at(0).partitions.size(), 0U);
    EXPECT_LT(client.core().now() - begin, 5s);
  });
}

TEST_F(RecordPitfalls, Pitfall31AsManyPartitionsAsFitIntoARequest) {
  start();
  run([](Client& client) -> Task<void> {
    constexpr int32_t kMany = 100'000;
    kafka::ListOffsetsRequest list;
    list.topics.push_back({.name = "missing"});
    for (int32_t index = 0; index < kMany; ++index) {
      list.topics[0].partitions.push_back({.partition_index = index, .timestamp = -1});
    }
    const auto answer = co_await client.call(list, 7);
    EXPECT_EQ(answer.message.topics.at(0).partitions.size(), static_cast<size_t>(kMany));
    for (const auto& partition : answer.message.topics.at(0).partitions) {
      if (partition.error_code != ErrorCode::kUnknownTopicOrPartition) ADD_FAILURE() << partition.partition_index;
    }
  });
}

TEST_F(RecordPitfalls, Pitfall31OnePageOfPartitionsIsLimited) {
  start();
  run([](Client& client) -> Task<void> {
    constexpr int32_t kPage = 2'000;
    EXPECT_EQ(co_await client.create_topic("t", kPage + 1), ErrorCode::kNone);
    kafka::DescribeTopicPartitionsRequest request;
    request.response_partition_limit = 1'000'000;
    const auto page = co_await client.call(request, 0);
    EXPECT_EQ(page.message.topics.at(0).partitions.size(), static_cast<size_t>(kPage));
    EXPECT_TRUE(page.message.next_cursor && page.message.next_cursor->partition_index == kPage);
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
