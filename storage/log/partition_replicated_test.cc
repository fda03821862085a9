// A log that follows another one: batches come with the offsets and epochs that their leader gave them.
#include <gtest/gtest.h>

#include "storage/testing/store_test.h"

namespace posthaste::storage {
namespace {

using reactor::Core;
using reactor::Errc;
using reactor::Task;
using testing::batch_at;
using testing::joined;
using testing::kNow;

class ReplicatedTest : public testing::StoreTest {};

TEST_F(ReplicatedTest, BatchesAreStoredAsTheyCome) {
  const Bytes batches = joined({batch_at(0, 3, "a"), batch_at(1, 3, "b"), batch_at(2, 5, "c")});
  life_until_power_off([&](Core& core, Engine&, Partition& log) -> Task<void> {
    const auto appended = log.append_replicated(batches, kNow);
    EXPECT_TRUE(appended.has_value());
    if (!appended) co_return;
    EXPECT_EQ(appended->base_offset, 0);
    EXPECT_EQ(appended->last_offset, 2);
    EXPECT_EQ(log.end_offset(), 3);
    co_await durable(core, log);
  });
  life([&](Core&, Engine&, Partition& log) -> Task<void> {
    EXPECT_EQ(co_await read_from(log, 0), batches);
    EXPECT_EQ(log.epochs().entries(), (std::vector<EpochEntry>{{3, 0}, {5, 2}}));
  });
}

TEST_F(ReplicatedTest, WhatDoesNotFitIsRefusedAndNothingStored) {
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    EXPECT_TRUE(log.append_replicated(batch_at(0, 4, "a"), kNow).has_value());
    Bytes rotten = batch_at(2, 4, "c");
    rotten.back() ^= std::byte{1};
    Bytes cut = batch_at(1, 4, "b");
    cut.resize(cut.size() - 1);
    const struct {
      Bytes batches;
      Errc error;
    } refused[] = {
        {batch_at(0, 4, "a"), Errc::kOutOfOrder},                            // known already
        {batch_at(1, 3, "b"), Errc::kStale},                                 // of a leader that was followed by another
        {joined({batch_at(1, 6, "b"), batch_at(2, 5, "c")}), Errc::kStale},  // likewise, by one on the way
        {joined({batch_at(1, 4, "b"), batch_at(1, 4, "b")}), Errc::kOutOfOrder},
        {joined({batch_at(1, 4, "b"), rotten}), Errc::kCorrupt},
        {cut, Errc::kCorrupt},
        {batch_at(1, -1, "b"), Errc::kMalformed},
        {batch_at(INT64_MAX, 4, "b"), Errc::kMalformed},
        {{}, Errc::kMalformed},
    };
    for (const auto& one : refused) {
      const auto outcome = log.append_replicated(one.batches, kNow);
      EXPECT_FALSE(outcome.has_value());
      if (!outcome) EXPECT_EQ(to_string(outcome.error()), to_string(one.error));
      EXPECT_EQ(log.end_offset(), 1);
      EXPECT_EQ(log.epochs().latest()->epoch, 4);
    }
    EXPECT_EQ(co_await read_from(log, 0), batch_at(0, 4, "a"));
  });
}

// The leader has checked the sequences, and has perhaps forgotten what this log knows. This broker's clock decides when
// a producer expires, not the timestamps of the records.
TEST_F(ReplicatedTest, ProducersAreRememberedAsOfTheAppendAndNotJudged) {
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    const BatchToWrite first{.producer_id = 7, .producer_epoch = 0, .base_sequence = 0};
    const BatchToWrite later{.producer_id = 7, .producer_epoch = 0, .base_sequence = 40};
    EXPECT_TRUE(log.append_replicated(joined({batch_at(0, 1, "a", first), batch_at(1, 1, "b", later)}), kNow));
    EXPECT_EQ(log.producers().describe().at(0).last_sequence, 40);
    const int64_t much_later = kNow.value + log.config().producers.expiration_ms - 1;
    EXPECT_TRUE((co_await log.apply_retention({much_later})).has_value());
    EXPECT_EQ(log.producers().size(), 1U);
    EXPECT_TRUE((co_await log.apply_retention({much_later + 1})).has_value());
    EXPECT_EQ(log.producers().size(), 0U);
  });
}

TEST_F(ReplicatedTest, SegmentsRollAsUnderALeader) {
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    LogConfig config = log.config();
    config.segment_bytes = 4096;
    log.set_config(config);
    const std::string value(1500, 'v');
    Bytes all;
    for (int64_t offset = 0; offset < 10; ++offset) {
      const Bytes batch = batch_at(offset, 1, value);
      all.insert(all.end(), batch.begin(), batch.end());
      EXPECT_TRUE(log.append_replicated(batch, kNow).has_value());
    }
    EXPECT_EQ(log.segment_count(), 5U);
    EXPECT_EQ(co_await read_from(log, 0), all);
  });
}

}  // namespace
}  // namespace posthaste::storage
