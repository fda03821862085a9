// What waits for room must not block what makes room (docs/architecture.md): journals of two small files,
// batches of several times their size, cores that share a stream. A life that does not end is a deadlock.
#include <gtest/gtest.h>

#include "reactor/mail.h"
#include "reactor/scope.h"
#include "reactor/simulated/world.h"
#include "reactor/testing/job_on.h"
#include "storage/engine.h"
#include "storage/journal/journal_stream.h"
#include "storage/testing/batches.h"

namespace posthaste::storage {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using reactor::simulated::Host;
using reactor::simulated::World;
using testing::kNow;

constexpr reactor::Duration kPatience = 120s;  // of simulated time; a disk that works needs less than two

class RoomTest : public ::testing::Test {
 protected:
  using Work = std::function<Task<void>(Core&, Engine&)>;

  // One life of a store: `work` on every core at once, then an orderly close.
  void life(CoreId cores, const Work& work) {
    host_.set_options({.cores = cores, .pool_bytes_per_core = 4 << 20});
    run(world_, host_, work);
    EXPECT_TRUE(closed_) << host_.fatal_message() << world_.log_tail();
    if (host_.running()) host_.kill();
  }

  void run(World& world, Host& host, const Work& work) {
    // The frames of the cores own the store, so that it goes with them.
    auto kept = std::make_shared<std::weak_ptr<EngineHost>>();
    closed_ = false;
    host.set_program([this, kept, work](Core& core) {
      std::shared_ptr<EngineHost> store = kept->lock();
      if (core.id() == 0) {
        store = std::make_shared<EngineHost>(options_, core.core_count());
        *kept = store;
      }
      return program(*this, core, std::move(store), work);
    });
    host.start();
    EXPECT_TRUE(world.run_until([&] { return closed_ || !host.running(); }, kPatience)) << world.log_tail();
  }

  static Task<void> program(RoomTest& self, Core& core, std::shared_ptr<EngineHost> store, Work work) {
    if (core.id() != 0) {
      co_await core.until_stopping();
      co_return;
    }
    auto recovered = co_await store->recover(core);
    if (!recovered) co_return ADD_FAILURE() << to_string(recovered.error()) << " " << store->error_text();
    reactor::TaskScope scope(core);
    for (CoreId to = 0; to < core.core_count(); ++to) {
      scope.spawn(reactor::job_on(core, to, [&](Core& there) { return drive(there, *store, work); }));
    }
    co_await scope.join();
    EXPECT_TRUE((co_await store->close(core)).has_value());
    self.closed_ = true;
  }

  static Task<void> drive(Core& there, EngineHost& store, const Work& work) {
    auto engine = co_await store.open(there);
    if (!engine) co_return ADD_FAILURE() << to_string(engine.error());
    co_await work(there, **engine);
    co_await (*engine)->close();
  }

  static TopicId id_of(Core& core, int number) {
    TopicId id{};
    id[0] = static_cast<std::byte>(1 + core.id());
    id[1] = static_cast<std::byte>(number);
    return id;
  }

  static Task<Partition*> create(Core& core, Engine& engine, int number) {
    PartitionSpec spec{.topic_id = id_of(core, number), .topic_name = fmt::format("t{}-{}", core.id(), number)};
    spec.config.batch.max_message_bytes = 4 << 20;
    auto created = co_await engine.create_partition(std::move(spec));
    CHECK(created.has_value());
    co_return *created;
  }

  static Bytes batch_of(size_t bytes, int number) {
    return testing::one_record(Bytes(bytes, static_cast<std::byte>(number)));
  }

  static Task<void> append(Engine& engine, Partition& partition, size_t bytes, int number) {
    Bytes batch = batch_of(bytes, number);
    for (;;) {
      const auto appended = partition.append(batch, {.leader_epoch = 0}, kNow);
      if (appended) co_return;
      if (appended.error() != Errc::kNoMemory) co_return ADD_FAILURE() << to_string(appended.error());
      co_await engine.wait_for_room();
    }
  }

  static Task<void> until_durable(Core& core, Partition& partition) {
    while (partition.durable_offset() < partition.end_offset()) co_await core.sleep(1ms);
  }

  static Task<void> expect_content(Partition& partition, size_t bytes, int first, int count) {
    EXPECT_EQ(partition.end_offset(), count);
    for (int i = 0; i < count; ++i) {
      const auto read = co_await partition.read({.offset = i, .max_bytes = 1, .limit_offset = i + 1});
      if (!read) co_return ADD_FAILURE() << to_string(read.error());
      const Bytes found = joined(*read);
      EXPECT_EQ(found.size(), batch_of(bytes, first + i).size());
      EXPECT_EQ(found[bytes / 2], static_cast<std::byte>(first + i));
    }
  }

  bool closed_ = false;
  World world_{7};
  EngineOptions options_{.data_directory = "/data",
                         .journal_file_bytes = 64 << 10,
                         .journal_files = 4,
                         .commit_bytes_max = 16 << 10,
                         .staging_bytes = 16 << 10,
                         .gather_bytes_min = 8 << 10,
                         .tail_bytes_max = 2 << 20,
                         .cache_bytes_max = 1 << 20};
  Host& host_ = world_.add_host({.cores = 1, .pool_bytes_per_core = 4 << 20}, "10.0.0.1", nullptr);
};

TEST_F(RoomTest, BatchesLargerThanTheJournalAreAcknowledged) {
  constexpr size_t kBytes = 600'000;  // two journals
  life(1, [](Core& core, Engine& engine) -> Task<void> {
    std::vector<Partition*> partitions;
    partitions.reserve(6);
    for (int i = 0; i < 6; ++i) partitions.push_back(co_await create(core, engine, i));
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 6; ++i) co_await append(engine, *partitions[static_cast<size_t>(i)], kBytes, round);
    }
    for (Partition* partition : partitions) co_await until_durable(core, *partition);
  });
  life(1, [](Core& core, Engine& engine) -> Task<void> {
    for (int i = 0; i < 6; ++i) co_await expect_content(*engine.find(id_of(core, i), 0), kBytes, 0, 3);
  });
}

// What a power cut leaves of a batch that is half in the segment file and half in the journal, or whose rest is
// nowhere.
TEST_F(RoomTest, ABatchThatWasFlushedInPartsIsWholeOrGoneAfterAPowerCut) {
  constexpr size_t kBytes = 300'000;
  int whole = 0;
  int gone = 0;
  for (uint64_t cut_at = 40; cut_at < 400; cut_at += 9) {
    World world(cut_at);
    Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 4 << 20}, "10.0.0.1", nullptr);
    int64_t acked = 0;
    host.crash_after_operations(cut_at);
    run(world, host, [&](Core& core, Engine& engine) -> Task<void> {
      Partition& partition = *co_await create(core, engine, 0);
      for (int i = 0; i < 4; ++i) {
        co_await append(engine, partition, kBytes, i);
        co_await until_durable(core, partition);
        acked = i + 1;
      }
    });
    run(world, host, [&](Core& core, Engine& engine) -> Task<void> {
      Partition* partition = engine.find(id_of(core, 0), 0);
      if (partition == nullptr) {
        EXPECT_EQ(acked, 0);
        co_return;
      }
      EXPECT_FALSE(partition->damage().damaged) << partition->damage().reason;
      EXPECT_GE(partition->end_offset(), acked);
      (partition->end_offset() == acked ? gone : whole) += 1;
      const int found = static_cast<int>(partition->end_offset());
      co_await expect_content(*partition, kBytes, 0, found);
      co_await append(engine, *partition, kBytes, found);
      co_await until_durable(core, *partition);
      co_await expect_content(*partition, kBytes, 0, found + 1);
    });
  }
  EXPECT_GT(gone, 5) << "cuts inside a batch";
}

// Large batches of some cores fill the ring, in turns, while others append a little at a time: blocks that are flushed
// in part, continue, and keep the oldest file until they have a place.
TEST_F(RoomTest, CoresThatShareAStreamAllGoOn) {
  constexpr size_t kLarge = 150'000;
  constexpr size_t kSmall = 700;
  constexpr int kRounds = 6;
  options_.journal_file_bytes = 13 * kBlock;  // as small as files for four cores can be
  options_.commit_bytes_max = 4 * kBlock;
  life(4, [](Core& core, Engine& engine) -> Task<void> {
    std::vector<Partition*> partitions;
    partitions.reserve(3);
    for (int i = 0; i < 3; ++i) partitions.push_back(co_await create(core, engine, i));
    for (int round = 0; round < kRounds; ++round) {
      const bool is_large = (static_cast<size_t>(round) + core.id()) % 2 == 0;
      for (int i = 0; i < (is_large ? 1 : 20); ++i) {
        for (Partition* partition : partitions) co_await append(engine, *partition, is_large ? kLarge : kSmall, round);
        if (!is_large) co_await until_durable(core, *partitions.front());
      }
      co_await core.sleep(reactor::Duration(std::chrono::microseconds(500 * core.id())));
    }
    for (Partition* partition : partitions) co_await until_durable(core, *partition);
  });
}

// One core alone keeps the ring full; what another core appends now and then must get its place in turn.
TEST_F(RoomTest, AFullRingGivesPlacesInTurn) {
  options_.journal_file_bytes = 20 * kBlock;
  bool over = false;
  reactor::Duration slowest{};
  life(2, [&](Core& core, Engine& engine) -> Task<void> {
    Partition& partition = *co_await create(core, engine, 0);
    if (core.id() == 0) {
      for (int i = 0; i < 40; ++i) co_await append(engine, partition, 100'000, i);
      co_await until_durable(core, partition);
      over = true;
    } else {
      while (!over) {
        const auto begin = core.now();
        co_await append(engine, partition, 500, 1);
        co_await until_durable(core, partition);
        slowest = std::max(slowest, core.now() - begin);
      }
    }
  });
  EXPECT_GT(slowest.count(), 0);
  EXPECT_LT(slowest, 500ms);
}

// A batch that one commit could not hold continues before others begin: the first of many is acknowledged long before
// the last.
TEST_F(RoomTest, LargeBatchesAreAcknowledgedOneAfterTheOther) {
  options_.journal_files = 32;
  life(1, [](Core& core, Engine& engine) -> Task<void> {
    std::vector<Partition*> partitions;
    partitions.reserve(8);
    for (int i = 0; i < 8; ++i) partitions.push_back(co_await create(core, engine, i));
    const uint64_t before = engine.stats().commits;
    for (Partition* partition : partitions) co_await append(engine, *partition, 60'000, 1);
    uint64_t first = 0;
    co_await until_durable(core, *partitions.front());
    first = engine.stats().commits - before;
    for (Partition* partition : partitions) co_await until_durable(core, *partition);
    const uint64_t all = engine.stats().commits - before;
    EXPECT_LE(first * 4, all) << first << " of " << all << " commits for the first of eight";
  });
}

// A partition that keeps appending does not keep others waiting: behind its batch it is their turn.
TEST_F(RoomTest, ABusyPartitionDoesNotStarveOthers) {
  options_.journal_files = 32;
  life(1, [](Core& core, Engine& engine) -> Task<void> {
    Partition& busy = *co_await create(core, engine, 0);
    Partition& other = *co_await create(core, engine, 1);
    for (int i = 0; i < 20; ++i) co_await append(engine, busy, 50'000, i);
    co_await append(engine, other, 500, 1);
    co_await until_durable(core, other);
    EXPECT_LT(busy.durable_offset(), 5);
    co_await until_durable(core, busy);
  });
}

// The record of a deletion waits for room; the bytes of the partition, which are not flushed any more, must not keep
// it.
TEST_F(RoomTest, ADeletionInAFullJournalEnds) {
  life(1, [](Core& core, Engine& engine) -> Task<void> {
    Partition& other = *co_await create(core, engine, 0);
    Partition& leaving = *co_await create(core, engine, 1);
    co_await append(engine, leaving, 500, 1);
    co_await until_durable(core, leaving);
    co_await append(engine, other, 400'000, 2);
    co_await append(engine, leaving, 500, 3);
    EXPECT_TRUE((co_await engine.delete_partition(leaving)).has_value());
    co_await until_durable(core, other);
  });
  life(1, [](Core& core, Engine& engine) -> Task<void> {
    EXPECT_EQ(engine.find(id_of(core, 1), 0), nullptr);
    EXPECT_EQ(engine.partition_count(), 1U);
    co_return;
  });
}

// Calls that wait for room keep the credits of their class. The table that makes the room needs none of them.
TEST_F(RoomTest, ATableDoesNotQueueBehindCallsThatWaitForRoom) {
  Engine* other = nullptr;
  Partition* target = nullptr;
  bool over = false;
  life(2, [&](Core& core, Engine& engine) -> Task<void> {
    if (core.id() == 1) {
      target = co_await create(core, engine, 0);
      other = &engine;
      while (!over) co_await core.sleep(1ms);
      co_return;
    }
    while (other == nullptr) co_await core.sleep(1ms);
    reactor::TaskScope scope(core);
    for (uint32_t i = 0; i < 2 * reactor::kMailCredits; ++i) {
      scope.spawn(reactor::on_core(core, 1, [&](Core& there) -> Task<void> {
        co_await append(*other, *target, 20'000, 1);
        co_await until_durable(there, *target);
      }));
    }
    co_await scope.join();
    over = true;
  });
}

}  // namespace
}  // namespace posthaste::storage
