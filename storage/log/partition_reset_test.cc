// Logs that are reset, and truncations of logs that are damaged: what is left, and what a crash brings back (nothing).
#include <gtest/gtest.h>

#include <map>

#include "storage/testing/store_test.h"
#include "storage/testing/table_image.h"

namespace posthaste::storage {
namespace {

using reactor::Core;
using reactor::Errc;
using reactor::Task;
using testing::batch_at;
using testing::kNow;

class ResetTest : public testing::StoreTest {
 protected:
  static constexpr BatchToWrite kProducer{.producer_id = 7, .producer_epoch = 0, .base_sequence = 0};
  // Two sealed segments of three records, 0 and 3, and three records in a third one.
  static constexpr int64_t kEnd = 9;
  static Bytes batch(int64_t offset) {
    BatchToWrite header = kProducer;
    header.base_sequence = static_cast<int32_t>(offset);
    return batch_at(offset, 1 + static_cast<int32_t>(offset / 4), fmt::format("{}{}", offset, std::string(90, 'v')),
                    header);
  }
  static size_t batch_bytes() { return batch(0).size(); }
  static Task<void> append(Core& core, Partition& log, int64_t from, int64_t to) {
    for (int64_t offset = from; offset < to; ++offset) {
      EXPECT_TRUE(log.append_replicated(batch(offset), kNow).has_value()) << offset;
      co_await durable(core, log);
    }
  }
  static Task<void> fill(Core& core, Engine&, Partition& log) {
    for (int64_t offset = 0; offset < kEnd; offset += 3) {
      log.roll();
      co_await append(core, log, offset, offset + 3);
    }
  }
  static Bytes batches(int64_t from, int64_t to) {
    Bytes all;
    for (int64_t offset = from; offset < to; ++offset) {
      const Bytes one = batch(offset);
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }
  static Task<void> expect_log(Partition& log, int64_t from, int64_t to) {
    EXPECT_FALSE(log.damage().damaged) << log.damage().reason;
    EXPECT_EQ(log.log_start_offset(), from);
    EXPECT_EQ(log.end_offset(), to);
    EXPECT_EQ(log.durable_offset(), to);
    const auto read = co_await read_from(log, from);
    EXPECT_TRUE(read.has_value() && *read == batches(from, to));
  }
  static std::string path(int64_t base, std::string_view extension = "log") {
    return fmt::format("/data/t-0/{:020}.{}", base, extension);
  }
  // The table says that what begins at `offset` is lost.
  void say_damaged(int64_t offset) {
    for (const char* name : {"/data/table-0.snap", "/data/table-1.snap"}) {
      TableSnapshot table = *decode_table(*host_.disk().read_file(name));
      if (table.entries.empty()) continue;
      table.entries[0].damage = {true, offset, "lost", true};
      Bytes entries;
      encode_table_entry(table.entries[0], entries);
      host_.disk().write_file(name, testing::encode_table(table, entries, 1));
    }
  }
};

// Two that remove segments at the same time: the second unlink of a name could meet a new file.
TEST_F(ResetTest, AFileOfARemovedSegmentIsUnlinkedOnce) {
  std::map<std::string, int> unlinks;
  host_.on_submit([&](const reactor::Op& op, uint64_t) {
    if (op.kind == reactor::OpKind::kUnlink && std::string_view(op.path).ends_with(".log")) ++unlinks[op.path];
  });
  life([](Core& core, Engine& engine, Partition& log) -> Task<void> {
    co_await fill(core, engine, log);
    log.set_high_watermark(kEnd);
    EXPECT_TRUE((co_await log.set_log_start(3)).has_value());
    EXPECT_TRUE((co_await log.set_log_start(6)).has_value());
    EXPECT_TRUE((co_await log.reset(0)).has_value());
  });
  EXPECT_TRUE(unlinks.contains(path(0)) && unlinks.contains(path(3)) && unlinks.contains(path(6)));
  for (const auto& [name, times] : unlinks) EXPECT_EQ(times, 1) << name;
}

TEST_F(ResetTest, NothingOfBeforeComesBack) {
  for (const int64_t offset : {int64_t{0}, int64_t{1}, int64_t{3}, int64_t{6}, kEnd, int64_t{100}}) {
    for (const int64_t appended : {0, 1, 4}) {
      SCOPED_TRACE(fmt::format("{} {}", offset, appended));
      host_.disk() = reactor::simulated::Disk();
      life([](Core& core, Engine& engine, Partition& log) -> Task<void> { co_await fill(core, engine, log); });
      life_until_power_off([&](Core& core, Engine&, Partition& log) -> Task<void> {
        EXPECT_TRUE((co_await log.reset(offset)).has_value());
        EXPECT_EQ(log.segment_count(), 1U);
        EXPECT_EQ(log.high_watermark(), offset);
        EXPECT_TRUE(log.epochs().entries().empty());
        EXPECT_EQ(log.producers().size(), 0U);
        co_await expect_log(log, offset, offset);
        co_await append(core, log, offset, offset + appended);
      });
      life_until_power_off([&](Core& core, Engine&, Partition& log) -> Task<void> {
        co_await expect_log(log, offset, offset + appended);
        EXPECT_EQ(log.epochs().entries().empty(), appended == 0);
        co_await append(core, log, offset + appended, offset + 7);
        log.roll();
        co_await append(core, log, offset + 7, offset + 12);
        co_await core.sleep(std::chrono::seconds(1));
      });
      life([&](Core&, Engine& engine, Partition& log) -> Task<void> {
        co_await expect_log(log, offset, offset + 12);
        EXPECT_EQ(engine.stats().refused_ranges, 0U);
      });
    }
  }
}

TEST_F(ResetTest, ItsFilesGo) {
  life([](Core& core, Engine& engine, Partition& log) -> Task<void> {
    co_await fill(core, engine, log);
    co_await core.sleep(std::chrono::seconds(1));
    EXPECT_TRUE((co_await log.reset(3)).has_value());
  });
  for (const auto& file : host_.disk().all_files()) EXPECT_FALSE(file.starts_with("/data/t-0/")) << file;
}

struct Waiting : OffsetWaiter {
  explicit Waiting(int64_t at) {
    offset = at;
    done = [](OffsetWaiter& waiter, reactor::Result<void> result) {
      static_cast<Waiting&>(waiter).outcome = result ? "reached" : std::string(to_string(result.error()));
    };
  }
  std::string outcome;
};

TEST_F(ResetTest, WhoWaitsForWhatIsForgottenIsToldSo) {
  life([](Core& core, Engine& engine, Partition& log) -> Task<void> {
    co_await fill(core, engine, log);
    Waiting below(kEnd + 1);
    log.wait_durable(below);
    EXPECT_TRUE((co_await log.reset(50)).has_value());
    EXPECT_EQ(below.outcome, to_string(Errc::kStale)) << "an offset that was passed is not reached";
    EXPECT_EQ((co_await log.reset(-1)).error(), Errc::kOutOfRange);
  });
}

TEST_F(ResetTest, ALogWhoseEndIsLostIsCutThereAndGoesOn) {
  for (const bool by_reset : {false, true}) {
    SCOPED_TRACE(by_reset);
    host_.disk() = reactor::simulated::Disk();
    life([](Core& core, Engine& engine, Partition& log) -> Task<void> { co_await fill(core, engine, log); });
    say_damaged(7);
    const int64_t from = by_reset ? 20 : 0;
    const int64_t to = by_reset ? 20 : 7;
    life_until_power_off([&](Core& core, Engine&, Partition& log) -> Task<void> {
      EXPECT_TRUE(log.damage().damaged);
      EXPECT_EQ(log.append_replicated(batch(kEnd), kNow).error(), Errc::kDamaged);
      EXPECT_TRUE((by_reset ? co_await log.reset(20) : co_await log.truncate(8)).has_value());
      co_await expect_log(log, from, to);
      co_await append(core, log, to, to + 1);
    });
    life([&](Core&, Engine&, Partition& log) -> Task<void> {
      co_await expect_log(log, from, to + 1);
      EXPECT_EQ(log.producers().describe().at(0).last_sequence, to);
    });
  }
}

// What is named as damaged may not be all that is: of a file that ends before the log does, the rest is gone too.
TEST_F(ResetTest, ACutGoesBelowWhatTheFileHasNotGot) {
  life([](Core& core, Engine& engine, Partition& log) -> Task<void> { co_await fill(core, engine, log); });
  const Bytes whole = *host_.disk().read_file(path(6));
  host_.disk().write_file(path(6), ByteView(whole).first(2 * batch_bytes() - 10));
  life_until_power_off([](Core& core, Engine&, Partition& log) -> Task<void> {
    EXPECT_TRUE(log.append_replicated(batch(kEnd), kNow).has_value());
    log.roll();
    EXPECT_TRUE(log.append_replicated(batch(kEnd + 1), kNow).has_value());
    co_await core.sleep(std::chrono::milliseconds(100));
    EXPECT_TRUE(log.damage().damaged) << "the last block is not there";
    EXPECT_TRUE((co_await log.truncate(kEnd + 2)).has_value());
    co_await expect_log(log, 0, 7);
    co_await append(core, log, 7, 9);
    EXPECT_TRUE((co_await log.truncate(8)).has_value()) << "nothing is waited for that went with the cut";
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> { co_await expect_log(log, 0, 8); });
}

TEST_F(ResetTest, WhereTheBatchAtTheCutIsNotFoundTheLastWholeOneIsTheEnd) {
  life([](Core& core, Engine& engine, Partition& log) -> Task<void> { co_await fill(core, engine, log); });
  host_.disk().write_file(path(3, "index"), Bytes(10));
  constexpr uint64_t kMagicAt = 16;
  ASSERT_TRUE(host_.disk().flip_bit(path(3), batch_bytes() + kMagicAt, 0));
  life_until_power_off([](Core&, Engine&, Partition& log) -> Task<void> {
    EXPECT_TRUE((co_await log.truncate(5)).has_value());
    co_await expect_log(log, 0, 4);
  });
  life([](Core& core, Engine&, Partition& log) -> Task<void> {
    co_await expect_log(log, 0, 4);
    co_await append(core, log, 4, 6);
    co_await expect_log(log, 0, 6);
  });
}

// A repeated batch would be taken for a new one.
TEST_F(ResetTest, WithoutItsProducersALogTakesNoAppend) {
  life([](Core& core, Engine& engine, Partition& log) -> Task<void> { co_await fill(core, engine, log); });
  for (const char* derived : {"index", "snapshot"}) {
    for (const int64_t base : {0, 3}) host_.disk().write_file(path(base, derived), Bytes(10));
  }
  constexpr uint64_t kMagicAt = 16;
  ASSERT_TRUE(host_.disk().flip_bit(path(0), batch_bytes() + kMagicAt, 0));
  life([](Core& core, Engine&, Partition& log) -> Task<void> {
    EXPECT_EQ((co_await log.truncate(8)).error(), Errc::kDamaged);
    EXPECT_EQ(log.end_offset(), 8);
    EXPECT_EQ(log.append_replicated(batch(8), kNow).error(), Errc::kDamaged);
    EXPECT_EQ((co_await log.truncate(8)).error(), Errc::kDamaged) << "tried again";
    EXPECT_TRUE((co_await log.truncate(2)).has_value()) << "below what cannot be read";
    co_await expect_log(log, 0, 1);
    EXPECT_EQ(log.producers().describe().at(0).last_sequence, 0);
    co_await append(core, log, 1, 2);
  });
  life([](Core&, Engine&, Partition& log) -> Task<void> { co_await expect_log(log, 0, 2); });
}

// The files of what was cut are removed beside what comes, which may take their names.
class ReusedNameTest : public ResetTest, public ::testing::WithParamInterface<uint64_t> {};

TEST_P(ReusedNameTest, WhatIsRemovedIsNeverTheNewFile) {
  world_.options() = reactor::simulated::WorldOptions::swarm(GetParam());
  life([](Core& core, Engine& engine, Partition& log) -> Task<void> {
    co_await fill(core, engine, log);
    co_await core.sleep(std::chrono::seconds(1));
    EXPECT_TRUE((co_await log.truncate(1)).has_value());
    co_await append(core, log, 1, 3);
    log.roll();
    co_await append(core, log, 3, 6);
    log.roll();
    co_await core.sleep(std::chrono::seconds(1));
  });
  EXPECT_TRUE(host_.disk().stat(path(3)).has_value());
  life([](Core&, Engine&, Partition& log) -> Task<void> { co_await expect_log(log, 0, 6); });
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReusedNameTest, ::testing::Range(uint64_t{1}, uint64_t{60}));

}  // namespace
}  // namespace posthaste::storage
