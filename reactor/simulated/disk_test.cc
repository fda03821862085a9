// What survives which death, sector by sector.
#include "reactor/simulated/disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace posthaste::reactor::simulated {
namespace {

// Operations without a backend: each is begun and, unless left in flight, completed at once.
struct Driver {
  Disk disk;
  std::vector<std::unique_ptr<Op>> ops;
  std::vector<std::unique_ptr<Slice>> slices;

  Op& path_op(OpKind kind, const char* path, uint16_t flags = 0, const char* path2 = nullptr) {
    ops.push_back(std::make_unique<Op>());
    Op& op = *ops.back();
    op.kind = kind;
    op.path = path;
    op.path2 = path2;
    op.flags = flags;
    return op;
  }
  int64_t run(Op& op, Disk::Handle file = Disk::kNoHandle) { return disk.complete(disk.begin(op, file)); }
  int64_t on_path(OpKind kind, const char* path, uint16_t flags = 0, const char* path2 = nullptr) {
    return run(path_op(kind, path, flags, path2));
  }
  Disk::Handle open(const char* path, uint16_t flags = kOpenWrite | kOpenCreate) {
    const int64_t result = on_path(OpKind::kOpen, path, flags);
    EXPECT_GE(result, 0) << path;
    return static_cast<Disk::Handle>(result);
  }
  Op& write_op(uint64_t offset, std::vector<std::byte>& bytes, uint16_t flags) {
    slices.push_back(std::make_unique<Slice>(Slice{bytes.data(), bytes.size()}));
    Op& op = path_op(OpKind::kWrite, nullptr, flags);
    op.offset = offset;
    op.slices = slices.back().get();
    op.slice_count = 1;
    return op;
  }
  int64_t write(Disk::Handle file, uint64_t offset, std::vector<std::byte> bytes, uint16_t flags = 0) {
    return run(write_op(offset, bytes, flags), file);
  }
  int64_t sync(Disk::Handle file) { return run(path_op(OpKind::kSync, nullptr), file); }
  int64_t sync_folder(const char* path) {
    const Disk::Handle folder = open(path, kOpenDirectory);
    const int64_t result = sync(folder);
    run(path_op(OpKind::kClose, nullptr), folder);
    return result;
  }
  int64_t resize(OpKind kind, Disk::Handle file, uint64_t offset, uint64_t length) {
    Op& op = path_op(kind, nullptr);
    op.offset = offset;
    op.length = length;
    return run(op, file);
  }
};

std::vector<std::byte> bytes_of(size_t count, char fill) { return std::vector(count, static_cast<std::byte>(fill)); }

std::string text(const Disk& disk, std::string_view path) {
  const auto bytes = disk.read_file(path);
  if (!bytes) return std::string("<") + std::string(to_string(bytes.error())) + ">";
  std::string out(bytes->size(), ' ');
  if (!bytes->empty()) std::memcpy(out.data(), bytes->data(), bytes->size());
  return out;
}

constexpr int kImages = 400;  // enough that each outcome of a coin has a chance of failing to appear below 1e-40

TEST(SimulatedDisk, DurableWriteSurvivesEveryCrash) {
  Driver d;
  const auto file = d.open("/f");
  ASSERT_EQ(d.sync_folder("/"), 0);
  EXPECT_EQ(d.write(file, 0, bytes_of(1000, 'a'), kWriteDurable), 1000);
  EXPECT_EQ(d.write(file, 1000, bytes_of(5000, 'b'), kWriteDurable), 5000);
  Random random(1);
  for (int i = 0; i < kImages; ++i) {
    const Disk image = d.disk.crash_image(random, {});
    ASSERT_EQ(text(image, "/f"), std::string(1000, 'a') + std::string(5000, 'b'));
  }
}

TEST(SimulatedDisk, VolatileWriteIsOldOrNewSectorBySector) {
  Driver d;
  const auto file = d.open("/f");
  ASSERT_EQ(d.sync_folder("/"), 0);
  d.write(file, 0, bytes_of(2 * kPageBytes, 'a'), kWriteDurable);
  d.write(file, 0, bytes_of(2 * kPageBytes, 'b'));
  EXPECT_EQ(text(d.disk, "/f"), std::string(2 * kPageBytes, 'b'));
  Random random(2);
  std::set<std::string> seen;
  for (int i = 0; i < kImages; ++i) {
    const std::string found = text(d.disk.crash_image(random, {}), "/f");
    ASSERT_EQ(found.size(), 2 * kPageBytes);
    for (size_t sector = 0; sector < found.size(); sector += kSectorBytes) {
      const std::string part = found.substr(sector, kSectorBytes);
      ASSERT_TRUE(part == std::string(kSectorBytes, 'a') || part == std::string(kSectorBytes, 'b'));
    }
    seen.insert(found);
  }
  EXPECT_TRUE(seen.contains(std::string(2 * kPageBytes, 'a')));
  EXPECT_TRUE(seen.contains(std::string(2 * kPageBytes, 'b')));
  EXPECT_GT(seen.size(), 50U);
  EXPECT_EQ(d.sync(file), 0);
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(text(d.disk.crash_image(random, {}), "/f"), std::string(2 * kPageBytes, 'b'));
  }
}

TEST(SimulatedDisk, WriteInFlightIsTornBySector) {
  Driver d;
  const auto file = d.open("/f");
  ASSERT_EQ(d.sync_folder("/"), 0);
  d.write(file, 0, bytes_of(kPageBytes, 'a'), kWriteDurable);
  auto bytes = bytes_of(kPageBytes, 'b');
  const auto ticket = d.disk.begin(d.write_op(0, bytes, kWriteDurable), file);
  Random random(3);
  bool whole = false;
  bool none = false;
  bool garbage = false;
  bool mixed = false;
  for (int i = 0; i < kImages; ++i) {
    const std::string found = text(d.disk.crash_image(random, {}), "/f");
    const auto count = [&](char c) { return static_cast<size_t>(std::ranges::count(found, c)); };
    whole |= count('b') == kPageBytes;
    none |= count('a') == kPageBytes;
    mixed |= count('a') > 0 && count('b') > 0;
    garbage |= count('a') + count('b') < kPageBytes;
  }
  EXPECT_TRUE(whole && none && garbage && mixed);
  // A chosen outcome.
  CrashPolicy policy;
  policy.choose = [](const Op&, size_t sector) { return sector == 3 ? Fate::kKept : Fate::kLost; };
  EXPECT_EQ(text(d.disk.crash_image(random, policy), "/f"),
            std::string(3 * kSectorBytes, 'a') + std::string(kSectorBytes, 'b') + std::string(4 * kSectorBytes, 'a'));
  EXPECT_EQ(text(d.disk, "/f"), std::string(kPageBytes, 'a')) << "taking images changes nothing";
  EXPECT_EQ(d.disk.complete(ticket), static_cast<int64_t>(kPageBytes));
  EXPECT_EQ(text(d.disk.crash_image(random, {}), "/f"), std::string(kPageBytes, 'b'));
}

TEST(SimulatedDisk, SyncCoversWhatWasWrittenBeforeIt) {
  Driver d;
  const auto file = d.open("/f");
  ASSERT_EQ(d.sync_folder("/"), 0);
  d.write(file, 0, bytes_of(100, 'a'));
  Op& sync = d.path_op(OpKind::kSync, nullptr);
  const auto ticket = d.disk.begin(sync, file);
  d.write(file, 50, bytes_of(50, 'b'));  // completed while the sync was in flight: not covered
  EXPECT_EQ(d.disk.complete(ticket), 0);
  Random random(4);
  CrashPolicy lost;
  lost.completed = Fate::kLost;
  EXPECT_EQ(text(d.disk.crash_image(random, lost), "/f"), std::string(100, 'a'));
  EXPECT_EQ(d.sync(file), 0);
  EXPECT_EQ(text(d.disk.crash_image(random, lost), "/f"), std::string(50, 'a') + std::string(50, 'b'));
}

TEST(SimulatedDisk, SizesAreDurableAfterSync) {
  Driver d;
  const auto file = d.open("/f");
  ASSERT_EQ(d.sync_folder("/"), 0);
  EXPECT_EQ(d.resize(OpKind::kAllocate, file, 0, 16'384), 0);
  EXPECT_EQ(d.disk.stat("/f")->size_bytes, 16'384U);
  Random random(5);
  std::set<uint64_t> sizes;
  for (int i = 0; i < kImages; ++i) sizes.insert(d.disk.crash_image(random, {}).stat("/f")->size_bytes);
  EXPECT_TRUE(sizes.contains(0) && sizes.contains(16'384) && sizes.size() > 3);
  d.sync(file);
  EXPECT_EQ(d.disk.crash_image(random, {}).stat("/f")->size_bytes, 16'384U);
  d.write(file, 0, bytes_of(16'384, 'x'), kWriteDurable);
  EXPECT_EQ(d.resize(OpKind::kTruncate, file, 0, 1000), 0);
  d.sync(file);
  EXPECT_EQ(d.resize(OpKind::kTruncate, file, 0, 2000), 0);
  d.sync(file);
  EXPECT_EQ(text(d.disk.crash_image(random, {}), "/f"), std::string(1000, 'x') + std::string(1000, '\0'));
}

TEST(SimulatedDisk, NamesNeedAFolderSyncAndKeepTheirOrder) {
  Driver d;
  d.on_path(OpKind::kMakeDirectory, "/a");
  d.sync_folder("/");
  const auto file = d.open("/a/new");
  d.write(file, 0, bytes_of(10, 'n'), kWriteDurable);
  d.on_path(OpKind::kRename, "/a/new", 0, "/a/final");
  d.open("/a/second");
  Random random(6);
  std::set<std::string> seen;
  for (int i = 0; i < kImages; ++i) {
    std::string names;
    const Disk image = d.disk.crash_image(random, {});
    const auto listed = image.list("/a");
    ASSERT_TRUE(listed.has_value());
    for (const auto& entry : *listed) names += entry.name + " ";
    if (names.starts_with("final")) EXPECT_EQ(text(image, "/a/final"), std::string(10, 'n'));
    seen.insert(names);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"", "new ", "final ", "final second "}));
  d.sync_folder("/a");
  d.on_path(OpKind::kUnlink, "/a/second");
  bool back = false;
  for (int i = 0; i < kImages; ++i) back |= d.disk.crash_image(random, {}).stat("/a/second").has_value();
  EXPECT_TRUE(back) << "an unlink that was not synced may be undone";
  EXPECT_EQ(d.disk.stat("/a/second").error(), Errc::kNotFound);
}

TEST(SimulatedDisk, ProcessDeathKeepsWhatCompleted) {
  Driver d;
  const auto file = d.open("/f", kOpenWrite | kOpenCreate | kOpenLock);
  EXPECT_EQ(d.on_path(OpKind::kOpen, "/f", kOpenLock), -static_cast<int64_t>(Errc::kBusy));
  d.write(file, 0, bytes_of(3000, 'v'));
  auto bytes = bytes_of(512, 'w');
  d.disk.begin(d.write_op(0, bytes, 0), file);
  Random random(7);
  d.disk.process_died(random);
  const std::string found = text(d.disk, "/f");
  EXPECT_EQ(found.substr(512), std::string(2488, 'v'));
  EXPECT_TRUE(found.starts_with(std::string(512, 'v')) || found.starts_with(std::string(512, 'w')));
  EXPECT_EQ(d.disk.in_flight(), 0U);
  EXPECT_FALSE(d.disk.is_open(file));
  d.open("/f", kOpenLock);  // the lock is free
}

TEST(SimulatedDisk, WhatADeathLeftBecomesDurableByTheNextSync) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Driver d;
    const auto file = d.open("/f");
    ASSERT_EQ(d.sync_folder("/"), 0);
    auto bytes = bytes_of(1024, 'w');
    d.disk.begin(d.write_op(0, bytes, kWriteDurable), file);
    EXPECT_TRUE(d.disk.describe_in_flight().starts_with("write /f 0+1024"));
    Random random(seed);
    d.disk.process_died(random);
    const std::string found = text(d.disk, "/f");
    d.sync(d.open("/f"));
    CrashPolicy lost;
    lost.completed = Fate::kLost;
    EXPECT_EQ(text(d.disk.crash_image(random, lost), "/f"), found) << "seed " << seed;
  }
}

TEST(SimulatedDisk, RefusesAsAKernelDoes) {
  Driver d;
  const auto fails = [](int64_t result, Errc e) { return result == -static_cast<int64_t>(e); };
  EXPECT_TRUE(fails(d.on_path(OpKind::kOpen, "/none"), Errc::kNotFound));
  EXPECT_TRUE(fails(d.on_path(OpKind::kOpen, "/none/f", kOpenCreate), Errc::kNotFound));
  const auto file = d.open("/f", kOpenWrite | kOpenCreate | kOpenDirect);
  EXPECT_TRUE(fails(d.on_path(OpKind::kOpen, "/f", kOpenCreate | kOpenExclusive), Errc::kExists));
  EXPECT_TRUE(fails(d.on_path(OpKind::kOpen, "/f", kOpenDirectory), Errc::kNotFound));
  alignas(kBlockBytes) static std::array<std::byte, 2 * kBlockBytes> memory{};
  Slice slice{memory.data(), kBlockBytes};
  Op& op = d.path_op(OpKind::kWrite, nullptr);
  op.slices = &slice;
  op.slice_count = 1;
  EXPECT_EQ(d.run(op, file), static_cast<int64_t>(kBlockBytes));
  op.offset = 100;
  EXPECT_TRUE(fails(d.run(op, file), Errc::kInvalidArgument));
  op.offset = 0;
  slice.data = memory.data() + 8;
  EXPECT_TRUE(fails(d.run(op, file), Errc::kInvalidArgument));
  slice = {memory.data(), 100};
  EXPECT_TRUE(fails(d.run(op, file), Errc::kInvalidArgument));
  d.on_path(OpKind::kMakeDirectory, "/d");
  EXPECT_TRUE(fails(d.on_path(OpKind::kMakeDirectory, "/d"), Errc::kExists));
  d.open("/d/x");
  EXPECT_TRUE(fails(d.on_path(OpKind::kRemoveDirectory, "/d"), Errc::kExists));
  EXPECT_EQ(d.on_path(OpKind::kUnlink, "/d/x"), 0);
  EXPECT_EQ(d.on_path(OpKind::kRemoveDirectory, "/d"), 0);
}

TEST(SimulatedDisk, CapacityIsHeldAndGivenBack) {
  Driver d;
  d.disk.options().capacity_bytes = 4 * kPageBytes;
  const auto file = d.open("/f");
  EXPECT_EQ(d.resize(OpKind::kAllocate, file, 0, 4 * kPageBytes), 0);
  EXPECT_EQ(d.write(file, 0, bytes_of(4 * kPageBytes, 'x')), static_cast<int64_t>(4 * kPageBytes));
  const auto other = d.open("/g");
  EXPECT_EQ(d.write(other, 0, bytes_of(1, 'x')), -static_cast<int64_t>(Errc::kNoSpace));
  d.on_path(OpKind::kUnlink, "/f");
  EXPECT_EQ(d.write(other, 0, bytes_of(1, 'x')), -static_cast<int64_t>(Errc::kNoSpace)) << "still open";
  d.run(d.path_op(OpKind::kClose, nullptr), file);
  EXPECT_EQ(d.write(other, 0, bytes_of(1, 'x')), 1);
  EXPECT_EQ(d.disk.bytes_used(), kPageBytes);
}

TEST(SimulatedDisk, FoldersAndNamesNeedRoomToo) {
  Driver d;
  constexpr auto kFull = -static_cast<int64_t>(Errc::kNoSpace);
  d.disk.options().capacity_bytes = 2 * kPageBytes;
  EXPECT_EQ(d.on_path(OpKind::kMakeDirectory, "/a"), 0);
  EXPECT_EQ(d.on_path(OpKind::kMakeDirectory, "/b"), 0);
  EXPECT_EQ(d.on_path(OpKind::kMakeDirectory, "/c"), kFull);
  int64_t made = 0;
  std::string name;
  for (int i = 0; made >= 0; ++i) {
    name = "/a/" + std::to_string(i);
    made = d.on_path(OpKind::kOpen, name.c_str(), kOpenWrite | kOpenCreate);
  }
  EXPECT_EQ(made, kFull) << "a folder grows";
  EXPECT_EQ(d.on_path(OpKind::kRename, "/b", 0, "/a/b"), kFull);
  EXPECT_EQ(d.on_path(OpKind::kRename, "/b", 0, "/c"), 0);
  SpaceStat space;
  Op& look = d.path_op(OpKind::kSpace, "/a");
  look.out = &space;
  EXPECT_EQ(d.run(look), 0);
  EXPECT_EQ(space.total_bytes, 2 * kPageBytes);
  EXPECT_EQ(space.available_bytes, 0U);
  EXPECT_EQ(d.on_path(OpKind::kRemoveDirectory, "/c"), 0);
  EXPECT_EQ(d.on_path(OpKind::kOpen, name.c_str(), kOpenWrite | kOpenCreate) >= 0, true);
  // A death counts them as they are.
  Random random(1);
  const uint64_t used = d.disk.bytes_used();
  EXPECT_EQ(used, 2 * kPageBytes);
  EXPECT_EQ(d.disk.killed_image(random).bytes_used(), used);
}

TEST(SimulatedDisk, FaultsFireAndAreCounted) {
  Driver d;
  const auto file = d.open("/dir_less.wal");
  d.disk.add_fault({.kind = OpKind::kSync, .path_contains = ".wal", .skip = 1});
  EXPECT_EQ(d.sync(file), 0);
  EXPECT_EQ(d.sync(file), -static_cast<int64_t>(Errc::kIoError));
  EXPECT_EQ(d.sync(file), 0);
  EXPECT_EQ(d.disk.stats().errors_injected, 1U);
  d.sync_folder("/");
  d.write(file, 0, bytes_of(5000, 'a'), kWriteDurable);
  EXPECT_TRUE(d.disk.flip_bit("/dir_less.wal", 4500, 0));
  EXPECT_FALSE(d.disk.flip_bit("/dir_less.wal", 5000, 0));
  Random random(8);
  const std::string found = text(d.disk.crash_image(random, {}), "/dir_less.wal");
  EXPECT_EQ(std::ranges::count(found, 'a'), 4999);
  EXPECT_EQ(found[4500], 'a' ^ 1);
  EXPECT_TRUE(d.disk.fail_reads("/dir_less.wal", 4096, 512));
  std::byte memory[4096];
  Slice slice{memory, sizeof memory};
  Op& read = d.path_op(OpKind::kRead, nullptr);
  read.slices = &slice;
  read.slice_count = 1;
  EXPECT_EQ(d.run(read, file), 4096);
  read.offset = 4096;
  EXPECT_EQ(d.run(read, file), -static_cast<int64_t>(Errc::kIoError));
  d.write(file, 4096, bytes_of(512, 'b'));
  EXPECT_EQ(d.run(read, file), 904) << "written again, and short at the end of the file";
}

TEST(SimulatedDisk, LyingFlushLosesWhatWasPromised) {
  Driver d;
  const auto file = d.open("/f");
  d.sync_folder("/");
  d.disk.options().lying_flush = true;
  d.write(file, 0, bytes_of(kPageBytes, 'a'), kWriteDurable);
  EXPECT_EQ(d.sync(file), 0);
  Random random(9);
  CrashPolicy lost;
  lost.completed = Fate::kLost;
  EXPECT_EQ(text(d.disk.crash_image(random, lost), "/f"), "");
  EXPECT_EQ(d.disk.stats().flushes_lied, 2U);
}

TEST(SimulatedDisk, OverlappingWritesAreSeen) {
  Driver d;
  const auto file = d.open("/f");
  auto bytes = bytes_of(512, 'x');
  const auto first = d.disk.begin(d.write_op(0, bytes, 0), file);
  d.disk.complete(d.disk.begin(d.write_op(4096, bytes, 0), file));
  EXPECT_EQ(d.disk.stats().overlapping_writes, 0U);
  d.disk.complete(d.disk.begin(d.write_op(1024, bytes, 0), file));
  EXPECT_EQ(d.disk.stats().overlapping_writes, 1U);
  d.disk.complete(first);
}

TEST(SimulatedDisk, ManyRandomOperationsKeepItsBooks) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    Driver d;
    for (int step = 0; step < 300; ++step) {
      static constexpr const char* kPaths[] = {"/a", "/b", "/c", "/d"};
      const char* path = kPaths[random.below(4)];
      switch (random.below(7)) {
        case 0:
          d.on_path(OpKind::kUnlink, path);
          break;
        case 1:
          d.on_path(OpKind::kRename, path, 0, kPaths[random.below(4)]);
          break;
        case 2:
          d.sync_folder("/");
          break;
        case 3:
          d.disk = d.disk.crash_image(random, {});
          break;
        default: {
          const auto file = d.open(path);
          d.write(file, random.below(20'000), bytes_of(random.below(10'000), 'x'),
                  random.below(2) == 0 ? kWriteDurable : uint16_t{0});
          if (random.below(3) == 0) d.resize(OpKind::kTruncate, file, 0, random.below(20'000));
          if (random.below(3) == 0) d.resize(OpKind::kAllocate, file, random.below(9'000), 1 + random.below(9'000));
          if (random.below(3) == 0) d.sync(file);
          d.run(d.path_op(OpKind::kClose, nullptr), file);
        }
      }
    }
    // Whatever happened: after all is removed nothing is used.
    for (const std::string& path : d.disk.all_files()) d.on_path(OpKind::kUnlink, path.c_str());
    EXPECT_EQ(d.disk.bytes_used(), 0U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace posthaste::reactor::simulated
