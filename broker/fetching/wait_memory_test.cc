// The limit of what requests keep while they wait, and the half of it that requests which only gain by it do not use.
#include "broker/fetching/wait_memory.h"

#include <gtest/gtest.h>

namespace posthaste::broker {
namespace {

TEST(WaitMemory, IsGivenUpToItsLimitAndTakenBack) {
  WaitMemory memory(100);
  WaitMemory::Share most = memory.try_take(90);
  EXPECT_TRUE(most);
  EXPECT_FALSE(memory.try_take(11));
  EXPECT_TRUE(memory.try_take(10)) << "and given back at once";
  EXPECT_EQ(memory.held(), 90U);
  EXPECT_FALSE(memory.try_take(UINT64_MAX));
}

TEST(WaitMemory, HalfStaysForThoseWhoCannotWaitWithout) {
  WaitMemory memory(100);
  EXPECT_FALSE(memory.try_take_spare(51));
  const WaitMemory::Share spare = memory.try_take_spare(50);
  EXPECT_TRUE(spare);
  EXPECT_FALSE(memory.try_take_spare(1));
  const WaitMemory::Share rest = memory.try_take(50);
  EXPECT_TRUE(rest);
  EXPECT_FALSE(memory.try_take_spare(0)) << "more than half is held";
}

}  // namespace
}  // namespace posthaste::broker
