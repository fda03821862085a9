// A request that waits for other clients or for time holds nothing that others need, against a whole broker with little
// memory.
#include "broker/broker_core.h"
#include "broker/broker_host.h"
#include "broker/testing/simulated_broker.h"
#include "net/kafka/group_offsets.h"
#include "net/kafka/groups.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;

class WaitingTest : public BrokerTest {
 protected:
  WaitingTest() {
    options_.connection.small_request_memory_bytes = uint64_t{128} << 10;
    options_.connection.request_memory_bytes = uint64_t{1} << 20;
    options_.topics.num_partitions = 1;
  }

  // Runs in a client's turn, on objects that the broker's core owns.
  auto look_at_core_0(auto look) {
    const reactor::RunningAs as(broker_->core(0));
    return look(shared_->on(0));
  }
};

// One of 10 KB and one of 100 KB: one from each pool of frames.
Task<void> produce_goes_on(Client& client) {
  const reactor::Instant begin = client.core().now();
  for (const size_t bytes : {size_t{10'000}, size_t{100'000}}) {
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({std::string(bytes, 'v')}))).error, ErrorCode::kNone);
  }
  EXPECT_LT(client.core().now() - begin, 2s);
}

// A connection with a request that is answered late or never.
class Waiter {
 public:
  explicit Waiter(Core& core) : connection_(core, "waiter"), scope_(core) {}
  template <class Request>
  Task<void> ask(Request request, int16_t version) {
    EXPECT_TRUE((co_await connection_.connect(kBrokerAddress)).has_value());
    frame_ = kafka::encode_request(request, version, 1, "w").flatten();
    auto send = [this]() -> Task<void> { std::ignore = co_await connection_.send_raw(frame_); };
    scope_.spawn(send());
  }
  Task<void> close() {
    co_await connection_.close();
    co_await scope_.join();
  }

 private:
  net::ClientConnection connection_;
  std::vector<std::byte> frame_;
  reactor::TaskScope scope_;
};

kafka::FetchRequest poll_of(size_t partitions) {
  kafka::FetchRequest poll = Client::fetch_request("t", 0, 1'000'000, 100'000);
  poll.topics[0].partitions.clear();
  // One partition, named many times: the last one counts.
  for (size_t i = 0; i < partitions; ++i) {
    poll.topics[0].partitions.push_back({.partition = 0, .fetch_offset = 0, .partition_max_bytes = 1});
  }
  return poll;
}

Task<void> wait_with(Client& client, std::vector<std::unique_ptr<Waiter>>& waiters, size_t count, auto request,
                     int16_t version) {
  for (size_t i = 0; i < count; ++i) {
    waiters.push_back(std::make_unique<Waiter>(client.core()));
    co_await waiters.back()->ask(request(i), version);
  }
  co_await client.core().sleep(1s);
}

Task<void> close_all(std::vector<std::unique_ptr<Waiter>>& waiters) {
  for (auto& waiter : waiters) co_await waiter->close();
}

constexpr size_t kPartitionsOf56KB = 3'500;  // in version 4

TEST_F(WaitingTest, LongPollsOfManyPartitionsHoldNoFrames) {
  start(1);
  run([this](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    std::vector<std::unique_ptr<Waiter>> waiters;
    co_await wait_with(client, waiters, 20, [](size_t) { return poll_of(kPartitionsOf56KB); }, 4);
    EXPECT_GT(look_at_core_0([](BrokerCore& core) { return core.fetch_waits().subscriptions(); }), 2U)
        << "some of them do wait";
    EXPECT_LE(look_at_core_0([](BrokerCore& core) { return core.wait_memory().held(); }), options_.wait_memory_bytes);
    co_await produce_goes_on(client);
    co_await close_all(waiters);
    co_await client.core().sleep(1s);
    EXPECT_EQ(look_at_core_0([](BrokerCore& core) { return core.wait_memory().held(); }), 0U);
  });
  stop();
}

// The frame is given back before the answer is made, and its memory then holds other bytes.
TEST_F(WaitingTest, ALongPollKnowsItsTopicsWithoutItsFrame) {
  start(1);
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    EXPECT_EQ(co_await client.create_topic("a-topic-of-a-longer-name", 1), ErrorCode::kNone);
    Client reader(client.core());
    co_await reader.connect();
    kafka::FetchRequest poll = poll_of(200);
    poll.topics.push_back(poll.topics.front());
    poll.topics.back().topic = "a-topic-of-a-longer-name";
    for (auto& topic : poll.topics) {
      for (auto& partition : topic.partitions) partition.partition_max_bytes = 1 << 20;
    }
    std::vector<std::string> seen;
    auto read = [&]() -> Task<void> {
      const auto answer = co_await reader.call(poll, 4);
      for (const auto& topic : answer.message.responses) {
        for (const auto& partition : topic.partitions) {
          seen.push_back(fmt::format("{}:{}", topic.topic, values_in(partition.records.whole).size()));
        }
      }
    };
    reactor::TaskScope scope(client.core());
    scope.spawn(read());
    co_await client.core().sleep(1s);
    EXPECT_TRUE(seen.empty());
    EXPECT_EQ((co_await client.produce("a-topic-of-a-longer-name", 0, make_batch({"v"}))).error, ErrorCode::kNone);
    co_await scope.join();
    std::ranges::sort(seen);
    EXPECT_EQ(seen, (std::vector<std::string>{"a-topic-of-a-longer-name:1", "t:0"}));
    co_await reader.close();
  });
  stop();
}

// A request that does not fit into the memory for waiting requests is answered with what there is; one for a few
// partitions always waits.
TEST_F(WaitingTest, ALongPollThatDoesNotFitIsAnsweredAtOnce) {
  options_.wait_memory_bytes = 0;
  start(1);
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const reactor::Instant begin = client.core().now();
    const auto answer = co_await client.call(poll_of(kPartitionsOf56KB), 4);
    EXPECT_LT(client.core().now() - begin, 1s);
    EXPECT_EQ(answer.message.responses.at(0).partitions.at(0).high_watermark, 0);
    EXPECT_EQ((co_await client.fetch("t", 0, 0, 3'000)).error, ErrorCode::kNone);
    EXPECT_GE(client.core().now() - begin, 3s);
  });
  stop();
}

kafka::JoinGroupRequest join_of(std::string_view group, std::string_view metadata) {
  kafka::JoinGroupRequest join{.group_id = group, .session_timeout_ms = 10'000, .rebalance_timeout_ms = 100'000};
  join.protocol_type = "consumer";
  join.protocols.push_back({.name = "range", .metadata = std::as_bytes(std::span(metadata))});
  return join;
}

TEST_F(WaitingTest, JoinsThatWaitForMembersHoldNoFrames) {
  options_.group.initial_rebalance_delay_ms = 100'000;
  start(1);
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    std::ignore = co_await client.call(kafka::FindCoordinatorRequest{.key = "g"}, 3);
    std::vector<std::unique_ptr<Waiter>> waiters;
    const std::string small(60'000, 'm');
    const std::string large(600'000, 'm');
    co_await wait_with(client, waiters, 5, [&](size_t) { return join_of("g", small); }, 3);
    co_await wait_with(client, waiters, 5, [&](size_t) { return join_of("h", large); }, 3);
    co_await produce_goes_on(client);
    co_await close_all(waiters);
  });
  stop();
}

TEST_F(WaitingTest, AJoinThatSaysTooMuchIsRefused) {
  options_.group.max_request_bytes = 100'000;
  start(1);
  run([](Client& client) -> Task<void> {
    std::ignore = co_await client.call(kafka::FindCoordinatorRequest{.key = "g"}, 3);
    const std::string metadata(100'001, 'm');
    const auto joined = co_await client.call(join_of("g", metadata), 3);
    EXPECT_EQ(joined.message.error_code, ErrorCode::kGroupMaxSizeReached);
    kafka::SyncGroupRequest sync{.group_id = "g", .generation_id = 1, .member_id = "m"};
    sync.assignments.push_back({.member_id = "m", .assignment = std::as_bytes(std::span(metadata))});
    EXPECT_EQ((co_await client.call(sync, 3)).message.error_code, ErrorCode::kUnknownServerError);
  });
  stop();
}

// 120 names in one request: some are created at once, the others when the client asks again, as clients do.
TEST_F(WaitingTest, OneQuestionCreatesFewTopicsAtATime) {
  start();
  run([](Client& client) -> Task<void> {
    constexpr int kNames = 120;
    std::vector<std::string> names;
    names.reserve(kNames);
    for (int i = 0; i < kNames; ++i) names.push_back(fmt::format("topic-{}", i));
    kafka::MetadataRequest request;
    request.topics.emplace();
    for (const std::string& name : names) request.topics->push_back({.name = name});
    std::vector<size_t> there;
    for (int asked = 0; asked < 3; ++asked) {
      const auto answer = co_await client.call(request, 8);
      size_t made = 0;
      for (const auto& topic : answer.message.topics) {
        made += topic.error_code == ErrorCode::kNone ? 1 : 0;
        EXPECT_TRUE(topic.name && topic.name->starts_with("topic-"));
        if (topic.error_code != ErrorCode::kNone) EXPECT_EQ(topic.error_code, ErrorCode::kLeaderNotAvailable);
      }
      there.push_back(made);
    }
    EXPECT_EQ(there, (std::vector<size_t>{50, 100, 120}));
  });
  stop();
}

}  // namespace
}  // namespace posthaste::broker::testing
