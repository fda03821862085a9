// What a partition makes of files that are whole but cannot be opened or read, for a while or at a start: an error that
// may pass is reported and tried again, and none of it is recorded as damage.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "storage/testing/damage_fixture.h"

namespace posthaste::storage {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::Task;
using testing::DamageTest;

// The last block's first bytes are needed when something is appended after a restart.
TEST_F(DamageTest, AnErrorThatPassesIsWaitedOutAndNotWrittenDown) {
  for (const auto kind : {reactor::OpKind::kOpen, reactor::OpKind::kRead}) {
    host_.disk() = reactor::simulated::Disk();
    make();
    const int64_t before = kSegments * kOffsets;
    life([&](Core& core, Engine& engine) -> Task<void> {
      host_.disk().add_fault({.kind = kind,
                              .path_contains = path_of("a", kSegments - 1),
                              .error = kind == reactor::OpKind::kOpen ? Errc::kPermission : Errc::kIoError,
                              .count = 4});
      Partition& partition = *engine.find(id_of("a"), 0);
      EXPECT_TRUE(append_one(partition, "a").has_value());
      co_await core.sleep(5ms);
      EXPECT_EQ(partition.durable_offset(), before);
      EXPECT_EQ(append_one(partition, "a").error(), Errc::kIoError) << "an error that may pass";
      EXPECT_FALSE(partition.damage().damaged);
      EXPECT_TRUE(append_one(*engine.find(id_of("b"), 0), "b").has_value()) << "the others go on";
      co_await core.sleep(1s);
      EXPECT_EQ(partition.durable_offset(), before + 1) << "what was taken has arrived";
      EXPECT_TRUE(append_one(partition, "a").has_value());
      co_await core.sleep(1s);
      EXPECT_EQ(partition.durable_offset(), before + 2);
    });
    extra_ = 2;
    EXPECT_EQ(refused_of("a"), std::vector<int64_t>());
    extra_ = 0;
    EXPECT_TRUE(logged("storage.read_failed")) << world_.log_tail();
    EXPECT_FALSE(logged("storage.damaged")) << world_.log_tail();
  }
}

TEST_F(DamageTest, AStopAndADeletionDoNotWaitForALastBlockThatCannotBeRead) {
  make();
  life([&](Core& core, Engine& engine) -> Task<void> {
    for (const char* topic : {"a", "b"}) {
      host_.disk().add_fault({.kind = reactor::OpKind::kOpen,
                              .path_contains = path_of(topic, kSegments - 1),
                              .error = Errc::kPermission,
                              .count = UINT32_MAX});
    }
    Partition* partition = engine.find(id_of("a"), 0);
    EXPECT_TRUE(append_one(*partition, "a").has_value());
    EXPECT_TRUE(append_one(*engine.find(id_of("b"), 0), "b").has_value());
    co_await core.sleep(100ms);
    EXPECT_TRUE((co_await engine.delete_partition(*partition)).has_value());
  });
  host_.disk().clear_faults();
  EXPECT_EQ(refused_of("b"), std::vector<int64_t>());
}

TEST_F(DamageTest, WhoWaitsForALastBlockThatCannotBeReadIsTold) {
  make();
  life([&](Core& core, Engine& engine) -> Task<void> {
    host_.disk().add_fault({.kind = reactor::OpKind::kOpen,
                            .path_contains = path_of("a", kSegments - 1),
                            .error = Errc::kPermission,
                            .count = UINT32_MAX});
    struct Waiter : OffsetWaiter {
      reactor::Result<void> outcome = reactor::failure(Errc::kBusy);
    } waiter;
    Partition& partition = *engine.find(id_of("a"), 0);
    EXPECT_TRUE(append_one(partition, "a").has_value());
    waiter.offset = partition.end_offset();
    waiter.done = [](OffsetWaiter& self, reactor::Result<void> outcome) {
      static_cast<Waiter&>(self).outcome = outcome;
    };
    partition.wait_durable(waiter);
    co_await core.sleep(500ms);
    EXPECT_EQ(waiter.outcome.error(), Errc::kBusy) << "an error that passes soon is nobody's business";
    co_await core.sleep(3s);
    EXPECT_EQ(waiter.outcome.error(), Errc::kIoError);
  });
}

TEST_F(DamageTest, AnErrorOfReadingIsToldAndTriedAgain) {
  make();
  life([&](Core&, Engine& engine) -> Task<void> {
    Partition& partition = *engine.find(id_of("a"), 0);
    host_.disk().add_fault({.kind = reactor::OpKind::kRead, .path_contains = path_of("a", 1), .count = 3});
    const ReadRequest request{.offset = kOffsets, .max_bytes = 1, .limit_offset = 2 * kOffsets};
    for (int i = 0; i < 3; ++i) EXPECT_EQ((co_await partition.read(request)).error(), Errc::kIoError);
    EXPECT_TRUE((co_await partition.read(request)).has_value());
    EXPECT_EQ(engine.stats().refused_ranges, 0U);
  });
  EXPECT_EQ(std::ranges::count_if(world_.log_lines(),
                                  [](const std::string& line) { return line.contains("storage.read_failed"); }),
            1);
}

// As a start by another user leaves them: no read nor write of this partition could ever succeed.
TEST_F(DamageTest, AStartIsRefusedIfAPartitionsFolderMayNotBeUsedAndThenChangesNothing) {
  for (const bool killed : {false, true}) {
    SCOPED_TRACE(killed);
    host_.disk() = reactor::simulated::Disk();
    make();
    life(
        [&](Core& core, Engine& engine) -> Task<void> {
          EXPECT_TRUE(append_one(*engine.find(id_of("b"), 0), "b").has_value());
          co_await core.sleep(1s);
        },
        killed);
    const auto content = [&] {
      std::map<std::string, Bytes> files;
      for (const std::string& path : host_.disk().all_files()) {
        if (const auto bytes = host_.disk().read_file(path)) files.emplace(path, *bytes);
      }
      return files;
    };
    const auto before = content();
    host_.disk().add_fault({.kind = reactor::OpKind::kOpen,
                            .path_contains = path_of("b", kSegments - 1),
                            .error = Errc::kPermission,
                            .count = UINT32_MAX});
    std::string why;
    host_.set_program([&](Core& core) { return refused_start(core, options_, why); });
    host_.start();
    ASSERT_TRUE(world_.run_until([&] { return !host_.running(); }, 60s));
    EXPECT_TRUE(why.contains("the partition folder /data/b-0 ")) << why;
    EXPECT_TRUE(content() == before);
    host_.disk().clear_faults();
    extra_ = 1;
    EXPECT_EQ(refused_of("b"), std::vector<int64_t>());
    extra_ = 0;
    EXPECT_EQ(refused_of("a"), std::vector<int64_t>());
  }
}

// Producers are known from batches that a table has not seen: those are read at the start.
TEST_F(DamageTest, DamageThatAStartSeesInAFileGoesWhenTheFileIsPutBack) {
  make();
  life(
      [&](Core& core, Engine& engine) -> Task<void> {
        Partition& partition = *engine.find(id_of("a"), 0);
        for (int i = 0; i < 3; ++i) EXPECT_TRUE(append_one(partition, "a").has_value());
        co_await core.sleep(10s);  // written back
        EXPECT_EQ(partition.durable_offset(), kSegments * kOffsets + 3);
      },
      true);
  extra_ = 3;
  const std::string active = path_of("a", kSegments - 1);
  life([&](Core&, Engine& engine) -> Task<void> { EXPECT_EQ(co_await read_all(engine, "a"), std::vector<int64_t>()); },
       true);
  const auto whole = host_.disk().read_file(active);
  host_.disk().add_fault(
      {.kind = reactor::OpKind::kOpen, .path_contains = active, .error = Errc::kIoError, .count = 100});
  life(
      [&](Core&, Engine& engine) -> Task<void> {
        auto read =
            co_await engine.find(id_of("a"), 0)
                ->read({.offset = kSegments * kOffsets, .max_bytes = 1, .limit_offset = kSegments * kOffsets + 3});
        EXPECT_FALSE(read.has_value());
      },
      true);
  host_.disk().clear_faults();
  EXPECT_EQ(refused_of("a"), std::vector<int64_t>());
}

}  // namespace
}  // namespace posthaste::storage
