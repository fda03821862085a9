// The engine on a disk that is full: what is refused, what continues, what works again later. Whole processes on real
// file systems: tests/full_disk.
#include "storage/space/space_reserve.h"

#include <gtest/gtest.h>

#include "reactor/simulated/world.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/engine.h"
#include "storage/testing/batches.h"
#include "storage/testing/one_life.h"

namespace posthaste::storage {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::World;
using testing::kNow;
using testing::one_record;

constexpr uint64_t kDiskBytes = uint64_t{24} << 20;
constexpr size_t kBatchBytes = 50'000;

TEST(SpaceAccount, NothingIsAcceptedBeyondTheCredit) {
  SpaceAccount account;
  EXPECT_EQ(account.admit(1, true).error(), Errc::kNoMemory) << "no credit yet";
  account.take({.version = 1, .bytes = 16 * kBlock});
  EXPECT_TRUE(account.admit(14 * kBlock, true));
  EXPECT_EQ(account.admit(15 * kBlock, true).error(), Errc::kNoMemory) << "an eighth is not for clients";
  EXPECT_TRUE(account.admit(16 * kBlock, false));
  account.table_grows(kBlock);
  EXPECT_EQ(account.admit(16 * kBlock, false).error(), Errc::kNoMemory);
  account.table_made();
  EXPECT_EQ(account.debt(), kBlock) << "that table is not on disk yet";
  account.table_made();
  EXPECT_EQ(account.debt(), kBlock) << "the other table has yet to grow";
  account.table_made();
  EXPECT_EQ(account.debt(), 0U);
  account.take({.version = 3, .bytes = kBlock, .disk_full = true});
  account.take({.version = 2, .bytes = 16 * kBlock});
  EXPECT_TRUE(account.disk_full()) << "old news";
  EXPECT_EQ(account.admit(0, true).error(), Errc::kNoSpace);
  EXPECT_TRUE(account.admit(kBlock, false));
  EXPECT_EQ(account.admit(kBlock + 1, false).error(), Errc::kNoSpace);
}

class FullDiskTest : public ::testing::Test {
 protected:
  FullDiskTest() { host_.disk().options().capacity_bytes = kDiskBytes; }

  // One life of a store on one core. If `work` kills the host that is its end, else an orderly close, which must not
  // take long.
  void life(const testing::EngineWork& work, HostState ends_as = HostState::kStopped) {
    testing::run_until_down(
        world_, host_, [this, work](Core& core) { return program(core, options_, work); }, ends_as, 120s);
  }

  static Task<void> program(Core& core, EngineOptions options, testing::EngineWork work) {
    reactor::Instant stop_begins{};
    const auto timed = [&](Core& on, Engine& engine) -> Task<void> {
      co_await work(on, engine);
      stop_begins = on.now();
    };
    co_await testing::one_life(core, std::move(options), timed);
    EXPECT_LT(core.now() - stop_begins, 2s) << "a stop on a full disk";
  }

  static TopicId topic(int number) {
    TopicId id{};
    id[0] = static_cast<std::byte>(number);
    return id;
  }

  static Task<Partition*> make(Engine& engine, int number) {
    LogConfig config;
    config.segment_bytes = 1 << 20;
    auto created = co_await engine.create_partition(
        {.topic_id = topic(number), .topic_name = fmt::format("t{}", number), .config = config});
    if (!created) ADD_FAILURE() << to_string(created.error());
    co_return created ? *created : nullptr;
  }

  // One record whose bytes follow from its offset.
  static Bytes batch_for(int64_t offset, size_t bytes = kBatchBytes) {
    return one_record(std::string(bytes, static_cast<char>('a' + offset % 26)));
  }

  // Waits while there is no room in memory, as a broker does.
  static Task<Result<AppendResult>> append(Engine& engine, Partition& partition, bool from_client = true,
                                           size_t bytes = kBatchBytes) {
    Bytes batch = batch_for(partition.end_offset(), bytes);
    for (;;) {
      auto appended = partition.append(batch, {.leader_epoch = 0, .from_client = from_client}, kNow);
      if (appended || appended.error() != Errc::kNoMemory) co_return appended;
      co_await engine.wait_for_room();
    }
  }

  // Until records are refused; all that was taken becomes durable.
  static Task<void> fill(Core& core, Engine& engine, Partition& partition) {
    for (int i = 0; i < 2000; ++i) {
      const auto appended = co_await append(engine, partition);
      if (appended) continue;
      EXPECT_EQ(appended.error(), Errc::kNoSpace);
      break;
    }
    EXPECT_TRUE(engine.disk_full());
    for (int i = 0; i < 1000 && partition.durable_offset() < partition.end_offset(); ++i) co_await core.sleep(1ms);
    EXPECT_EQ(partition.durable_offset(), partition.end_offset());
  }

  static Task<void> expect_whole(Partition& partition, int64_t end) {
    EXPECT_EQ(partition.end_offset(), end);
    for (int64_t offset = partition.log_start_offset(); offset < end; ++offset) {
      auto read = co_await partition.read({.offset = offset, .max_bytes = 1, .limit_offset = offset + 1});
      if (!read) co_return ADD_FAILURE() << offset << " " << to_string(read.error());
      EXPECT_EQ(read->base_offset, offset);
      const Bytes got = joined(*read);
      EXPECT_EQ(got.back(), static_cast<std::byte>(0)) << "no headers";
      EXPECT_EQ(got[got.size() - 2], static_cast<std::byte>('a' + offset % 26)) << offset;
    }
  }

  static Task<bool> resumes(Core& core, Engine& engine) {
    for (int i = 0; i < 100 && engine.disk_full(); ++i) co_await core.sleep(10ms);
    co_return !engine.disk_full();
  }

  // Somebody else's file.
  void take_the_rest() { host_.disk().write_file("/stranger", Bytes(kDiskBytes - host_.disk().bytes_used())); }

  World world_{11};
  EngineOptions options_{.data_directory = "/data",
                         .journal_file_bytes = 256 << 10,
                         .journal_files = 8,
                         .commit_bytes_max = 64 << 10,
                         .staging_bytes = 64 << 10,
                         .tail_bytes_max = 4 << 20,
                         .cache_bytes_max = 2 << 20};
  Host& host_ = world_.add_host({.cores = 1, .pool_bytes_per_core = 16 << 20}, "10.0.0.1", nullptr);
};

TEST_F(FullDiskTest, RecordsAreRefusedAndNothingIsLostAndAStartOnTheFullDiskServes) {
  int64_t end = 0;
  life([&](Core& core, Engine& engine) -> Task<void> {
    Partition* partition = co_await make(engine, 1);
    co_await fill(core, engine, *partition);
    end = partition->end_offset();
    EXPECT_GT(end, 100);
    co_await expect_whole(*partition, end);
    EXPECT_TRUE((co_await append(engine, *partition, false, 100)).has_value()) << "what is not a client's goes on";
    ++end;
    EXPECT_EQ((co_await append(engine, *partition)).error(), Errc::kNoSpace);
    while (partition->durable_offset() < end) co_await core.sleep(1ms);
  });
  for (int i = 0; i < 3; ++i) {
    life([&](Core&, Engine& engine) -> Task<void> {
      EXPECT_TRUE(engine.disk_full()) << "there is no room to spare";
      co_await expect_whole(*engine.find(topic(1), 0), end);
    });
  }
}

TEST_F(FullDiskTest, ADeathAtAnyTimeLosesNothingAndAStartServes) {
  for (int round = 0; round < 20; ++round) {
    int64_t durable = 0;
    host_.set_program([&, round](Core& core) {
      return program(core, options_, [&, round](Core& on, Engine& engine) -> Task<void> {
        Partition* partition = engine.find(topic(1), 0);
        if (partition == nullptr) partition = co_await make(engine, 1);
        co_await expect_whole(*partition, partition->end_offset());
        for (int i = 0; i < 2000; ++i) {
          const auto appended = co_await append(engine, *partition);
          if (!appended) break;
        }
        for (int i = 0; i < round * 7; ++i) {
          durable = partition->durable_offset();
          co_await on.sleep(100us);
        }
        durable = partition->durable_offset();
        while (true) co_await on.sleep(1s);
      });
    });
    host_.start();
    EXPECT_TRUE(world_.run_until([&] { return durable > 0; }, 60s)) << world_.log_tail();
    world_.run_for(std::chrono::milliseconds(round));
    round % 2 == 0 ? host_.kill() : host_.power_off();
    life([&](Core& core, Engine& engine) -> Task<void> {
      Partition* partition = engine.find(topic(1), 0);
      if (partition == nullptr) co_return ADD_FAILURE() << "the partition is gone";
      EXPECT_GE(partition->end_offset(), durable);
      co_await expect_whole(*partition, partition->end_offset());
      if (round % 4 != 3) co_return;
      EXPECT_TRUE((co_await engine.delete_partition(*partition)).has_value());
      EXPECT_TRUE(co_await resumes(core, engine));
    });
  }
}

TEST_F(FullDiskTest, DeletionRetentionAndDeletedRecordsBringServiceBack) {
  life([&](Core& core, Engine& engine) -> Task<void> {
    Partition* partition = co_await make(engine, 1);
    Partition* other = co_await make(engine, 2);
    co_await fill(core, engine, *partition);
    EXPECT_EQ((co_await append(engine, *other)).error(), Errc::kNoSpace);
    partition->set_high_watermark(partition->durable_offset());
    EXPECT_TRUE((co_await partition->set_log_start(partition->durable_offset() / 2)).has_value());
    EXPECT_TRUE(co_await resumes(core, engine));
    EXPECT_TRUE((co_await append(engine, *other)).has_value());

    co_await fill(core, engine, *partition);
    LogConfig config = partition->config();
    config.retention.retention_ms = 1;
    partition->set_config(config);
    partition->set_high_watermark(partition->durable_offset());
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE((co_await partition->apply_retention(reactor::WallMillis{kNow.value + 1000})).has_value());
    }
    EXPECT_TRUE(co_await resumes(core, engine));
    EXPECT_TRUE((co_await append(engine, *other)).has_value());

    co_await fill(core, engine, *partition);
    EXPECT_TRUE((co_await engine.delete_partition(*partition)).has_value());
    EXPECT_TRUE(co_await resumes(core, engine));
    EXPECT_TRUE((co_await append(engine, *other)).has_value());
  });
}

TEST_F(FullDiskTest, AStrangersFileIsSurvivedByTablesFoldersAndStops) {
  int64_t end = 0;
  int made = 0;
  life([&](Core& core, Engine& engine) -> Task<void> {
    Partition* partition = co_await make(engine, 1);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE((co_await append(engine, *partition)).has_value());
    while (partition->durable_offset() < 10) co_await core.sleep(1ms);
    co_await core.sleep(1s);  // the journal is whole
    take_the_rest();
    // What was accepted before the disk was found full gets its place: a folder, files, a table that is larger than
    // what it has ahead.
    const std::string name(249, 'n');
    for (; made < 400; ++made) {
      auto created = co_await engine.create_partition({.topic_id = topic(10), .topic_name = name, .partition = made});
      if (!created) {
        EXPECT_EQ(created.error(), Errc::kNoSpace);
        break;
      }
      if (made < 10) EXPECT_TRUE((co_await append(engine, **created, false, 100)).has_value());
    }
    EXPECT_GT(made, 40);
    co_await engine.checkpoint();
    co_await fill(core, engine, *partition);
    end = partition->end_offset();
  });
  life([&](Core& core, Engine& engine) -> Task<void> {
    EXPECT_TRUE(engine.disk_full());
    co_await expect_whole(*engine.find(topic(1), 0), end);
    EXPECT_EQ(engine.partition_count(), static_cast<size_t>(made) + 1);
    EXPECT_TRUE((co_await reactor::file_system::unlink(core, "/stranger")).has_value());
    EXPECT_TRUE(co_await resumes(core, engine));
    EXPECT_TRUE((co_await append(engine, *engine.find(topic(1), 0))).has_value());
  });
}

// All that each core may owe, in many small files, and not a free block on the disk: none may take what the reserve
// gives up for another, nor may what is no debt (the indexes of rolled segments).
TEST_F(FullDiskTest, WhatTheReserveGivesUpIsTakenByWhoOwesIt) {
  constexpr reactor::CoreId kCores = 4;
  constexpr int kPartitions = 6;  // of a core
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    World world(seed);
    Host& host = world.add_host({.cores = kCores, .pool_bytes_per_core = 16 << 20}, "10.0.0.1", nullptr);
    host.disk().options().capacity_bytes = kDiskBytes;
    std::weak_ptr<EngineHost> kept;  // by the cores' frames
    bool closed = false;
    uint32_t ready = 0;  // cores, step by step
    const auto all_ready = [&](Core& core, uint32_t step) -> Task<void> {
      ++ready;
      while (ready < step * kCores) co_await core.sleep(1ms);
    };
    host.set_program([&](Core& core) -> Task<void> {
      const auto store = kept.expired() ? std::make_shared<EngineHost>(options_, kCores) : kept.lock();
      kept = store;
      if (core.id() == 0) EXPECT_TRUE((co_await store->recover(core)).has_value());
      co_await all_ready(core, 1);
      auto opened = co_await store->open(core);
      if (!opened) co_return ADD_FAILURE() << to_string(opened.error());
      Engine& engine = **opened;
      std::vector<Partition*> partitions;
      for (int i = 0; i < kPartitions; ++i) {
        LogConfig config;
        config.segment_bytes = 16 << 10;
        const int number = 1 + core.id() * kPartitions + i;
        auto made = co_await engine.create_partition(
            {.topic_id = topic(number), .topic_name = fmt::format("t{}", number), .config = config});
        if (!made) co_return ADD_FAILURE() << to_string(made.error());
        partitions.push_back(*made);
      }
      co_await core.sleep(1s);  // the journal is whole
      co_await all_ready(core, 2);
      if (core.id() == 0) host.disk().write_file("/stranger", Bytes(kDiskBytes - host.disk().bytes_used()));
      uint64_t taken = 0;
      for (size_t i = 0;; ++i) {
        Partition& partition = *partitions[i % partitions.size()];
        Bytes batch = batch_for(partition.end_offset(), 3000);
        if (!partition.append(batch, {.leader_epoch = 0, .from_client = true}, kNow)) break;
        taken += batch.size();
      }
      EXPECT_GT(taken, engine.space().credit() / 4);
      co_await all_ready(core, 3);
      co_await engine.close();
      if (core.id() == 0) EXPECT_TRUE((co_await store->close(core)).has_value());
      closed |= core.id() == 0;
      co_await core.until_stopping();
    });
    host.start();
    world.run_until([&] { return closed || !host.running(); }, 120s);
    EXPECT_TRUE(closed) << seed << world.log_tail();
    if (host.running()) host.kill();
  }
}

TEST_F(FullDiskTest, TablesGrowByWhatWasAcceptedForThem) {
  int made = 0;
  life([&](Core& core, Engine& engine) -> Task<void> {
    co_await core.sleep(1s);  // the journal is whole
    take_the_rest();
    const std::string name(249, 'n');
    for (;; ++made) {
      auto created = co_await engine.create_partition({.topic_id = topic(1), .topic_name = name, .partition = made});
      if (created) continue;
      EXPECT_EQ(created.error(), Errc::kNoSpace);
      break;
    }
    co_await engine.checkpoint();
  });
  life([&](Core&, Engine& engine) -> Task<void> {
    EXPECT_EQ(engine.partition_count(), static_cast<size_t>(made));
    co_return;
  });
}

TEST_F(FullDiskTest, NothingOvertakesABatchThatFoundNoRoom) {
  const auto batch_of = [](int32_t sequence) {
    return one_record(bytes_of("x"), {.producer_id = 9, .producer_epoch = 0, .base_sequence = sequence});
  };
  life([&](Core& core, Engine& engine) -> Task<void> {
    Partition* filled = co_await make(engine, 1);
    Partition* partition = co_await make(engine, 2);
    co_await fill(core, engine, *filled);
    Bytes first = batch_of(0);
    Bytes second = batch_of(1);
    EXPECT_EQ(partition->append(first, {}, kNow).error(), Errc::kNoSpace);
    EXPECT_TRUE((co_await engine.delete_partition(*filled)).has_value());
    EXPECT_TRUE(co_await resumes(core, engine));
    EXPECT_EQ(partition->append(second, {}, kNow).error(), Errc::kOutOfOrder);
    EXPECT_TRUE(partition->append(first, {}, kNow).has_value());
    EXPECT_TRUE(partition->append(second, {}, kNow).has_value());
  });
}

TEST_F(FullDiskTest, AFullDiskIsSaidOnceEachWay) {
  size_t full = 0;
  size_t room = 0;
  const auto count = [&](std::string_view what) {
    size_t found = 0;
    for (size_t at = 0; (at = world_.log_tail().find(what, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  life([&](Core& core, Engine& engine) -> Task<void> {
    Partition* partition = co_await make(engine, 1);
    EXPECT_EQ(count("storage.disk_"), 0U) << "nothing is full";
    co_await fill(core, engine, *partition);
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ((co_await append(engine, *partition)).error(), Errc::kNoSpace);
      co_await core.sleep(100ms);
    }
    EXPECT_TRUE((co_await engine.delete_partition(*partition)).has_value());
    EXPECT_TRUE(co_await resumes(core, engine));
    full = count("storage.disk_full");
    room = count("storage.disk_has_room");
  });
  EXPECT_EQ(full, 1U);
  EXPECT_EQ(room, 1U);
}

TEST_F(FullDiskTest, ABatchLargerThanTheReserveFindsItsPlaceFirst) {
  options_.reserve_bytes_max = 64 << 10;
  life([&](Core&, Engine& engine) -> Task<void> {
    Partition* partition = co_await make(engine, 1);
    EXPECT_LT(engine.space().credit(), 500'000U);
    EXPECT_TRUE((co_await append(engine, *partition, true, 500'000)).has_value());
  });
}

TEST_F(FullDiskTest, AFolderThatIsTakenAwayEndsTheProcess) {
  life(
      [&](Core& core, Engine& engine) -> Task<void> {
        Partition* partition = co_await make(engine, 1);
        EXPECT_TRUE((co_await append(engine, *partition)).has_value());
        co_await core.sleep(1s);
        EXPECT_TRUE((co_await reactor::file_system::rename(core, "/data", "/elsewhere")).has_value());
        co_await core.sleep(10s);
        ADD_FAILURE() << "it goes on without its folder";
      },
      HostState::kFatal);
}

TEST_F(FullDiskTest, AJournalFileThatIsTakenAwayEndsTheProcess) {
  life(
      [&](Core& core, Engine&) -> Task<void> {
        co_await core.sleep(1s);
        EXPECT_TRUE((co_await reactor::file_system::unlink(core, "/data/journal/s00/00.wal")).has_value());
        co_await core.sleep(10s);
        ADD_FAILURE() << "it goes on without its journal";
      },
      HostState::kFatal);
}

}  // namespace
}  // namespace posthaste::storage
