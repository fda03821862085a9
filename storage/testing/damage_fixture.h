// Two partitions of several segments on the simulated disk, lives of their store, and what becomes of their files
// between lives: for the tests of what is served of damaged files. It says which offsets are refused; the tests say
// which may be.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/file.h"
#include "reactor/simulated/world.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/batch/record_reader.h"
#include "storage/engine.h"
#include "storage/testing/batches.h"
#include "storage/testing/one_life.h"

namespace posthaste::storage::testing {

class DamageTest : public ::testing::Test {
 protected:
  static constexpr int kSegments = 4;
  static constexpr int kBatches = 6;  // of one segment
  static constexpr int kRecords = 5;  // of one batch
  static constexpr int kOffsets = kBatches * kRecords;

  void life(const EngineWork& work, bool killed = false) {
    host_.set_program([this, work](reactor::Core& core) { return program(*this, core, work); });
    host_.start();
    if (killed) {
      ASSERT_TRUE(world_.run_until([&] { return worked_; }, std::chrono::seconds(60))) << world_.log_tail();
      host_.kill();
    }
    ASSERT_TRUE(world_.run_until([&] { return !host_.running(); }, std::chrono::seconds(60))) << world_.log_tail();
    ASSERT_EQ(host_.state(), killed ? reactor::simulated::HostState::kKilled : reactor::simulated::HostState::kStopped)
        << world_.log_tail();
    worked_ = false;
  }
  static reactor::Task<void> program(DamageTest& self, reactor::Core& core, EngineWork work) {
    const auto with_pause = [&](reactor::Core& on, Engine& engine) -> reactor::Task<void> {
      co_await work(on, engine);
      self.worked_ = true;
      co_await on.sleep(std::chrono::seconds(1));  // a kill comes here
    };
    co_await one_life(core, self.options_, with_pause, &self.report_);
  }

  static reactor::Task<void> refused_start(reactor::Core& core, EngineOptions options, std::string& why) {
    EngineHost store(std::move(options), 1);
    EXPECT_EQ((co_await store.recover(core)).error(), reactor::Errc::kPermission);
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
  reactor::Task<void> fill(reactor::Core& core, Engine& engine, std::string topic, size_t value_bytes = 40) {
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
      while (partition.durable_offset() < partition.end_offset()) co_await core.sleep(std::chrono::milliseconds(1));
    }
    co_await core.sleep(std::chrono::seconds(1));
  }
  static reactor::Result<AppendResult> append_one(Partition& partition, const std::string& topic,
                                                  size_t value_bytes = 40) {
    Bytes bytes = one_record(value_of(topic, partition.end_offset(), value_bytes));
    return partition.append(bytes, {.leader_epoch = 0}, kNow);
  }
  // Removes files of this path, and the folder if it is one.
  void remove_files(const std::string& path) {
    host_.set_program([path, this](reactor::Core& core) { return remove(core, path, host_.disk().all_files()); });
    host_.start();
    ASSERT_TRUE(world_.run_until([&] { return !host_.running(); }, std::chrono::seconds(60)));
  }
  static reactor::Task<void> remove(reactor::Core& core, std::string path, std::vector<std::string> files) {
    for (const std::string& file : files) {
      if (file.starts_with(path)) EXPECT_TRUE((co_await reactor::file_system::unlink(core, file)).has_value());
    }
    if (!path.ends_with('/')) co_return;
    EXPECT_TRUE((co_await reactor::file_system::remove_directory(core, path.substr(0, path.size() - 1))).has_value());
  }
  // Reads from every offset on: what is served must be what was written. Returns offsets that were refused.
  reactor::Task<std::vector<int64_t>> read_all(Engine& engine, std::string topic, size_t value_bytes = 40) {
    Partition& partition = *engine.find(id_of(topic), 0);
    EXPECT_EQ(partition.end_offset(), kSegments * kOffsets + extra_);
    std::vector<int64_t> refused;
    for (int64_t offset = partition.log_start_offset(); offset < partition.end_offset(); ++offset) {
      auto read = co_await partition.read({.offset = offset, .max_bytes = 1, .limit_offset = partition.end_offset()});
      if (!read) {
        EXPECT_EQ(read.error(), reactor::Errc::kDamaged) << offset << " " << to_string(read.error());
        refused.push_back(offset);
        continue;
      }
      const Bytes whole = storage::joined(*read);
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
    life([&](reactor::Core&, Engine& engine) -> reactor::Task<void> {
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
    life([&](reactor::Core& core, Engine& engine) -> reactor::Task<void> {
      co_await fill(core, engine, "a", value_bytes);
      co_await fill(core, engine, "b", value_bytes);
    });
  }

  reactor::simulated::World world_{7};
  EngineOptions options_{.data_directory = "/data",
                         .journal_file_bytes = uint64_t{1} << 20,
                         .journal_files = 8,
                         .commit_bytes_max = uint32_t{256} << 10,
                         .tail_bytes_max = uint64_t{6} << 20};
  reactor::simulated::Host& host_ = world_.add_host({.cores = 1, .pool_bytes_per_core = 32 << 20}, "10.0.0.1", nullptr);
  RecoveryReport report_;
  bool worked_ = false;
  int extra_ = 0;  // records behind what fill() has written
};

}  // namespace posthaste::storage::testing
