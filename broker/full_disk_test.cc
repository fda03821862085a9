// What a broker answers while its disk is full, and after.
#include "broker/testing/simulated_broker.h"
#include "net/kafka/partitions.h"
#include "storage/bytes/xxh3.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kDiskBytes = uint64_t{48} << 20;

class FullDiskTest : public BrokerTest {
 protected:
  FullDiskTest() { options_.engine.journal_files = 4; }

  void start_on_a_small_disk() {
    start();
    broker_->disk().options().capacity_bytes = kDiskBytes;
  }

  // Until records are refused. Every answer comes in time, and with nothing else than success or the disk's error.
  static Task<int> fill(Client& client, std::string topic) {
    const std::string value(200'000, 'x');
    for (int taken = 0; taken < 1000; ++taken) {
      const reactor::Instant begin = client.core().now();
      const ErrorCode error = (co_await client.produce(topic, 0, make_batch({value}))).error;
      EXPECT_LT(client.core().now() - begin, 30s);
      if (error == ErrorCode::kKafkaStorageError) co_return taken;
      EXPECT_EQ(error, ErrorCode::kNone);
    }
    ADD_FAILURE() << "it never fills";
    co_return 0;
  }

  static Task<ErrorCode> delete_topic(Client& client, std::string topic) {
    kafka::DeleteTopicsRequest request;
    request.topic_names = {topic};
    const auto answer = co_await client.call(request, 5);
    co_return answer.message.responses.at(0).error_code;
  }

  static Task<ErrorCode> grow(Client& client, std::string topic, int32_t partitions) {
    kafka::CreatePartitionsRequest request;
    request.topics.push_back({.name = topic, .count = partitions, .assignments = std::nullopt});
    const auto answer = co_await client.call(request, 3);
    co_return answer.message.results.at(0).error_code;
  }

  // While it is stopped: no vote file, and of the disk only what the reserve will take.
  void lose_vote_and_room() {
    reactor::simulated::Disk left;
    left.options() = broker_->disk().options();
    for (const std::string& path : broker_->disk().all_files()) {
      if (path == "/data/quorum.vote" || path == "/data/.reserve") continue;
      left.write_file(path, *broker_->disk().read_file(path));
    }
    left.options().capacity_bytes = left.bytes_used() + (uint64_t{1} << 20);
    broker_->disk() = std::move(left);
  }

  static Task<bool> resumes(Client& client, std::string topic) {
    for (int i = 0; i < 50; ++i) {
      if ((co_await client.produce(topic, 0, make_batch({"again"}))).error == ErrorCode::kNone) co_return true;
      co_await client.core().sleep(100ms);
    }
    co_return false;
  }
};

TEST_F(FullDiskTest, RecordsAndNewTopicsAreRefusedAllElseGoesOnAndADeletionBringsServiceBack) {
  start_on_a_small_disk();
  int taken = 0;
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("bulk", 1), ErrorCode::kNone);
    EXPECT_EQ(co_await client.create_topic("other", 3), ErrorCode::kNone);
    taken = co_await fill(client, "bulk");
    EXPECT_GT(taken, 10);
    const reactor::Instant begin = client.core().now();
    for (int32_t index = 0; index < 3; ++index) {
      EXPECT_EQ((co_await client.produce("other", index, make_batch({"x"}))).error, ErrorCode::kKafkaStorageError)
          << "on every core";
    }
    EXPECT_LT(client.core().now() - begin, 1s) << "nobody waits for what does not come";
    EXPECT_EQ(co_await client.create_topic("new", 1), ErrorCode::kKafkaStorageError);
    EXPECT_EQ(co_await grow(client, "other", 4), ErrorCode::kKafkaStorageError);
    EXPECT_EQ((co_await client.fetch("bulk", 0, 0)).error, ErrorCode::kNone);
    EXPECT_EQ((co_await client.list_offset("bulk", 0, -1)).offset, taken);
    EXPECT_EQ(co_await delete_topic(client, "other"), ErrorCode::kNone);
  });
  stop();
  start();
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ((co_await client.list_offset("bulk", 0, -1)).offset, taken);
    (void)co_await fill(client, "bulk");  // what the stop and the other topic's deletion have made free
    EXPECT_EQ(co_await client.create_topic("new", 1), ErrorCode::kKafkaStorageError);
    EXPECT_EQ(co_await delete_topic(client, "bulk"), ErrorCode::kNone);
    for (int i = 0; i < 50 && co_await client.create_topic("new", 1) != ErrorCode::kNone; ++i) {
      co_await client.core().sleep(100ms);
    }
    EXPECT_TRUE(co_await resumes(client, "new"));
  });
  stop();
}

// The first start with a quorum writes some blocks more, and what is free goes to the reserve before.
TEST_F(FullDiskTest, AFolderOfBeforeTheQuorumStartsWithoutRoom) {
  start_on_a_small_disk();
  int taken = 0;
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("bulk", 1), ErrorCode::kNone);
    taken = co_await fill(client, "bulk");
  });
  stop();
  std::string identity(storage::text_of(*broker_->disk().read_file("/data/broker.meta")));
  identity.resize(identity.find("checksum="));
  identity.replace(identity.find("=4"), 2, "=3");
  identity += fmt::format("checksum={:016x}\n", storage::xxh3_64(storage::bytes_of(identity)));
  broker_->disk().write_file("/data/broker.meta", storage::bytes_of(identity));
  for (const char* what : {"an older folder", "no vote"}) {
    lose_vote_and_room();
    start();
    ASSERT_TRUE(ready_) << what << ": " << shared_->failure();
    EXPECT_TRUE(broker_->disk().read_file("/data/quorum.vote").has_value()) << what;
    const storage::Bytes meta = *broker_->disk().read_file("/data/broker.meta");
    EXPECT_TRUE(storage::text_of(meta).starts_with("posthaste-broker-meta=4")) << what;
    run([&](Client& client) -> Task<void> {
      EXPECT_EQ((co_await client.list_offset("bulk", 0, -1)).offset, taken) << what;
    });
    stop();
  }
}

TEST_F(FullDiskTest, RetentionBringsServiceBack) {
  options_.retention_check_interval = 200ms;
  start_on_a_small_disk();
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("old", 1, {{"retention.ms", "3000"}}), ErrorCode::kNone);
    EXPECT_EQ(co_await client.create_topic("kept", 1), ErrorCode::kNone);
    (void)co_await fill(client, "old");
    EXPECT_TRUE(co_await resumes(client, "kept"));
  });
  stop();
}

}  // namespace
}  // namespace posthaste::broker::testing
