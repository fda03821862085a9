// Snapshots of the metadata in a whole broker: made beside the changes, known to the folder, found at the next start.
// What a crash or damage does to them is in metadata_log_test.cc.
#include "replication/metadata/metadata_snapshots.h"

#include <gtest/gtest.h>

#include "broker/testing/simulated_broker.h"
#include "net/kafka/configs.h"

namespace posthaste::broker::testing {
namespace {

TEST_F(BrokerTest, SnapshotsOfTheMetadataAreMadeAndFoundAgain) {
  const auto snapshots = [this] {
    return std::ranges::count_if(broker_->disk().all_files(),
                                 [](const std::string& path) { return path.contains("/metadata-snapshots/"); });
  };
  std::string replicas;
  for (int i = 0; i < 4000; ++i) replicas += fmt::format("{}:1,", i);
  start();
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 3), ErrorCode::kNone);
    for (int i = 0; i < 130; ++i) {
      const std::string value = fmt::format("{}{}:2", replicas, i);
      kafka::AlterConfigsRequest alter;
      alter.resources.push_back({.resource_type = kafka::ConfigResourceType::kTopic, .resource_name = "t"});
      alter.resources[0].configs.push_back({.name = "leader.replication.throttled.replicas", .value = value});
      EXPECT_EQ((co_await client.call(alter, 2)).message.responses.at(0).error_code, ErrorCode::kNone);
    }
  });
  stop();
  EXPECT_EQ(snapshots(), 2);
  for (const std::string& line : world_.log_lines()) EXPECT_FALSE(line.contains("metadata_snapshot")) << line;
  start();
  ASSERT_TRUE(ready_) << shared_->failure();
  EXPECT_EQ(report_.notes, std::vector<std::string>()) << "all that is there is the broker's";
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ((co_await client.produce("t", 2, make_batch({"x"}))).error, ErrorCode::kNone);
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
