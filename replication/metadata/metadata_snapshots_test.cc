// What a start says about snapshots that cannot be read. How snapshots and log work together is in
// metadata_log_test.cc.
#include "replication/metadata/metadata_snapshots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "reactor/simulated/world.h"

namespace posthaste::replication {
namespace {

using reactor::Core;
using reactor::Task;

constexpr SnapshotId kOlder{.offset = 100, .epoch = 0};
constexpr SnapshotId kNewer{.offset = 200, .epoch = 0};

class MetadataSnapshotsTest : public ::testing::Test {
 protected:
  using Body = std::function<Task<void>(MetadataSnapshots&)>;

  void run(Body body) {
    body_ = std::move(body);
    if (host_ == nullptr) {
      host_ = &world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{1} << 20}, "10.0.0.1", {});
      host_->set_program([this](Core& core) { return program(*this, core); });
    }
    host_->start();
    ASSERT_TRUE(world_.run_until([this] { return !host_->running(); }, std::chrono::seconds(60))) << world_.log_tail();
  }
  static Task<void> program(MetadataSnapshotsTest& test, Core& core) {
    (void)co_await reactor::file_system::make_directory(core, "/data");
    MetadataSnapshots snapshots(core, "/data");
    co_await test.body_(snapshots);
  }

  void write_both() {
    run([](MetadataSnapshots& snapshots) -> Task<void> {
      for (const SnapshotId& id : {kOlder, kNewer}) {
        EXPECT_TRUE((co_await snapshots.write(id, MetadataImage(), [] { return false; })).has_value());
      }
    });
  }
  void damage(const SnapshotId& id) {
    ASSERT_TRUE(host_->disk().flip_bit("/data/metadata-snapshots/" + snapshot_file(id), 20, 0));
  }
  // The lines of the next load about damage, oldest first.
  std::vector<std::string> lines_of_load() {
    const size_t before = world_.log_lines().size();
    run([](MetadataSnapshots& snapshots) -> Task<void> {
      std::string why;
      EXPECT_TRUE((co_await snapshots.load(why)).has_value()) << why;
    });
    std::vector<std::string> lines(world_.log_lines().begin() + static_cast<ptrdiff_t>(before),
                                   world_.log_lines().end());
    std::erase_if(lines, [](const std::string& line) { return !line.contains("metadata_snapshot_damaged"); });
    return lines;
  }

  reactor::simulated::World world_{3};
  reactor::simulated::Host* host_ = nullptr;
  Body body_;
};

TEST_F(MetadataSnapshotsTest, ALineAboutADamagedOneNamesWhatIsUsedInstead) {
  write_both();
  EXPECT_EQ(lines_of_load(), std::vector<std::string>());
  damage(kNewer);
  std::vector<std::string> lines = lines_of_load();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("file=/data/metadata-snapshots/" + snapshot_file(kNewer)), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find(snapshot_file(kOlder) + " and the log are used"), std::string::npos) << lines[0];
  damage(kOlder);
  lines = lines_of_load();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[1].find("file=/data/metadata-snapshots/" + snapshot_file(kOlder)), std::string::npos) << lines[1];
  EXPECT_NE(lines[1].find("no older snapshot is left"), std::string::npos) << lines[1];
}

}  // namespace
}  // namespace posthaste::replication
