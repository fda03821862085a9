// Logs with holes in their offsets, as a compacted leader makes them of its followers: what is read, cut and found
// again after a crash, and that any other hole is still damage.
#include <gtest/gtest.h>

#include "storage/bytes/crc32c.h"
#include "storage/bytes/endian.h"
#include "storage/testing/store_test.h"

namespace posthaste::storage {
namespace {

using reactor::Core;
using reactor::Errc;
using reactor::Task;
using testing::batch_at;
using testing::kNow;

class HolesTest : public testing::StoreTest {
 protected:
  static void append(Partition& log, int64_t offset, int32_t epoch = 1, size_t bytes = 100) {
    const auto appended = log.append_replicated(batch_at(offset, epoch, std::string(bytes, 'v')), kNow);
    EXPECT_TRUE(appended.has_value()) << offset;
  }
  // The base offset of what is read at `offset`; -1: nothing.
  static Task<int64_t> found_at(Partition& log, int64_t offset) {
    auto read = co_await log.read({.offset = offset, .max_bytes = 1, .limit_offset = log.end_offset()});
    EXPECT_TRUE(read.has_value()) << offset << " " << to_string(read.error());
    co_return read ? read->base_offset : -2;
  }
  // Three segments, with holes at their beginnings, inside and at their ends; the last is not sealed.
  static constexpr int64_t kOffsets[] = {3, 4, 10, 20, 21, 29, 40, 50, 51};
  static Task<void> make(Core& core, Partition& log) {
    for (size_t i = 0; i < std::size(kOffsets); ++i) {
      if (i > 0 && i % 3 == 0) log.roll();
      append(log, kOffsets[i]);
      co_await durable(core, log);
    }
  }
  static Task<void> expect_all(Partition& log) {
    EXPECT_EQ(log.end_offset(), 52);
    EXPECT_EQ(log.segment_count(), 3U);
    for (int64_t offset = 0; offset < 52; ++offset) {
      EXPECT_EQ(co_await found_at(log, offset), *std::ranges::lower_bound(kOffsets, offset)) << offset;
    }
  }
  static std::string path(int64_t base, std::string_view extension = "log") {
    return fmt::format("/data/t-0/{:020}.{}", base, extension);
  }
};

TEST_F(HolesTest, AreReadOverInEveryLife) {
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    co_await expect_all(log);
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> { co_await expect_all(log); });
  for (const int64_t base : {0, 11}) host_.disk().write_file(path(base, "index"), Bytes(10));
  life([](Core&, Engine& engine, Partition& log) -> Task<void> {
    co_await expect_all(log);
    EXPECT_EQ(engine.stats().refused_ranges, 0U);
    EXPECT_EQ((co_await log.find_timestamp(5, log.end_offset()))->offset, 3);
    EXPECT_EQ((co_await log.max_timestamp())->offset, 3);
  });
}

// Who reads up to a limit gets there, also where nothing is left before it.
TEST_F(HolesTest, AReadThatEndsInAHoleSaysWhereToGoOn) {
  life([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    auto read = co_await log.read({.offset = 30, .limit_offset = 35});
    EXPECT_TRUE(read.has_value() && read->pieces.empty());
    EXPECT_EQ(read->next_offset, 35);
    EXPECT_TRUE((co_await log.truncate(45)).has_value());
    read = co_await log.read({.offset = 41, .limit_offset = 45});
    EXPECT_TRUE(read.has_value() && read->pieces.empty());
    EXPECT_EQ(read->next_offset, 45);
  });
}

TEST_F(HolesTest, ATruncationEndsWhereItIsAskedTo) {
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await make(core, log);
    EXPECT_TRUE((co_await log.truncate(45)).has_value());
    EXPECT_EQ(log.end_offset(), 45);
    log.roll();  // a segment that begins in the hole
    append(log, 47);
    co_await durable(core, log);
    EXPECT_TRUE((co_await log.truncate(43)).has_value());
    EXPECT_EQ(log.end_offset(), 43);
  });
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    EXPECT_EQ(log.end_offset(), 43);
    EXPECT_EQ(co_await found_at(log, 30), 40);
    EXPECT_EQ(co_await found_at(log, 41), -1);
    append(log, 43);
    co_await durable(core, log);
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    EXPECT_EQ(co_await found_at(log, 41), 43);
    EXPECT_TRUE((co_await log.truncate(22)).has_value());
    EXPECT_EQ(log.end_offset(), 22);
    EXPECT_EQ(co_await found_at(log, 11), 20);
  });
}

// Whose offsets those of a hole were only the leader may know. Else they count as of the newer epoch, which asks for
// more to be cut.
TEST_F(HolesTest, AnEpochBehindAHoleStartsBeforeIt) {
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    append(log, 0, 1);
    append(log, 10, 2);
    append(log, 11, 4);
    const EpochEntry leaders[] = {{1, 0}, {2, 4}, {4, 11}, {5, 30}, {6, 35}, {7, 41}};
    const auto appended = log.append_replicated(batch_at(40, 6, "v"), kNow, leaders);
    EXPECT_TRUE(appended.has_value());
    co_await durable(core, log);
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    EXPECT_EQ(log.epochs().entries(), (std::vector<EpochEntry>{{1, 0}, {2, 1}, {4, 11}, {5, 30}, {6, 35}}));
    EXPECT_EQ(log.end_offset_for_epoch(1), (EpochEnd{1, 1}));
    co_return;
  });
}

// A new leader's epoch may have written nothing, and the next leader may continue under an older one: KIP-101's
// follower cuts at its own end then.
TEST_F(HolesTest, ATruncationAtTheEndForgetsAnEpochThatWroteNothing) {
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    append(log, 0, 1);
    log.start_epoch(5);
    EXPECT_EQ(log.append_replicated(batch_at(1, 1, "v"), kNow).error(), Errc::kStale);
    EXPECT_TRUE((co_await log.truncate(7)).has_value());
    append(log, 1, 1);
    co_await durable(core, log);
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    EXPECT_EQ(log.epochs().entries(), (std::vector<EpochEntry>{{1, 0}}));
    EXPECT_EQ(co_await found_at(log, 1), 1);
  });
}

// The batch at `offset` in the file of the segment at `base` loses a record's offset, and is sound otherwise: what only
// the offsets of its neighbours, or the hash of its run, can tell.
void shorten(reactor::simulated::Disk& disk, const std::string& path, int64_t offset) {
  Bytes bytes = *disk.read_file(path);
  for (BatchCursor cursor(bytes); auto batch = cursor.next();) {
    if (batch->base_offset() != offset) continue;
    std::byte* at = bytes.data() + cursor.position() - batch->size_bytes();
    store_be<int32_t>(at + 23, batch->last_offset_delta() - 1);
    store_be<int32_t>(at + 57, batch->record_count() - 1);
    store_be<uint32_t>(at + 17, crc32c(ByteView(batch->bytes()).subspan(kBatchCrcCoverageStart)));
  }
  disk.write_file(path, bytes);
}

Bytes batch_of_two(int64_t offset) {
  RecordBatchBuilder builder({.base_offset = offset, .leader_epoch = 1});
  for (int i = 0; i < 2; ++i) builder.add({.timestamp = 5, .value = bytes_of("value")});
  return builder.finish();
}

TEST_F(HolesTest, AHoleThatNobodyMadeIsDamage) {
  enum class Holes { kNone, kBehind, kCutAway };
  const std::pair<Holes, bool> cases[] = {
      {Holes::kNone, true}, {Holes::kBehind, true}, {Holes::kCutAway, true}, {Holes::kCutAway, false}};
  for (const auto& [kind, is_orderly] : cases) {
    SCOPED_TRACE(fmt::format("{} {}", static_cast<int>(kind), is_orderly));
    host_.disk() = reactor::simulated::Disk();
    const auto make = [holes = kind](Core& core, Engine&, Partition& log) -> Task<void> {
      if (holes == Holes::kCutAway) {
        EXPECT_TRUE(log.append_replicated(batch_of_two(40), kNow).has_value());
        EXPECT_TRUE((co_await log.truncate(0)).has_value());
      }
      for (int64_t offset = 0; offset < 12; offset += 2) {
        if (offset == 6) log.roll();
        EXPECT_TRUE(log.append_replicated(batch_of_two(offset), kNow).has_value());
        co_await durable(core, log);
      }
      if (holes == Holes::kBehind) EXPECT_TRUE(log.append_replicated(batch_of_two(20), kNow).has_value());
      co_await durable(core, log);
    };
    is_orderly ? life(make) : life_until_power_off(make);
    life([](Core&, Engine&, Partition&) -> Task<void> { co_return; });
    shorten(host_.disk(), path(0), 2);
    host_.disk().write_file(path(0, "index"), Bytes(10));
    life([](Core&, Engine& engine, Partition& log) -> Task<void> {
      EXPECT_EQ((co_await log.read({.offset = 2, .limit_offset = 12})).error(), Errc::kDamaged);
      EXPECT_EQ(engine.stats().refused_ranges, 1U);
      EXPECT_EQ(co_await found_at(log, 6), 6);
    });
  }
}

// Where holes are allowed the hashes of runs prove the offsets: of a sealed segment in its index, of the last one in
// the table.
TEST_F(HolesTest, AnotherHoleThanWasMadeIsDamage) {
  for (const int64_t base : {0, 12}) {
    SCOPED_TRACE(base);
    host_.disk() = reactor::simulated::Disk();
    life([&](Core& core, Engine&, Partition& log) -> Task<void> {
      for (const int64_t offset : {2, 4, 10, 14, 16, 18}) {
        if (offset == 14) log.roll();
        EXPECT_TRUE(log.append_replicated(batch_of_two(offset), kNow).has_value());
        co_await durable(core, log);
      }
    });
    const int64_t wrong = base == 0 ? 4 : 16;
    shorten(host_.disk(), path(base), wrong);
    life([&](Core&, Engine& engine, Partition& log) -> Task<void> {
      EXPECT_EQ((co_await log.read({.offset = wrong, .limit_offset = 20})).error(), Errc::kDamaged);
      EXPECT_EQ(engine.stats().refused_ranges, 1U);
    });
  }
}

TEST_F(HolesTest, AnOffsetThatDoesNotAscendIsDamage) {
  life([](Core& core, Engine&, Partition& log) -> Task<void> { co_await make(core, log); });
  Bytes bytes = *host_.disk().read_file(path(11));
  store_be<int64_t>(bytes.data() + batch_at(20, 1, std::string(100, 'v')).size(), 20);  // 20, 20, 29
  host_.disk().write_file(path(11), bytes);
  host_.disk().write_file(path(11, "index"), Bytes(10));
  life([](Core&, Engine&, Partition& log) -> Task<void> {
    EXPECT_EQ((co_await log.read({.offset = 21, .limit_offset = 52})).error(), Errc::kDamaged);
    EXPECT_EQ(co_await found_at(log, 40), 40);
    EXPECT_EQ(co_await found_at(log, 10), 10);
  });
}

}  // namespace
}  // namespace posthaste::storage
