// The table's bytes and the placement rule.
#include "storage/recovery/table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "storage/bytes/codec.h"
#include "storage/journal/journal_format.h"
#include "storage/placement.h"
#include "storage/testing/table_image.h"

namespace posthaste::storage {
namespace {

using reactor::Errc;
using testing::encode_table;

TableEntry entry_of(Uid uid) {
  TableEntry entry{.uid = uid,
                   .topic_name = "orders",
                   .partition = 3,
                   .core = 1,
                   .generation = 2,
                   .last_meta_lsn = 8192,
                   .directory_created = true,
                   .log_start = 5,
                   .segments = {{0, 1000, 77, {5}}, {40, 300, 99, {6}}},
                   .flushed = {40, 200},
                   .released = {40, 0},
                   .end = {40, 300},
                   .end_offset = 60,
                   .high_watermark = 55};
  entry.epochs.assign(4, 10);
  entry.holes_from = 30;
  entry.producers = ProducerState().encode(60);
  entry.producers_at = entry.end;
  entry.producers_offset = 60;
  return entry;
}

Bytes table_of(uint64_t entries) {
  TableSnapshot snapshot{.number = 12, .cores = 2, .next_uid = 99, .streams = {{.low_water_lsn = 4096}}};
  Bytes encoded;
  for (uint64_t uid = 1; uid <= entries; ++uid) encode_table_entry(entry_of(uid), encoded);
  return encode_table(snapshot, encoded, entries);
}

TEST(Table, IsReadBack) {
  const Bytes file = table_of(3);
  EXPECT_EQ(file.size() % kBlock, 0U);
  const auto table = decode_table(file);
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ(table->number, 12U);
  EXPECT_EQ(table->next_uid, 99U);
  ASSERT_EQ(table->entries.size(), 3U);
  const TableEntry& entry = table->entries[2];
  EXPECT_EQ(entry.uid, 3U);
  EXPECT_EQ(entry.topic_name, "orders");
  EXPECT_EQ(entry.segments, entry_of(3).segments);
  EXPECT_EQ(entry.released, (SegmentPosition{40, 0}));
  EXPECT_EQ(entry.high_watermark, 55);
  EXPECT_EQ(entry.holes_from, 30);
  EXPECT_EQ(entry.epochs, entry_of(3).epochs);
  EXPECT_EQ(entry.producers, entry_of(3).producers);
  EXPECT_TRUE(entry.directory_created);
  EXPECT_FALSE(entry.deleted);
}

TEST(Table, EveryFlippedBitIsFound) {
  const Bytes file = table_of(1);
  const size_t used = open_frame(file, load_le<uint32_t>(file.data()), kTableVersion)->total_bytes;
  for (size_t at = 0; at < used; ++at) {
    Bytes rotten = file;
    rotten[at] ^= std::byte{1};
    EXPECT_FALSE(decode_table(rotten).has_value()) << at;
  }
}

TEST(Table, NewerVersionIsRefusedAsSuch) {
  const Bytes file = table_of(1);
  const auto frame = open_frame(file, load_le<uint32_t>(file.data()), kTableVersion);
  ASSERT_TRUE(frame.has_value());
  const Bytes newer = make_frame(load_le<uint32_t>(file.data()), kTableVersion + 1, frame->payload);
  EXPECT_EQ(decode_table(newer).error(), Errc::kUnsupported);
}

// A table of version 3 is one of version 4 without its entries' last field.
TEST(Table, BeforeVersionFourTheHighWatermarkIsTheEndAndThereAreNoHoles) {
  TableSnapshot snapshot{.streams = {{}}};
  Bytes entry;
  encode_table_entry(entry_of(7), entry);
  entry.resize(entry.size() - 2 * sizeof(int64_t));
  const Bytes file = encode_table(snapshot, entry, 1);
  const uint32_t magic = load_le<uint32_t>(file.data());
  const auto frame = open_frame(file, magic, kTableVersion);
  ASSERT_TRUE(frame.has_value());
  EXPECT_FALSE(decode_table(file).has_value()) << "as version 4 it is too short";
  const auto table = decode_table(make_frame(magic, 3, frame->payload));
  ASSERT_TRUE(table.has_value());
  ASSERT_EQ(table->entries.size(), 1U);
  EXPECT_EQ(table->entries[0].uid, 7U);
  EXPECT_EQ(table->entries[0].high_watermark, 60);
  EXPECT_EQ(table->entries[0].holes_from, kNoHoles);
}

TEST(Table, ImpossibleEntriesAreCorrupt) {
  const auto is_corrupt = [](const TableEntry& entry) {
    Bytes encoded;
    encode_table_entry(entry, encoded);
    const auto table = decode_table(encode_table({.streams = {{}}}, encoded, 1));
    return !table && table.error() == Errc::kCorrupt;
  };
  EXPECT_FALSE(is_corrupt(entry_of(1)));
  TableEntry entry = entry_of(1);
  entry.flushed = {41, 0};  // in a segment behind the end
  EXPECT_TRUE(is_corrupt(entry));
  entry = entry_of(1);
  entry.segments[0].size_bytes = UINT64_MAX - 133;  // what follows would lie before it
  EXPECT_TRUE(is_corrupt(entry));
  entry = entry_of(1);
  entry.end.position = UINT64_MAX;
  EXPECT_TRUE(is_corrupt(entry));
  entry = entry_of(1);
  entry.high_watermark = 61;
  EXPECT_TRUE(is_corrupt(entry)) << "above what is durable";
  entry.high_watermark = -1;
  EXPECT_TRUE(is_corrupt(entry));
  entry = entry_of(1);
  entry.holes_from = -1;
  EXPECT_TRUE(is_corrupt(entry));
}

TEST(Placement, FewestOfTheTopicThenFewestOfAll) {
  Placement placement(3);
  TopicId first{};
  TopicId second{};
  second[0] = std::byte{1};
  for (int32_t partition = 0; partition < 4; ++partition) {
    const auto core = placement.choose_core(first);
    EXPECT_EQ(core, partition % 3);
    placement.add({first, partition}, core);
  }
  // Core 0 has two of the first topic: the second one starts elsewhere.
  EXPECT_EQ(placement.choose_core(second), 1);
  placement.remove({first, 0});
  placement.remove({first, 3});
  EXPECT_EQ(placement.choose_core(second), 0);
  EXPECT_EQ(placement.find({first, 1}), 1);
  EXPECT_FALSE(placement.find({first, 3}).has_value());
}

TEST(Placement, AReservedPartitionCountsAndIsNotThereYet) {
  Placement placement(2);
  const Placement::Key key{.topic_id = {}, .partition = 0};
  placement.reserve(key, 0);
  EXPECT_FALSE(placement.find(key).has_value());
  EXPECT_EQ(placement.find_reserved(key), 0);
  EXPECT_EQ(placement.choose_core(key.topic_id), 1);
  EXPECT_DEATH(placement.add(key, 1), "reserved on another core");
  placement.add(key, 0);
  EXPECT_EQ(placement.find(key), 0);
  placement.reserve(key, 1);
  EXPECT_EQ(placement.find(key), 0) << "it is there";
  placement.remove(key);
  EXPECT_EQ(placement.size(), 0U);
}

// Core, and whether it is there rather than reserved.
using PlacementModel = std::map<Placement::Key, std::pair<reactor::CoreId, bool>>;

void expect_same(const Placement& placement, const PlacementModel& model) {
  ASSERT_EQ(placement.size(), model.size());
  auto at = model.begin();
  placement.for_each([&](const Placement::Key& key, reactor::CoreId core) {
    ASSERT_NE(at, model.end());
    EXPECT_EQ(key, at->first);
    EXPECT_EQ(core, at->second.first);
    ++at;
  });
  for (const auto& [key, place] : model) {
    EXPECT_EQ(placement.find_reserved(key), place.first);
    EXPECT_EQ(placement.find(key), place.second ? std::optional(place.first) : std::nullopt);
  }
}

TEST(Placement, IsAsAModelAndSoIsEachCopy) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    Placement placement(4);
    PlacementModel model;
    std::vector<std::pair<Placement, PlacementModel>> kept;
    for (int step = 0; step < 500; ++step) {
      Placement::Key key{.topic_id = {}, .partition = static_cast<int32_t>(random() % 8)};
      key.topic_id[15] = static_cast<std::byte>(random() % 20);
      const auto core = static_cast<reactor::CoreId>(random() % 4);
      if (const unsigned dice = random() % 6; dice < 2) {
        placement.reserve(key, core);
        model.emplace(key, std::pair(core, false));
      } else if (dice < 4) {
        const reactor::CoreId same = model.contains(key) ? model.at(key).first : core;
        placement.add(key, same);
        model.insert_or_assign(key, std::pair(same, true));
      } else {
        placement.remove(key);
        model.erase(key);
      }
      EXPECT_EQ(placement.find_reserved(key).has_value(), model.contains(key));
      if (step % 50 == 0) kept.emplace_back(placement, model);
    }
    expect_same(placement, model);
    for (const auto& [copy, was] : kept) expect_same(copy, was);
  }
}

}  // namespace
}  // namespace posthaste::storage
