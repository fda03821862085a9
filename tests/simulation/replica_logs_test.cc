// The oracle's look into a broker: what it reads is what the broker has told its clients, and a judge names what must
// not be.
#include "tests/simulation/replica_logs.h"

#include <gtest/gtest.h>

namespace posthaste::simulation {
namespace {

using reactor::simulated::World;
using reactor::simulated::WorldOptions;
using namespace std::chrono_literals;

// The end of the log of this partition, of what was read.
int64_t committed_end(const ReplicaLogs& logs, const PartitionName& partition) {
  for (const ReplicaLog& log : logs.logs) {
    if (log.topic == partition.topic && log.partition == partition.index) return log.state.high_watermark;
  }
  return -1;
}

TEST(ReplicaLogs, HoldAllThatClientsWereToldOfEachBroker) {
  World world(1, WorldOptions{});
  BrokerWithClients one(world, 0);
  BrokerWithClients two(world, 1);
  EXPECT_EQ(read_replica_logs(world, one, 1s), nullptr) << "it does not serve";
  for (BrokerWithClients* broker : {&one, &two}) {
    broker->start();
    broker->start_clients();
  }
  world.run_for(5s);
  for (BrokerWithClients* broker : {&one, &two}) {
    std::map<PartitionName, int64_t> known;
    Oracle& oracle = broker->models().oracle;
    for (const PartitionName& partition : oracle.partitions()) known[partition] = oracle.known_end(partition);
    ASSERT_FALSE(known.empty());
    const auto logs = read_replica_logs(world, *broker, 1s);
    ASSERT_NE(logs, nullptr) << world.log_tail();
    EXPECT_EQ(logs->unreadable, std::nullopt);
    for (const auto& [partition, end] : known) EXPECT_GE(committed_end(*logs, partition), end);
    size_t batches = 0;
    for (const ReplicaLog& log : logs->logs) batches += log.records.size();
    EXPECT_GT(batches, known.size());
    LogJudge judge;
    judge.judge(*logs);
    EXPECT_EQ(judge.violated(), std::nullopt) << *judge.violated();
  }
  one.host().pause_machine(10s);
  EXPECT_EQ(read_replica_logs(world, one, 1s), nullptr) << "a paused one does not answer";
}

ReplicaLogs logs_of(std::vector<rig::ReplicaRecord> records, int64_t high_watermark) {
  ReplicaLog log{.topic = "orders", .uid = 7};
  const int64_t end = records.empty() ? 0 : records.back().offset + 1;
  log.state = {.leader_epoch = 1, .leads = true, .durable = end, .end = end, .high_watermark = high_watermark};
  log.records = std::move(records);
  ReplicaLogs logs;
  logs.logs.push_back(std::move(log));
  return logs;
}

std::string judged(const ReplicaLogs& before, const ReplicaLogs& now) {
  LogJudge judge;
  judge.judge(before);
  EXPECT_EQ(judge.violated(), std::nullopt);
  judge.judge(now);
  return judge.violated().value_or("");
}

TEST(LogJudge, NamesWhatIsShorterOtherOrGone) {
  const ReplicaLogs before = logs_of({{0, 1, 11}, {1, 1, 12}}, 2);
  EXPECT_EQ(judged(before, before), "");
  EXPECT_NE(judged(before, logs_of({{0, 1, 11}}, 1)).find("log of orders-0"), std::string::npos);
  EXPECT_NE(judged(before, logs_of({{0, 1, 11}, {1, 1, 13}}, 2)).find("log of orders-0"), std::string::npos);
  EXPECT_NE(judged(before, {}).find("is gone, which had 2 committed"), std::string::npos);
  ReplicaLogs unreadable = before;
  unreadable.unreadable = "why";
  EXPECT_EQ(judged(before, unreadable), "why");
}

TEST(LogJudge, AtTheEndNothingIsLeftUncommitted) {
  const ReplicaLogs tail = logs_of({{0, 1, 11}, {1, 1, 12}}, 1);
  LogJudge judge;
  judge.judge(tail);
  EXPECT_EQ(judge.violated(), std::nullopt);
  judge.judge_at_end(tail);
  EXPECT_TRUE(judge.violated().has_value());
}

}  // namespace
}  // namespace posthaste::simulation
