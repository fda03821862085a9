// When a partition opens its next segment, and the index of one that is built again.
#include <gtest/gtest.h>

#include "storage/testing/store_test.h"

namespace posthaste::storage {
namespace {

using reactor::Core;
using reactor::Task;
using reactor::WallMillis;
using testing::batch_at;
using testing::kNow;

class PartitionSegmentsTest : public testing::StoreTest {
 protected:
  static void append(Partition& log, WallMillis now = kNow, size_t value_bytes = 50) {
    const Bytes batch = batch_at(log.end_offset(), 1, std::string(value_bytes, 'v'));
    EXPECT_TRUE(log.append_replicated(batch, now).has_value());
  }
  static void set(Partition& log, uint64_t segment_bytes, int64_t segment_ms) {
    LogConfig config = log.config();
    config.segment_bytes = segment_bytes;
    config.segment_ms = segment_ms;
    log.set_config(config);
  }
};

TEST_F(PartitionSegmentsTest, ABatchThatWouldPassTheSizeOpensTheNextSegment) {
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    const size_t one = batch_at(0, 1, std::string(50, 'v')).size();
    set(log, 3 * one, 1'000'000);
    for (int i = 0; i < 3; ++i) append(log);
    EXPECT_EQ(log.segment_count(), 1U) << "it is as large as it may be";
    append(log);
    EXPECT_EQ(log.segment_count(), 2U);
    EXPECT_EQ(log.bytes().active().base_offset(), 3);
    // One that is larger than a segment may be has a segment of its own.
    append(log, kNow, 10 * one);
    EXPECT_EQ(log.segment_count(), 3U);
    EXPECT_EQ(log.bytes().active().base_offset(), 4);
    append(log);
    EXPECT_EQ(log.segment_count(), 4U);
    co_return;
  });
}

TEST_F(PartitionSegmentsTest, ASegmentThatIsOldEnoughIsClosedByTheNextAppendOrPass) {
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    set(log, 1 << 20, 1000);
    append(log);
    append(log, {kNow.value + 1000});
    EXPECT_EQ(log.segment_count(), 1U) << "its age counts from the first append, and must be above";
    append(log, {kNow.value + 1001});
    EXPECT_EQ(log.segment_count(), 2U);
    EXPECT_TRUE((co_await log.apply_retention({kNow.value + 2001})).has_value());
    EXPECT_EQ(log.segment_count(), 2U);
    EXPECT_TRUE((co_await log.apply_retention({kNow.value + 2002})).has_value());
    EXPECT_EQ(log.segment_count(), 3U);
    EXPECT_TRUE((co_await log.apply_retention({kNow.value + 99'999})).has_value());
    EXPECT_EQ(log.segment_count(), 3U) << "an empty one is never closed";
    log.roll();
    EXPECT_EQ(log.segment_count(), 3U);
  });
}

// What stands in the file is the same as what was noted when it was appended; after a power loss there is no more.
TEST_F(PartitionSegmentsTest, AnIndexThatIsBuiltFromTheFileIsTheOneThatGrew) {
  Bytes sealed;
  Bytes active;
  life_until_power_off([&](Core& core, Engine&, Partition& log) -> Task<void> {
    for (int i = 0; i < 40; ++i) {
      if (i == 20) log.roll();
      append(log, kNow, 6000);
      co_await durable(core, log);
    }
    EXPECT_GT(log.bytes().active().index().entries().size(), 1U);
    sealed = log.bytes().segments().front()->index().encode();
    active = log.bytes().active().index().encode();
  });
  for (const std::string_view damage : {"", "not an index"}) {
    const ByteView content = bytes_of(damage);
    host_.disk().write_file("/data/t-0/00000000000000000000.index", Bytes(content.begin(), content.end()));
    life([&](Core&, Engine& engine, Partition& log) -> Task<void> {
      for (const auto& segment : log.bytes().segments()) {
        EXPECT_FALSE(segment->index_whole);
        EXPECT_TRUE((co_await log.reader().ensure_index(segment)).has_value());
        EXPECT_TRUE(segment->index_whole);
      }
      EXPECT_EQ(log.bytes().segments().front()->index().encode(), sealed);
      EXPECT_EQ(log.bytes().active().index().encode(), active);
      EXPECT_EQ(engine.stats().refused_ranges, 0U);
    });
  }
}

// An index file of another segment, whole as it is, is not believed.
TEST_F(PartitionSegmentsTest, AnIndexOfAnotherSegmentIsBuiltAnew) {
  life([](Core& core, Engine&, Partition& log) -> Task<void> {
    for (int i = 0; i < 6; ++i) {
      if (i % 2 == 0 && i > 0) log.roll();
      append(log);
    }
    co_await durable(core, log);
    co_await core.sleep(std::chrono::seconds(1));
  });
  const auto other = host_.disk().read_file("/data/t-0/00000000000000000002.index");
  ASSERT_TRUE(other.has_value());
  host_.disk().write_file("/data/t-0/00000000000000000000.index", *other);
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    const auto& first = log.bytes().segments().front();
    EXPECT_TRUE((co_await log.reader().ensure_index(first)).has_value());
    EXPECT_EQ(first->index().base_offset(), 0);
    EXPECT_EQ(first->index().size_bytes(), first->size);
    EXPECT_TRUE((co_await read_from(log, 0)).has_value());
  });
}

}  // namespace
}  // namespace posthaste::storage
