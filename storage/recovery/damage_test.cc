// What a partition serves of files that were damaged, lost or exchanged between two lives, on the simulated disk: what
// was acked, or an error and a line in the log, never anything else.
#include <gtest/gtest.h>

#include "reactor/file.h"
#include "storage/testing/damage_fixture.h"

namespace posthaste::storage {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Task;
using testing::DamageTest;

Bytes batch_of(int records, std::string_view value) {
  RecordBatchBuilder builder;
  for (int i = 0; i < records; ++i) builder.add({.timestamp = testing::kNow.value, .value = bytes_of(value)});
  return builder.finish();
}

TEST_F(DamageTest, NothingIsRefusedOfAWholeFolder) {
  make();
  EXPECT_EQ(refused_of("a"), std::vector<int64_t>());
  life([&](Core& core, Engine& engine) -> Task<void> { co_await fill(core, engine, "c"); }, true);
  for (const char* topic : {"a", "b", "c"}) EXPECT_EQ(refused_of(topic), std::vector<int64_t>()) << topic;
}

TEST_F(DamageTest, TwoSegmentsOfOnePartitionExchangedAreNoticed) {
  make();
  exchange(path_of("a", 0), path_of("a", 1));
  EXPECT_EQ(refused_of("a"), offsets(0, 2));
  EXPECT_TRUE(logged("storage.range_refused")) << world_.log_tail();
  EXPECT_TRUE(logged("file=" + path_of("a", 0))) << world_.log_tail();
}

// Same offsets, same epoch, sound checksums: only the index of each segment knows better.
TEST_F(DamageTest, SegmentsOfTwoPartitionsExchangedAreNoticed) {
  make();
  exchange(path_of("a", 1), path_of("b", 1));
  EXPECT_EQ(refused_of("a"), offsets(1, 2));
  EXPECT_EQ(refused_of("b"), offsets(1, 2));
}

// These have no index yet; the table knows what their headers hash to.
TEST_F(DamageTest, ActiveSegmentsOfTwoPartitionsExchangedAreNoticedAlsoAfterSigkill) {
  life(
      [&](Core& core, Engine& engine) -> Task<void> {
        co_await fill(core, engine, "a");
        co_await fill(core, engine, "b");
      },
      true);
  // Recovery brings what the journal holds into the segments, and its tables record that.
  life([](Core&, Engine&) -> Task<void> { co_return; }, true);
  exchange(path_of("a", kSegments - 1), path_of("b", kSegments - 1));
  EXPECT_EQ(refused_of("a"), offsets(kSegments - 1, kSegments));
  EXPECT_EQ(refused_of("b"), offsets(kSegments - 1, kSegments));
  // The next life knows it from the table that this one wrote.
  EXPECT_EQ(refused_of("a"), offsets(kSegments - 1, kSegments));
}

TEST_F(DamageTest, IndexesExchangedOrLostNeverChangeWhatIsServed) {
  make();
  exchange(path_of("a", 1, "index"), path_of("a", 2, "index"));
  EXPECT_EQ(refused_of("a"), std::vector<int64_t>());
  exchange(path_of("b", 0, "index"), path_of("a", 0, "index"));
  EXPECT_EQ(refused_of("b"), offsets(0, 1)) << "which of the two is wrong cannot be told";
  host_.disk().write_file(path_of("b", 0, "index"), Bytes(100));
  EXPECT_EQ(refused_of("b"), std::vector<int64_t>()) << "made anew from the segment";
}

// Without its index nothing but the end of its batches shows whose it is.
TEST_F(DamageTest, ASegmentOfTheSameSizeThatEndsAtAnotherOffsetIsNoticedAlsoWithoutItsIndex) {
  Bytes pair = batch_of(2, "of a pair");
  const Bytes single = batch_of(1, "behind it");
  const size_t overhead = batch_of(1, std::string(100, 'v')).size() - 100;
  Bytes large = batch_of(1, std::string(pair.size() + single.size() - overhead, 'v'));
  ASSERT_EQ(large.size(), pair.size() + single.size());
  const auto append = [](Partition& partition, Bytes bytes) {
    EXPECT_TRUE(partition.append(bytes, {.leader_epoch = 0}, testing::kNow).has_value());
  };
  life([&](Core& core, Engine& engine) -> Task<void> {
    for (const char* topic : {"a", "b"}) {
      Partition& partition = **co_await engine.create_partition({.topic_id = id_of(topic), .topic_name = topic});
      if (topic == std::string("a")) {
        append(partition, large);
      } else {
        append(partition, pair);
        append(partition, single);
      }
      partition.roll();
      for (int i = 0; i < 5; ++i) append(partition, single);
    }
    co_await core.sleep(1s);
  });
  exchange(path_of("a", 0), path_of("b", 0));
  for (const char* topic : {"a", "b"}) host_.disk().write_file(path_of(topic, 0, "index"), ByteView());
  life([&](Core&, Engine& engine) -> Task<void> {
    for (const char* topic : {"a", "b"}) {
      const auto read = co_await engine.find(id_of(topic), 0)->read({.offset = 0, .max_bytes = 1, .limit_offset = 6});
      EXPECT_FALSE(read.has_value()) << topic;
    }
  });
  EXPECT_TRUE(logged("storage.range_refused")) << world_.log_tail();
}

// A batch's offset lies outside its checksum, and the next header that could show it lies in another chunk.
TEST_F(DamageTest, ABitOfTheOffsetOfASegmentsFirstBatchIsNoticed) {
  constexpr size_t kLarge = 70'000;  // a batch is longer than a chunk
  for (const int64_t log_start : {0, 2}) {
    SCOPED_TRACE(log_start);
    host_.disk() = reactor::simulated::Disk();
    make(kLarge);
    life([&](Core&, Engine& engine) -> Task<void> {
      Partition& partition = *engine.find(id_of("a"), 0);
      partition.set_high_watermark(partition.durable_offset());
      EXPECT_TRUE((co_await partition.set_log_start(log_start)).has_value());
    });
    for (const int segment : {0, kSegments - 1}) {
      constexpr uint64_t kLastByteOfOffset = 7;
      ASSERT_TRUE(host_.disk().flip_bit(path_of("a", segment), kLastByteOfOffset, 1));
      const auto refused = refused_of("a", kLarge);
      ASSERT_FALSE(refused.empty());
      EXPECT_EQ(refused.front(), std::max<int64_t>(log_start, int64_t{segment} * kOffsets));
      ASSERT_TRUE(host_.disk().flip_bit(path_of("a", segment), kLastByteOfOffset, 1));
    }
    EXPECT_EQ(refused_of("a", kLarge), std::vector<int64_t>());
  }
}

TEST_F(DamageTest, OfASegmentThatWasCutTheBeginningIsServed) {
  make();
  const auto whole = host_.disk().read_file(path_of("a", 1));
  host_.disk().write_file(path_of("a", 1), ByteView(*whole).first(whole->size() / 2));
  const auto refused = refused_of("a");
  ASSERT_FALSE(refused.empty());
  EXPECT_EQ(refused.back(), 2 * kOffsets - 1);
  EXPECT_TRUE(logged("the file ends before")) << world_.log_tail();
  host_.disk().write_file(path_of("a", 1), ByteView());
  EXPECT_EQ(refused_of("a"), offsets(1, 2));
  host_.disk().write_file(path_of("a", 1), *whole);
  EXPECT_EQ(refused_of("a"), std::vector<int64_t>()) << "nothing of this was written down";
}

TEST_F(DamageTest, ASegmentThatIsGoneIsRefusedAndNamed) {
  make();
  life([&](Core& core, Engine& engine) -> Task<void> {
    EXPECT_TRUE((co_await reactor::file_system::unlink(core, path_of("a", 2))).has_value());
    EXPECT_EQ(co_await read_all(engine, "a"), offsets(2, 3));
  });
  EXPECT_TRUE(logged("reason=\"the file is missing\"")) << world_.log_tail();
}

// Whatever has brought its last bytes into the file before.
TEST_F(DamageTest, ASegmentThatIsRolledAfterAllOfItWasFlushedGetsItsIndexToo) {
  make();
  life(
      [&](Core& core, Engine& engine) -> Task<void> {
        for (const char* topic : {"a", "b"}) {
          Partition& partition = *engine.find(id_of(topic), 0);
          partition.roll();
          EXPECT_TRUE(append_one(partition, topic).has_value());
        }
        co_await core.sleep(1s);
      },
      true);
  extra_ = 1;
  EXPECT_TRUE(host_.disk().read_file(path_of("a", kSegments - 1, "index")).has_value());
  exchange(path_of("a", kSegments - 1), path_of("b", kSegments - 1));
  EXPECT_EQ(refused_of("a"), offsets(kSegments - 1, kSegments));
}

// SIGKILL, so that the journal holds what belongs into the damaged files.
TEST_F(DamageTest, AfterSigkillALostOrCutFileStopsNothingButItsOwnReads) {
  for (const std::string how : {"cut", "gone", "folder gone"}) {
    SCOPED_TRACE(how);
    host_.disk() = reactor::simulated::Disk();
    constexpr size_t kLarge = 400;  // segments of several blocks: the journal holds the last one as a whole
    make(kLarge);
    life(
        [&](Core& core, Engine& engine) -> Task<void> {
          for (const char* topic : {"a", "b"}) {
            for (int i = 0; i < 3; ++i)
              EXPECT_TRUE(append_one(*engine.find(id_of(topic), 0), topic, kLarge).has_value());
          }
          co_await core.sleep(1s);
          EXPECT_EQ(engine.find(id_of("a"), 0)->durable_offset(), kSegments * kOffsets + 3);
        },
        true);
    const std::string active = path_of("a", kSegments - 1);
    if (how == "cut") {
      const auto bytes = host_.disk().read_file(active);
      host_.disk().write_file(active, ByteView(*bytes).first(1000));
    } else {
      remove_files(how == "gone" ? active : "/data/a-0/");
    }
    extra_ = 3;
    EXPECT_EQ(refused_of("b", kLarge), std::vector<int64_t>());
    EXPECT_TRUE(how == "cut" || std::ranges::any_of(report_.notes,
                                                    [&](const std::string& note) {
                                                      return note.contains(how == "gone" ? active : "/data/a-0");
                                                    }))
        << fmt::format("{}", fmt::join(report_.notes, "\n"));
    const auto refused = refused_of("a", kLarge);
    ASSERT_FALSE(refused.empty());
    // What the journal held is there, but in a segment that has no index yet nothing can be found behind a hole.
    EXPECT_GE(refused.front(), how == "folder gone" ? 0 : (kSegments - 1) * kOffsets);
    life([&](Core& core, Engine& engine) -> Task<void> {
      Partition& partition = *engine.find(id_of("a"), 0);
      EXPECT_FALSE(partition.damage().damaged) << partition.damage().reason;
      EXPECT_TRUE(append_one(partition, "a", kLarge).has_value());
      co_await core.sleep(1s);
      EXPECT_EQ(partition.durable_offset(), kSegments * kOffsets + 4);
    });
    extra_ = 0;
  }
}

}  // namespace
}  // namespace posthaste::storage
