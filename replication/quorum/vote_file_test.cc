// The vote file: what a crash at any operation, a torn write and a rotten bit leave.
#include "replication/quorum/vote_file.h"

#include <gtest/gtest.h>

#include <functional>

#include "reactor/simulated/world.h"
#include "storage/bytes/endian.h"
#include "storage/bytes/xxh3.h"

namespace posthaste::replication::quorum {
namespace {

using reactor::Core;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;

constexpr DirectoryId kDirectory{.high = 1, .low = 2};
constexpr Epoch kVotes = 3;

Vote vote_in(Epoch epoch) { return {.epoch = epoch, .voted = {.id = epoch, .directory = {.low = 9}}}; }

// Makes the file and votes in epochs 1 to kVotes; `answered` is the last one that may be answered.
Task<void> votes(Core& core, Epoch& answered) {
  static_cast<void>(co_await reactor::file_system::make_directory(core, "/data"));
  static_cast<void>(co_await reactor::file_system::sync_directory(core, "/"));
  auto file = co_await VoteFile::create(core, "/data", kDirectory);
  EXPECT_TRUE(file);
  answered = 0;
  for (Epoch epoch = 1; epoch <= kVotes; ++epoch) {
    EXPECT_TRUE(co_await file->write(vote_in(epoch)));
    answered = epoch;
  }
  static_cast<void>(co_await file->close());
}

Task<void> reads(Core& core, Result<StoredVote>& found) {
  auto file = co_await VoteFile::open(core, "/data");
  if (!file) {
    found = reactor::failure(file.error());
    co_return;
  }
  found = file->stored();
  static_cast<void>(co_await file->close());
}

// What a start on this disk finds; the disk is as the start leaves it.
Result<StoredVote> found_on(reactor::simulated::Disk& disk, uint64_t seed) {
  World world(seed, WorldOptions::instant());
  Result<StoredVote> found = reactor::failure(Errc::kStopping);
  Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 64 << 10}, "10.0.0.1",
                              [&found](Core& core) { return reads(core, found); });
  host.disk() = disk;
  host.start();
  EXPECT_TRUE(world.run_until([&] { return !host.running(); }, std::chrono::seconds(60)));
  disk = host.disk();
  return found;
}

reactor::simulated::Disk disk_after_votes() {
  World world(1, WorldOptions::instant());
  Epoch answered = -1;
  Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 64 << 10}, "10.0.0.1",
                              [&answered](Core& core) { return votes(core, answered); });
  host.start();
  EXPECT_TRUE(world.run_until([&] { return !host.running(); }, std::chrono::seconds(60)));
  EXPECT_EQ(answered, kVotes);
  return host.disk();
}

TEST(VoteFile, WhatWasAnsweredIsThereWhereverThePowerGoes) {
  int cut_short = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    for (uint64_t operation = 1; operation <= 18; ++operation) {
      World world(seed, WorldOptions::instant());
      Epoch answered = -1;
      Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 64 << 10}, "10.0.0.1",
                                  [&answered](Core& core) { return votes(core, answered); });
      host.on_submit([&](const reactor::Op&, uint64_t index) {
        if (index == operation) seed % 2 == 0 ? host.kill() : host.crash_after_operations(index);
      });
      host.start();
      ASSERT_TRUE(world.run_until([&] { return !host.running(); }, std::chrono::seconds(60)));
      if (host.state() != HostState::kStopped) ++cut_short;
      reactor::simulated::Disk disk = host.disk();
      const auto found = found_on(disk, seed);
      if (answered < 0) {  // there was no voter yet: a file that cannot be read would look as if there had been one
        EXPECT_TRUE(found || found.error() == Errc::kNotFound) << "seed " << seed << ", operation " << operation;
        continue;
      }
      ASSERT_TRUE(found) << "seed " << seed << ", operation " << operation;
      EXPECT_GE(found->vote.epoch, answered);
      EXPECT_LE(found->vote.epoch, answered + 1);
      EXPECT_EQ(found->directory, kDirectory);
      // What a start has seen stays, also when the power goes once more.
      reactor::simulated::Random random(seed);
      disk = disk.crash_image(random, {});
      const auto again = found_on(disk, seed);
      ASSERT_TRUE(again);
      EXPECT_EQ(*again, *found);
    }
  }
  EXPECT_GT(cut_short, 100);
}

TEST(VoteFile, OneRottenSlotIsMendedByTheOther) {
  for (const uint64_t byte : {uint64_t{0}, uint64_t{33}, uint64_t{4090}, uint64_t{4096 + 33}, uint64_t{8191}}) {
    reactor::simulated::Disk disk = disk_after_votes();
    ASSERT_TRUE(disk.flip_bit("/data/quorum.vote", byte, 3));
    const auto found = found_on(disk, 1);
    ASSERT_TRUE(found) << byte;
    EXPECT_EQ(found->vote, vote_in(kVotes));
    ASSERT_TRUE(disk.flip_bit("/data/quorum.vote", (byte + 4096) % 8192, 3));
    const auto mended = found_on(disk, 1);
    ASSERT_TRUE(mended) << byte;
    EXPECT_EQ(mended->vote, vote_in(kVotes));
  }
}

TEST(VoteFile, TwoRottenSlotsAreAsGoodAsAWipedDisk) {
  reactor::simulated::Disk disk = disk_after_votes();
  ASSERT_TRUE(disk.flip_bit("/data/quorum.vote", 40, 3));
  ASSERT_TRUE(disk.flip_bit("/data/quorum.vote", 4096 + 50, 3));
  const auto found = found_on(disk, 1);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error(), Errc::kCorrupt);
}

TEST(VoteFile, TheNewerSlotCountsAndANewerFormatIsLeftAlone) {
  storage::Bytes file = encode_vote_slot({.sequence = 4, .directory = kDirectory, .vote = vote_in(4)});
  const storage::Bytes newer = encode_vote_slot({.sequence = 5, .directory = kDirectory, .vote = vote_in(7)});
  file.insert(file.end(), newer.begin(), newer.end());
  EXPECT_EQ(decode_vote_file(file)->vote, vote_in(7));
  file.resize(kVoteSlotBytes + 100);
  EXPECT_EQ(decode_vote_file(file)->vote, vote_in(4));
  storage::Bytes future = newer;
  future[4] = std::byte{2};
  storage::store_le<uint64_t>(future.data() + 4088, storage::xxh3_64(storage::ByteView(future).first(4088)));
  EXPECT_EQ(decode_vote_slot(future).error(), Errc::kUnsupported);
  file.resize(100);
  EXPECT_EQ(decode_vote_file(file).error(), Errc::kCorrupt);
}

}  // namespace
}  // namespace posthaste::replication::quorum
