// InitProducerId against a whole broker.
#include "net/kafka/producer_ids.h"

#include "broker/testing/simulated_broker.h"

namespace posthaste::broker::testing {
namespace {

using InitProducerIdTest = BrokerTest;

TEST_F(InitProducerIdTest, AProducerIdComesWithItsEpochOrNotAtAll) {
  start();
  run([](Client& client) -> Task<void> {
    kafka::InitProducerIdRequest request;
    EXPECT_EQ((co_await client.call(request, 4)).message.error_code, ErrorCode::kNone);
    request.producer_epoch = 0;
    EXPECT_EQ((co_await client.call(request, 4)).message.error_code, ErrorCode::kInvalidRequest);
    request.producer_id = 7;
    EXPECT_EQ((co_await client.call(request, 4)).message.error_code, ErrorCode::kNone);
    request.producer_epoch = -1;
    const auto refused = co_await client.call(request, 4);
    EXPECT_EQ(refused.message.error_code, ErrorCode::kInvalidRequest);
    EXPECT_EQ(refused.message.producer_id, -1);
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
