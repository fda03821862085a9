// A broker's life as a whole: first start, restart, crash, refusals, orderly stop.
#include "broker/server.h"

#include <map>

#include "broker/node_identity.h"
#include "broker/testing/simulated_broker.h"
#include "net/kafka/configs.h"
#include "net/kafka/partitions.h"
#include "net/kafka/producer_ids.h"
#include "reactor/file.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using reactor::simulated::HostState;
class ServerTest : public BrokerTest {
 protected:
  // Of the whole log.
  std::vector<std::string> lines_with(std::string_view text) const {
    std::vector<std::string> lines;
    for (const std::string& line : world_.log_lines()) {
      if (line.contains(text)) lines.push_back(line);
    }
    return lines;
  }
};

TEST_F(ServerTest, TheFirstStartMakesAnIdentityThatStays) {
  start();
  ASSERT_TRUE(ready_) << shared_->failure();
  EXPECT_TRUE(report_.created);
  const std::string cluster = report_.cluster_id;
  EXPECT_EQ(cluster.size(), 22U);
  EXPECT_EQ(report_.node_id, 1);
  stop();
  EXPECT_TRUE(shared_->failure().empty());
  start();
  ASSERT_TRUE(ready_) << shared_->failure();
  EXPECT_FALSE(report_.created);
  EXPECT_EQ(report_.cluster_id, cluster);
}

TEST_F(ServerTest, AnotherNodeIdIsRefused) {
  start();
  stop();
  options_.node_id = 5;
  start();
  EXPECT_FALSE(ready_);
  EXPECT_NE(shared_->failure().find("belongs to node 1"), std::string::npos) << shared_->failure();
}

TEST_F(ServerTest, ANewerFormatIsRefusedAndUntouched) {
  start();
  stop();
  const auto before = broker_->disk().read_file("/data/broker.meta");
  ASSERT_TRUE(before);
  std::string text(reinterpret_cast<const char*>(before->data()), before->size());
  text.replace(text.find("=4"), 2, "=9");
  auto write = [&](Core& core) -> Task<void> {
    auto file = co_await reactor::File::open(core, "/data/broker.meta", reactor::kOpenWrite);
    EXPECT_TRUE((co_await file->write(0, storage::bytes_of(text), 0, reactor::IoClass::kFileSystem)).has_value());
    EXPECT_TRUE((co_await file->close()).has_value());
  };
  broker_->set_program(write);
  broker_->start();
  ASSERT_TRUE(world_.run_until([&] { return !broker_->running(); }, 10s));
  start();
  EXPECT_FALSE(ready_);
  EXPECT_NE(shared_->failure().find("newer format"), std::string::npos) << shared_->failure();
  const auto after = broker_->disk().read_file("/data/broker.meta");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(after->data()), after->size()), text);
}

// Without it the broker would take a new cluster id, and answer for a node that its clients do not know.
TEST_F(ServerTest, AMissingIdentityIsRefusedWithTheCommandThatWritesItAgain) {
  options_.node_id = 5;
  start();
  stop();
  const std::string cluster = report_.cluster_id;
  const auto before = broker_->disk().read_file("/data/broker.meta");
  ASSERT_TRUE(before);
  lose_files([](const std::string& path) { return path == "/data/broker.meta"; });
  options_.node_id.reset();
  start();
  EXPECT_FALSE(ready_);
  const std::string& why = shared_->failure();
  EXPECT_NE(why.find("broker.meta is missing"), std::string::npos) << why;
  EXPECT_NE(why.find(fmt::format("cluster.id={} node.id=5 ", cluster)), std::string::npos) << why;
  const size_t begin = why.find("printf '") + 8;
  ASSERT_NE(begin, std::string::npos + 8) << why;
  std::string text = why.substr(begin, why.find('\'', begin) - begin);
  for (size_t at = 0; (at = text.find("\\n", at)) != std::string::npos;) text.replace(at, 2, "\n");
  EXPECT_EQ(text, storage::text_of(*before));
  broker_->disk().write_file("/data/broker.meta", storage::bytes_of(text));
  start();
  EXPECT_TRUE(ready_) << shared_->failure();
  EXPECT_EQ(report_.cluster_id, cluster);
}

TEST_F(ServerTest, AFolderThatHasLostItsStoreIsNotANewOne) {
  start();
  run([&](Client& client) -> Task<void> { EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone); });
  broker_->kill();
  lose_files([](const std::string& path) {
    return path.starts_with("/data/journal") || path.starts_with("/data/table") || path.contains("-0/");
  });
  start();
  EXPECT_FALSE(ready_);
  EXPECT_NE(shared_->failure().find("table-0.snap and /data/table-1.snap are missing"), std::string::npos)
      << shared_->failure();
}

TEST_F(ServerTest, TablesOfAnotherBrokerAreRefused) {
  start();
  stop();
  const auto theirs = broker_->disk().read_file("/data/broker.meta");
  auto identity = decode_identity(storage::text_of(*theirs));
  ASSERT_TRUE(identity.has_value());
  identity->cluster_id = "IQYwWZj_T1yggjYdmfypkA";
  broker_->disk().write_file("/data/broker.meta", storage::bytes_of(encode_identity(*identity)));
  start();
  EXPECT_FALSE(ready_);
  EXPECT_NE(shared_->failure().find("from another folder"), std::string::npos) << shared_->failure();
}

TEST_F(ServerTest, AnAddressInUseIsNamed) {
  options_.listeners.push_back({.name = "SECOND", .host = kBrokerIp, .port = kBrokerPort});
  start();
  EXPECT_FALSE(ready_);
  EXPECT_NE(shared_->failure().find("10.0.0.1:9092 is in use"), std::string::npos) << shared_->failure();
  EXPECT_EQ(broker_->state(), HostState::kStopped) << "all cores end when the start fails";
}

// The disk takes two seconds for a commit: some records lie in memory, the others wait for room there. A stop does not
// wait for what was not accepted.
TEST_F(ServerTest, AStopServesWhatWasAcceptedAndRefusesWhatHasNoRoom) {
  constexpr size_t kProduces = 40;
  options_.connection.request_memory_bytes = uint64_t{64} << 20;
  options_.engine.journal_file_bytes = uint64_t{4} << 20;
  options_.engine.commit_bytes_max = uint32_t{2} << 20;
  start(1);
  std::map<ErrorCode, int> answers;
  reactor::Duration longest_refusal{};
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    world_.options().disk_write_durable = {2s, 2s};
    world_.options().disk_slow_per_million = 0;
    reactor::Instant stopped;
    auto produce = [&]() -> Task<void> {
      Client one(client.core());
      co_await one.connect();
      const ErrorCode error = (co_await one.produce("t", 0, make_batch({std::string(200'000, 'v')}))).error;
      ++answers[error];
      if (error != ErrorCode::kNone) longest_refusal = std::max(longest_refusal, client.core().now() - stopped);
      co_await one.close();
    };
    reactor::TaskScope scope(client.core());
    for (size_t i = 0; i < kProduces; ++i) scope.spawn(produce());
    co_await client.core().sleep(1s);
    stopped = client.core().now();
    broker_->stop();
    co_await scope.join();
  });
  EXPECT_TRUE(world_.run_until([this] { return !broker_->running(); }, 300s)) << world_.log_tail();
  EXPECT_EQ(answers.size(), 2U);
  EXPECT_GE(answers[ErrorCode::kNone], 10);
  EXPECT_GE(answers[ErrorCode::kNotLeaderOrFollower], 10);
  EXPECT_LT(longest_refusal, 1s);
}

// Topics, records and producer ids over a kill, a power loss and an orderly stop; leader epochs rise every time.
TEST_F(ServerTest, WhatWasAckedSurvivesEveryEnd) {
  start();
  int64_t last_id = -1;
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 5), ErrorCode::kNone);
    last_id = (co_await client.call(kafka::InitProducerIdRequest{}, 4)).message.producer_id;
  });
  constexpr int kLives = 6;
  for (int life = 0; life < kLives; ++life) {
    run([&](Client& client) -> Task<void> {
      for (int32_t partition = 0; partition < 5; ++partition) {
        const Produced produced = co_await client.produce("t", partition, make_batch({fmt::format("life {}", life)}));
        EXPECT_EQ(produced.error, ErrorCode::kNone);
        EXPECT_EQ(produced.base_offset, life);
        const Fetched all = co_await client.fetch("t", partition, 0);
        EXPECT_EQ(all.values.size(), static_cast<size_t>(life) + 1);
        EXPECT_EQ(all.values.front(), "life 0");
      }
      const auto metadata = co_await client.call(kafka::MetadataRequest{}, 9);
      EXPECT_EQ(metadata.message.topics.at(0).partitions.at(0).leader_epoch, life);
      const int64_t id = (co_await client.call(kafka::InitProducerIdRequest{}, 4)).message.producer_id;
      EXPECT_GT(id, last_id) << "an id was given out twice";
      last_id = id;
    });
    if (life % 3 == 0) {
      broker_->kill();
    } else if (life % 3 == 1) {
      broker_->power_off();
    } else {
      stop();
    }
    start(static_cast<reactor::CoreId>(1 + life % 4));
    ASSERT_TRUE(ready_) << shared_->failure();
  }
}

TEST_F(ServerTest, PowerLossInTheMiddleOfStartingIsNoHarm) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 3), ErrorCode::kNone);
    (void)co_await client.produce("t", 2, make_batch({"kept"}));
  });
  for (uint64_t operations = 1; operations < 120; operations += 7) {
    broker_->power_off();
    broker_->crash_after_operations(operations);
    start();
    if (broker_->running()) broker_->power_off();
    broker_->crash_after_operations(0);
    start();
    ASSERT_TRUE(ready_) << operations << ": " << shared_->failure();
    run([&](Client& client) -> Task<void> {
      EXPECT_EQ((co_await client.fetch("t", 2, 0)).values, (std::vector<std::string>{"kept"})) << operations;
    });
  }
}

// Creating, growing and configuring a topic while the power goes at any operation: afterwards each change is there
// whole or not at all, what was answered is there, and a repetition brings the topic to its wanted form.
TEST_F(ServerTest, AChangeOfATopicIsWholeWhereverThePowerGoes) {
  constexpr int32_t kCreated = 40;
  constexpr int32_t kGrown = 60;
  start();
  int whole = 0;
  for (uint64_t operations = 1; operations < 60; operations += 4) {
    const std::string topic = fmt::format("t{}", operations);
    bool created = false;
    bool grown = false;
    broker_->crash_after_operations(broker_->operations_submitted() + operations);
    auto change = [&](Core& core) -> Task<void> {
      net::ClientConnection connection(core, "admin");
      (void)co_await connection.connect(kBrokerAddress);  // the power may have gone already: calls fail then
      kafka::CreateTopicsRequest create;
      create.topics.push_back({.name = topic, .num_partitions = kCreated, .replication_factor = 1});
      create.topics[0].configs.push_back({.name = "retention.bytes", .value = "77"});
      const auto made = co_await connection.call(create, 7);
      created = made && made->message.topics.at(0).error_code == ErrorCode::kNone;
      kafka::CreatePartitionsRequest grow;
      grow.topics.push_back({.name = topic, .count = kGrown, .assignments = std::nullopt});
      const auto more = co_await connection.call(grow, 3);
      grown = more && more->message.results.at(0).error_code == ErrorCode::kNone;
      co_await connection.close();
    };
    auto& admin = world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{1} << 20},
                                  fmt::format("10.0.2.{}", operations), change);
    admin.start();
    world_.run_until([&] { return !admin.running() || !broker_->running(); }, 60s);
    if (admin.running()) admin.kill();
    if (broker_->running()) broker_->power_off();
    broker_->crash_after_operations(0);
    start();
    ASSERT_TRUE(ready_) << operations << ": " << shared_->failure();
    run([&](Client& client) -> Task<void> {
      kafka::MetadataRequest request;
      request.topics.emplace().push_back({.name = topic});
      request.allow_auto_topic_creation = false;
      const auto answer = co_await client.call(request, 9);
      const size_t partitions = answer.message.topics.at(0).partitions.size();
      EXPECT_TRUE(partitions == 0 || partitions == kCreated || partitions == kGrown) << partitions;
      if (created) EXPECT_GE(partitions, static_cast<size_t>(kCreated)) << operations;
      if (grown) EXPECT_EQ(partitions, static_cast<size_t>(kGrown)) << operations;
      const ErrorCode again = co_await client.create_topic(topic, kCreated, {{"retention.bytes", "77"}});
      EXPECT_EQ(again, partitions == 0 ? ErrorCode::kNone : ErrorCode::kTopicAlreadyExists);
      for (int32_t index = 0; index < std::max<int32_t>(static_cast<int32_t>(partitions), kCreated); ++index) {
        EXPECT_EQ((co_await client.produce(topic, index, make_batch({"x"}))).error, ErrorCode::kNone) << index;
      }
      whole += partitions == kGrown ? 1 : 0;
    });
  }
  EXPECT_GT(whole, 0);
}

// A start that SIGKILL ends leaves names and bytes in the page cache. The next start relies on them: it must make them
// durable, for the power may fail later.
TEST_F(ServerTest, AFirstStartThatIsKilledLeavesNothingBehindThatAPowerLossTakes) {
  const reactor::simulated::CrashPolicy only_durable{.in_flight = reactor::simulated::Fate::kLost,
                                                     .completed = reactor::simulated::Fate::kLost,
                                                     .names = reactor::simulated::Fate::kLost};
  start();
  broker_->kill();
  for (uint64_t killed_at = 1; killed_at < 60; ++killed_at) {
    broker_->disk() = reactor::simulated::Disk();
    broker_->on_submit([&](const reactor::Op&, uint64_t index) {
      if (index == killed_at) broker_->kill();
    });
    start();
    broker_->on_submit({});
    if (broker_->running()) broker_->kill();
    start();
    ASSERT_TRUE(ready_) << killed_at << ": " << shared_->failure();
    const std::string cluster = report_.cluster_id;
    run([](Client& client) -> Task<void> {
      EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
      EXPECT_EQ((co_await client.produce("t", 0, make_batch({"kept"}))).error, ErrorCode::kNone);
    });
    broker_->power_off(only_durable);
    start();
    ASSERT_TRUE(ready_) << killed_at << ": " << shared_->failure();
    EXPECT_EQ(report_.cluster_id, cluster) << killed_at;
    run([&](Client& client) -> Task<void> {
      EXPECT_EQ((co_await client.fetch("t", 0, 0)).values, (std::vector<std::string>{"kept"})) << killed_at;
    });
    broker_->kill();
  }
}

TEST_F(ServerTest, TheLogSaysWhatWasMadeChangedAndDeletedAndByWhom) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("seen", 2), ErrorCode::kNone);
    EXPECT_NE(co_await client.create_topic("seen", 2), ErrorCode::kNone);
    kafka::CreatePartitionsRequest grow;
    grow.topics.push_back({.name = "seen", .count = 3, .assignments = std::nullopt});
    EXPECT_EQ((co_await client.call(grow, 3)).message.results.at(0).error_code, ErrorCode::kNone);
    kafka::AlterConfigsRequest alter;
    alter.resources.push_back({.resource_type = kafka::ConfigResourceType::kTopic, .resource_name = "seen"});
    alter.resources[0].configs.push_back({.name = "retention.ms", .value = "6000"});
    EXPECT_EQ((co_await client.call(alter, 2)).message.responses.at(0).error_code, ErrorCode::kNone);
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ((co_await client.produce("seen", 2, make_batch({"x"}))).error, ErrorCode::kNone);
    }
    kafka::DeleteTopicsRequest remove;
    remove.topic_names = {"seen"};
    EXPECT_EQ((co_await client.call(remove, 5)).message.responses.at(0).error_code, ErrorCode::kNone);
  });
  stop();
  const auto seen = lines_with("topic=seen ");
  ASSERT_EQ(seen.size(), 4U) << fmt::format("{}", fmt::join(seen, "\n"));
  EXPECT_TRUE(seen[0].contains("topic.created topic=seen partitions=2 client=")) << seen[0];
  EXPECT_TRUE(seen[1].contains("topic.partitions_added topic=seen partitions=3 client=")) << seen[1];
  EXPECT_TRUE(seen[2].contains("topic.config_changed topic=seen retention.ms=") && seen[2].contains("6000")) << seen[2];
  EXPECT_TRUE(seen[3].contains("topic.deleted topic=seen client=")) << seen[3];
  for (const std::string& line : seen) {
    EXPECT_TRUE(line.contains("test") && line.contains("principal=User:ANONYMOUS address=10.0.")) << line;
  }
}

TEST_F(ServerTest, OldSegmentsGoByThemselves) {
  options_.retention_check_interval = 5s;
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1, {{"retention.ms", "10000"}, {"segment.ms", "3000"}}),
              ErrorCode::kNone);
    for (int i = 0; i < 3; ++i) {
      (void)co_await client.produce("t", 0, make_batch({"old"}, {}, 1'000));
      co_await client.core().sleep(10s);
    }
    co_await client.core().sleep(30s);
    EXPECT_GT((co_await client.list_offset("t", 0, -2)).offset, 0);
    EXPECT_EQ((co_await client.list_offset("t", 0, -1)).offset, 3);
    EXPECT_EQ((co_await client.fetch("t", 0, 0)).error, ErrorCode::kOffsetOutOfRange);
  });
  stop();
  const auto removed = lines_with(" retention.removed ");
  EXPECT_FALSE(removed.empty());
  EXPECT_LE(removed.size(), 3U) << "one a partition and round, and only if something went";
  EXPECT_TRUE(removed.at(0).contains("partition=t-0 segments=1 bytes=")) << removed.at(0);
  EXPECT_TRUE(removed.at(0).contains(" log_start=1 reason=retention.ms")) << removed.at(0);
}

// Legal in Kafka, and once taken into the metadata log without ever getting partitions.
TEST_F(ServerTest, TopicNamesThatBeginWithADotAreServedAlsoAfterARestart) {
  const std::vector<std::string> names = {".hidden", "...", ".17.deleted", "journal", "plain-0", "table-0.snap"};
  start();
  run([&](Client& client) -> Task<void> {
    for (const std::string& name : names) {
      EXPECT_EQ(co_await client.create_topic(name, 2), ErrorCode::kNone) << name;
      EXPECT_EQ((co_await client.produce(name, 1, make_batch({name}))).error, ErrorCode::kNone) << name;
    }
  });
  broker_->kill();
  for (int life = 0; life < 2; ++life) {
    start();
    ASSERT_TRUE(ready_) << shared_->failure();
    EXPECT_EQ(report_.notes, std::vector<std::string>()) << "all that is there is the broker's";
    run([&](Client& client) -> Task<void> {
      for (const std::string& name : names) {
        EXPECT_EQ((co_await client.fetch(name, 1, 0)).values, std::vector<std::string>{name});
      }
    });
    stop();
  }
}

TEST_F(ServerTest, AFolderOfSomebodyElseIsRefusedUntouched) {
  broker_ = &world_.add_host({.cores = kCores, .pool_bytes_per_core = size_t{32} << 20}, kBrokerIp, {});
  const storage::Bytes some(100, std::byte{1});
  broker_->disk().write_file("/data/meta.properties", some);
  broker_->disk().write_file("/data/__cluster_metadata-0/00000000000000000000.log", some);
  broker_->disk().write_file("/data/orders-0/00000000000000000000.log", some);
  const auto before = broker_->disk().all_files();
  start();
  EXPECT_FALSE(ready_);
  EXPECT_NE(shared_->failure().find("of an Apache Kafka broker"), std::string::npos) << shared_->failure();
  EXPECT_NE(shared_->failure().find("'orders-0'"), std::string::npos) << shared_->failure();
  EXPECT_EQ(broker_->disk().all_files(), before);
}

TEST_F(ServerTest, AnEmptyFolderMayHoldHiddenFilesAndLostAndFound) {
  broker_ = &world_.add_host({.cores = kCores, .pool_bytes_per_core = size_t{32} << 20}, kBrokerIp, {});
  const storage::Bytes some(100, std::byte{1});
  broker_->disk().write_file("/data/.keep", some);
  broker_->disk().write_file("/data/lost+found/1234", some);
  start();
  ASSERT_TRUE(ready_) << shared_->failure();
  EXPECT_TRUE(broker_->disk().read_file("/data/.keep").has_value());
  EXPECT_TRUE(broker_->disk().read_file("/data/lost+found/1234").has_value());
}

TEST_F(ServerTest, WhatIsNotTheBrokersIsNamedOnceAndLeftAlone) {
  start();
  run([](Client& client) -> Task<void> { EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone); });
  stop();
  const storage::Bytes some(100, std::byte{1});
  const std::vector<std::string> foreign = {"/data/notes.txt", "/data/.backup.deleted/a", "/data/old-3/b",
                                            "/data/.x-0.orphan-2/c"};
  for (const std::string& path : foreign) broker_->disk().write_file(path, some);
  for (int life = 0; life < 2; ++life) {
    start();
    ASSERT_TRUE(ready_) << shared_->failure();
    ASSERT_EQ(report_.notes.size(), 1U);
    for (const char* name : {"'notes.txt'", "'.backup.deleted'", "'old-3'", "'.x-0.orphan-2'", "left alone"}) {
      EXPECT_NE(report_.notes[0].find(name), std::string::npos) << report_.notes[0];
    }
    stop();
  }
  for (const std::string& path : foreign) EXPECT_TRUE(broker_->disk().read_file(path).has_value()) << path;
}

// Here a folder that stood under its name before; it could be anything.
TEST_F(ServerTest, ATopicWhosePartitionsCannotBeMadeHoldsUpNothingElse) {
  start();
  stop();
  const std::string foreign = "/data/bad-1/00000000000000000000.log";
  broker_->disk().write_file(foreign, storage::Bytes(100, std::byte{1}));
  start();
  run([](Client& client) -> Task<void> {
    kafka::CreateTopicsRequest request;
    for (const char* name : {"bad", "good"}) {
      request.topics.push_back({.name = name, .num_partitions = 3, .replication_factor = -1});
    }
    const auto answer = co_await client.call(request, 7);
    EXPECT_EQ(answer.message.topics.at(0).error_code, ErrorCode::kKafkaStorageError);
    EXPECT_EQ(answer.message.topics.at(1).error_code, ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("good", 1, make_batch({"kept"}))).error, ErrorCode::kNone);
  });
  stop();
  for (int life = 0; life < 2; ++life) {
    start();
    ASSERT_TRUE(ready_) << shared_->failure();
    run([&](Client& client) -> Task<void> {
      EXPECT_EQ((co_await client.fetch("good", 1, 0)).values, std::vector<std::string>{"kept"});
      EXPECT_EQ((co_await client.fetch("bad", 1, 0)).error, ErrorCode::kLeaderNotAvailable);
      EXPECT_EQ((co_await client.fetch("bad", 2, 0)).error, ErrorCode::kNone) << "its other partitions are there";
      EXPECT_EQ(co_await client.create_topic(fmt::format("more{}", life), 1), ErrorCode::kNone);
    });
    stop();
  }
  EXPECT_EQ(broker_->disk().read_file(foreign)->size(), 100U);
}

}  // namespace
}  // namespace posthaste::broker::testing
