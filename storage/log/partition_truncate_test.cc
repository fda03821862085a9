// A log that is cut: where it ends then, what it still knows, and that what was cut does not come back.
#include <gtest/gtest.h>

#include "storage/testing/store_test.h"

namespace posthaste::storage {
namespace {

using reactor::Core;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using testing::kNow;

class TruncateTest : public testing::StoreTest {
 protected:
  // Batches of three records each.
  static void append(Partition& log, int32_t epoch, int batches = 1) {
    for (int i = 0; i < batches; ++i) {
      RecordBatchBuilder builder;
      for (int record = 0; record < 3; ++record) {
        builder.add({.timestamp = 1000 + log.end_offset() + record, .value = bytes_of("value")});
      }
      Bytes batch = builder.finish();
      EXPECT_TRUE(log.append(batch, {.leader_epoch = epoch, .from_client = false}, kNow).has_value());
    }
  }
  // Offsets 0..8 under epoch 1, 9..14 under epoch 3, all durable; a segment begins at 6 and one at 12.
  static Task<void> make(Core& core, Partition& log) {
    append(log, 1, 2);
    log.roll();
    append(log, 1);
    append(log, 3);
    log.roll();
    append(log, 3);
    co_await durable(core, log);
    log.set_high_watermark(log.end_offset());
  }
  static Task<void> cut(Partition& log, int64_t offset, int64_t end) {
    const Result<void> done = co_await log.truncate(offset);
    EXPECT_TRUE(done.has_value()) << to_string(done.error());
    EXPECT_EQ(log.end_offset(), end);
    EXPECT_EQ(log.durable_offset(), end) << "it is durable when it returns";
    EXPECT_EQ(log.bytes().active().max_timestamp, log.bytes().active().index().max_timestamp());
  }
  // Every batch below the end is found by each of its offsets, and by its time.
  static Task<void> expect_whole(Partition& log, int64_t end) {
    EXPECT_EQ(log.end_offset(), end);
    for (int64_t offset = 0; offset < end; ++offset) {
      const auto read = co_await log.read({.offset = offset, .max_bytes = 1, .limit_offset = end});
      EXPECT_TRUE(read.has_value() && read->base_offset == offset / 3 * 3) << offset;
      EXPECT_EQ((co_await log.find_timestamp(1000 + offset, end))->offset, offset);
    }
    EXPECT_EQ((co_await log.find_timestamp(1000 + end, end))->offset, -1);
    EXPECT_EQ((co_await log.max_timestamp())->timestamp, end == 0 ? kNoTimestamp : 999 + end);
  }
};

TEST_F(TruncateTest, InsideABatchTheLogEndsWhereTheBatchBegins) {
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    co_await cut(log, 10, 9);
    co_await expect_whole(log, 9);
    EXPECT_EQ(log.high_watermark(), 9);
    EXPECT_EQ(log.segment_count(), 2U);
  });
  life([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await expect_whole(log, 9);
    append(log, 5);
    co_await durable(core, log);
    co_await expect_whole(log, 12);
  });
}

TEST_F(TruncateTest, AtABoundaryAllBeforeItStays) {
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    co_await cut(log, 12, 12);
    co_await expect_whole(log, 12);
    co_await cut(log, 3, 3);
    EXPECT_EQ(log.segment_count(), 1U);
    append(log, 4);
    co_await durable(core, log);
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> { co_await expect_whole(log, 6); });
}

TEST_F(TruncateTest, DownToNothing) {
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    co_await cut(log, 0, 0);
    EXPECT_EQ(log.size_bytes(), 0U);
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    co_await expect_whole(log, 0);
    append(log, 1);
    EXPECT_EQ(log.end_offset(), 3);
  });
}

TEST_F(TruncateTest, EpochsThatHaveNothingLeftAreForgotten) {
  const auto epochs_are = [](Partition& log, std::vector<EpochEntry> wanted) {
    EXPECT_EQ(log.epochs().entries(), wanted);
  };
  life_until_power_off([&](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    epochs_are(log, {{1, 0}, {3, 9}});
    EXPECT_EQ(log.end_offset_for_epoch(1), (EpochEnd{1, 9}));
    co_await cut(log, 12, 12);
    epochs_are(log, {{1, 0}, {3, 9}});
    co_await cut(log, 9, 9);
    epochs_are(log, {{1, 0}});
    EXPECT_EQ(log.end_offset_for_epoch(1), (EpochEnd{1, 9}));
    EXPECT_EQ(log.end_offset_for_epoch(3), EpochEnd{}) << "it is not known any more";
  });
  life([&](Core& core, Engine&, Partition& log) -> Task<void> {
    epochs_are(log, {{1, 0}});
    append(log, 2);  // an older epoch than the one that was cut
    co_await durable(core, log);
    epochs_are(log, {{1, 0}, {2, 9}});
  });
}

// No record goes; but the epoch that has written nothing does, in this life and the next.
TEST_F(TruncateTest, AtTheEndAnEpochThatHasWrittenNothingGoes) {
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    log.start_epoch(7);
    EXPECT_EQ(log.epochs().latest()->epoch, 7);
    co_await cut(log, 15, 15);
    EXPECT_EQ(log.epochs().latest()->epoch, 3);
    co_await cut(log, 99, 15);
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    EXPECT_EQ(log.epochs().latest()->epoch, 3);
    co_await expect_whole(log, 15);
  });
}

TEST_F(TruncateTest, BehindTheEndWhatIsThereIsDurableAfterwards) {
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    append(log, 1, 2);
    EXPECT_EQ(log.durable_offset(), 0);
    co_await cut(log, 99, 6);
  });
}

struct Waiter : OffsetWaiter {
  std::optional<Result<void>> told;
  explicit Waiter(int64_t for_offset) {
    offset = for_offset;
    done = [](OffsetWaiter& self, Result<void> result) { static_cast<Waiter&>(self).told = result; };
  }
};

TEST_F(TruncateTest, MeanwhileAppendsAreRefusedAndWhoWaitsForWhatIsCutIsTold) {
  life([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    Waiter beyond(18);
    log.wait_durable(beyond);
    bool is_done = false;
    const auto work = [&]() -> Task<void> {
      co_await cut(log, 9, 9);
      is_done = true;
    };
    core.scope().spawn_job(work());
    uint32_t refused = 0;
    while (!is_done) {
      RecordBatchBuilder builder;
      builder.add({.timestamp = 5, .value = bytes_of("meanwhile")});
      Bytes batch = builder.finish();
      const auto appended = log.append(batch, {.leader_epoch = 3, .from_client = false}, kNow);
      if (log.mode() == Partition::Mode::kTruncating) {
        EXPECT_EQ(appended.error(), Errc::kBusy);
        EXPECT_EQ((co_await log.truncate(3)).error(), Errc::kBusy);
        ++refused;
      }
      co_await core.sleep(std::chrono::microseconds(10));
    }
    EXPECT_GT(refused, 0U);
    EXPECT_TRUE(beyond.told.has_value() && !*beyond.told && beyond.told->error() == Errc::kStale);
    EXPECT_TRUE(log.append_replicated(testing::batch_at(9, 3, "goes on"), kNow).has_value());
  });
}

TEST_F(TruncateTest, NotBelowTheLogStart) {
  life([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    EXPECT_TRUE((co_await log.set_log_start(7)).has_value());
    EXPECT_EQ((co_await log.truncate(6)).error(), Errc::kOutOfRange);
    // The batch that the log start lies in goes, the log start stays.
    co_await cut(log, 7, 7);
    EXPECT_EQ(log.log_start_offset(), 7);
    append(log, 3);
    EXPECT_EQ(log.end_offset(), 10);
  });
}

}  // namespace
}  // namespace posthaste::storage
