// What a partition serves of files that were damaged, lost or exchanged between two lives, on the simulated disk: what
// was acked, or an error and a line in the log, never anything else.
#include <gtest/gtest.h>

#include <map>

#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/simulated/world.h"
#include "storage/engine.h"
#include "storage/record_batch_builder.h"
#include "storage/record_reader.h"
#include "storage/segment_index.h"

namespace posthaste::storage {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::Task;
using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::World;

constexpr reactor::WallMillis kNow{1'700'000'000'000};

class DamageTest : public testing::Test {
 protected:
  static constexpr int kSegments = 4;
  static constexpr int kBatches = 6;  // of one segment
  static constexpr int kRecords = 5;  // of one batch
  static constexpr int kOffsets = kBatches * kRecords;

  void life(const std::function<Task<void>(Core&, Engine&)>& work, bool killed = false) {
    host_.set_program([this, work](Core& core) { return program(*this, core, work); });
    host_.start();
    if (killed) {
      ASSERT_TRUE(world_.run_until([&] { return worked_; }, 60s)) << world_.log_tail();
      host_.kill();
    }
    ASSERT_TRUE(world_.run_until([&] { return !host_.running(); }, 60s)) << world_.log_tail();
    ASSERT_EQ(host_.state(), killed ? HostState::kKilled : HostState::kStopped) << world_.log_tail();
    worked_ = false;
  }
  static Task<void> program(DamageTest& self, Core& core, std::function<Task<void>(Core&, Engine&)> work) {
    EngineHost store(self.options_, 1);
    auto recovered = co_await store.recover(core);
    if (!recovered) {
      ADD_FAILURE() << to_string(recovered.error()) << " " << store.error_text();
      co_return;
    }
    self.report_ = *recovered;
    auto engine = co_await store.open(core);
    if (!engine) {
      ADD_FAILURE() << to_string(engine.error());
      co_return;
    }
    co_await work(core, **engine);
    self.worked_ = true;
    co_await core.sleep(1s);  // a kill comes here
    co_await (*engine)->close();
    EXPECT_TRUE((co_await store.close(core)).has_value());
  }

  static Task<void> refused_start(Core& core, EngineOptions options, std::string& why) {
    EngineHost store(std::move(options), 1);
    EXPECT_EQ((co_await store.recover(core)).error(), Errc::kPermission);
    why = store.error_text();
  }

  static TopicId id_of(const std::string& topic) {
    TopicId id{};
    id[0] = static_cast<std::byte>(topic.at(0));
    return id;
  }
  // What the record at this offset of this topic holds.
  static std::string value_of(const std::string& topic, int64_t offset, size_t bytes) {
    std::string value = fmt::format("{} {:08} ", topic, offset);
    value.resize(bytes, 'v');
    return value;
  }
  // Sealed segments and one that is not, all of the same size and layout in every topic.
  Task<void> fill(Core& core, Engine& engine, std::string topic, size_t value_bytes = 40) {
    auto created = co_await engine.create_partition({.topic_id = id_of(topic), .topic_name = topic});
    if (!created) co_return ADD_FAILURE() << to_string(created.error());
    Partition& partition = **created;
    for (int batch = 0; batch < kSegments * kBatches; ++batch) {
      if (batch > 0 && batch % kBatches == 0) partition.roll();
      RecordBatchBuilder builder;
      for (int i = 0; i < kRecords; ++i) {
        const std::string value = value_of(topic, partition.end_offset() + i, value_bytes);
        builder.add({.timestamp = kNow.value, .value = bytes_of(value)});
      }
      Bytes bytes = builder.finish();
      while (!partition.append(bytes, {.leader_epoch = 0}, kNow)) co_await engine.wait_for_room();
      while (partition.durable_offset() < partition.end_offset()) co_await core.sleep(1ms);
    }
    co_await core.sleep(1s);
  }
  static reactor::Result<AppendResult> append_one(Partition& partition, const std::string& topic,
                                                  size_t value_bytes = 40) {
    RecordBatchBuilder builder;
    const std::string value = value_of(topic, partition.end_offset(), value_bytes);
    builder.add({.timestamp = kNow.value, .value = bytes_of(value)});
    Bytes bytes = builder.finish();
    return partition.append(bytes, {.leader_epoch = 0}, kNow);
  }
  // Removes files of this path, and the folder if it is one.
  void remove_files(const std::string& path) {
    host_.set_program([path, this](Core& core) { return remove(core, path, host_.disk().all_files()); });
    host_.start();
    ASSERT_TRUE(world_.run_until([&] { return !host_.running(); }, 60s));
  }
  static Task<void> remove(Core& core, std::string path, std::vector<std::string> files) {
    for (const std::string& file : files) {
      if (file.starts_with(path)) EXPECT_TRUE((co_await reactor::file_system::unlink(core, file)).has_value());
    }
    if (!path.ends_with('/')) co_return;
    EXPECT_TRUE((co_await reactor::file_system::remove_directory(core, path.substr(0, path.size() - 1))).has_value());
  }
  // Reads from every offset on: what is served must be what was written. Returns offsets that were refused.
  Task<std::vector<int64_t>> read_all(Engine& engine, std::string topic, size_t value_bytes = 40) {
    Partition& partition = *engine.find(id_of(topic), 0);
    EXPECT_EQ(partition.end_offset(), kSegments * kOffsets + extra_);
    std::vector<int64_t> refused;
    for (int64_t offset = partition.log_start_offset(); offset < partition.end_offset(); ++offset) {
      auto read = co_await partition.read({.offset = offset, .max_bytes = 1, .limit_offset = partition.end_offset()});
      if (!read) {
        EXPECT_EQ(read.error(), Errc::kDamaged) << offset << " " << to_string(read.error());
        refused.push_back(offset);
        continue;
      }
      Bytes whole;
      for (const LeasedBytes& piece : read->pieces) whole.insert(whole.end(), piece.bytes.begin(), piece.bytes.end());
      const auto batch = RecordBatchView::parse(whole);
      EXPECT_TRUE(batch.has_value() && batch->base_offset() <= offset && batch->last_offset() >= offset) << offset;
      if (!batch) continue;
      (void)walk_records(*batch, [&](const RecordView& record) {
        EXPECT_EQ(text_of(*record.value), value_of(topic, record.offset, value_bytes));
      });
    }
    co_return refused;
  }
  // A later life that finds the folder as it is now.
  std::vector<int64_t> refused_of(const std::string& topic, size_t value_bytes = 40) {
    std::vector<int64_t> refused;
    life([&](Core&, Engine& engine) -> Task<void> {
      refused = co_await read_all(engine, topic, value_bytes);
      const uint64_t named = engine.stats().refused_ranges;
      EXPECT_EQ(named > 0, !refused.empty());
      (void)co_await read_all(engine, topic, value_bytes);
      EXPECT_EQ(engine.stats().refused_ranges, named) << "a place is named once";
    });
    return refused;
  }
  static std::vector<int64_t> offsets(int first_segment, int last_segment) {
    std::vector<int64_t> list;
    for (int64_t offset = first_segment * kOffsets; offset < last_segment * kOffsets; ++offset) list.push_back(offset);
    return list;
  }
  static std::string path_of(const std::string& topic, int segment, std::string_view extension = "log") {
    return fmt::format("/data/{}-0/{:020}.{}", topic, segment * kOffsets, extension);
  }
  void exchange(const std::string& one, const std::string& other) {
    const auto first = host_.disk().read_file(one);
    const auto second = host_.disk().read_file(other);
    ASSERT_TRUE(first && second) << one << " " << other;
    host_.disk().write_file(one, *second);
    host_.disk().write_file(other, *first);
  }
  bool logged(std::string_view text) const {
    return std::ranges::any_of(world_.log_lines(), [&](const std::string& line) { return line.contains(text); });
  }
  void make(size_t value_bytes = 40) {
    life([&](Core& core, Engine& engine) -> Task<void> {
      co_await fill(core, engine, "a", value_bytes);
      co_await fill(core, engine, "b", value_bytes);
    });
  }

  World world_{7};
  EngineOptions options_{.data_directory = "/data",
                         .journal_file_bytes = uint64_t{1} << 20,
                         .journal_files = 8,
                         .commit_bytes_max = uint32_t{256} << 10,
                         .tail_bytes_max = uint64_t{6} << 20};
  Host& host_ = world_.add_host({.cores = 1, .pool_bytes_per_core = 32 << 20}, "10.0.0.1", nullptr);
  RecoveryReport report_;
  bool worked_ = false;
  int extra_ = 0;  // records behind what fill() has written
};

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
  // Recovery brings what the journal holds into the segments, and its tables say so.
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

// A batch's offset lies outside its checksum, and the next header that could tell lies in another chunk.
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

// The last block's first bytes are wanted when something is appended after a restart.
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
