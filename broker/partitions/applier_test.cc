// The applier against a whole broker: a large change holds up no other, changes of one name keep their order, and what
// is here at the end is what the image says.
#include <algorithm>
#include <map>
#include <random>

#include "broker/broker_core.h"
#include "broker/broker_host.h"
#include "broker/testing/simulated_broker.h"
#include "net/kafka/log_admin.h"
#include "net/kafka/partitions.h"
#include "net/kafka/producer_ids.h"
#include "reactor/scope.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using reactor::Instant;

class ApplierTest : public BrokerTest {
 protected:
  static Task<ErrorCode> remove(Client& client, std::string topic) {
    kafka::DeleteTopicsRequest request;
    request.topic_names = {topic};
    co_return (co_await client.call(request, 5)).message.responses.at(0).error_code;
  }
  static Task<ErrorCode> grow(Client& client, std::string topic, int32_t partitions) {
    kafka::CreatePartitionsRequest request;
    request.topics.push_back({.name = topic, .count = partitions, .assignments = std::nullopt});
    co_return (co_await client.call(request, 3)).message.results.at(0).error_code;
  }
  // Starts a broker that cannot write tables. Without them the reserve of the disk answers for some partitions only.
  static constexpr int32_t kWide = 200;  // more of them
  void no_room_for_partitions() {
    options_.engine.reserve_bytes_max = uint64_t{64} << 10;
    start();
    for (const reactor::OpKind kind : {reactor::OpKind::kWrite, reactor::OpKind::kAllocate}) {
      broker_->disk().add_fault(
          {.kind = kind, .path_contains = "table", .error = reactor::Errc::kNoSpace, .count = UINT32_MAX});
    }
  }
  // Of what the reserve has answered for the second one after it says nothing any more.
  static Task<void> write_tables(storage::Engine& engine) {
    for (int table = 0; table < 4; ++table) co_await engine.checkpoint();
  }
  using Partitions = std::map<std::string, int32_t>;  // how many by topic
  // What Metadata shows; each of them has a leader.
  static Task<Partitions> shown(Client& client) {
    const auto answer = co_await client.call(kafka::MetadataRequest{}, 9);
    Partitions partitions;
    for (const auto& topic : answer.message.topics) {
      partitions[std::string(*topic.name)] = static_cast<int32_t>(topic.partitions.size());
      for (const auto& partition : topic.partitions) EXPECT_GE(partition.leader_id, 0) << *topic.name;
    }
    co_return partitions;
  }
  // What the engines have.
  static Task<Partitions> held(Client& client) {
    const auto answer = co_await client.call(kafka::DescribeLogDirsRequest{.topics = std::nullopt}, 4);
    Partitions partitions;
    for (const auto& topic : answer.message.results.at(0).topics) {
      partitions[std::string(topic.name)] = static_cast<int32_t>(topic.partitions.size());
    }
    co_return partitions;
  }
  static Task<void> expect_whole(Client& client) {
    const Partitions in_metadata = co_await shown(client);
    EXPECT_EQ(co_await held(client), in_metadata);
    for (const auto& [topic, partitions] : in_metadata) {
      for (int32_t index = 0; index < partitions; ++index) {
        EXPECT_EQ((co_await client.produce(topic, index, make_batch({"x"}))).error, ErrorCode::kNone) << topic;
      }
    }
  }
};

TEST_F(ApplierTest, ALargeDeletionHoldsUpNoOtherChange) {
  options_.engine.journal_file_bytes = uint64_t{8} << 20;  // nobody waits for room in it
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("wide", 10'000), ErrorCode::kNone);
    Client other(client.core());
    co_await other.connect();
    std::optional<ErrorCode> deleted;
    auto delete_wide = [&]() -> Task<void> { deleted = co_await remove(other, "wide"); };
    reactor::TaskScope scope(client.core());
    scope.spawn(delete_wide());
    co_await client.core().sleep(5ms);
    int beside = 0;
    for (; !deleted.has_value(); ++beside) {
      const Instant begin = client.core().now();
      EXPECT_EQ(co_await client.create_topic(fmt::format("t{}", beside), 1), ErrorCode::kNone);
      EXPECT_LT(client.core().now() - begin, 50ms) << beside;
    }
    EXPECT_EQ(deleted, ErrorCode::kNone);
    EXPECT_GT(beside, 5) << "the deletion was over too soon to tell";
    co_await scope.join();
    co_await expect_whole(client);
    co_await other.close();
  });
  stop();
}

TEST_F(ApplierTest, ANameThatComesAgainIsMadeWhenTheOldOneIsGone) {
  options_.engine.journal_file_bytes = uint64_t{8} << 20;  // nobody waits for room in it
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 9'000), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"old"}))).error, ErrorCode::kNone);
    Client other(client.core());
    co_await other.connect();
    bool deleted = false;
    auto delete_it = [&]() -> Task<void> {
      EXPECT_EQ(co_await remove(other, "t"), ErrorCode::kNone);
      deleted = true;
    };
    reactor::TaskScope scope(client.core());
    scope.spawn(delete_it());
    co_await client.core().sleep(8ms);
    EXPECT_FALSE(deleted) << "the deletion was over too soon to tell";
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    EXPECT_TRUE(deleted) << "it was made beside the old one's removal";
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"new"}))).base_offset, 0);
    co_await scope.join();
    EXPECT_EQ(co_await held(client), (Partitions{{"t", 1}}));
    co_await other.close();
  });
  stop();
}

TEST_F(ApplierTest, WhatCannotBeMadeIsMadeByALaterChange) {
  no_room_for_partitions();
  run([this](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("wide", kWide), ErrorCode::kKafkaStorageError);
    kafka::MetadataRequest request;
    const auto led = [&]() -> Task<ptrdiff_t> {
      const auto answer = co_await client.call(request, 9);
      co_return std::ranges::count_if(answer.message.topics.at(0).partitions,
                                      [](const auto& partition) { return partition.leader_id >= 0; });
    };
    const ptrdiff_t before = co_await led();
    EXPECT_GT(before, 0) << "what can be made is there";
    EXPECT_LT(before, kWide);
    broker_->disk().clear_faults();
    {
      const reactor::RunningAs as(broker_->core(0));
      shared_->on(0).scope().spawn_job(write_tables(shared_->on(0).engine()));
    }
    co_await client.core().sleep(10s);
    EXPECT_EQ(co_await led(), before) << "nothing tries again by itself";
    EXPECT_EQ(co_await client.create_topic("later", 1), ErrorCode::kNone);
    EXPECT_EQ(co_await shown(client), (Partitions{{"wide", kWide}, {"later", 1}}));
    co_await expect_whole(client);
  });
  stop();
}

// More of them than one core has credits of mail for another.
TEST_F(ApplierTest, ChangesThatWaitHoldUpNothingElseThatIsAskedOfTheController) {
  no_room_for_partitions();
  run([this](Client& client) -> Task<void> {
    (void)co_await client.call(kafka::InitProducerIdRequest{.transactional_id = std::nullopt}, 4);  // a block of ids
    EXPECT_EQ(co_await client.create_topic("wide", kWide), ErrorCode::kKafkaStorageError);
    size_t waiting = 0;
    auto create = [&](int number) -> Task<void> {
      Client own(client.core());
      co_await own.connect();
      ++waiting;
      EXPECT_EQ(co_await own.create_topic(fmt::format("t{}", number), 1), ErrorCode::kKafkaStorageError);
      --waiting;
      co_await own.close();
    };
    reactor::TaskScope scope(client.core());
    for (int number = 0; number < 500; ++number) scope.spawn(create(number));
    co_await client.core().sleep(5s);
    EXPECT_EQ(waiting, 500U) << "each waits for room";
    for (int connection = 0; connection < 2 * kCores; ++connection) {
      Client own(client.core());
      co_await own.connect();
      const Instant begin = client.core().now();
      const auto answer = co_await own.call(kafka::InitProducerIdRequest{.transactional_id = std::nullopt}, 4);
      EXPECT_EQ(answer.message.error_code, ErrorCode::kNone);
      EXPECT_LT(client.core().now() - begin, 50ms) << connection;
      co_await own.close();
    }
    co_await scope.join();
    broker_->disk().clear_faults();
  });
  stop();
}

// Several clients change a few topics at the same time; then, and after a restart, each partition that the image has is
// there, and no other.
TEST_F(ApplierTest, WhatManyChangeAtOnceIsWholeInTheEnd) {
  start();
  run([](Client& client) -> Task<void> {
    auto change = [&client](uint64_t seed) -> Task<void> {
      Client own(client.core());
      co_await own.connect();
      std::mt19937_64 random(seed);
      for (int step = 0; step < 60; ++step) {
        const std::string topic = fmt::format("t{}", random() % 4);
        const auto partitions = static_cast<int32_t>(1 + random() % 40);
        const uint64_t dice = random() % 3;
        if (dice == 0) (void)co_await own.create_topic(topic, partitions);
        if (dice == 1) (void)co_await remove(own, topic);
        if (dice == 2) (void)co_await grow(own, topic, partitions + 20);
      }
      co_await own.close();
    };
    reactor::TaskScope scope(client.core());
    for (uint64_t seed = 0; seed < 5; ++seed) scope.spawn(change(seed));
    co_await scope.join();
    EXPECT_EQ(co_await client.create_topic("last", 1), ErrorCode::kNone);
    co_await expect_whole(client);
  });
  stop();
  start();
  run([](Client& client) -> Task<void> { co_await expect_whole(client); });
  stop();
}

}  // namespace
}  // namespace posthaste::broker::testing
