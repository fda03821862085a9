// The engine's starts and stops on the simulated disk: what is made when, and what a start clears away. Crashes at
// every operation are tested in tests/storage_crash.
#include "storage/engine.h"

#include <gtest/gtest.h>

#include "reactor/scope.h"
#include "reactor/simulated/world.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/batch/record_reader.h"
#include "storage/journal/journal_stream.h"
#include "storage/testing/batches.h"
#include "storage/testing/one_life.h"

namespace posthaste::storage {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Result;
using reactor::Task;
using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::World;
using testing::kNow;
using testing::one_record;

constexpr std::string_view kJournal = "/data/journal/s00";

class EngineTest : public ::testing::Test {
 protected:
  // One life of a store on one core, from recovery to an orderly close, or to the death that `work` brings about.
  void life(const testing::EngineWork& work, HostState end = HostState::kStopped) {
    testing::run_until_down(
        world_, host_, [this, work](Core& core) { return testing::one_life(core, options_, work); }, end);
  }

  size_t journal_files() const {
    const auto listed = host_.disk().list(kJournal);
    return listed ? listed->size() : 0;
  }

  World world_{7};
  EngineOptions options_{
      .data_directory = "/data", .journal_file_bytes = 64 << 10, .journal_files = 32, .commit_bytes_max = 16 << 10};
  Host& host_ = world_.add_host({.cores = 1, .pool_bytes_per_core = 16 << 20}, "10.0.0.1", nullptr);
};

Task<void> do_nothing(Core&, Engine&) { co_return; }

TEST_F(EngineTest, AnEarlyStopDoesNotWaitForTheWholeJournal) {
  life(do_nothing);
  // The pair under way is finished, no other is started.
  EXPECT_GE(journal_files(), JournalStream::kFilesAtStart);
  EXPECT_LE(journal_files(), JournalStream::kFilesAtStart + 2U);
  const size_t left = journal_files();
  life([this](Core& core, Engine&) -> Task<void> {
    while (journal_files() < options_.journal_files) co_await core.sleep(1ms);
  });
  EXPECT_LT(left, journal_files()) << "the next start goes on";
  for (const auto& path : host_.disk().all_files()) {
    if (path.starts_with(kJournal)) EXPECT_EQ(host_.disk().stat(path)->size_bytes, options_.journal_file_bytes) << path;
  }
}

TEST_F(EngineTest, AFirstStartWaitsForFewFlushes) {
  uint64_t flushes = 0;
  host_.on_submit([&](const reactor::Op& op, uint64_t) {
    if (op.kind == reactor::OpKind::kSync) ++flushes;
  });
  life([&](Core&, Engine&) -> Task<void> {
    // The folder's name, the journal's folder, a table and its name, four journal files side by side, their names, the
    // table that names them, its name.
    EXPECT_LE(flushes, 11U);
    co_return;
  });
}

Task<void> append(Partition& partition, int records) {
  for (int i = 0; i < records; ++i) {
    Bytes batch = one_record();
    const auto appended = partition.append(batch, {.leader_epoch = 0}, kNow);
    EXPECT_TRUE(appended.has_value());
    partition.roll();
  }
  co_return;
}

// segment.ms and segment.jitter.ms, of twenty partitions that were made together.
TEST_F(EngineTest, SegmentsRollByAgeAndJitterSpreadsThem) {
  life([](Core&, Engine& engine) -> Task<void> {
    constexpr int kPartitions = 20;
    size_t rolled_early = 0;
    for (int32_t index = 0; index < kPartitions; ++index) {
      auto created = co_await engine.create_partition({.topic_id = {}, .topic_name = "t", .partition = index});
      if (!created) co_return ADD_FAILURE() << to_string(created.error());
      Partition& partition = **created;
      partition.set_config({.segment_ms = 1000, .segment_jitter_ms = 1000});
      const auto append_after = [&](int64_t milliseconds) {
        Bytes batch = one_record();
        EXPECT_TRUE(
            partition.append(batch, {.leader_epoch = 0}, reactor::WallMillis{kNow.value + milliseconds}).has_value());
      };
      append_after(0);
      append_after(500);
      rolled_early += partition.segment_count() - 1;
      append_after(1001);
      EXPECT_GE(partition.segment_count(), 2U) << index;
    }
    EXPECT_GT(rolled_early, 2U);
    EXPECT_LT(rolled_early, kPartitions - 2U);
  });
}

TEST_F(EngineTest, PartitionsOfEqualSettingsShareThemUntilOneIsChanged) {
  life([](Core&, Engine& engine) -> Task<void> {
    std::vector<Partition*> partitions;
    for (int32_t index = 0; index < 3; ++index) {
      auto created = co_await engine.create_partition(
          {.topic_id = {}, .topic_name = "t", .partition = index, .config = {.segment_ms = 5}});
      if (!created) co_return ADD_FAILURE() << to_string(created.error());
      partitions.push_back(*created);
    }
    EXPECT_EQ(&partitions[0]->config(), &partitions[1]->config());
    partitions[1]->set_config({.segment_ms = 6});
    EXPECT_EQ(partitions[0]->config().segment_ms, 5);
    EXPECT_EQ(partitions[1]->config().segment_ms, 6);
    // Many others push it out of what is kept for sharing; a partition that has it keeps it.
    for (int64_t other = 100; other < 150; ++other) partitions[2]->set_config({.segment_ms = other});
    EXPECT_EQ(partitions[0]->config().segment_ms, 5);
    EXPECT_EQ(partitions[2]->config().segment_ms, 149);
  });
}

// A growing journal finds a file ready that is in the page cache alone.
TEST_F(EngineTest, AJournalFileThatAKilledLifeHadJustMadeIsUsedWhenItIsDurable) {
  constexpr int kRecords = 16;  // the last of them in the third pair
  options_.journal_files = JournalStream::kFilesAtStart + 2;
  const std::string value(16'000, 'v');
  TopicId id{};
  id[0] = std::byte{1};
  host_.disk().add_fault({.kind = reactor::OpKind::kSync, .path_contains = "04.wal"});
  life(
      [this](Core& core, Engine&) -> Task<void> {
        while (host_.disk().stats().errors_injected == 0) co_await core.sleep(1ms);
        host_.kill();
        co_await core.sleep(1s);
      },
      HostState::kKilled);
  ASSERT_EQ(host_.disk().stat("/data/journal/s00/04.wal")->size_bytes, options_.journal_file_bytes);
  ASSERT_EQ(journal_files(), options_.journal_files - 1U);
  life(
      [&](Core& core, Engine& engine) -> Task<void> {
        while (journal_files() < options_.journal_files) co_await core.sleep(1ms);
        co_await core.sleep(1s);
        auto created = co_await engine.create_partition({.topic_id = id, .topic_name = "t"});
        if (!created) co_return ADD_FAILURE() << to_string(created.error());
        for (int i = 0; i < kRecords; ++i) {
          Bytes batch = one_record(value);
          EXPECT_TRUE((*created)->append(batch, {.leader_epoch = 0}, kNow).has_value());
          while ((*created)->durable_offset() <= i) co_await core.sleep(1ms);
        }
        host_.power_off({.completed = reactor::simulated::Fate::kLost});
        co_await core.sleep(1s);
      },
      HostState::kOff);
  for (const char* path : {"/data/journal/s00/04.wal", "/data/journal/s00/05.wal"}) {
    EXPECT_EQ(host_.disk().stat(path)->size_bytes, options_.journal_file_bytes) << path;
  }
  life([&](Core&, Engine& engine) -> Task<void> {
    EXPECT_EQ(engine.find(id, 0)->end_offset(), kRecords);
    co_return;
  });
}

// What is known of it after a death: what the table had, and what the records behind it say.
TEST_F(EngineTest, TheHighWatermarkIsKept) {
  TopicId id{};
  const auto append_durably = [](Core& core, Partition& partition, int count) -> Task<void> {
    co_await append(partition, count);
    while (partition.durable_offset() < partition.end_offset()) co_await core.sleep(1ms);
  };
  life(
      [&](Core& core, Engine& engine) -> Task<void> {
        auto created = co_await engine.create_partition({.topic_id = id, .topic_name = "t"});
        if (!created) co_return ADD_FAILURE() << to_string(created.error());
        Partition& partition = **created;
        EXPECT_EQ(partition.high_watermark(), 0);
        co_await append_durably(core, partition, 5);
        EXPECT_EQ(partition.high_watermark(), 0) << "who stands above the log moves it";
        partition.set_high_watermark(3);
        partition.set_high_watermark(2);
        EXPECT_EQ(partition.high_watermark(), 3);
        co_await engine.checkpoint();
        host_.kill();
        co_await core.sleep(1s);
      },
      HostState::kKilled);
  life(
      [&](Core& core, Engine& engine) -> Task<void> {
        Partition& partition = *engine.find(id, 0);
        EXPECT_EQ(partition.high_watermark(), 3) << "from the table";
        EXPECT_EQ(partition.end_offset(), 5);
        partition.set_high_watermark(4);
        co_await append_durably(core, partition, 1);
        host_.kill();
        co_await core.sleep(1s);
      },
      HostState::kKilled);
  life([&](Core& core, Engine& engine) -> Task<void> {
    Partition& partition = *engine.find(id, 0);
    EXPECT_EQ(partition.high_watermark(), 4) << "from a record of the journal";
    EXPECT_EQ(partition.end_offset(), 6);
    EXPECT_TRUE((co_await partition.truncate(2)).has_value());
    EXPECT_EQ(partition.high_watermark(), 2);
    co_await append_durably(core, partition, 1);
  });
  life([&](Core&, Engine& engine) -> Task<void> {
    EXPECT_EQ(engine.find(id, 0)->high_watermark(), 2) << "after a truncation and an orderly stop";
    co_return;
  });
}

TEST_F(EngineTest, AStartRemovesSegmentsThatACrashKeptBelowTheLogStart) {
  TopicId id{};
  id[0] = std::byte{1};
  life([&](Core& core, Engine& engine) -> Task<void> {
    auto created = co_await engine.create_partition({.topic_id = id, .topic_name = "t"});
    if (!created) co_return ADD_FAILURE() << to_string(created.error());
    Partition& partition = **created;
    co_await append(partition, 5);
    while (partition.durable_offset() < 5) co_await core.sleep(1ms);
    partition.set_high_watermark(5);
    EXPECT_TRUE((co_await partition.set_log_start(3)).has_value());
  });
  // As if the process had died before it removed them. The sweep must leave others alone.
  const Bytes some(4096);
  for (const char* name : {"00000000000000000000.log", "00000000000000000002.log", "00000000000000000002.index"}) {
    host_.disk().write_file(std::string("/data/t-0/") + name, some);
  }
  host_.disk().write_file("/data/t-0/notes", some);
  host_.disk().write_file("/data/t-0/0000000002.log", some);
  life([&](Core& core, Engine& engine) -> Task<void> {
    const auto left = [&] { return host_.disk().stat("/data/t-0/00000000000000000002.index").has_value(); };
    for (int i = 0; i < 1000 && left(); ++i) co_await core.sleep(1ms);
    Partition& partition = *engine.find(id, 0);
    EXPECT_EQ(partition.log_start_offset(), 3);
    auto read = co_await partition.read({.offset = 3, .limit_offset = 5});
    if (!read) co_return ADD_FAILURE() << to_string(read.error());
    EXPECT_EQ(read->base_offset, 3);
  });
  std::vector<std::string> names;
  for (const auto& path : host_.disk().all_files()) {
    if (path.starts_with("/data/t-0/") && !path.ends_with("index") && !path.ends_with("snapshot")) {
      names.push_back(path.substr(path.rfind('/') + 1));
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"00000000000000000003.log", "00000000000000000004.log", "0000000002.log",
                                             "notes"}));
}

// More readers of old data than the cache has room for: each needs several chunks at once, and they must not evict each
// other's for ever. The last of the batches is larger than the cache.
TEST_F(EngineTest, ManyReadersOfOldDataAllGetIt) {
  constexpr int kBatches = 12;
  constexpr size_t kBatchBytes = 600'000;
  options_.cache_bytes_max = size_t{1} << 20;
  options_.tail_bytes_max = size_t{6} << 20;
  options_.journal_file_bytes = 1 << 20;
  options_.commit_bytes_max = 256 << 10;
  TopicId id{};
  id[0] = std::byte{1};
  life([&](Core& core, Engine& engine) -> Task<void> {
    LogConfig config;
    config.batch.max_message_bytes = 4 << 20;
    auto created = co_await engine.create_partition({.topic_id = id, .topic_name = "t", .config = config});
    if (!created) co_return ADD_FAILURE() << to_string(created.error());
    Partition& partition = **created;
    for (int i = 0; i <= kBatches; ++i) {
      RecordBatchBuilder builder({});
      const Bytes value(i < kBatches ? kBatchBytes : 3 * kBatchBytes, static_cast<std::byte>(i));
      builder.add({.timestamp = 1, .value = value});
      Bytes batch = builder.finish();
      for (auto appended = partition.append(batch, {.leader_epoch = 0}, kNow); !appended;) {
        if (appended.error() != reactor::Errc::kNoMemory) co_return ADD_FAILURE() << to_string(appended.error());
        co_await engine.wait_for_room();
        appended = partition.append(batch, {.leader_epoch = 0}, kNow);
      }
    }
    while (partition.durable_offset() <= kBatches) co_await core.sleep(1ms);
    partition.set_high_watermark(kBatches + 1);
  });
  life([&](Core& core, Engine& engine) -> Task<void> {
    Partition& partition = *engine.find(id, 0);
    partition.set_high_watermark(kBatches + 1);
    int done = 0;
    reactor::TaskScope scope(core);
    const auto read = [&](int64_t offset) -> Task<void> {
      auto got = co_await partition.read(
          {.offset = offset, .max_bytes = 1, .limit_offset = kBatches + 1, .first_batch_whole = true});
      EXPECT_TRUE(got.has_value()) << offset << " " << (got ? "" : to_string(got.error()));
      if (got) EXPECT_EQ(got->next_offset, offset + 1);
      ++done;
    };
    for (int64_t offset = 0; offset <= kBatches; ++offset) scope.spawn(read(offset));
    for (int i = 0; i < 10'000 && done <= kBatches; ++i) co_await core.sleep(1ms);
    EXPECT_EQ(done, kBatches + 1) << "readers that never end";
    if (done > kBatches) co_await scope.join();
    EXPECT_EQ(engine.read_room().available(), engine.read_room().total());
    EXPECT_LE(engine.stats().clean_bytes, options_.cache_bytes_max);
  });
}

// A reader brought the whole log in, in one chunk as large as all that may be dirty. The tail goes on in it, and an
// append that needs more than what is left of it must not wait for room that nobody makes.
TEST_F(EngineTest, ATailThatGoesOnInALargeChunkTakesTheNextBatch) {
  options_.tail_bytes_max = ChunkCache::kChunkBytesMax;
  constexpr size_t kValueBytes = 20'000;
  constexpr int kBefore = 12;  // less than the chunk, more than half of it
  constexpr int kBatches = 40;
  TopicId id{};
  id[0] = std::byte{1};
  const auto value = [](int i) { return std::string(kValueBytes, static_cast<char>('a' + i % 26)); };
  const auto fill = [&](Core& core, Engine& engine, Partition& partition, int from, int to) -> Task<void> {
    for (int i = from; i < to; ++i) {
      Bytes batch = one_record(value(i));
      const reactor::Instant patience = core.now() + 5s;
      auto appended = partition.append(batch, {.leader_epoch = 0}, kNow);
      while (!appended && appended.error() == reactor::Errc::kNoMemory && core.now() < patience) {
        co_await engine.wait_for_room();
        appended = partition.append(batch, {.leader_epoch = 0}, kNow);
      }
      if (!appended) co_return ADD_FAILURE() << "batch " << i << ": " << to_string(appended.error());
      while (partition.durable_offset() <= i) co_await core.sleep(1ms);
    }
  };
  life([&](Core& core, Engine& engine) -> Task<void> {
    auto created = co_await engine.create_partition({.topic_id = id, .topic_name = "t"});
    if (!created) co_return ADD_FAILURE() << to_string(created.error());
    co_await fill(core, engine, **created, 0, kBefore);
  });
  life([&](Core& core, Engine& engine) -> Task<void> {
    Partition& partition = *engine.find(id, 0);
    auto read = co_await partition.read({.offset = 0, .max_bytes = 1 << 20, .limit_offset = kBefore});
    EXPECT_TRUE(read.has_value() && read->next_offset == kBefore);
    read = {};
    co_await fill(core, engine, partition, kBefore, kBatches);
  });
  life([&](Core&, Engine& engine) -> Task<void> {
    Partition& partition = *engine.find(id, 0);
    EXPECT_EQ(partition.end_offset(), kBatches);
    for (int64_t offset = 0; offset < kBatches; ++offset) {
      auto read = co_await partition.read({.offset = offset, .max_bytes = 1, .limit_offset = kBatches});
      if (!read) co_return ADD_FAILURE() << to_string(read.error());
      const Bytes whole = joined(*read);
      const auto batch = RecordBatchView::parse(whole);
      if (!batch) co_return ADD_FAILURE() << "no batch";
      EXPECT_TRUE(batch->crc_matches());
      const auto walked = walk_records(*batch, [&](const RecordView& record) {
        EXPECT_EQ(text_of(*record.value), value(static_cast<int>(offset)));
      });
      EXPECT_TRUE(walked.has_value());
    }
  });
}

// Cold reads through a cache that is smaller than what they need at once.
class SmallCacheTest : public EngineTest {
 protected:
  static constexpr int kBatches = 3;
  static constexpr size_t kBatchBytes = 300'000;  // more than one chunk

  SmallCacheTest() {
    options_.cache_bytes_max = ChunkCache::kChunkBytesMin;
    id_[0] = std::byte{1};
  }
  // Leaves them in one segment each; a stop flushes all of it.
  void write() {
    life([this](Core& core, Engine& engine) -> Task<void> {
      auto created = co_await engine.create_partition({.topic_id = id_, .topic_name = "t"});
      if (!created) co_return ADD_FAILURE() << to_string(created.error());
      const std::string value(kBatchBytes, 'v');
      for (int i = 0; i < kBatches; ++i) {
        Bytes batch = one_record(value);
        EXPECT_TRUE((*created)->append(batch, {.leader_epoch = 0}, kNow).has_value());
        (*created)->roll();
        while ((*created)->durable_offset() <= i) co_await core.sleep(1ms);
      }
    });
  }
  static Task<ReadResult> read_one(Partition& partition, int64_t offset) {
    auto read = co_await partition.read({.offset = offset, .max_bytes = 1, .limit_offset = offset + 1});
    if (!read) {
      ADD_FAILURE() << to_string(read.error());
      co_return ReadResult();
    }
    EXPECT_EQ(read->base_offset, offset);
    EXPECT_GT(read->size_bytes, kBatchBytes);
    co_return std::move(*read);
  }

  TopicId id_{};
};

TEST_F(SmallCacheTest, ABatchLargerThanTheCacheIsRead) {
  write();
  life([this](Core&, Engine& engine) -> Task<void> {
    for (int i = 0; i < kBatches; ++i) (void)co_await read_one(*engine.find(id_, 0), i);
    EXPECT_LE(engine.cache().clean_bytes(), 2 * ChunkCache::kChunkBytesMax) << "what nobody uses any more has gone";
    EXPECT_EQ(engine.read_room().available(), engine.read_room().total());
  });
}

TEST_F(SmallCacheTest, WhatSlowReadersHoldKeepsNobodyElseFromReading) {
  write();
  life([this](Core&, Engine& engine) -> Task<void> {
    const ReadResult held = co_await read_one(*engine.find(id_, 0), 0);
    for (int i = 1; i < kBatches; ++i) (void)co_await read_one(*engine.find(id_, 0), i);
    EXPECT_EQ(held.pieces.front().bytes[kBatchBytes / 2], std::byte{'v'});
  });
}

}  // namespace
}  // namespace posthaste::storage
