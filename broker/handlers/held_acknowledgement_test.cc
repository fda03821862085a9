// A wait for an acknowledgement holds nothing that others need, against a whole broker.
#include <map>

#include "broker/broker_core.h"
#include "broker/broker_host.h"
#include "broker/testing/simulated_broker.h"
#include "net/kafka/group_offsets.h"
#include "net/kafka/groups.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;

// One partition acknowledges nothing for 20 s, as if its in-sync replicas stood still, and more requests wait for that
// than one core has credits of mail for another. Everything else continues as if they did not wait.
class HeldAcknowledgementTest : public BrokerTest {
 protected:
  static constexpr size_t kWaiting = 400;
  static constexpr reactor::Duration kPatience = 100ms;

  HeldAcknowledgementTest() {
    options_.engine.tail_bytes_max = uint64_t{16} << 20;
    options_.connection.request_memory_bytes = uint64_t{2} << 20;
  }

  // True: from now on an in-sync replica acknowledges nothing; false: it is removed.
  void hold(bool held) {
    for (reactor::CoreId core = 0; core < kCores; ++core) {
      const reactor::RunningAs as(broker_->core(core));
      shared_->on(core).engine().for_each([&](storage::Partition& partition) {
        if (partition.topic_name() != "held") return;
        replication::InSyncSet in_sync;
        if (held) in_sync.others.push_back({.broker = 99});
        replication::Replica::of(partition).set_in_sync(std::move(in_sync));
      });
    }
  }

  // Each on its own connection; counts the answers.
  Task<void> produce_held(Core& core, std::map<ErrorCode, size_t>& answers) {
    Client client(core);
    co_await client.connect();
    ++answers[(co_await client.produce("held", 0, make_batch({std::string(10'000, 'v')}))).error];
    co_await client.close();
  }

  template <class Step>
  static Task<void> in_time(Client& client, std::string_view what, Step step) {
    const reactor::Instant begin = client.core().now();
    co_await step();
    EXPECT_LT(client.core().now() - begin, kPatience) << what;
  }

  static Task<void> everything_else_goes_on(Client& client) {
    co_await in_time(client, "metadata",
                     [&]() -> Task<void> { (void)co_await client.call(kafka::MetadataRequest{}, 9); });
    for (int32_t partition = 0; partition < kCores; ++partition) {
      co_await in_time(client, "other topics", [&]() -> Task<void> {
        EXPECT_EQ((co_await client.produce("other", partition, make_batch({"v"}))).error, ErrorCode::kNone);
        EXPECT_EQ((co_await client.fetch("other", partition, 0)).error, ErrorCode::kNone);
        EXPECT_EQ((co_await client.list_offset("other", partition, -1)).error_code, ErrorCode::kNone);
      });
    }
    co_await in_time(client, "acks=1 of the same partition", [&]() -> Task<void> {
      EXPECT_EQ((co_await client.produce("held", 0, make_batch({"v"}), 1)).error, ErrorCode::kNone);
    });
    co_await in_time(client, "a commit of offsets", [&]() -> Task<void> {
      kafka::OffsetCommitRequest commit;
      commit.group_id = "g";
      commit.topics.push_back({.name = "other"});
      commit.topics[0].partitions.push_back({.partition_index = 0, .committed_offset = 1});
      const auto answer = co_await client.call(commit, 7);
      EXPECT_EQ(answer.message.topics.at(0).partitions.at(0).error_code, ErrorCode::kNone);
    });
    co_await in_time(client, "a deletion", [&]() -> Task<void> {
      kafka::DeleteTopicsRequest request;
      request.topic_names = {"gone"};
      EXPECT_EQ((co_await client.call(request, 5)).message.responses.at(0).error_code, ErrorCode::kNone);
    });
    co_await in_time(client, "a creation", [&]() -> Task<void> {
      EXPECT_EQ(co_await client.create_topic("gone", kCores), ErrorCode::kNone);
    });
  }
};

TEST_F(HeldAcknowledgementTest, HoldsUpNothingElse) {
  start();
  std::map<ErrorCode, size_t> answers;
  run([&](Client& client) -> Task<void> {
    for (const char* topic : {"other", "gone"}) {
      EXPECT_EQ(co_await client.create_topic(topic, kCores), ErrorCode::kNone);
    }
    EXPECT_EQ(co_await client.create_topic("held", 1), ErrorCode::kNone);
    // The coordinator is there from here on.
    kafka::OffsetCommitRequest commit;
    commit.group_id = "g";
    commit.topics.push_back({.name = "other"});
    commit.topics[0].partitions.push_back({.partition_index = 0, .committed_offset = 0});
    while ((co_await client.call(commit, 7)).message.topics.at(0).partitions.at(0).error_code != ErrorCode::kNone) {
      kafka::FindCoordinatorRequest find;
      find.key = "g";
      (void)co_await client.call(find, 2);
      co_await client.core().sleep(100ms);
    }
    hold(true);
    reactor::TaskScope scope(client.core());
    for (size_t i = 0; i < kWaiting; ++i) scope.spawn(produce_held(client.core(), answers));
    co_await client.core().sleep(2s);
    EXPECT_EQ(answers.size(), 0U);
    for (int i = 0; i < 4; ++i) {
      co_await everything_else_goes_on(client);
      co_await client.core().sleep(4s);
    }
    EXPECT_EQ(answers.size(), 0U);
    hold(false);
    co_await client.produce("held", 0, make_batch({"v"}));  // moves the high watermark
    co_await scope.join();
    EXPECT_EQ(answers[ErrorCode::kNone], kWaiting);
    EXPECT_EQ((co_await client.list_offset("held", 0, -1)).offset, static_cast<int64_t>(kWaiting) + 5);
  });
  stop();
}

}  // namespace
}  // namespace posthaste::broker::testing
