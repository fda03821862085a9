// Pitfalls of what clients know of the cluster: Metadata, topic ids, leader epochs, topics that come and go. Numbers
// are those of docs/testing.md.
#include <memory>

#include "broker/testing/raw_connection.h"
#include "net/kafka/groups.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using kafka::MetadataRequest;
using kafka::Uuid;
using net::kafka::Uuid;

class MetadataPitfalls : public BrokerTest {};

MetadataRequest none() {
  MetadataRequest request;
  request.topics.emplace();
  return request;
}

MetadataRequest by_id(const Uuid& id) {
  MetadataRequest request;
  request.topics.emplace().push_back({.topic_id = id, .name = std::nullopt});
  return request;
}

Task<Uuid> id_of(Client& client, std::string name) {
  MetadataRequest request;
  request.topics.emplace().push_back({.name = name});
  const auto answer = co_await client.call(request, 12);
  co_return answer.message.topics.at(0).topic_id;
}

Task<ErrorCode> delete_topic(Client& client, std::string name) {
  kafka::DeleteTopicsRequest request;
  request.topic_names = {name};
  co_return (co_await client.call(request, 5)).message.responses.at(0).error_code;
}

TEST_F(MetadataPitfalls, Pitfall09AnIdIsNeverUsedAgain) {
  start();
  run([](Client& client) -> Task<void> {
    std::vector<Uuid> ids;
    for (int round = 0; round < 5; ++round) {
      EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
      ids.push_back(co_await id_of(client, "t"));
      EXPECT_EQ(std::ranges::count(ids, ids.back()), 1);
      EXPECT_EQ((co_await client.call(by_id(ids.back()), 12)).message.topics.at(0).name, "t");
      if (round == 4) break;
      EXPECT_EQ(co_await delete_topic(client, "t"), ErrorCode::kNone);
    }
    ids.pop_back();
    for (const Uuid& id : ids) {
      const auto gone = co_await client.call(by_id(id), 12);
      EXPECT_EQ(gone.message.topics.at(0).error_code, ErrorCode::kUnknownTopicId);
    }
  });
}

// Every answer that has a field for the epoch has the epoch in it, the same one; it rises with every start; and -1 in a
// request is not compared.
TEST_F(MetadataPitfalls, Pitfall11EveryAnswerCarriesTheLeaderEpoch) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    EXPECT_EQ(co_await client.create_topic("empty", 1), ErrorCode::kNone);
  });
  for (int32_t epoch = 0; epoch < 3; ++epoch) {
    run([&](Client& client) -> Task<void> {
      EXPECT_EQ((co_await client.produce("t", 0, make_batch({"a"}, {}, 1'000 * (epoch + 1)))).error, ErrorCode::kNone);
      for (int16_t version = 7; version <= 13; ++version) {
        const auto metadata = co_await client.call(MetadataRequest{}, version);
        for (const auto& topic : metadata.message.topics) EXPECT_EQ(topic.partitions.at(0).leader_epoch, epoch);
      }
      EXPECT_EQ((co_await client.list_offset("t", 0, -1)).leader_epoch, epoch) << "the end";
      EXPECT_EQ((co_await client.list_offset("t", 0, -2)).leader_epoch, 0) << "the first record's";
      EXPECT_EQ((co_await client.list_offset("t", 0, -3)).leader_epoch, epoch) << "the newest record's";
      EXPECT_EQ((co_await client.list_offset("t", 0, 1'000)).leader_epoch, 0) << "the record's";
      EXPECT_EQ((co_await client.list_offset("empty", 0, -1)).leader_epoch, epoch);
      for (const auto& [asked, error] :
           {std::pair{-1, ErrorCode::kNone}, std::pair{epoch, ErrorCode::kNone},
            std::pair{epoch - 1, epoch == 0 ? ErrorCode::kNone : ErrorCode::kFencedLeaderEpoch},
            std::pair{epoch + 1, ErrorCode::kUnknownLeaderEpoch}}) {
        kafka::FetchRequest fetch = Client::fetch_request("t", 0, 0);
        fetch.topics[0].partitions[0].current_leader_epoch = asked;
        EXPECT_EQ((co_await client.call(fetch, 11)).message.responses.at(0).partitions.at(0).error_code, error);
        kafka::ListOffsetsRequest list{.replica_id = -1};
        list.topics.push_back({.name = "t"});
        list.topics[0].partitions.push_back({.partition_index = 0, .current_leader_epoch = asked, .timestamp = -1});
        EXPECT_EQ((co_await client.call(list, 5)).message.topics.at(0).partitions.at(0).error_code, error);
        kafka::OffsetForLeaderEpochRequest end;
        end.topics.push_back({.topic = "t"});
        end.topics[0].partitions.push_back({.partition = 0, .current_leader_epoch = asked, .leader_epoch = epoch});
        const auto found = (co_await client.call(end, 4)).message.topics.at(0).partitions.at(0);
        EXPECT_EQ(found.error_code, error);
        if (error == ErrorCode::kNone) EXPECT_EQ(found.leader_epoch, epoch);
      }
    });
    epoch == 0 ? broker_->kill() : broker_->power_off();
    start();
  }
}

TEST_F(MetadataPitfalls, Pitfall12TheClusterIsTheSameAfterEveryStart) {
  std::string cluster_id;
  for (int life = 0; life < 3; ++life) {
    start();
    run([&](Client& client) -> Task<void> {
      for (int16_t version = 0; version <= 13; ++version) {
        const auto answer = co_await client.call(MetadataRequest{}, version);
        EXPECT_EQ(answer.message.brokers.size(), 1U) << "an empty list makes Java begin anew";
        EXPECT_EQ(answer.message.brokers.at(0).node_id, 1);
        if (version >= 1) EXPECT_EQ(answer.message.controller_id, 1);
        if (version < 2) continue;
        EXPECT_TRUE(answer.message.cluster_id.has_value()) << version;
        if (cluster_id.empty()) cluster_id = answer.message.cluster_id.value_or("");
        EXPECT_EQ(answer.message.cluster_id, cluster_id);
      }
      EXPECT_EQ((co_await client.call(kafka::DescribeClusterRequest{}, 0)).message.cluster_id, cluster_id);
    });
    broker_->kill();
  }
  EXPECT_FALSE(cluster_id.empty());
}

TEST_F(MetadataPitfalls, Pitfall12EveryAnswerNamesTheListenerThatWasAsked) {
  options_.listeners.push_back(
      {.name = "OUTSIDE", .host = "10.0.0.1", .port = 9093, .advertised_host = "example.org", .advertised_port = 4000});
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ((co_await client.call(MetadataRequest{}, 9)).message.brokers.at(0).port, 9092);
    net::ClientConnection outside(client.core(), "outside");
    EXPECT_TRUE((co_await outside.connect("10.0.0.1:9093")).has_value());
    const auto metadata = co_await outside.call(MetadataRequest{}, 9);
    EXPECT_EQ(metadata->message.brokers.at(0).host, "example.org");
    EXPECT_EQ(metadata->message.brokers.at(0).port, 4000);
    const auto cluster = co_await outside.call(kafka::DescribeClusterRequest{}, 0);
    EXPECT_EQ(cluster->message.brokers.at(0).host, "example.org");
    EXPECT_EQ(cluster->message.brokers.at(0).port, 4000);
    const auto coordinator = co_await outside.call(kafka::FindCoordinatorRequest{.key = "g"}, 3);
    EXPECT_EQ(coordinator->message.host, "example.org");
    EXPECT_EQ(coordinator->message.port, 4000);
    co_await outside.close();
  });
}

TEST_F(MetadataPitfalls, Pitfall13AllTopicsOrNone) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    EXPECT_EQ((co_await client.call(none(), 0)).message.topics.size(), 1U) << "version 0 cannot say it otherwise";
    for (int16_t version = 1; version <= 13; ++version) {
      EXPECT_EQ((co_await client.call(MetadataRequest{}, version)).message.topics.size(), 1U) << version;
      const auto nothing = co_await client.call(none(), version);
      EXPECT_TRUE(nothing.message.topics.empty()) << version;
      EXPECT_EQ(nothing.message.brokers.size(), 1U) << version;
    }
  });
}

TEST_F(MetadataPitfalls, Pitfall13IdsStandForNamesFromVersion12Only) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const Uuid id = co_await id_of(client, "t");
    for (const int16_t version : {int16_t{10}, int16_t{11}}) {
      const auto nameless = co_await client.call(by_id(id), version);
      EXPECT_EQ(nameless.message.topics.at(0).error_code, ErrorCode::kInvalidRequest) << version;
      EXPECT_EQ(nameless.message.topics.at(0).name, "") << version;
      MetadataRequest both;
      both.topics.emplace().push_back({.topic_id = id, .name = "t"});
      const auto refused = co_await client.call(both, version);
      EXPECT_EQ(refused.message.topics.at(0).error_code, ErrorCode::kInvalidRequest) << version;
      EXPECT_TRUE(refused.message.topics.at(0).partitions.empty()) << version;
    }
    for (const int16_t version : {int16_t{12}, int16_t{13}}) {
      EXPECT_EQ((co_await client.call(by_id(id), version)).message.topics.at(0).name, "t");
    }
    EXPECT_EQ(co_await delete_topic(client, "t"), ErrorCode::kNone);
    const auto gone = co_await client.call(by_id(id), 12);
    EXPECT_EQ(gone.message.topics.at(0).error_code, ErrorCode::kUnknownTopicId);
    EXPECT_EQ(gone.message.topics.at(0).name, std::nullopt);
    EXPECT_EQ(gone.message.topics.at(0).topic_id, id);
  });
}

// kafka-python, KafkaJS and Connect list topics right after they have made one, on any connection.
TEST_F(MetadataPitfalls, Pitfall29ANewTopicIsThereOnEveryConnectionAtOnce) {
  start();
  run([](Client& client) -> Task<void> {
    std::vector<std::unique_ptr<Client>> others;  // on all cores
    for (int i = 0; i < 6; ++i) {
      others.push_back(std::make_unique<Client>(client.core()));
      co_await others.back()->connect();
    }
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(co_await client.create_topic("t", 7), ErrorCode::kNone);
      EXPECT_EQ(co_await client.create_topic("t", 7), ErrorCode::kTopicAlreadyExists);
      for (auto& other : others) {
        const auto answer = co_await other->call(MetadataRequest{}, 9);
        EXPECT_EQ(answer.message.topics.size(), 1U);
        for (const auto& topic : answer.message.topics) {
          for (const auto& partition : topic.partitions) EXPECT_EQ(partition.leader_id, 1);
        }
      }
      for (int32_t partition = 0; partition < 7; ++partition) {
        Client& other = *others[static_cast<size_t>(partition) % others.size()];
        const Produced produced = co_await other.produce("t", partition, make_batch({"a"}));
        EXPECT_EQ(produced.error, ErrorCode::kNone);
        EXPECT_EQ(produced.base_offset, 0) << "an old incarnation came back";
      }
      EXPECT_EQ(co_await delete_topic(client, "t"), ErrorCode::kNone);
      EXPECT_EQ(co_await delete_topic(client, "t"), ErrorCode::kUnknownTopicOrPartition);
      for (auto& other : others) EXPECT_TRUE((co_await other->call(MetadataRequest{}, 9)).message.topics.empty());
      EXPECT_EQ((co_await client.produce("t", 0, make_batch({"a"}))).error, ErrorCode::kUnknownTopicOrPartition);
      EXPECT_EQ((co_await client.fetch("t", 0, 0)).error, ErrorCode::kUnknownTopicOrPartition);
    }
    for (auto& other : others) co_await other->close();
  });
  stop();
}

}  // namespace
}  // namespace posthaste::broker::testing
