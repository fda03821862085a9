// Producer ids: no id before its block is durable, none twice, everyone answered once.
#include "replication/producer_ids.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace posthaste::replication {
namespace {

using net::kafka::ErrorCode;
using Output = ProducerIdAllocator::Output;

TEST(ProducerIds, WaitForTheirBlock) {
  ProducerIdAllocator ids(1, 7, 5'000, 100);
  Output out;
  ids.request(10, out);
  ids.request(11, out);
  EXPECT_TRUE(out.answers.empty());
  ASSERT_TRUE(out.record.has_value());
  EXPECT_EQ(*out.record, (ProducerIdsRecord{1, 7, 6'000}));
  Output durable;
  ids.persisted(durable);
  ASSERT_EQ(durable.answers.size(), 2U);
  EXPECT_EQ(durable.answers[0].token, 10U);
  EXPECT_EQ(durable.answers[0].producer_id, 5'000);
  EXPECT_EQ(durable.answers[1].producer_id, 5'001);
  EXPECT_FALSE(durable.record.has_value());
}

TEST(ProducerIds, TheNextBlockIsAskedForAhead) {
  ProducerIdAllocator ids(1, 7, 0, 100);
  Output out;
  ids.request(0, out);
  ids.persisted(out);
  uint64_t token = 1;
  Output more;
  while (!more.record) ids.request(token++, more);
  EXPECT_EQ(token, 900U);
  EXPECT_EQ(more.record->next_producer_id, 2'000);
  // The rest of the block is still there while the log writes.
  Output rest;
  while (ids.ids_left() > 0) ids.request(token++, rest);
  EXPECT_EQ(rest.answers.size(), 100U);
  EXPECT_FALSE(rest.record.has_value());
  ids.request(token++, rest);
  EXPECT_EQ(ids.waiting_count(), 1U);
  Output durable;
  ids.persisted(durable);
  ASSERT_EQ(durable.answers.size(), 1U);
  EXPECT_EQ(durable.answers[0].producer_id, 1'000);
}

TEST(ProducerIds, AFailedWriteIsRetriedByTheNextRequestWithOtherIds) {
  ProducerIdAllocator ids(1, 7, 0, 100);
  Output out;
  ids.request(1, out);
  Output failed;
  ids.persist_failed(failed);
  ASSERT_EQ(failed.answers.size(), 1U);
  EXPECT_EQ(failed.answers[0].error, ErrorCode::kCoordinatorNotAvailable);
  Output again;
  ids.request(2, again);
  // The first record may turn up in the log after all, so its block stays unused.
  EXPECT_EQ(again.record->next_producer_id, 2'000);
  Output durable;
  ids.persisted(durable);
  EXPECT_EQ(durable.answers[0].producer_id, 1'000);
}

TEST(ProducerIds, WaitersAreBounded) {
  ProducerIdAllocator ids(1, 7, 0, 2);
  Output out;
  for (uint64_t token = 0; token < 5; ++token) ids.request(token, out);
  EXPECT_EQ(ids.waiting_count(), 2U);
  ASSERT_EQ(out.answers.size(), 3U);
  EXPECT_EQ(out.answers[0].error, ErrorCode::kCoordinatorNotAvailable);
}

TEST(ProducerIds, TheLastIdsOfAllAreRefusedNotWrapped) {
  ProducerIdAllocator ids(1, 7, INT64_MAX - 10, 2);
  Output out;
  ids.request(1, out);
  EXPECT_FALSE(out.record.has_value());
  EXPECT_EQ(out.answers[0].error, ErrorCode::kCoordinatorNotAvailable);
}

TEST(ProducerIds, NeverTwiceAcrossCrashes) {
  std::mt19937_64 random(42);
  std::set<int64_t> given;
  int64_t recorded = 0;
  uint64_t token = 0;
  size_t answered = 0;
  for (int life = 0; life < 50; ++life) {
    ProducerIdAllocator ids(1, life, recorded, 10'000);
    std::optional<ProducerIdsRecord> in_flight;
    for (uint64_t i = 0, steps = random() % 3'000; i < steps; ++i) {
      Output out;
      const uint64_t dice = random() % 100;
      if (in_flight && dice < 2) {
        in_flight.reset();
        ids.persist_failed(out);
      } else if (in_flight && dice < 20) {
        recorded = in_flight->next_producer_id;
        in_flight.reset();
        ids.persisted(out);
      } else {
        ++token;
        ids.request(token, out);
      }
      if (out.record) {
        ASSERT_FALSE(in_flight.has_value());
        in_flight = out.record;
      }
      for (const ProducerIdAllocator::Answer& answer : out.answers) {
        ++answered;
        if (answer.error != ErrorCode::kNone) continue;
        ASSERT_LT(answer.producer_id, recorded) << "given out before its record is durable";
        ASSERT_TRUE(given.insert(answer.producer_id).second) << "given out twice";
      }
    }
    answered += ids.waiting_count();  // these die with the broker
    // A crash: the record under way is in the log or not.
    if (in_flight && random() % 2 == 0) recorded = in_flight->next_producer_id;
  }
  EXPECT_EQ(answered, token);
  EXPECT_GT(given.size(), 10'000U);
}

}  // namespace
}  // namespace posthaste::replication
