// What waits for which write.
#include "replication/quorum/outbox.h"

#include <gtest/gtest.h>

namespace posthaste::replication::quorum {
namespace {

size_t leave(Outbox& outbox, Persists persists, bool log_is_as_asked) {
  return outbox.ready({.persists = persists, .log_is_as_asked = log_is_as_asked}).size();
}

TEST(Outbox, AMessageWaitsForBothWrites) {
  Outbox outbox;
  outbox.add({.to = 2, .after = {.vote = 2, .log = 5}, .message = FetchRequest{}});
  EXPECT_EQ(leave(outbox, {.vote = 1, .log = 9}, true), 0U);
  EXPECT_EQ(leave(outbox, {.vote = 9, .log = 4}, true), 0U);
  EXPECT_EQ(leave(outbox, {.vote = 2, .log = 5}, false), 1U);
  EXPECT_EQ(outbox.size(), 0U);
}

TEST(Outbox, WhatIsTakenFromTheLogWaitsUntilTheLogIsAsAsked) {
  Outbox outbox;
  outbox.add({.to = 2, .message = FetchResponse{}});
  outbox.add({.to = 2, .message = FetchSnapshotRequest{}});
  outbox.add({.to = 2, .message = FetchResponse{.error = FetchError::kNotLeader}});
  outbox.add({.to = 2, .message = FetchResponse{.diverging = LogPosition{}}});
  outbox.add({.to = 2, .message = VoteResponse{}});
  EXPECT_EQ(leave(outbox, {}, false), 3U);
  EXPECT_EQ(leave(outbox, {}, true), 2U);
}

TEST(Outbox, WhatMayLeaveLeavesInOrderAndTheOldestGoesWhenItIsFull) {
  Outbox outbox;
  for (uint64_t number = 1; number <= kMessagesWaitingMax + 10; ++number) {
    outbox.add({.to = 2, .after = {.vote = 1}, .message = FetchSnapshotResponse{.position = number}});
  }
  const auto ready = outbox.ready({.persists = {.vote = 1}});
  ASSERT_EQ(ready.size(), kMessagesWaitingMax);
  uint64_t expected = 10;
  for (const Send& send : ready) EXPECT_EQ(std::get<FetchSnapshotResponse>(send.message).position, ++expected);
}

}  // namespace
}  // namespace posthaste::replication::quorum
