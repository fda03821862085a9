// The folders of partitions that come and go, across deaths at chosen operations: none of the store's own is ever taken
// for another program's, which would cost a topic its name, and none blocks a start.
#include <gtest/gtest.h>

#include "reactor/simulated/world.h"
#include "storage/engine.h"
#include "storage/testing/batches.h"

namespace posthaste::storage {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::OpKind;
using reactor::Task;
using reactor::simulated::CrashPolicy;
using reactor::simulated::Disk;
using reactor::simulated::Fate;
using reactor::simulated::Host;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;
using testing::kNow;

constexpr uint64_t kOperationsMax = 1000;  // more than a start and a stop of these stores take

// The power goes; what was flushed is there, and folders are as they were flushed.
CrashPolicy names_lost() { return {.in_flight = Fate::kKept, .completed = Fate::kKept, .names = Fate::kLost}; }
CrashPolicy all_kept() { return {.in_flight = Fate::kKept, .completed = Fate::kKept, .names = Fate::kKept}; }

class PartitionFolderTest : public ::testing::Test {
 protected:
  using Work = std::function<Task<void>(Core&, Engine&)>;

  struct Life {
    explicit Life(const Disk& disk) { host.disk() = disk; }
    World world{7, WorldOptions::instant()};
    Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 16 << 20}, "10.0.0.1", nullptr);
    bool recovered = false;
    bool done = false;  // with `work`
    bool closed = false;
    std::string why;
  };

  // A life on the disk that the one before has left, until it is closed or has died. `prepare` may arm its end.
  void live(const std::function<void(Life&)>& prepare, const Work& work) {
    life_ = std::make_unique<Life>(disk_);
    Life& life = *life_;
    life.host.set_program([&life, work](Core& core) { return program(life, core, work); });
    prepare(life);
    life.host.start();
    EXPECT_TRUE(life.world.run_until([&] { return life.closed || !life.host.running(); }, 60s))
        << life.world.log_tail();
    if (life.host.running()) life.host.kill();
    disk_ = life.host.disk();
  }

  static Task<void> program(Life& life, Core& core, Work work) {
    EngineHost store({.data_directory = "/data",
                      .journal_file_bytes = 64 << 10,
                      .journal_files = 4,
                      .commit_bytes_max = 16 << 10,
                      .reserve_bytes_max = 256 << 10},
                     1);
    auto report = co_await store.recover(core);
    life.recovered = report.has_value();
    if (!report) {
      life.why = fmt::format("{} {}", to_string(report.error()), store.error_text());
      life.closed = true;
      co_return;
    }
    auto engine = co_await store.open(core);
    if (!engine) co_return ADD_FAILURE() << to_string(engine.error());
    co_await work(core, **engine);
    life.done = true;
    co_await (*engine)->close();
    EXPECT_TRUE((co_await store.close(core)).has_value());
    life.closed = true;
  }

  static Task<Partition*> create(Engine& engine, std::string name, uint8_t number) {
    TopicId id{};
    id[0] = std::byte{number};
    auto created = co_await engine.create_partition({.topic_id = id, .topic_name = name});
    if (!created) ADD_FAILURE() << name << ": " << to_string(created.error());
    co_return created ? *created : nullptr;
  }

  // A record that is durable, and its partition is asked to write it back, for which it makes its folder.
  static Task<void> append(Core& core, Engine& engine, Partition& partition, size_t bytes = 10) {
    Bytes batch = testing::one_record(Bytes(bytes, std::byte{7}));
    EXPECT_TRUE(partition.append(batch, {.leader_epoch = 0}, kNow).has_value());
    while (partition.durable_offset() < partition.end_offset()) co_await core.sleep(1ms);
    engine.memory_wanted();
    co_await core.sleep(50ms);
  }

  // The topic can be made once more: its name is not lost.
  void expect_name_is_free(const std::string& what) {
    live([](Life&) {}, [](Core&, Engine& engine) -> Task<void> { (void)co_await create(engine, "t", 9); });
    EXPECT_TRUE(life_->recovered) << what << ": " << life_->why;
  }

  Disk disk_;
  std::unique_ptr<Life> life_;
};

// A killed process has moved the folder of a deleted partition aside, in the page cache. The next start reads that and
// loses power at any operation.
TEST_F(PartitionFolderTest, TheFolderOfADeletionThatWasKilledIsNeverSomebodyElses) {
  live(
      [](Life& life) {
        life.host.on_submit([&life, moved = false](const reactor::Op& op, uint64_t) mutable {
          if (moved && op.kind == OpKind::kOpen && (op.flags & reactor::kOpenDirectory) != 0) life.host.kill();
          moved |= op.kind == OpKind::kRename;
        });
      },
      [](Core& core, Engine& engine) -> Task<void> {
        Partition* const partition = co_await create(engine, "t", 1);
        co_await append(core, engine, *partition);
        EXPECT_TRUE((co_await engine.delete_partition(*partition)).has_value());
        co_await core.sleep(10s);
      });
  ASSERT_FALSE(life_->done);
  ASSERT_FALSE(disk_.stat("/data/t-0").has_value());
  const Disk killed = disk_;
  bool whole = false;
  for (uint64_t cut = 1; cut < kOperationsMax && !whole && !HasFailure(); ++cut) {
    disk_ = killed;
    live([&](Life& life) { life.host.crash_after_operations(cut, names_lost()); },
         [](Core&, Engine&) -> Task<void> { co_return; });
    whole = life_->closed;
    expect_name_is_free(fmt::format("power off after operation {} of a start", cut));
  }
  EXPECT_TRUE(whole);
}

// The folder cannot get another name on a full disk and is emptied where it stands.
TEST_F(PartitionFolderTest, AFolderThatIsRemovedUnderItsNameDoesNotComeBack) {
  live(
      [](Life& life) {
        life.host.disk().add_fault({.kind = OpKind::kRename, .path_contains = "/data/t-0", .error = Errc::kNoSpace});
      },
      [this](Core& core, Engine& engine) -> Task<void> {
        Partition* const partition = co_await create(engine, "t", 1);
        Partition* const other = co_await create(engine, "u", 2);
        for (Partition* const each : {partition, other}) co_await append(core, engine, *each);
        EXPECT_TRUE(life_->host.disk().stat("/data/t-0").has_value());
        EXPECT_TRUE((co_await engine.delete_partition(*partition)).has_value());
        co_await core.sleep(1s);
        EXPECT_FALSE(life_->host.disk().stat("/data/t-0").has_value());
        // Until neither table nor journal knows of it any more: several times what all of the journal holds.
        for (int i = 0; i < 100; ++i) co_await append(core, engine, *other, 8 << 10);
        for (int i = 0; i < 2; ++i) co_await engine.checkpoint();
        life_->host.power_off(names_lost());
        co_await core.sleep(10s);
      });
  ASSERT_FALSE(life_->done);
  ASSERT_EQ(life_->host.disk().stats().errors_injected, 1U);
  expect_name_is_free("power off after a deletion on a full disk");
}

// Its name is in the page cache and could not be flushed: it is not the partition's yet, but it is there.
TEST_F(PartitionFolderTest, AFolderWhoseNameCouldNotBeFlushedGoesWithItsPartition) {
  live(
      [](Life& life) {
        life.host.on_submit([&life](const reactor::Op& op, uint64_t) {
          if (op.kind != OpKind::kMakeDirectory || !std::string_view(op.path).ends_with("/t-0")) return;
          life.host.disk().add_fault({.kind = OpKind::kSync, .path_contains = "/data"});
        });
      },
      [this](Core& core, Engine& engine) -> Task<void> {
        Partition* const partition = co_await create(engine, "t", 1);
        co_await append(core, engine, *partition);
        EXPECT_EQ(life_->host.disk().stats().errors_injected, 1U);
        EXPECT_TRUE(life_->host.disk().stat("/data/t-0").has_value());
        EXPECT_TRUE((co_await engine.delete_partition(*partition)).has_value());
      });
  ASSERT_TRUE(life_->closed);
  EXPECT_FALSE(disk_.stat("/data/t-0").has_value());
  expect_name_is_free("a stop after the deletion");
}

class StaleFolderTest : public PartitionFolderTest {
 protected:
  // Folders with records that no table knows: everything is in the journal. The names stand on both sides of the one
  // that they are moved to, in the order in which a folder is listed.
  void make_stale_folders() {
    live([](Life&) {},
         [this](Core& core, Engine& engine) -> Task<void> {
           uint8_t number = 0;
           for (const std::string& name : names_) {
             Partition* const partition = co_await create(engine, name, ++number);
             co_await append(core, engine, *partition);
           }
           life_->host.kill();
           co_await core.sleep(10s);
         });
    for (const std::string& name : names_) EXPECT_TRUE(disk_.stat(fmt::format("/data/{}-0", name)).has_value());
  }

  // A start finds all of it.
  void start(const std::function<void(Life&)>& prepare) {
    live(prepare, [this](Core&, Engine& engine) -> Task<void> {
      EXPECT_EQ(engine.partition_count(), names_.size());
      engine.for_each([](Partition& partition) { EXPECT_EQ(partition.end_offset(), 1); });
      co_return;
    });
  }

  std::vector<std::string> names_ = {"-a", "-b", "c"};
};

// Starts that die and begin again count from the same number.
TEST_F(StaleFolderTest, WhatADeadStartHasMovedAsideIsNotInTheWayOfTheNext) {
  make_stale_folders();
  const Disk killed = disk_;
  bool whole = false;
  for (uint64_t cut = 1; cut < kOperationsMax && !whole && !HasFailure(); ++cut) {
    disk_ = killed;
    start([&](Life& life) { life.host.crash_after_operations(cut, all_kept()); });
    whole = life_->closed;
    start([](Life&) {});
    EXPECT_TRUE(life_->recovered) << "after operation " << cut << ": " << life_->why;
  }
  EXPECT_TRUE(whole);
}

TEST_F(StaleFolderTest, AStartWithoutRoomForAnotherNameGoesOn) {
  make_stale_folders();
  const Disk killed = disk_;
  bool whole = false;
  for (uint64_t cut = 1; cut < kOperationsMax && !whole && !HasFailure(); ++cut) {
    disk_ = killed;
    start([&](Life& life) {
      life.host.disk().add_fault({.kind = OpKind::kRename, .error = Errc::kNoSpace, .count = 3});
      life.host.crash_after_operations(cut, names_lost());
    });
    whole = life_->closed;
    if (whole) EXPECT_EQ(life_->host.disk().stats().errors_injected, names_.size());
    EXPECT_TRUE(life_->recovered || !whole) << life_->why;
    start([](Life&) {});
    EXPECT_TRUE(life_->recovered) << "after operation " << cut << ": " << life_->why;
  }
  EXPECT_TRUE(whole);
}

}  // namespace
}  // namespace posthaste::storage
