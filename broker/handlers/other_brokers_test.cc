// What a client hears of other brokers, from a whole broker whose view of the cluster says that there are some: who
// they are, where the client's listener reaches them, and who leads what.
#include "broker/broker_core.h"
#include "broker/broker_host.h"
#include "broker/partitions/partition_work.h"
#include "broker/testing/simulated_broker.h"
#include "net/kafka/groups.h"
#include "net/kafka/partitions.h"

namespace posthaste::broker::testing {
namespace {

using replication::MetadataRecord;
using replication::PartitionChangeRecord;
using replication::RegisterBrokerRecord;

constexpr int32_t kSelf = 1;
constexpr int32_t kOther = 2;
constexpr int32_t kFenced = 3;
constexpr int32_t kElsewhere = 4;  // has no listener of the client's
constexpr std::string_view kOtherHost = "other.example";
constexpr uint16_t kOtherPort = 9192;

RegisterBrokerRecord broker_record(int32_t id, std::string listener) {
  RegisterBrokerRecord record;
  record.broker_id = id;
  record.broker_epoch = 1'000 + id;
  record.endpoints = {{.name = "INTERNAL", .host = "10.9.9.9", .port = 1},
                      {.name = std::move(listener), .host = std::string(kOtherHost), .port = kOtherPort}};
  record.rack = "rack-" + std::to_string(id);
  record.fenced = id == kFenced;
  return record;
}

class OtherBrokersTest : public BrokerTest {
 protected:
  // In a client's turn: every core's view becomes the present one with these records applied. What the controller
  // decides later knows nothing of it.
  Task<void> publish(Core& client, std::vector<MetadataRecord> records) {
    const int done_before = published_;
    {
      const reactor::RunningAs as(broker_->core(0));
      BrokerCore& zero = shared_->on(0);
      zero.scope().spawn_job(publish_on_zero(zero, std::move(records), published_));
    }
    broker_->wake(0);
    while (published_ == done_before) co_await client.sleep(std::chrono::milliseconds(1));
  }
  static Task<void> publish_on_zero(BrokerCore& zero, std::vector<MetadataRecord> records, int& published) {
    auto view = std::make_unique<ClusterView>(*zero.view());
    for (const MetadataRecord& record : records) EXPECT_TRUE(view->image.apply(record).has_value());
    view->all_changed = true;
    co_await spread_view(zero, kCores, std::move(view));
    ++published;
  }
  // Topic "t": partition 0 is led here, 1 by another broker, 2 by one that the client does not reach, 3 by nobody; of
  // one each other replica is offline.
  Task<void> lead_elsewhere(Client& client) {
    EXPECT_EQ(co_await client.create_topic("t", 4), ErrorCode::kNone);
    std::vector<MetadataRecord> records = {broker_record(kOther, "PLAINTEXT"), broker_record(kFenced, "PLAINTEXT"),
                                           broker_record(kElsewhere, "ELSEWHERE")};
    const kafka::Uuid id = (co_await topic(client)).topic_id;
    const auto led_by = [&](int32_t partition, int32_t leader, std::vector<int32_t> isr) {
      PartitionChangeRecord change;
      change.topic_id = id;
      change.partition_id = partition;
      change.replicas = {kSelf, kOther, kFenced, kElsewhere};
      change.isr = std::move(isr);
      change.leader = leader;
      records.emplace_back(std::move(change));
    };
    led_by(1, kOther, {kSelf, kOther});
    led_by(2, kElsewhere, {kElsewhere});
    led_by(3, -1, {kSelf});
    co_await publish(client.core(), std::move(records));
  }
  static Task<kafka::MetadataResponse::Topic> topic(Client& client) {
    kafka::MetadataRequest request;
    request.topics.emplace().push_back({.name = "t"});
    const auto answer = co_await client.call(request, 12);
    co_return answer.message.topics.at(0);
  }
  void with_other_brokers(std::function<Task<void>(Client&)> test) {
    start();
    run([this, test = std::move(test)](Client& client) -> Task<void> {
      co_await lead_elsewhere(client);
      co_await test(client);
    });
    stop();
  }

 private:
  int published_ = 0;
};

TEST_F(OtherBrokersTest, MetadataNamesThoseWhomTheClientReaches) {
  with_other_brokers([](Client& client) -> Task<void> {
    const auto answer = co_await client.call(kafka::MetadataRequest{.topics = {{}}}, 12);
    const auto& brokers = answer.message.brokers;
    EXPECT_EQ(brokers.size(), 2U) << "a fenced one, and one without that listener, are not named";
    if (brokers.size() != 2) co_return;
    EXPECT_EQ(brokers[0].node_id, kSelf);
    EXPECT_EQ(brokers[0].host, kBrokerIp);
    EXPECT_EQ(brokers[1].node_id, kOther);
    EXPECT_EQ(brokers[1].host, kOtherHost);
    EXPECT_EQ(brokers[1].port, kOtherPort);
    EXPECT_EQ(brokers[1].rack, "rack-2");
  });
}

TEST_F(OtherBrokersTest, MetadataSaysWhoLeadsAndWhoIsOffline) {
  with_other_brokers([](Client& client) -> Task<void> {
    const auto partitions = (co_await topic(client)).partitions;
    const auto expect = [&](size_t index, int32_t leader, ErrorCode error) {
      EXPECT_EQ(partitions.at(index).leader_id, leader) << index;
      EXPECT_EQ(partitions.at(index).error_code, error) << index;
    };
    expect(0, kSelf, ErrorCode::kNone);
    expect(1, kOther, ErrorCode::kNone);
    expect(2, -1, ErrorCode::kListenerNotFound);
    expect(3, -1, ErrorCode::kLeaderNotAvailable);
    EXPECT_EQ(partitions.at(0).offline_replicas, std::vector<int32_t>());
    EXPECT_EQ(partitions.at(1).offline_replicas, (std::vector<int32_t>{kFenced, kElsewhere}));
  });
}

TEST_F(OtherBrokersTest, DescribeTopicPartitionsSaysTheSame) {
  with_other_brokers([](Client& client) -> Task<void> {
    kafka::DescribeTopicPartitionsRequest request;
    request.topics.push_back({.name = "t"});
    const auto answer = co_await client.call(request, 0);
    const auto& partitions = answer.message.topics.at(0).partitions;
    EXPECT_EQ(partitions.at(1).leader_id, kOther);
    EXPECT_EQ(partitions.at(2).error_code, ErrorCode::kListenerNotFound);
    EXPECT_EQ(partitions.at(3).error_code, ErrorCode::kLeaderNotAvailable);
    EXPECT_EQ(partitions.at(3).offline_replicas, (std::vector<int32_t>{kFenced, kElsewhere}));
  });
}

TEST_F(OtherBrokersTest, DescribeClusterNamesFencedOnesWhenAsked) {
  with_other_brokers([](Client& client) -> Task<void> {
    const auto some = co_await client.call(kafka::DescribeClusterRequest{}, 2);
    EXPECT_EQ(some.message.brokers.size(), 2U);
    const auto all = co_await client.call(kafka::DescribeClusterRequest{.include_fenced_brokers = true}, 2);
    EXPECT_EQ(all.message.brokers.size(), 3U);
    if (all.message.brokers.size() != 3) co_return;
    EXPECT_EQ(all.message.brokers[2].broker_id, kFenced);
    EXPECT_TRUE(all.message.brokers[2].is_fenced);
  });
}

// KIP-951: one short retry, without a round of Metadata.
TEST_F(OtherBrokersTest, ProduceSaysWhereTheLeaderIs) {
  with_other_brokers([](Client& client) -> Task<void> {
    const storage::Bytes batch = make_batch({"a"});
    kafka::ProduceRequest request{.acks = -1, .timeout_ms = 1'000};
    request.topic_data.push_back({.name = "t"});
    for (const int32_t index : {0, 1, 2}) {
      request.topic_data[0].partition_data.push_back({.index = index, .records = {.whole = batch}});
    }
    const auto answer = co_await client.call(request, 10);
    const auto& partitions = answer.message.responses.at(0).partition_responses;
    EXPECT_EQ(partitions.at(0).error_code, ErrorCode::kNone);
    EXPECT_EQ(partitions.at(0).current_leader.leader_id, -1);
    EXPECT_EQ(partitions.at(1).error_code, ErrorCode::kNotLeaderOrFollower);
    EXPECT_EQ(partitions.at(1).current_leader.leader_id, kOther);
    EXPECT_EQ(partitions.at(1).current_leader.leader_epoch, 1);
    EXPECT_EQ(partitions.at(2).current_leader.leader_id, kElsewhere);
    EXPECT_EQ(answer.message.node_endpoints.size(), 1U) << "what the client does not reach has no address";
    if (answer.message.node_endpoints.size() != 1) co_return;
    EXPECT_EQ(answer.message.node_endpoints[0].node_id, kOther);
    EXPECT_EQ(answer.message.node_endpoints[0].host, kOtherHost);
    EXPECT_EQ(answer.message.node_endpoints[0].port, kOtherPort);
  });
}

TEST_F(OtherBrokersTest, FetchSaysWhereTheLeaderIs) {
  with_other_brokers([](Client& client) -> Task<void> {
    auto request = Client::fetch_request("t", 1, 0, 10'000);
    request.topics[0].topic_id = (co_await topic(client)).topic_id;
    request.topics[0].partitions.push_back({.partition = 2, .fetch_offset = 0, .partition_max_bytes = 1});
    const reactor::Instant asked_at = client.core().now();
    const auto answer = co_await client.call(request, 16);
    EXPECT_LT(client.core().now() - asked_at, std::chrono::seconds(1)) << "it does not wait for records";
    const auto& refused = answer.message.responses.at(0).partitions.at(0);
    EXPECT_EQ(refused.error_code, ErrorCode::kNotLeaderOrFollower);
    EXPECT_EQ(refused.current_leader.leader_id, kOther);
    EXPECT_EQ(refused.current_leader.leader_epoch, 1);
    EXPECT_EQ(answer.message.node_endpoints.size(), 1U);
    if (answer.message.node_endpoints.size() == 1) EXPECT_EQ(answer.message.node_endpoints[0].host, kOtherHost);
  });
}

// A long poll of a partition that is led elsewhere from now on.
TEST_F(OtherBrokersTest, WhoWaitsIsToldTheNewLeader) {
  start();
  run([this](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 4), ErrorCode::kNone);
    const kafka::Uuid id = (co_await topic(client)).topic_id;
    Client reader(client.core());
    co_await reader.connect();
    reactor::TaskScope scope(client.core());
    const auto poll = [](Client& by, kafka::Uuid of) -> Task<void> {
      auto request = Client::fetch_request("t", 1, 0, 20'000);
      request.topics[0].topic_id = of;
      const auto answer = co_await by.call(request, 16);
      const auto& refused = answer.message.responses.at(0).partitions.at(0);
      EXPECT_EQ(refused.error_code, ErrorCode::kNotLeaderOrFollower);
      EXPECT_EQ(refused.current_leader.leader_id, kOther);
      EXPECT_EQ(answer.message.node_endpoints.size(), 1U);
    };
    scope.spawn(poll(reader, id));
    co_await client.core().sleep(std::chrono::seconds(1));
    PartitionChangeRecord change;
    change.topic_id = id;
    change.partition_id = 1;
    change.replicas = change.isr = {kSelf, kOther};
    change.leader = kOther;
    const reactor::Instant moved_at = client.core().now();
    co_await publish(client.core(), {broker_record(kOther, "PLAINTEXT"), change});
    co_await scope.join();
    EXPECT_LT(client.core().now() - moved_at, std::chrono::seconds(1));
    co_await reader.close();
  });
  stop();
}

TEST_F(OtherBrokersTest, FindCoordinatorNamesTheBrokerThatLeadsTheGroupsPartition) {
  options_.offsets_topic_partitions = 1;
  start();
  run([this](Client& client) -> Task<void> {
    kafka::FindCoordinatorRequest request;
    request.coordinator_keys = {"g"};
    EXPECT_EQ((co_await client.call(request, 4)).message.coordinators.at(0).node_id, kSelf);
    kafka::MetadataRequest offsets;
    offsets.topics.emplace().push_back({.name = "__consumer_offsets"});
    PartitionChangeRecord change;
    change.topic_id = (co_await client.call(offsets, 12)).message.topics.at(0).topic_id;
    change.partition_id = 0;
    change.replicas = change.isr = {kSelf, kOther};
    change.leader = kOther;
    co_await publish(client.core(), {broker_record(kOther, "PLAINTEXT"), change});
    const auto answer = co_await client.call(request, 4);
    const auto& moved = answer.message.coordinators.at(0);
    EXPECT_EQ(moved.error_code, ErrorCode::kNone);
    EXPECT_EQ(moved.node_id, kOther);
    EXPECT_EQ(moved.host, kOtherHost);
    change.leader = -1;
    co_await publish(client.core(), {change});
    const auto none = co_await client.call(request, 4);
    EXPECT_EQ(none.message.coordinators.at(0).error_code, ErrorCode::kCoordinatorNotAvailable);
    EXPECT_EQ(none.message.coordinators.at(0).node_id, -1);
  });
  stop();
}

}  // namespace
}  // namespace posthaste::broker::testing
