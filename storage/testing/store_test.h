// A store of one core on the simulated disk, and lives of it, for unit tests of one partition's log.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "reactor/simulated/world.h"
#include "storage/engine.h"
#include "storage/testing/batches.h"
#include "storage/testing/one_life.h"

namespace posthaste::storage::testing {

class StoreTest : public ::testing::Test {
 protected:
  using Work = std::function<reactor::Task<void>(reactor::Core&, Engine&, Partition&)>;

  // From recovery to an orderly close; the store has one partition, made by the first life.
  void life(const Work& work) { run(work, reactor::simulated::HostState::kStopped); }
  // The same, but the power goes when `work` has returned.
  void life_until_power_off(const Work& work) { run(work, reactor::simulated::HostState::kOff); }

  static TopicId topic() {
    TopicId id{};
    id[0] = std::byte{1};
    return id;
  }
  static reactor::Task<void> durable(reactor::Core& core, Partition& partition) {
    while (partition.durable_offset() < partition.end_offset()) co_await core.sleep(std::chrono::milliseconds(1));
  }
  // The batches from `offset` on, one behind the other, or why there are none.
  static reactor::Task<reactor::Result<Bytes>> read_from(Partition& partition, int64_t offset) {
    Bytes all;
    while (offset < partition.end_offset()) {
      auto read = co_await partition.read({.offset = offset, .limit_offset = partition.end_offset()});
      if (!read) co_return reactor::failure(read.error());
      const Bytes bytes = storage::joined(*read);
      all.insert(all.end(), bytes.begin(), bytes.end());
      if (read->next_offset <= offset) break;
      offset = read->next_offset;
    }
    co_return all;
  }
  bool logged(std::string_view text) const {
    return std::ranges::any_of(world_.log_lines(), [&](const std::string& line) { return line.contains(text); });
  }

  reactor::simulated::World world_{7};
  EngineOptions options_{
      .data_directory = "/data", .journal_file_bytes = 64 << 10, .journal_files = 8, .commit_bytes_max = 16 << 10};
  reactor::simulated::Host& host_ = world_.add_host({.cores = 1, .pool_bytes_per_core = 16 << 20}, "10.0.0.1", nullptr);

 private:
  void run(const Work& work, reactor::simulated::HostState end) {
    run_until_down(
        world_, host_, [this, work, end](reactor::Core& core) { return program(*this, core, work, end); }, end);
  }

  static reactor::Task<void> program(StoreTest& self, reactor::Core& core, Work work,
                                     reactor::simulated::HostState end) {
    const auto with_partition = [&](reactor::Core& on, Engine& engine) -> reactor::Task<void> {
      Partition* partition = engine.find(topic(), 0);
      if (partition == nullptr) {
        auto created = co_await engine.create_partition({.topic_id = topic(), .topic_name = "t"});
        EXPECT_TRUE(created.has_value());
        if (created) partition = *created;
      }
      if (partition != nullptr) co_await work(on, engine, *partition);
      if (end != reactor::simulated::HostState::kOff) co_return;
      self.host_.power_off();
      co_await on.sleep(std::chrono::seconds(1));
    };
    co_await one_life(core, self.options_, with_partition);
  }
};

}  // namespace posthaste::storage::testing
