// What a start says about snapshots that cannot be read, and snapshots that travel: read in pieces, taken in pieces,
// whole under their name or not there, wherever the power goes. How snapshots and log work together is in
// metadata_log_test.cc.
#include "replication/metadata/metadata_snapshots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "reactor/simulated/world.h"
#include "replication/quorum/transport.h"
#include "storage/bytes/codec.h"

namespace posthaste::replication {
namespace {

using quorum::StoredSnapshot;
using quorum::VoterSet;
using reactor::Core;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using storage::Bytes;

constexpr SnapshotId kOlder{.offset = 100, .epoch = 0};
constexpr SnapshotId kNewer{.offset = 200, .epoch = 0};
constexpr SnapshotId kLeaders{.offset = 300, .epoch = 2};

VoterSet voters() { return VoterSet({{.id = 1, .directory = {.low = 9}}, {.id = 2, .directory = {.high = 8}}}); }

// Of more than one piece.
MetadataImage large_image() {
  MetadataImage image;
  for (int i = 0; i < 60; ++i) {
    const auto applied =
        image.apply(ConfigRecord{kBrokerResource, "", "key" + std::to_string(i), std::string(10'000, 'x')});
    EXPECT_TRUE(applied.has_value());
  }
  return image;
}

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
    (void)co_await reactor::file_system::sync_directory(core, "/");
    MetadataSnapshots snapshots(core, "/data");
    co_await test.body_(snapshots);
    co_await snapshots.stop();
  }
  static Task<std::optional<MetadataSnapshots::Loaded>> load(MetadataSnapshots& snapshots) {
    std::string why;
    auto loaded = co_await snapshots.load(why);
    EXPECT_TRUE(loaded.has_value()) << why;
    co_return loaded ? std::move(*loaded) : std::nullopt;
  }
  static Task<void> write(MetadataSnapshots& snapshots, SnapshotId id, MetadataImage image) {
    EXPECT_TRUE((co_await snapshots.write(id, voters(), std::move(image), [] { return false; })).has_value());
  }
  // The file of kLeaders, as a leader with large_image() writes it.
  Bytes leaders_file() {
    run([](MetadataSnapshots& snapshots) -> Task<void> {
      co_await load(snapshots);
      co_await write(snapshots, kLeaders, large_image());
    });
    Bytes file = *host_->disk().read_file(path_of(kLeaders));
    host_->disk() = reactor::simulated::Disk();
    return file;
  }
  // Takes `file` in pieces and installs it.
  static Task<Result<StoredSnapshot>> take(MetadataSnapshots& snapshots, const Bytes& file, SnapshotId id = kLeaders) {
    constexpr size_t kPiece = 100'000;
    for (size_t at = 0; at < file.size(); at += kPiece) {
      const auto piece = storage::ByteView(file).subspan(at, std::min(kPiece, file.size() - at));
      CO_TRY(co_await snapshots.write_piece(id, at, Bytes(piece.begin(), piece.end())));
    }
    co_return co_await snapshots.install(id);
  }
  static std::string path_of(const SnapshotId& id) { return "/data/metadata-snapshots/" + snapshot_file(id); }
  std::vector<std::string> files() const {
    std::vector<std::string> found;
    for (const std::string& path : host_->disk().all_files()) {
      if (path.contains("/metadata-snapshots/")) found.push_back(path);
    }
    return found;
  }

  void write_both() {
    run([](MetadataSnapshots& snapshots) -> Task<void> {
      co_await load(snapshots);
      for (const SnapshotId& id : {kOlder, kNewer}) co_await write(snapshots, id, MetadataImage());
    });
  }
  void damage(const SnapshotId& id) { ASSERT_TRUE(host_->disk().flip_bit(path_of(id), 20, 0)); }
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

TEST_F(MetadataSnapshotsTest, TheNewestIsKnownWithItsVotersAndReadInPieces) {
  write_both();
  run([](MetadataSnapshots& snapshots) -> Task<void> {
    co_await load(snapshots);
    auto newest = co_await snapshots.newest();
    EXPECT_TRUE(newest && *newest && (*newest)->id == kNewer && (*newest)->voters == voters());
    EXPECT_EQ(snapshots.log_needed_from(), kOlder.offset);
    co_await write(snapshots, kLeaders, large_image());
    newest = co_await snapshots.newest();
    EXPECT_TRUE(newest && *newest && (*newest)->id == kLeaders);
    EXPECT_EQ(snapshots.log_needed_from(), kNewer.offset);
    EXPECT_EQ((co_await snapshots.read(kOlder, 0)).error(), Errc::kNotFound);
  });
  const Bytes file = *host_->disk().read_file(path_of(kLeaders));
  EXPECT_GT(file.size(), 2 * quorum::kPayloadBytesMax);
  Bytes read;
  run([&](MetadataSnapshots& snapshots) -> Task<void> {
    co_await load(snapshots);
    for (;;) {
      const auto piece = co_await snapshots.read(kLeaders, read.size());
      EXPECT_TRUE(piece.has_value());
      if (!piece || piece->bytes.empty()) break;
      EXPECT_LE(piece->bytes.size(), quorum::kPayloadBytesMax);
      EXPECT_EQ(piece->size, file.size());
      read.insert(read.end(), piece->bytes.begin(), piece->bytes.end());
    }
  });
  EXPECT_EQ(read, file);
}

TEST_F(MetadataSnapshotsTest, OneThatComesInPiecesTakesThePlaceOfAllBefore) {
  const Bytes file = leaders_file();
  write_both();
  run([&](MetadataSnapshots& snapshots) -> Task<void> {
    co_await load(snapshots);
    // One that was begun and is given up.
    EXPECT_TRUE((co_await snapshots.write_piece({.offset = 250, .epoch = 1}, 0, Bytes(10))).has_value());
    const auto installed = co_await take(snapshots, file);
    EXPECT_TRUE(installed && installed->id == kLeaders && installed->voters == voters());
    EXPECT_EQ(snapshots.log_needed_from(), 0);
  });
  EXPECT_EQ(files(), std::vector<std::string>{path_of(kLeaders)});
  run([&](MetadataSnapshots& snapshots) -> Task<void> {
    const auto loaded = co_await load(snapshots);
    EXPECT_TRUE(loaded && loaded->id == kLeaders && loaded->voters == voters());
    EXPECT_TRUE(loaded && loaded->image.to_records() == large_image().to_records());
    EXPECT_EQ((co_await take(snapshots, file)).error(), Errc::kStale) << "it is there";
  });
}

TEST_F(MetadataSnapshotsTest, WhatIsNoWholeSnapshotLeavesNoTrace) {
  const Bytes file = leaders_file();
  write_both();
  run([&](MetadataSnapshots& snapshots) -> Task<void> {
    co_await load(snapshots);
    EXPECT_EQ((co_await snapshots.install(kLeaders)).error(), Errc::kNotFound);
    Bytes bad = file;
    bad[bad.size() / 2] ^= std::byte{1};
    EXPECT_EQ((co_await take(snapshots, bad)).error(), Errc::kCorrupt);
    bad = file;
    bad.pop_back();
    EXPECT_EQ((co_await take(snapshots, bad)).error(), Errc::kTruncated);
    EXPECT_EQ((co_await take(snapshots, file, {.offset = 400, .epoch = 2})).error(), Errc::kCorrupt) << "another's";
    EXPECT_TRUE((co_await snapshots.write_piece(kLeaders, 0, Bytes(10))).has_value());
    EXPECT_EQ((co_await snapshots.write_piece(kLeaders, 11, Bytes(10))).error(), Errc::kOutOfOrder);
    const auto newest = co_await snapshots.newest();
    EXPECT_TRUE(newest && *newest && (*newest)->id == kNewer);
  });
  EXPECT_EQ(files(), (std::vector<std::string>{path_of(kOlder), path_of(kNewer)}));
}

// A program that knew no voters wrote it: no leader of a quorum sends that.
TEST_F(MetadataSnapshotsTest, OneWithoutVotersIsReadAndNotInstalled) {
  Bytes payload(12);
  storage::store_le<int64_t>(payload.data(), kLeaders.offset);
  storage::store_le<int32_t>(payload.data() + 8, kLeaders.epoch);
  const Bytes header = storage::make_frame(storage::load_le<uint32_t>(leaders_file().data()), 1, payload);
  storage::Xxh3Stream all;
  all.update(header);
  payload.resize(12 + 4 + 8 + 8);
  storage::store_le<uint64_t>(payload.data() + 24, all.digest_64());
  Bytes file = header;
  const Bytes trailer = storage::make_frame(0x544D5350, 1, payload);
  file.insert(file.end(), trailer.begin(), trailer.end());
  run([&](MetadataSnapshots& snapshots) -> Task<void> {
    co_await load(snapshots);
    EXPECT_EQ((co_await take(snapshots, file)).error(), Errc::kUnsupported);
  });
  EXPECT_EQ(files(), std::vector<std::string>());
  host_->disk().write_file(path_of(kLeaders), file);
  run([&](MetadataSnapshots& snapshots) -> Task<void> {
    const auto loaded = co_await load(snapshots);
    EXPECT_TRUE(loaded && loaded->id == kLeaders && loaded->voters.empty());
  });
}

// The one before, or the leader's: whole, and nothing else is there after a start.
TEST_F(MetadataSnapshotsTest, WhileOneComesThePowerMayGoAtAnyOperation) {
  const Bytes file = leaders_file();
  bool was_before = false;
  bool was_leaders = false;
  for (uint64_t operations = 1; operations < 100 && !was_leaders; ++operations) {
    write_both();
    bool installed = false;
    run([&](MetadataSnapshots& snapshots) -> Task<void> {
      co_await load(snapshots);
      host_->crash_after_operations(host_->operations_submitted() + operations);
      installed = (co_await take(snapshots, file)).has_value();
    });
    host_->crash_after_operations(0);
    reactor::simulated::Random fates(operations);
    host_->disk().power_lost(fates, {});  // after the answer, too
    run([&](MetadataSnapshots& snapshots) -> Task<void> {
      const auto loaded = co_await load(snapshots);
      EXPECT_TRUE(loaded.has_value()) << operations;
      if (!loaded) co_return;
      const bool is_leaders = loaded->id == kLeaders;
      EXPECT_TRUE(is_leaders || loaded->id == kNewer) << operations;
      if (is_leaders) EXPECT_EQ(loaded->image.to_records() == large_image().to_records(), true) << operations;
      if (installed) EXPECT_TRUE(is_leaders) << operations;
      was_before |= !is_leaders;
      was_leaders |= is_leaders && installed;
    });
    for (const std::string& path : files()) EXPECT_TRUE(path.ends_with(".snapshot")) << path << " " << operations;
    host_->disk() = reactor::simulated::Disk();
  }
  EXPECT_TRUE(was_before);
  EXPECT_TRUE(was_leaders);
}

}  // namespace
}  // namespace posthaste::replication
