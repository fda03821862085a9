// What is true of every handler.
#include "broker/testing/simulated_broker.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using HandlerTest = BrokerTest;

TEST_F(HandlerTest, RequestsThatDoNotParseClose) {
  start();
  run([](Client& client) -> Task<void> {
    for (const kafka::ApiKey api : {kafka::ApiKey::kProduce, kafka::ApiKey::kFetch, kafka::ApiKey::kMetadata,
                                    kafka::ApiKey::kJoinGroup, kafka::ApiKey::kOffsetCommit}) {
      Client bad(client.core());
      co_await bad.connect();
      std::vector<std::byte> frame(14);
      frame[3] = std::byte{10};
      frame[5] = static_cast<std::byte>(api);
      frame[7] = std::byte{4};                  // version
      frame[12] = frame[13] = std::byte{0xff};  // no client id, and then no body
      EXPECT_TRUE((co_await bad.connection().send_raw(frame)).has_value());
      EXPECT_TRUE(co_await bad.connection().wait_ended(client.core().now() + 5s)) << kafka::to_string(api);
      co_await bad.close();
    }
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
