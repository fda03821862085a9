// Each waiter for a log is notified once, in order, with what has happened; no engine is needed.
#include "storage/log/offset_waiters.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace posthaste::storage {
namespace {

using reactor::Errc;
using reactor::Result;

struct Told {
  int64_t offset = 0;
  std::optional<Errc> error;
  friend bool operator==(const Told&, const Told&) = default;
};

struct Waiter : OffsetWaiter {
  std::vector<Told>* told = nullptr;
  Waiter(int64_t for_offset, std::vector<Told>& list) : told(&list) {
    offset = for_offset;
    done = [](OffsetWaiter& self, Result<void> result) {
      EXPECT_FALSE(self.is_linked()) << "it may wait again at once";
      static_cast<Waiter&>(self).told->push_back({self.offset, result ? std::nullopt : std::optional(result.error())});
    };
  }
};

struct Listener : OffsetListener {
  int calls = 0;
  bool leaves = false;
  Listener() {
    advanced = [](OffsetListener& self) {
      ++static_cast<Listener&>(self).calls;
      if (static_cast<Listener&>(self).leaves) self.unlink();
    };
  }
};

class OffsetWaitersTest : public ::testing::Test {
 protected:
  std::vector<Told> told_;
  OffsetWaiters waiters_;
};

TEST_F(OffsetWaitersTest, ThoseThatAreReachedAreToldInTheOrderInWhichTheyCame) {
  Waiter third(3, told_);
  Waiter first(1, told_);
  Waiter other_third(3, told_);
  Waiter fourth(4, told_);
  for (Waiter* waiter : {&third, &first, &other_third, &fourth}) waiters_.wait(*waiter);
  waiters_.advanced_to(0);
  EXPECT_TRUE(told_.empty());
  waiters_.advanced_to(3);
  EXPECT_EQ(told_, (std::vector<Told>{{3, {}}, {1, {}}, {3, {}}}));
  waiters_.advanced_to(3);
  EXPECT_EQ(told_.size(), 3U) << "nobody is told twice";
  waiters_.advanced_to(9);
  EXPECT_EQ(told_.back(), (Told{4, {}}));
}

TEST_F(OffsetWaitersTest, OneThatIsDestroyedOrUnlinkedIsNotTold) {
  Waiter stays(2, told_);
  Waiter leaves(2, told_);
  auto dies = std::make_unique<Waiter>(2, told_);
  waiters_.wait(leaves);
  waiters_.wait(*dies);
  waiters_.wait(stays);
  leaves.unlink();
  dies.reset();
  waiters_.advanced_to(2);
  EXPECT_EQ(told_.size(), 1U);
  EXPECT_FALSE(stays.is_linked());
}

TEST_F(OffsetWaitersTest, ACutFailsWhoWaitsForMoreThanIsLeft) {
  Waiter kept(5, told_);
  Waiter gone(6, told_);
  waiters_.wait(gone);
  waiters_.wait(kept);
  waiters_.cut_to(5);
  EXPECT_EQ(told_, (std::vector<Told>{{6, Errc::kStale}}));
  EXPECT_TRUE(kept.is_linked());
  waiters_.advanced_to(5);
  EXPECT_EQ(told_.back(), (Told{5, {}}));
}

TEST_F(OffsetWaitersTest, AtTheEndAllFailWithItsReason) {
  Waiter one(1, told_);
  Waiter two(2, told_);
  waiters_.wait(two);
  waiters_.wait(one);
  waiters_.fail_all(Errc::kStopping);
  EXPECT_EQ(told_, (std::vector<Told>{{2, Errc::kStopping}, {1, Errc::kStopping}}));
}

// The end takes those too that come from the last words of others.
TEST_F(OffsetWaitersTest, WhoComesToWaitWhileAllFailFailsToo) {
  struct Chain : Waiter {
    OffsetWaiters* of = nullptr;
    OffsetWaiter* next = nullptr;
    using Waiter::Waiter;
  };
  Waiter late(7, told_);
  Chain first(1, told_);
  first.of = &waiters_;
  first.next = &late;
  first.done = [](OffsetWaiter& self, Result<void>) {
    auto& chain = static_cast<Chain&>(self);
    chain.of->wait(*chain.next);
  };
  waiters_.wait(first);
  waiters_.fail_all(Errc::kNotFound);
  EXPECT_EQ(told_, (std::vector<Told>{{7, Errc::kNotFound}}));
}

TEST_F(OffsetWaitersTest, ListenersHearOfEachMoveUntilTheyLeave) {
  Listener stays;
  Listener leaves;
  leaves.leaves = true;
  Listener forgotten;
  waiters_.listen(leaves);
  waiters_.listen(stays);
  waiters_.end_moved();
  waiters_.end_moved();
  EXPECT_EQ(leaves.calls, 1);
  EXPECT_EQ(stays.calls, 2);
  waiters_.listen(forgotten);
  waiters_.forget_listeners();
  waiters_.end_moved();
  EXPECT_EQ(stays.calls, 2);
  EXPECT_EQ(forgotten.calls, 0);
  EXPECT_FALSE(stays.is_linked());
}

}  // namespace
}  // namespace posthaste::storage
