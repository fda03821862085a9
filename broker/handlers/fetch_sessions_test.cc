// Incremental fetch sessions (KIP-227) against a whole broker, and their limits.
#include "broker/fetching/fetch_sessions.h"

#include <fmt/ranges.h>

#include "broker/broker_core.h"
#include "broker/broker_host.h"
#include "broker/testing/simulated_broker.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using kafka::FetchRequest;
using FetchSessionsTest = BrokerTest;

constexpr int16_t kVersion = 12;

// Of one answer: "topic-partition:error:values".
struct Seen {
  ErrorCode error = ErrorCode::kNone;
  int32_t session = 0;
  std::vector<std::string> partitions;
};

Task<Seen> fetch(Client& client, const FetchRequest& request) {
  const auto answer = co_await client.call(request, kVersion);
  Seen seen{answer.message.error_code, answer.message.session_id, {}};
  for (const auto& topic : answer.message.responses) {
    for (const auto& partition : topic.partitions) {
      seen.partitions.push_back(fmt::format("{}-{}:{}:{}", topic.topic, partition.partition_index,
                                            static_cast<int>(partition.error_code),
                                            fmt::join(values_in(partition.records.whole), ",")));
    }
  }
  co_return seen;
}

FetchRequest request_of(int32_t session, int32_t epoch) {
  FetchRequest request;
  request.max_wait_ms = 0;
  request.min_bytes = 1;
  request.max_bytes = 1 << 20;
  request.session_id = session;
  request.session_epoch = epoch;
  return request;
}

void want(FetchRequest& request, std::string_view topic, int32_t partition, int64_t offset) {
  request.topics.push_back({.topic = topic});
  request.topics.back().partitions.push_back(
      {.partition = partition, .fetch_offset = offset, .partition_max_bytes = 1 << 20});
}

using Strings = std::vector<std::string>;

// Each partition has more than an answer holds, on two cores: all of them get their turn, although another reader
// fetches in between.
TEST_F(FetchSessionsTest, NoPartitionStarvesBehindOthersWithABacklog) {
  start(2);
  run([](Client& client) -> Task<void> {
    constexpr int32_t kPartitions = 12;
    constexpr int kRecords = 8;
    EXPECT_EQ(co_await client.create_topic("t", kPartitions), ErrorCode::kNone);
    FetchRequest request = request_of(0, 0);
    request.max_bytes = 100;  // less than one batch
    for (int32_t partition = 0; partition < kPartitions; ++partition) {
      for (int i = 0; i < kRecords; ++i) {
        (void)co_await client.produce("t", partition, make_batch({std::string(1000, 'x')}));
      }
      want(request, "t", partition, 0);
    }
    std::vector<int> served(kPartitions);
    for (int round = 0; round < 2 * kPartitions; ++round) {
      const auto answer = co_await client.call(request, kVersion);
      request.session_id = answer.message.session_id;
      ++request.session_epoch;
      request.topics.clear();
      for (const auto& topic : answer.message.responses) {
        for (const auto& partition : topic.partitions) {
          if (partition.records.whole.empty()) continue;
          want(request, "t", partition.partition_index, ++served[static_cast<size_t>(partition.partition_index)]);
        }
      }
      FetchRequest other = request_of(0, -1);
      want(other, "t", 0, 0);
      (void)co_await client.call(other, kVersion);
    }
    for (const int count : served) EXPECT_EQ(count, 2) << fmt::format("{}", fmt::join(served, " "));
  });
}

// Epochs 0 and n, and answers with only what changed.
TEST_F(FetchSessionsTest, Pitfall10AnswersNameOnlyWhatIsNew) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 3), ErrorCode::kNone);
    (void)co_await client.produce("t", 0, make_batch({"a"}));
    FetchRequest full = request_of(0, 0);
    for (int32_t partition = 0; partition < 3; ++partition) want(full, "t", partition, 0);
    const Seen first = co_await fetch(client, full);
    EXPECT_NE(first.session, 0);
    EXPECT_EQ(first.partitions, (Strings{"t-0:0:a", "t-1:0:", "t-2:0:"}));

    const Seen again = co_await fetch(client, request_of(first.session, 1));
    EXPECT_EQ(again.session, first.session);
    EXPECT_EQ(again.partitions, (Strings{"t-0:0:a"})) << "the position is the reader's business";

    FetchRequest moved = request_of(first.session, 2);
    want(moved, "t", 0, 1);
    EXPECT_EQ((co_await fetch(client, moved)).partitions, Strings{});
    (void)co_await client.produce("t", 2, make_batch({"b", "c"}));
    EXPECT_EQ((co_await fetch(client, request_of(first.session, 3))).partitions, (Strings{"t-2:0:b,c"}));

    FetchRequest without = request_of(first.session, 4);
    without.forgotten_topics_data.push_back({.topic = "t", .partitions = {2}});
    want(without, "t", 7, 0);
    EXPECT_EQ((co_await fetch(client, without)).partitions, (Strings{"t-7:3:"}));
    EXPECT_EQ((co_await fetch(client, request_of(first.session, 5))).partitions, (Strings{"t-7:3:"}))
        << "an error is told every time";
  });
}

TEST_F(FetchSessionsTest, ASessionMayBeginWithNothing) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    (void)co_await client.produce("t", 0, make_batch({"a"}));
    const Seen first = co_await fetch(client, request_of(0, 0));
    EXPECT_NE(first.session, 0);
    FetchRequest next = request_of(first.session, 1);
    want(next, "t", 0, 0);
    const Seen second = co_await fetch(client, next);
    EXPECT_EQ(second.session, first.session);
    EXPECT_EQ(second.partitions, (Strings{"t-0:0:a"}));
  });
}

TEST_F(FetchSessionsTest, Pitfall10WrongEpochsAndIdsAreRefused) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    FetchRequest full = request_of(0, 0);
    want(full, "t", 0, 0);
    const int32_t session = (co_await fetch(client, full)).session;
    EXPECT_EQ((co_await fetch(client, request_of(session, 2))).error, ErrorCode::kInvalidFetchSessionEpoch);
    EXPECT_EQ((co_await fetch(client, request_of(session + 1, 1))).error, ErrorCode::kFetchSessionIdNotFound);
    EXPECT_EQ((co_await fetch(client, request_of(session, 1))).error, ErrorCode::kNone);
    // A session belongs to its connection.
    net::ClientConnection other(client.core(), "other");
    EXPECT_TRUE((co_await other.connect(kBrokerAddress)).has_value());
    const auto foreign = co_await other.call(request_of(session, 2), kVersion);
    EXPECT_EQ(foreign->message.error_code, ErrorCode::kFetchSessionIdNotFound);
    co_await other.close();
    // Epoch 0 makes a session whatever the id beside it: franz-go stops using sessions otherwise.
    full.session_id = session + 99;
    EXPECT_EQ((co_await fetch(client, full)).error, ErrorCode::kNone);
    // A new one in place of the old; then none.
    full.session_id = session;
    const Seen renewed = co_await fetch(client, full);
    EXPECT_NE(renewed.session, session);
    EXPECT_EQ((co_await fetch(client, request_of(session, 2))).error, ErrorCode::kFetchSessionIdNotFound);
    FetchRequest last = request_of(renewed.session, -1);
    want(last, "t", 0, 0);
    const Seen closed = co_await fetch(client, last);
    EXPECT_EQ(closed.session, 0);
    EXPECT_EQ(closed.partitions, (Strings{"t-0:0:"}));
    EXPECT_EQ((co_await fetch(client, request_of(renewed.session, 1))).error, ErrorCode::kFetchSessionIdNotFound);
  });
}

TEST_F(FetchSessionsTest, ASessionWaitsForWhatItHolds) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 3), ErrorCode::kNone);
    FetchRequest full = request_of(0, 0);
    for (int32_t partition = 0; partition < 3; ++partition) want(full, "t", partition, 0);
    const int32_t session = (co_await fetch(client, full)).session;
    net::ClientConnection producer(client.core(), "producer");
    EXPECT_TRUE((co_await producer.connect(kBrokerAddress)).has_value());
    auto produce_later = [&]() -> Task<void> {
      co_await client.core().sleep(200ms);
      kafka::ProduceRequest request;
      const storage::Bytes batch = make_batch({"late"});
      request.acks = -1;
      request.timeout_ms = 30'000;
      request.topic_data.push_back({.name = "t"});
      request.topic_data[0].partition_data.push_back({.index = 1, .records = {.whole = batch}});
      EXPECT_TRUE((co_await producer.call(request, 9)).has_value());
    };
    reactor::TaskScope scope(client.core());
    scope.spawn(produce_later());
    FetchRequest waiting = request_of(session, 1);
    waiting.max_wait_ms = 60'000;
    const auto before = client.core().now();
    EXPECT_EQ((co_await fetch(client, waiting)).partitions, (Strings{"t-1:0:late"}));
    EXPECT_LT(client.core().now() - before, 10s);
    co_await scope.join();
    co_await producer.close();
  });
}

TEST_F(FetchSessionsTest, Pitfall10BeyondTheLimitReadersGoOnWithoutAndEndedConnectionsMakeRoom) {
  options_.fetch_sessions = 2;
  start(1);
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    FetchRequest full = request_of(0, 0);
    want(full, "t", 0, 0);
    for (int round = 0; round < 3; ++round) {
      std::vector<std::unique_ptr<net::ClientConnection>> readers;
      for (int i = 0; i < 3; ++i) {
        readers.push_back(std::make_unique<net::ClientConnection>(client.core(), "reader"));
        EXPECT_TRUE((co_await readers.back()->connect(kBrokerAddress)).has_value());
        const auto answer = co_await readers.back()->call(full, kVersion);
        EXPECT_EQ(answer->message.error_code, ErrorCode::kNone);
        EXPECT_EQ(answer->message.session_id != 0, i < 2) << round;
        EXPECT_EQ(answer->message.responses.size(), 1U);
      }
      for (auto& reader : readers) co_await reader->close();
      co_await client.core().sleep(1s);
    }
  });
  EXPECT_EQ(shared_->on(0).fetch_sessions().session_count(), 0U);
  EXPECT_EQ(shared_->on(0).fetch_sessions().partition_count(), 0U);
}

TEST(FetchSessionTest, EpochsWrapToOne) {
  FetchSession session;
  for (int i = 0; i < 3; ++i) session.next_epoch();
  EXPECT_EQ(session.epoch(), 3);
}

TEST(FetchSessionTest, AllSessionsTogetherAreBounded) {
  FetchSessions sessions({.sessions = 10, .partitions = 3}, 1, 4);
  net::ConnectionContext connection;
  FetchRequest two = request_of(0, 0);
  want(two, "t", 0, 0);
  want(two, "t", 1, 0);
  const FetchContext first = sessions.begin(connection, two, false);
  ASSERT_NE(first.session, nullptr);
  EXPECT_EQ(first.session->id() % 4, 2) << "core 1 of 4";
  EXPECT_EQ(sessions.begin(connection, two, false).session, nullptr) << "four partitions would be too many";
  FetchRequest more = request_of(first.session->id(), 1);
  want(more, "t", 2, 0);
  want(more, "t", 3, 0);
  const FetchContext grown = sessions.begin(connection, more, false);
  EXPECT_EQ(grown.session->entries().size(), 4U) << "this request is served in full";
  EXPECT_EQ(sessions.session_count(), 0U);
  EXPECT_EQ(sessions.partition_count(), 0U);
  EXPECT_EQ(sessions.begin(connection, request_of(first.session->id(), 2), false).error,
            ErrorCode::kFetchSessionIdNotFound);
}

}  // namespace
}  // namespace posthaste::broker::testing
