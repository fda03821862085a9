// A table's file made in pieces has the bytes of one that is made at once, wherever it is cut, and a core that makes a
// large one serves others meanwhile.
#include "storage/recovery/table_file.h"

#include <gtest/gtest.h>

#include "reactor/scope.h"
#include "storage/journal/journal_format.h"
#include "storage/testing/store_test.h"
#include "storage/testing/table_image.h"

namespace posthaste::storage {
namespace {

using reactor::Core;
using reactor::Task;
using testing::encode_table;

TableSnapshot snapshot() {
  return {.number = 12, .cores = 2, .next_uid = 99, .streams = {{.low_water_lsn = 4096}}, .owner = "me"};
}

Bytes whole(const TableFile& file) {
  Bytes all;
  for (const Bytes& chunk : file.chunks()) {
    EXPECT_EQ(chunk.size() % kBlock, 0U);
    all.insert(all.end(), chunk.begin(), chunk.end());
  }
  EXPECT_EQ(all.size(), file.bytes());
  return all;
}

TEST(TableFile, OfManyEntriesIsThatOfOneGo) {
  constexpr uint64_t kEntries = 20'000;  // 4 MiB
  TableEntries entries;
  TableEntries more;
  Bytes at_once;
  for (uint64_t uid = 1; uid <= kEntries; ++uid) {
    const TableEntry entry{.uid = uid, .topic_name = "orders", .segments = {{0, uid, 77, {5}}}};
    (uid <= kEntries / 3 ? entries : more).add(entry);
    encode_table_entry(entry, at_once);
  }
  entries.add(std::move(more));
  EXPECT_EQ(entries.bytes(), at_once.size());
  TableFile file(snapshot(), entries.count(), entries.bytes());
  for (const Bytes& piece : entries.pieces()) file.add(piece);
  file.finish();
  EXPECT_GT(entries.pieces().size(), 8U);
  EXPECT_GT(file.chunks().size(), 2U);
  EXPECT_EQ(whole(file), encode_table(snapshot(), at_once, kEntries));
  const auto read = decode_table(whole(file));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->entries.size(), kEntries);
}

// Where its header, entries and checksum end beside a chunk's end.
TEST(TableFile, OfEverySizeAroundAChunk) {
  const size_t around = (size_t{1} << 20) - encode_table({snapshot()}, {}, 0).size();
  for (size_t size = around - 64; size < around + kBlock + 64; size += 61) {
    const Bytes entries(size, std::byte{0x5a});
    TableFile file(snapshot(), 1, size);
    file.add(ByteView(entries).first(size / 3));
    file.add(ByteView(entries).subspan(size / 3));
    file.finish();
    ASSERT_EQ(whole(file), encode_table(snapshot(), entries, 1)) << size;
  }
}

class TableFileTest : public testing::StoreTest {};

TEST_F(TableFileTest, OthersRunWhileALargeOneIsMade) {
  life([](Core& core, Engine& engine, Partition&) -> Task<void> {
    constexpr size_t kPartitions = 2'000;
    for (size_t i = 0; i < kPartitions; ++i) {
      TopicId id{};
      id[1] = std::byte{1};
      const auto made = co_await engine.create_partition(
          {.topic_id = id, .topic_name = "many", .partition = static_cast<int32_t>(i)});
      EXPECT_TRUE(made.has_value());
    }
    co_await core.sleep(std::chrono::seconds(1));
    bool is_written = false;
    reactor::TaskScope scope(core);
    auto write = [&]() -> Task<void> {
      co_await engine.checkpoint();
      is_written = true;
    };
    scope.spawn(write());
    // Until the file is looked for: what is before that is work of this core alone, and of its steps behind requests
    // each takes a turn.
    size_t turns = 0;
    const uint64_t operations = core.stats().operations;
    while (!is_written && core.stats().operations == operations) {
      ++turns;
      co_await core.yield(reactor::CpuClass::kBackground);
    }
    EXPECT_GT(turns, kPartitions / 128);
    co_await scope.join();
  });
}

}  // namespace
}  // namespace posthaste::storage
