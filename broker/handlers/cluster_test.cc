// ApiVersions, Metadata and DescribeCluster against a whole broker.
#include "broker/testing/simulated_broker.h"
#include "net/kafka/api_versions.h"

namespace posthaste::broker::testing {
namespace {

using ClusterTest = BrokerTest;

kafka::MetadataRequest metadata_of(std::string_view topic, bool create) {
  kafka::MetadataRequest request;
  request.topics.emplace().push_back({.name = topic});
  request.allow_auto_topic_creation = create;
  return request;
}

TEST_F(ClusterTest, ApiVersionsListsWhatIsAdvertised) {
  start();
  run([](Client& client) -> Task<void> {
    for (int16_t version = 0; version <= 4; ++version) {
      kafka::ApiVersionsRequest request{.client_software_name = "test", .client_software_version = "1.0"};
      const auto answer = co_await client.call(request, version);
      EXPECT_EQ(answer.message.error_code, ErrorCode::kNone);
      EXPECT_EQ(answer.message.api_keys.size(), std::size(kafka::kApis));
      for (const auto& api : answer.message.api_keys) {
        const kafka::ApiInfo* info = kafka::find_api(api.api_key);
        EXPECT_EQ(api.min_version, info->advertised_min);
        EXPECT_EQ(api.max_version, info->advertised_max);
      }
    }
  });
}

TEST_F(ClusterTest, MetadataMakesTopicsIfItMay) {
  start();
  run([](Client& client) -> Task<void> {
    const auto refused = co_await client.call(metadata_of("orders", false), 9);
    EXPECT_EQ(refused.message.topics.at(0).error_code, ErrorCode::kUnknownTopicOrPartition);
    const auto created = co_await client.call(metadata_of("orders", true), 9);
    EXPECT_EQ(created.message.topics.at(0).error_code, ErrorCode::kNone);
    EXPECT_EQ(created.message.topics.at(0).partitions.at(0).leader_id, 1);
    EXPECT_EQ((co_await client.produce("orders", 0, make_batch({"a"}))).error, ErrorCode::kNone);
    const auto bad = co_await client.call(metadata_of("no/slash", true), 9);
    EXPECT_EQ(bad.message.topics.at(0).error_code, ErrorCode::kInvalidTopicException);
    EXPECT_EQ(bad.message.topics.at(0).name, "no/slash");
  });
}

TEST_F(ClusterTest, MetadataAnswersForEachTopicOnce) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    EXPECT_EQ(co_await client.create_topic("u", 1), ErrorCode::kNone);
    kafka::MetadataRequest request;
    request.allow_auto_topic_creation = false;
    request.topics.emplace() = {{.name = "t"}, {.name = "gone"}, {.name = "t"}, {.name = "gone"}};
    const auto named = co_await client.call(request, 12);
    EXPECT_EQ(named.message.topics.size(), 2U);
    EXPECT_EQ(named.message.topics.at(0).topic_authorized_operations, kafka::kOperationsNotAsked);
    const kafka::Uuid id = named.message.topics.at(0).topic_id;
    request.topics.emplace() = {{.topic_id = id}, {.name = "u"}, {.topic_id = id}};
    request.include_topic_authorized_operations = true;
    const auto by_id = co_await client.call(request, 12);
    EXPECT_EQ(by_id.message.topics.size(), 1U) << "names do not count beside ids";
    EXPECT_EQ(by_id.message.topics.at(0).name, "t");
    EXPECT_EQ(by_id.message.topics.at(0).topic_authorized_operations, 3576);
    const auto early = co_await client.call(request, 10);
    EXPECT_EQ(early.message.topics.size(), 3U);
    for (const auto& topic : early.message.topics) EXPECT_EQ(topic.error_code, ErrorCode::kInvalidRequest);
    EXPECT_TRUE(early.message.brokers.empty());
  });
}

TEST_F(ClusterTest, NothingIsMadeByItselfWhereThatIsOff) {
  options_.auto_create_topics = false;
  start();
  run([](Client& client) -> Task<void> {
    const auto answer = co_await client.call(metadata_of("orders", true), 9);
    EXPECT_EQ(answer.message.topics.at(0).error_code, ErrorCode::kUnknownTopicOrPartition);
  });
}

TEST_F(ClusterTest, DescribeClusterNamesThisBroker) {
  start();
  run([](Client& client) -> Task<void> {
    const auto answer = co_await client.call(kafka::DescribeClusterRequest{}, 1);
    EXPECT_EQ(answer.message.brokers.size(), 1U);
    EXPECT_EQ(answer.message.cluster_id.size(), 22U);
    EXPECT_EQ(answer.message.cluster_authorized_operations, kafka::kOperationsNotAsked);
    kafka::DescribeClusterRequest others{.include_cluster_authorized_operations = true};
    EXPECT_EQ((co_await client.call(others, 0)).message.cluster_authorized_operations, 8096);
    for (const auto& [type, error] : {std::pair{int8_t{2}, ErrorCode::kMismatchedEndpointType},
                                      std::pair{int8_t{0}, ErrorCode::kUnsupportedEndpointType},
                                      std::pair{int8_t{-1}, ErrorCode::kUnsupportedEndpointType}}) {
      others.endpoint_type = type;
      EXPECT_EQ((co_await client.call(others, 1)).message.error_code, error) << int{type};
    }
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
