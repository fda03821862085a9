// Fair turns and the window.
#include "replication/stream/send_order.h"

#include <gtest/gtest.h>

namespace posthaste::replication::stream {
namespace {

// Each is served with frames of its own size for as long as `total` lasts.
std::map<int32_t, int64_t> serve(TurnOrder& order, const std::map<int32_t, int64_t>& frame_bytes, int64_t total) {
  std::map<int32_t, int64_t> served;
  while (total > 0) {
    const auto turn = order.next();
    EXPECT_TRUE(turn && turn->bytes_max > 0);
    if (!turn) break;
    const int64_t bytes = frame_bytes.at(turn->subscription);
    served[turn->subscription] += bytes;
    total -= bytes;
    order.sent(turn->subscription, bytes);
  }
  return served;
}

TEST(TurnOrder, SmallAndLargeFramesGetTheSameBytes) {
  TurnOrder order;
  const std::map<int32_t, int64_t> frames{{1, 1000}, {2, 200'000}, {3, 5 << 20}};
  for (const auto& [subscription, bytes] : frames) order.add(subscription);
  const auto served = serve(order, frames, int64_t{300} << 20);
  for (const auto& [subscription, bytes] : served) {
    EXPECT_NEAR(static_cast<double>(bytes), 100 << 20, 6 << 20) << subscription;
  }
}

TEST(TurnOrder, WhoIsIdleSavesNothingUpAndStillOwes) {
  TurnOrder order;
  order.add(1);
  order.sent(order.next()->subscription, 3 * kQuantumBytes);
  order.add(2);
  EXPECT_EQ(order.next()->subscription, 2) << "the first one has had its turns";
  order.sent(2, 1);
  order.idle(2);
  EXPECT_EQ(order.next()->subscription, 1) << "but waits for nobody";
  order.idle(1);
  EXPECT_TRUE(order.empty());
  EXPECT_FALSE(order.next());
  order.add(2);
  order.add(2);
  EXPECT_EQ(order.next()->bytes_max, kQuantumBytes);
  order.idle(2);
  EXPECT_TRUE(order.empty()) << "it stands there once";
}

TEST(TurnOrder, WhoIsRemovedHasNoTurn) {
  TurnOrder order;
  order.add(1);
  order.add(2);
  order.remove(1);
  EXPECT_EQ(order.next()->subscription, 2);
  order.remove(2);
  EXPECT_TRUE(order.empty());
}

TEST(Window, NeverMoreThanItUnlessOneAlone) {
  Window window(100);
  window.spend(60);
  EXPECT_TRUE(window.takes(40));
  EXPECT_FALSE(window.takes(41));
  EXPECT_FALSE(window.give_back(61)) << "it never got that";
  EXPECT_FALSE(window.give_back(-1));
  EXPECT_TRUE(window.give_back(60));
  EXPECT_TRUE(window.takes(1000)) << "a large batch goes alone";
  window.spend(1000);
  EXPECT_FALSE(window.takes(1));
  EXPECT_TRUE(window.give_back(1000));
  EXPECT_EQ(window.in_flight(), 0);
}

}  // namespace
}  // namespace posthaste::replication::stream
