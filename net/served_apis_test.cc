// Two kinds of listener: each serves its own APIs and none of the other's, and says in the log where somebody who came
// to the wrong one has to go.
#include "net/api_versions_answer.h"
#include "net/kafka/broker_apis.h"
#include "net/testing/connection_test_base.h"

namespace posthaste::net {
namespace {

using kafka::ApiInfo;

class ServedApisTest : public ConnectionTest {
 protected:
  // A request without a body. Its header lacks nothing that all versions have.
  static std::vector<std::byte> request_of(ApiKey key, int16_t version) {
    const auto api = static_cast<uint8_t>(key);
    return frame_of({0, api, 0, static_cast<uint8_t>(version), 0, 0, 0, 1, 0xff, 0xff, 0});
  }
  // Each on a connection of its own; true: the listener has ended it.
  std::vector<bool> ended_by(const std::vector<std::vector<std::byte>>& requests) {
    std::vector<bool> ended;
    run_client([&](Core& core) -> Task<void> {
      for (const std::vector<std::byte>& request : requests) {
        ClientConnection client(core, "client");
        EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
        EXPECT_TRUE((co_await client.send_raw(request)).has_value());
        ended.push_back(co_await client.wait_ended(core.now() + 500ms));
        co_await client.close();
      }
    });
    return ended;
  }
  void expect_all_refused(const kafka::ServedApis& others) {
    std::vector<std::vector<std::byte>> requests;
    for (const ApiInfo& info : others.rows) {
      if (served_->find(info.key) == nullptr) requests.push_back(request_of(info.key, info.advertised_max));
    }
    ASSERT_FALSE(requests.empty());
    EXPECT_EQ(ended_by(requests), std::vector<bool>(requests.size(), true));
    EXPECT_EQ(stats().closed_for(CloseReason::kUnknownApi), requests.size());
    EXPECT_EQ(handler().started, 0);
  }
};

TEST_F(ServedApisTest, AListenerBetweenBrokersKnowsNothingOfClients) {
  served_ = &kafka::kServedToBrokers;
  start_server();
  expect_all_refused(kafka::kServedToClients);
  EXPECT_NE(world_.log_tail().find("reason=unknown_api api=Produce key=0 version=13 remedy=\"this listener is between "
                                   "brokers: clients connect to another one of listeners\""),
            std::string::npos)
      << world_.log_tail();
}

TEST_F(ServedApisTest, AListenerForClientsKnowsNothingOfBrokers) {
  start_server();
  expect_all_refused(kafka::kServedToBrokers);
  EXPECT_NE(world_.log_tail().find("reason=unknown_api api=Vote key=52 version=2 remedy=\"this listener is for "
                                   "clients: brokers connect to one of controller.listener.names\""),
            std::string::npos)
      << world_.log_tail();
}

TEST_F(ServedApisTest, BetweenBrokersARequestHasTheOneVersionThatIsServed) {
  served_ = &kafka::kServedToBrokers;
  start_server();
  ended_by({request_of(ApiKey::kVote, 2)});
  EXPECT_EQ(handler().started, 1);
  EXPECT_EQ(stats().closed_for(CloseReason::kUnsupportedVersion), 0U);
  EXPECT_EQ(ended_by({request_of(ApiKey::kVote, 1), request_of(ApiKey::kFetch, 13)}), (std::vector{true, true}));
  EXPECT_EQ(stats().closed_for(CloseReason::kUnsupportedVersion), 2U);
  EXPECT_EQ(handler().started, 1);
  EXPECT_NE(world_.log_tail().find("reason=unsupported_version api=Fetch key=1 version=13"), std::string::npos);
}

TEST_F(ServedApisTest, ApiVersionsListsWhatTheListenerServes) {
  for (const kafka::ServedApis* served : {&kafka::kServedToClients, &kafka::kServedToBrokers}) {
    Request request;
    request.header = {.api = ApiKey::kApiVersions, .version = 0, .correlation_id = 7};
    const std::vector<std::byte> frame = answer_api_versions(request, *served).frame.flatten();
    const auto header = kafka::decode_response_header(kafka::Bytes(frame).subspan(4), ApiKey::kApiVersions, 0);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->correlation_id, 7);
    const auto listed = kafka::decode<kafka::ApiVersionsResponse>(header->body, 0);
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->api_keys.size(), served->rows.size());
    for (size_t i = 0; i < served->rows.size(); ++i) {
      EXPECT_EQ(listed->api_keys[i].api_key, served->rows[i].key);
      EXPECT_EQ(listed->api_keys[i].min_version, served->rows[i].advertised_min);
      EXPECT_EQ(listed->api_keys[i].max_version, served->rows[i].advertised_max);
    }
  }
}

}  // namespace
}  // namespace posthaste::net
