// Produce against a whole broker on three simulated cores.
#include "broker/broker_core.h"
#include "broker/testing/simulated_broker.h"
#include "net/kafka/producer_ids.h"
#include "storage/bytes/crc32c.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using Values = std::vector<std::string>;
using ProduceTest = BrokerTest;

TEST_F(ProduceTest, WhatIsProducedIsFetched) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 6), ErrorCode::kNone);
    for (int32_t partition = 0; partition < 6; ++partition) {
      for (const int16_t acks : {int16_t{-1}, int16_t{1}}) {
        const Produced produced = co_await client.produce("t", partition, make_batch({"a", "b"}), acks);
        EXPECT_EQ(produced.error, ErrorCode::kNone);
        EXPECT_EQ(produced.base_offset, acks == -1 ? 0 : 2);
      }
      const Fetched all = co_await client.fetch("t", partition, 0);
      EXPECT_EQ(all.values, (Values{"a", "b", "a", "b"}));
      EXPECT_EQ(all.high_watermark, 4);
      const Fetched middle = co_await client.fetch("t", partition, 3);
      EXPECT_EQ(middle.values, (Values{"b"}));
    }
    EXPECT_EQ((co_await client.fetch("t", 6, 0, 10'000)).error, ErrorCode::kUnknownTopicOrPartition);
  });
  stop();
}

TEST_F(ProduceTest, EachBatchHasItsOwnError) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 2, {{"max.message.bytes", "1000"}}), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 2, make_batch({"a"}))).error, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ((co_await client.produce("t", -1, make_batch({"a"}))).error, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ((co_await client.produce("missing", 0, make_batch({"a"}))).error, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ((co_await client.produce("t", 0, {})).error, ErrorCode::kInvalidRecord);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"a"}), 2)).error, ErrorCode::kInvalidRequiredAcks);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({std::string(2000, 'x')}))).error,
              ErrorCode::kMessageTooLarge);
    storage::Bytes rotten = make_batch({"abc"});
    rotten.back() ^= std::byte{1};
    EXPECT_EQ((co_await client.produce("t", 0, rotten)).error, ErrorCode::kCorruptMessage);
    storage::Bytes short_batch = make_batch({"abc"});
    short_batch.pop_back();
    EXPECT_EQ((co_await client.produce("t", 0, short_batch)).error, ErrorCode::kInvalidRecord) << "no batch at all";
    storage::Bytes more = make_batch({"abc"});
    more.push_back(std::byte{0});
    EXPECT_EQ((co_await client.produce("t", 0, more)).error, ErrorCode::kInvalidRecord);
    storage::Bytes old = make_batch({"abc"});
    old[16] = std::byte{1};  // magic
    EXPECT_EQ((co_await client.produce("t", 0, old)).error, ErrorCode::kInvalidRecord);
    EXPECT_EQ((co_await client.produce("t", 0, old, -1, 2)).error, ErrorCode::kUnsupportedForMessageFormat);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"a"}), -1, 2)).error,
              ErrorCode::kUnsupportedForMessageFormat)
        << "whatever it holds";
    EXPECT_EQ((co_await client.produce("missing", 0, make_batch({"a"}), 2)).error, ErrorCode::kUnknownTopicOrPartition);
    storage::BatchToWrite transactional{.producer_id = 7, .producer_epoch = 0, .base_sequence = 0};
    transactional.transactional = true;
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"a"}, transactional))).error,
              ErrorCode::kTransactionalIdAuthorizationFailed);
    // Nothing of all that is stored.
    EXPECT_EQ((co_await client.list_offset("t", 0, -1)).offset, 0);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"good"}))).base_offset, 0);
  });
}

TEST_F(ProduceTest, OfAPartitionNamedTwiceNothingIsStored) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 2), ErrorCode::kNone);
    const storage::Bytes batch = make_batch({"x"});
    kafka::ProduceRequest request;
    request.acks = -1;
    request.timeout_ms = 1000;
    request.topic_data.push_back({.name = "t"});
    for (const int32_t index : {0, 1, 0, 0, 9, 9}) {
      request.topic_data[0].partition_data.push_back({.index = index, .records = {.whole = batch}});
    }
    const auto answer = co_await client.call(request, 9);
    const auto& results = answer.message.responses.at(0).partition_responses;
    EXPECT_EQ(results.size(), 3U) << "each partition is answered once";
    EXPECT_EQ(results.at(0).error_code, ErrorCode::kInvalidRequest);
    EXPECT_EQ(results.at(1).error_code, ErrorCode::kNone);
    EXPECT_EQ(results.at(2).error_code, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ((co_await client.list_offset("t", 0, -1)).offset, 0);
    EXPECT_EQ((co_await client.fetch("t", 1, 0)).values, (Values{"x"}));
  });
}

TEST_F(ProduceTest, ABatchThatTheLogRefusesIsToldTheLogsStart) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    storage::BatchToWrite control;
    control.control = true;
    const storage::Bytes marker = make_batch({"x"}, control);
    storage::Bytes rotten = make_batch({"x"});
    rotten.back() ^= std::byte{1};
    for (const auto& [batch, start] : {std::pair(marker, 0), std::pair(rotten, -1)}) {
      kafka::ProduceRequest request;
      request.acks = -1;
      request.timeout_ms = 1000;
      request.topic_data.push_back({.name = "t"});
      request.topic_data[0].partition_data.push_back({.index = 0, .records = {.whole = batch}});
      const auto answer = co_await client.call(request, 9);
      EXPECT_EQ(answer.message.responses.at(0).partition_responses.at(0).log_start_offset, start);
    }
  });
}

TEST_F(ProduceTest, LogAppendTimeIsTheBrokers) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1, {{"message.timestamp.type", "LogAppendTime"}}), ErrorCode::kNone);
    const Produced produced = co_await client.produce("t", 0, make_batch({"a"}));
    EXPECT_EQ(produced.error, ErrorCode::kNone);
    EXPECT_GT(produced.log_append_time, 1'000);
    const auto found = co_await client.list_offset("t", 0, produced.log_append_time);
    EXPECT_EQ(found.offset, 0);
    EXPECT_EQ(found.timestamp, produced.log_append_time);
  });
}

kafka::ProduceRequest produce_of(std::string_view topic, kafka::Bytes batch) {
  kafka::ProduceRequest request;
  request.acks = -1;
  request.timeout_ms = 30'000;
  request.topic_data.push_back({.name = topic});
  request.topic_data[0].partition_data.push_back({.index = 0, .records = {.whole = batch}});
  return request;
}

// KIP-467: the answer names the wrong records, from version 8 on.
TEST_F(ProduceTest, RecordsOutsideTheTimeLimitsAreNamed) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic(
                  "t", 1, {{"message.timestamp.before.max.ms", "60000"}, {"message.timestamp.after.max.ms", "60000"}}),
              ErrorCode::kNone);
    const int64_t now = client.core().wall_now().value;
    storage::RecordBatchBuilder builder{storage::BatchToWrite{}};
    for (const int64_t timestamp : {now - 120'000, now, now + 120'000}) {
      builder.add({.timestamp = timestamp, .value = storage::bytes_of("x")});
    }
    const storage::Bytes batch = builder.finish();
    const auto answer = co_await client.call(produce_of("t", batch), 8);
    const auto& partition = answer.message.responses.at(0).partition_responses.at(0);
    EXPECT_EQ(partition.error_code, ErrorCode::kInvalidTimestamp);
    EXPECT_EQ(partition.base_offset, -1);
    EXPECT_EQ(partition.log_append_time_ms, -1);
    EXPECT_EQ(partition.record_errors.size(), 2U);
    EXPECT_EQ(partition.record_errors.at(0).batch_index, 0);
    EXPECT_EQ(partition.record_errors.at(1).batch_index, 2);
    EXPECT_TRUE(partition.record_errors.at(1).batch_index_error_message->starts_with("Timestamp "));
    EXPECT_TRUE(partition.error_message.has_value());
    const auto old = co_await client.call(produce_of("t", batch), 7);
    EXPECT_EQ(old.message.responses.at(0).partition_responses.at(0).error_code, ErrorCode::kInvalidTimestamp);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"in time"}, {}, now - 59'000))).error, ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"late"}, {}, now - 70'000))).error,
              ErrorCode::kInvalidTimestamp);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"early"}, {}, now + 70'000))).error,
              ErrorCode::kInvalidTimestamp);
    EXPECT_EQ((co_await client.list_offset("t", 0, -1)).offset, 1);
  });
}

// The broker's clock replaces the producer's: no limit applies, and a repeated batch has the time of the first.
TEST_F(ProduceTest, LogAppendTimeTakesAnyTimeOfTheProducer) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic(
                  "t", 1, {{"message.timestamp.type", "LogAppendTime"}, {"message.timestamp.before.max.ms", "60000"}}),
              ErrorCode::kNone);
    const int64_t id = (co_await client.call(kafka::InitProducerIdRequest{}, 4)).message.producer_id;
    const storage::BatchToWrite header{.producer_id = id, .producer_epoch = 0, .base_sequence = 0};
    const Produced first = co_await client.produce("t", 0, make_batch({"old"}, header, 1'000));
    EXPECT_EQ(first.error, ErrorCode::kNone);
    co_await client.core().sleep(2s);
    const Produced repeated = co_await client.produce("t", 0, make_batch({"old"}, header, 1'000));
    EXPECT_EQ(repeated.base_offset, first.base_offset);
    EXPECT_EQ(repeated.log_append_time, first.log_append_time);
    const auto largest = co_await client.list_offset("t", 0, -3);
    EXPECT_EQ(largest.timestamp, first.log_append_time);
    EXPECT_EQ(largest.offset, 0);
  });
}

// A client's time-out is for the wait for other replicas; the write itself has no limit.
TEST_F(ProduceTest, ProduceWithoutTimeIsAnsweredWhenTheWriteIsDone) {
  start();
  broker_->slow_disk(200);  // longer than any of the time-outs, shorter than the 5 s that each write has
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    for (const int32_t timeout_ms : {0, 1, -1}) {
      const storage::Bytes batch = make_batch({"a"});
      kafka::ProduceRequest request{.acks = -1, .timeout_ms = timeout_ms};
      request.topic_data.push_back({.name = "t"});
      request.topic_data[0].partition_data.push_back({.index = 0, .records = {.whole = batch}});
      const auto answer = co_await client.call(request, 9);
      const auto& result = answer.message.responses.at(0).partition_responses.at(0);
      EXPECT_EQ(result.error_code, ErrorCode::kNone) << timeout_ms;
    }
    EXPECT_EQ((co_await client.list_offset("t", 0, -1)).offset, 3);
  });
}

// Compaction keeps the last record of each key.
TEST_F(ProduceTest, ACompactedTopicTakesNoRecordWithoutAKey) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1, {{"cleanup.policy", "compact,delete"}}), ErrorCode::kNone);
    const auto batch_of = [](std::string_view records) {
      storage::RecordBatchBuilder builder{storage::BatchToWrite{}};
      for (const char record : records) {
        storage::RecordToWrite one{.timestamp = 1'000, .value = storage::bytes_of("v")};
        if (record == 'k') one.key = storage::bytes_of("key");
        builder.add(one);
      }
      return builder.finish();
    };
    EXPECT_EQ((co_await client.produce("t", 0, batch_of("kkk"))).error, ErrorCode::kNone);
    const storage::Bytes bad = batch_of("knkn");
    kafka::ProduceRequest request{.acks = -1, .timeout_ms = 30'000};
    request.topic_data.push_back({.name = "t"});
    request.topic_data[0].partition_data.push_back({.index = 0, .records = {.whole = bad}});
    const auto answer = co_await client.call(request, 9);
    const auto& refused = answer.message.responses.at(0).partition_responses.at(0);
    EXPECT_EQ(refused.error_code, ErrorCode::kInvalidRecord);
    EXPECT_EQ(refused.base_offset, -1);
    EXPECT_EQ(refused.log_start_offset, 0);
    EXPECT_EQ(refused.record_errors.size(), 2U);
    EXPECT_EQ(refused.record_errors.at(0).batch_index, 1);
    EXPECT_EQ(refused.record_errors.at(1).batch_index, 3);
    storage::Bytes rotten = bad;
    rotten.back() ^= std::byte{1};
    EXPECT_EQ((co_await client.produce("t", 0, rotten)).error, ErrorCode::kCorruptMessage);
    EXPECT_EQ((co_await client.produce("t", 0, batch_of("k"))).base_offset, 3);
    EXPECT_EQ(co_await client.create_topic("plain", 1), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("plain", 0, bad)).error, ErrorCode::kNone);
  });
}

// Each run of a client is a new producer; the log says once that its table of producers is full.
TEST_F(ProduceTest, ANewProducerIsWelcomeHoweverManyThereAre) {
  options_.producers.max_producers = 20;
  start();
  int64_t next_id = 1'000;
  const auto produce_as_many = [&](Client& client) -> Task<void> {
    for (int i = 0; i < 50; ++i) {
      const storage::BatchToWrite header{.producer_id = next_id++, .producer_epoch = 0, .base_sequence = 0};
      EXPECT_EQ((co_await client.produce("t", 0, make_batch({"a"}, header))).error, ErrorCode::kNone);
    }
  };
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await produce_as_many(client);
    const storage::BatchToWrite last{.producer_id = next_id - 1, .producer_epoch = 0, .base_sequence = 0};
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"a"}, last))).base_offset, 49) << "still known";
  });
  const std::string log = world_.log_tail();
  EXPECT_NE(log.find("storage.producers_pushed_out"), std::string::npos) << log;
  broker_->kill();
  start();
  run(produce_as_many);
}

// The request that has the turn to append may wait for memory. A request behind it is answered when its own time is
// over.
TEST_F(ProduceTest, AProduceWaitsForItsTurnNoLongerThanItsTime) {
  start(1);
  run([this](Client& client) -> Task<void> {
    // Runs in the client's turn, on objects that the broker's core owns.
    const auto at_turn = [this](auto use) {
      const reactor::RunningAs as(broker_->core(0));
      return use(shared_->on(0).append_turn());
    };
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    EXPECT_TRUE(at_turn([](reactor::Semaphore& turn) { return turn.try_acquire(1); }));
    const reactor::Instant begin = client.core().now();
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"a"}))).error, ErrorCode::kRequestTimedOut);
    EXPECT_LT(client.core().now() - begin, 31s);
    at_turn([](reactor::Semaphore& turn) { turn.release(1); });
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"b"}))).base_offset, 0) << "the first one was not stored";

    const auto of_producer = [](int32_t sequence) {
      return make_batch({"a"}, {.producer_id = 5, .producer_epoch = 0, .base_sequence = sequence});
    };
    EXPECT_TRUE(at_turn([](reactor::Semaphore& turn) { return turn.try_acquire(1); }));
    EXPECT_EQ((co_await client.produce("t", 0, of_producer(0))).error, ErrorCode::kRequestTimedOut);
    at_turn([](reactor::Semaphore& turn) { turn.release(1); });
    EXPECT_EQ((co_await client.produce("t", 0, of_producer(1))).error, ErrorCode::kOutOfOrderSequenceNumber)
        << "must not overtake the one that timed out";
    EXPECT_EQ((co_await client.produce("t", 0, of_producer(0))).base_offset, 1);
  });
  stop();
}

storage::Bytes batch_of_codec(int16_t codec) {
  storage::Bytes batch = make_batch({"a"});
  storage::store_be<int16_t>(batch.data() + 21, codec);
  const storage::ByteView covered = storage::ByteView(batch).subspan(storage::kBatchCrcCoverageStart);
  storage::store_be<uint32_t>(batch.data() + 17, storage::crc32c(covered));
  return batch;
}

// KIP-110: a client with an older version may not know the codec.
TEST_F(ProduceTest, ZstdIsRefusedInVersionsThatDoNotKnowIt) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    EXPECT_EQ(co_await client.create_topic("z", 1, {{"compression.type", "zstd"}}), ErrorCode::kNone);
    constexpr int16_t kLz4 = 3;
    constexpr int16_t kZstd = 4;
    for (int16_t version = 3; version <= 12; ++version) {
      const ErrorCode expected = version < 7 ? ErrorCode::kUnsupportedCompressionType : ErrorCode::kNone;
      EXPECT_EQ((co_await client.produce("t", 0, batch_of_codec(kZstd), -1, version)).error, expected) << version;
      EXPECT_EQ((co_await client.produce("t", 0, batch_of_codec(kLz4), -1, version)).error, ErrorCode::kNone);
    }
    (void)co_await client.produce("z", 0, make_batch({"a"}));
    for (int16_t version = 4; version <= 12; ++version) {
      for (const std::string topic : {"t", "z"}) {
        const auto answer = co_await client.call(Client::fetch_request(topic, 0, 0), version);
        const auto& read = answer.message.responses.at(0).partitions.at(0);
        const bool is_refused = topic == "z" && version < 10;
        EXPECT_EQ(read.error_code, is_refused ? ErrorCode::kUnsupportedCompressionType : ErrorCode::kNone) << version;
        EXPECT_EQ(read.high_watermark, is_refused ? -1 : topic == "z" ? 1 : 16) << version;
        EXPECT_EQ(read.records.whole.empty(), is_refused) << version;
        const auto outside = co_await client.call(Client::fetch_request(topic, 0, 99), version);
        EXPECT_EQ(outside.message.responses.at(0).partitions.at(0).error_code, ErrorCode::kOffsetOutOfRange)
            << "as in Kafka, where nothing can be read";
      }
    }
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
