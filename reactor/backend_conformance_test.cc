// One script of operations for every backend: what the rooms above may rely on is what passes here on all of them. Rigs
// are instantiated beside each backend (reactor/uring, reactor/simulated). Here: files, memory and time;
// socket_conformance_test.cc and cancel_conformance_test.cc have the rest.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>

#include "reactor/testing/conformance_rig.h"
#include "reactor/testing/operations.h"

namespace posthaste::reactor::testing {
namespace {

constexpr uint16_t kCreateFlags = kOpenWrite | kOpenCreate;
constexpr uint16_t kCreateDirectFlags = kOpenWrite | kOpenCreate | kOpenDirect;

// Block-aligned memory from the backend, for direct I/O.
std::span<std::byte> aligned_memory(Rig& rig, size_t bytes) {
  const auto memory = rig.backend(0).allocate_memory(bytes);
  CHECK(memory);
  return *memory;
}

template <class A, class B>
bool same_bytes(const A& a, const B& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

std::vector<std::string> names(const std::vector<DirectoryEntry>& entries) {
  std::vector<std::string> result;
  for (const DirectoryEntry& entry : entries) result.push_back(entry.name + (entry.is_directory ? "/" : ""));
  return result;
}

TEST_P(BackendConformance, CreateExclusiveFindsWhatIsThere) {
  Operations ops(*rig_);
  const std::string path = rig_->folder() + "/a";
  EXPECT_EQ(ops.open(path, kOpenWrite).error(), Errc::kNotFound);
  EXPECT_EQ(ops.open(path, kOpenRead).error(), Errc::kNotFound);
  const auto file = ops.open(path, kCreateFlags | kOpenExclusive);
  ASSERT_TRUE(file);
  EXPECT_EQ(ops.open(path, kCreateFlags | kOpenExclusive).error(), Errc::kExists);
  const auto again = ops.open(path, kCreateFlags);
  ASSERT_TRUE(again);
  ops.close(*file);
  ops.close(*again);
  EXPECT_EQ(ops.open(rig_->folder() + "/missing/a", kCreateFlags).error(), Errc::kNotFound);
}

TEST_P(BackendConformance, BufferedWriteReadsBackAndIsShortAtTheEnd) {
  Operations ops(*rig_);
  const auto file = ops.open(rig_->folder() + "/a", kCreateFlags);
  ASSERT_TRUE(file);
  auto out = pattern(10'000);
  EXPECT_EQ(ops.write(*file, 100, out), out.size());
  std::vector<std::byte> in(20'000, std::byte{0xee});
  EXPECT_EQ(ops.read(*file, 0, in), out.size() + 100);
  EXPECT_TRUE(std::all_of(in.begin(), in.begin() + 100, [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_TRUE(same_bytes(std::span(in).subspan(100, out.size()), out));
  EXPECT_EQ(in[out.size() + 100], std::byte{0xee});
  EXPECT_EQ(ops.read(*file, 1'000'000, in), 0U);
  EXPECT_EQ(ops.read(*file, 10'099, in), 1U);
  ops.close(*file);
}

TEST_P(BackendConformance, DirectWriteReadsBackAndAnUnevenEndIsShort) {
  Operations ops(*rig_);
  const std::string path = rig_->folder() + "/a";
  const auto file = ops.open(path, kCreateDirectFlags);
  ASSERT_TRUE(file);
  const auto memory = aligned_memory(*rig_, 8 * kBlockBytes);
  const auto out = memory.first(3 * kBlockBytes);
  const auto in = memory.subspan(4 * kBlockBytes);
  const auto bytes = pattern(out.size());
  std::copy(bytes.begin(), bytes.end(), out.begin());
  EXPECT_EQ(ops.write(*file, kBlockBytes, out, kWriteDurable), out.size());
  EXPECT_EQ(ops.read(*file, kBlockBytes, in), out.size());
  EXPECT_TRUE(same_bytes(in.first(out.size()), bytes));

  TestOp truncate;
  EXPECT_TRUE(ops.run(truncate.as(OpKind::kTruncate).on(*file).long_for(2 * kBlockBytes + 77)));
  EXPECT_EQ(ops.read(*file, kBlockBytes, in), kBlockBytes + 77);
  EXPECT_EQ(ops.read(*file, 4 * kBlockBytes, in), 0U);
  ops.close(*file);
}

TEST_P(BackendConformance, MisalignedDirectIoIsRefused) {
  Operations ops(*rig_);
  const auto file = ops.open(rig_->folder() + "/a", kCreateDirectFlags);
  ASSERT_TRUE(file);
  const auto memory = aligned_memory(*rig_, 4 * kBlockBytes);
  EXPECT_EQ(ops.write(*file, 0, memory.first(2 * kBlockBytes)), 2 * kBlockBytes);
  const auto wrong_size = memory.first(kBlockBytes - 512);
  const auto wrong_address = memory.subspan(512, kBlockBytes);
  const auto fine = memory.first(kBlockBytes);
  EXPECT_EQ(ops.write(*file, 0, wrong_size).error(), Errc::kInvalidArgument);
  EXPECT_EQ(ops.write(*file, 0, wrong_address).error(), Errc::kInvalidArgument);
  EXPECT_EQ(ops.write(*file, 512, fine).error(), Errc::kInvalidArgument);
  EXPECT_EQ(ops.read(*file, 0, wrong_size).error(), Errc::kInvalidArgument);
  EXPECT_EQ(ops.read(*file, 0, wrong_address).error(), Errc::kInvalidArgument);
  EXPECT_EQ(ops.read(*file, 512, fine).error(), Errc::kInvalidArgument);
  TestOp gathered;
  gathered.as(OpKind::kWrite)
      .on(*file)
      .over({{fine.data(), fine.size()}, {wrong_address.data(), wrong_address.size()}});
  EXPECT_EQ(ops.run(gathered).error(), Errc::kInvalidArgument);
  EXPECT_EQ(ops.read(*file, 0, memory), 2 * kBlockBytes);
  ops.close(*file);
}

TEST_P(BackendConformance, GatheredWriteAndScatteredRead) {
  Operations ops(*rig_);
  const auto file = ops.open(rig_->folder() + "/a", kCreateFlags);
  ASSERT_TRUE(file);
  // More slices than one entry of the ring can carry, some of them empty.
  constexpr size_t kSlices = 3000;
  auto bytes = pattern(kSlices * 5);
  std::vector<Slice> slices;
  size_t used = 0;
  for (size_t i = 0; i < kSlices; ++i) {
    const size_t size = i % 7 == 0 ? 0 : 1 + i % 5;
    slices.push_back({bytes.data() + used, size});
    used += size;
  }
  TestOp write;
  EXPECT_EQ(ops.run(write.as(OpKind::kWrite).on(*file).at(3).over(slices)), used);
  std::vector<std::byte> whole(used + 10);
  EXPECT_EQ(ops.read(*file, 3, whole), used);
  EXPECT_TRUE(same_bytes(std::span(whole).first(used), std::span(bytes).first(used)));

  std::vector<std::byte> first(1000);
  std::vector<std::byte> second(used);
  TestOp read;
  read.as(OpKind::kRead)
      .on(*file)
      .at(3)
      .over({{first.data(), first.size()}, {nullptr, 0}, {second.data(), second.size()}});
  EXPECT_EQ(ops.run(read), used);
  EXPECT_TRUE(same_bytes(first, std::span(bytes).first(1000)));
  EXPECT_TRUE(same_bytes(std::span(second).first(used - 1000), std::span(bytes).subspan(1000, used - 1000)));

  TestOp nothing;
  EXPECT_EQ(ops.run(nothing.as(OpKind::kWrite).on(*file).at(0)), 0U);
  TestOp nothing_read;
  EXPECT_EQ(ops.run(nothing_read.as(OpKind::kRead).on(*file).over({{nullptr, 0}})), 0U);
  ops.close(*file);
}

TEST_P(BackendConformance, AllocateExtendsWithZeroesAndKeepsWhatIsThere) {
  Operations ops(*rig_);
  const std::string path = rig_->folder() + "/a";
  const auto file = ops.open(path, kCreateFlags);
  ASSERT_TRUE(file);
  auto out = pattern(100);
  EXPECT_TRUE(ops.write(*file, 0, out));
  TestOp allocate;
  EXPECT_TRUE(ops.run(allocate.as(OpKind::kAllocate).on(*file).at(0).long_for(100'000)));
  FileStat stat;
  TestOp stat_op;
  EXPECT_TRUE(ops.run(stat_op.as(OpKind::kStat).named(path).into(&stat)));
  EXPECT_EQ(stat.size_bytes, 100'000U);
  EXPECT_FALSE(stat.is_directory);
  std::vector<std::byte> in(100'100, std::byte{1});
  EXPECT_EQ(ops.read(*file, 0, in), 100'000U);
  EXPECT_TRUE(same_bytes(std::span(in).first(100), out));
  EXPECT_TRUE(std::all_of(in.begin() + 100, in.begin() + 100'000, [](std::byte b) { return b == std::byte{0}; }));
  TestOp inside;
  EXPECT_TRUE(ops.run(inside.as(OpKind::kAllocate).on(*file).at(0).long_for(4096)));
  TestOp stat_again;
  EXPECT_TRUE(ops.run(stat_again.as(OpKind::kStat).named(path).into(&stat)));
  EXPECT_EQ(stat.size_bytes, 100'000U) << "allocating inside does not shrink";
  ops.close(*file);
}

TEST_P(BackendConformance, TruncateCutsAndGrowsWithZeroes) {
  Operations ops(*rig_);
  const auto file = ops.open(rig_->folder() + "/a", kCreateFlags);
  ASSERT_TRUE(file);
  auto out = pattern(1000);
  EXPECT_TRUE(ops.write(*file, 0, out));
  TestOp cut;
  EXPECT_TRUE(ops.run(cut.as(OpKind::kTruncate).on(*file).long_for(10)));
  TestOp grow;
  EXPECT_TRUE(ops.run(grow.as(OpKind::kTruncate).on(*file).long_for(20)));
  std::vector<std::byte> in(30, std::byte{9});
  EXPECT_EQ(ops.read(*file, 0, in), 20U);
  EXPECT_TRUE(same_bytes(std::span(in).first(10), std::span(out).first(10)));
  EXPECT_TRUE(std::all_of(in.begin() + 10, in.begin() + 20, [](std::byte b) { return b == std::byte{0}; }));
  TestOp sync;
  EXPECT_TRUE(ops.run(sync.as(OpKind::kSync).on(*file)));
  ops.close(*file);
}

TEST_P(BackendConformance, RenameReplacesAndUnlinkedFilesLiveOn) {
  Operations ops(*rig_);
  const std::string a = rig_->folder() + "/a";
  const std::string b = rig_->folder() + "/b";
  const auto file_a = ops.open(a, kCreateFlags);
  const auto file_b = ops.open(b, kCreateFlags);
  ASSERT_TRUE(file_a && file_b);
  auto bytes_a = pattern(10, 1);
  auto bytes_b = pattern(10, 2);
  EXPECT_TRUE(ops.write(*file_a, 0, bytes_a));
  EXPECT_TRUE(ops.write(*file_b, 0, bytes_b));
  EXPECT_TRUE(ops.path_operation(OpKind::kRename, a, b));
  EXPECT_EQ(ops.open(a, kOpenRead).error(), Errc::kNotFound);
  std::vector<std::byte> in(10);
  const auto renamed = ops.open(b, kOpenRead);
  ASSERT_TRUE(renamed);
  EXPECT_EQ(ops.read(*renamed, 0, in), 10U);
  EXPECT_EQ(in, bytes_a);
  EXPECT_EQ(ops.read(*file_b, 0, in), 10U) << "the replaced file is still open";
  EXPECT_EQ(in, bytes_b);
  EXPECT_TRUE(ops.path_operation(OpKind::kUnlink, b));
  EXPECT_EQ(ops.path_operation(OpKind::kUnlink, b).error(), Errc::kNotFound);
  EXPECT_EQ(ops.read(*renamed, 0, in), 10U);
  EXPECT_EQ(in, bytes_a);
  EXPECT_EQ(ops.path_operation(OpKind::kRename, a, b).error(), Errc::kNotFound);
  for (const FileId file : {*file_a, *file_b, *renamed}) ops.close(file);
}

TEST_P(BackendConformance, FoldersAreMadeListedSortedAndRemoved) {
  Operations ops(*rig_);
  const std::string folder = rig_->folder() + "/d";
  EXPECT_TRUE(ops.path_operation(OpKind::kMakeDirectory, folder));
  EXPECT_EQ(ops.path_operation(OpKind::kMakeDirectory, folder).error(), Errc::kExists);
  EXPECT_EQ(ops.path_operation(OpKind::kMakeDirectory, folder + "/x/y").error(), Errc::kNotFound);
  for (const char* name : {"b", "a", "10", "9"}) {
    const auto file = ops.open(folder + "/" + name, kCreateFlags);
    ASSERT_TRUE(file);
    ops.close(*file);
  }
  EXPECT_TRUE(ops.path_operation(OpKind::kMakeDirectory, folder + "/sub"));
  std::vector<DirectoryEntry> entries{{.name = "old"}};
  TestOp list;
  EXPECT_TRUE(ops.run(list.as(OpKind::kListDirectory).named(folder).into(&entries)));
  EXPECT_EQ(names(entries), (std::vector<std::string>{"10", "9", "a", "b", "sub/"}));

  FileStat stat;
  TestOp stat_op;
  EXPECT_TRUE(ops.run(stat_op.as(OpKind::kStat).named(folder).into(&stat)));
  EXPECT_TRUE(stat.is_directory);
  const auto directory = ops.open(folder, kOpenDirectory);
  ASSERT_TRUE(directory);
  TestOp sync;
  EXPECT_TRUE(ops.run(sync.as(OpKind::kSync).on(*directory)));
  ops.close(*directory);
  EXPECT_EQ(ops.open(folder + "/a", kOpenDirectory).error(), Errc::kNotFound);

  EXPECT_EQ(ops.path_operation(OpKind::kRemoveDirectory, folder).error(), Errc::kExists) << "not empty";
  for (const char* name : {"b", "a", "10", "9"}) {
    EXPECT_TRUE(ops.path_operation(OpKind::kUnlink, folder + "/" + name));
  }
  EXPECT_TRUE(ops.path_operation(OpKind::kRemoveDirectory, folder + "/sub"));
  EXPECT_TRUE(ops.path_operation(OpKind::kRemoveDirectory, folder));
  TestOp list_gone;
  EXPECT_EQ(ops.run(list_gone.as(OpKind::kListDirectory).named(folder).into(&entries)).error(), Errc::kNotFound);
  TestOp stat_gone;
  EXPECT_EQ(ops.run(stat_gone.as(OpKind::kStat).named(folder).into(&stat)).error(), Errc::kNotFound);
}

TEST_P(BackendConformance, AFileSystemSaysHowMuchSpaceItHas) {
  Operations ops(*rig_);
  SpaceStat space;
  TestOp look;
  EXPECT_TRUE(ops.run(look.as(OpKind::kSpace).named(rig_->folder()).into(&space)));
  EXPECT_GT(space.total_bytes, 0U);
  EXPECT_LE(space.available_bytes, space.total_bytes);
  TestOp nowhere;
  EXPECT_EQ(ops.run(nowhere.as(OpKind::kSpace).named(rig_->folder() + "/x").into(&space)).error(), Errc::kNotFound);
}

TEST_P(BackendConformance, AFileKeepsItsIdentityAndAnotherHasAnother) {
  Operations ops(*rig_);
  const std::string path = rig_->folder() + "/one";
  const auto file = ops.open(path, kCreateFlags);
  ASSERT_TRUE(file);
  FileStat before;
  TestOp look;
  EXPECT_TRUE(ops.run(look.as(OpKind::kStat).named(path).into(&before)));
  EXPECT_TRUE(ops.path_operation(OpKind::kRename, path, path + "-moved"));
  const auto other = ops.open(path, kCreateFlags);
  ASSERT_TRUE(other);
  FileStat moved;
  FileStat replaced;
  TestOp look_moved;
  TestOp look_replaced;
  EXPECT_TRUE(ops.run(look_moved.as(OpKind::kStat).named(path + "-moved").into(&moved)));
  EXPECT_TRUE(ops.run(look_replaced.as(OpKind::kStat).named(path).into(&replaced)));
  EXPECT_EQ(moved.identity, before.identity);
  EXPECT_NE(replaced.identity, before.identity);
  ops.close(*file);
  ops.close(*other);
}

TEST_P(BackendConformance, ALockExcludesUntilItsFileIsClosed) {
  Operations ops(*rig_);
  const std::string path = rig_->folder() + "/lock";
  const auto first = ops.open(path, kCreateFlags | kOpenLock);
  ASSERT_TRUE(first);
  EXPECT_EQ(ops.open(path, kCreateFlags | kOpenLock).error(), Errc::kBusy);
  EXPECT_EQ(ops.open(path, kCreateFlags | kOpenLock, 1).error(), Errc::kBusy) << "from another core";
  const auto unlocked = ops.open(path, kOpenRead);
  EXPECT_TRUE(unlocked) << "the lock is advisory";
  ops.close(*unlocked);
  ops.close(*first);
  const auto second = ops.open(path, kCreateFlags | kOpenLock);
  EXPECT_TRUE(second);
  ops.close(*second);
}

TEST_P(BackendConformance, ManyOperationsAtOnceInAnyOrder) {
  Operations ops(*rig_);
  constexpr size_t kBlocks = 256;
  const auto file = ops.open(rig_->folder() + "/a", kCreateDirectFlags);
  ASSERT_TRUE(file);
  const auto memory = aligned_memory(*rig_, 2 * kBlocks * kBlockBytes);
  std::mt19937_64 random(1);
  std::map<size_t, uint64_t> salts;
  std::deque<TestOp> operations;
  std::vector<Op*> batch;
  const auto run_batch = [&] {
    std::shuffle(batch.begin(), batch.end(), random);
    rig_->backend(0).submit(batch);
    EXPECT_TRUE(rig_->run_until(
        [&] { return std::all_of(operations.begin(), operations.end(), [](const TestOp& op) { return op.done; }); }));
    for (const TestOp& op : operations) EXPECT_EQ(op.outcome(), kBlockBytes);
    batch.clear();
  };
  for (int round = 0; round < 4; ++round) {
    operations.clear();
    for (size_t block = 0; block < kBlocks; ++block) {
      salts[block] = random();
      const auto out = memory.subspan(block * kBlockBytes, kBlockBytes);
      const auto bytes = pattern(kBlockBytes, salts[block]);
      std::copy(bytes.begin(), bytes.end(), out.begin());
      operations.emplace_back().as(OpKind::kWrite).on(*file).at(block * kBlockBytes).over(out);
      batch.push_back(&operations.back());
    }
    run_batch();
    operations.clear();
    for (size_t block = 0; block < kBlocks; ++block) {
      const auto in = memory.subspan((kBlocks + block) * kBlockBytes, kBlockBytes);
      operations.emplace_back().as(OpKind::kRead).on(*file).at(block * kBlockBytes).over(in);
      batch.push_back(&operations.back());
    }
    run_batch();
    for (size_t block = 0; block < kBlocks; ++block) {
      const auto in = memory.subspan((kBlocks + block) * kBlockBytes, kBlockBytes);
      EXPECT_TRUE(same_bytes(in, pattern(kBlockBytes, salts[block]))) << "block " << block;
    }
  }
  ops.close(*file);
}

TEST_P(BackendConformance, MemoryIsZeroedAndAligned) {
  const auto memory = rig_->backend(0).allocate_memory(3 * kBlockBytes);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->size(), 3 * kBlockBytes);
  EXPECT_EQ(reinterpret_cast<uint64_t>(memory->data()) % kBlockBytes, 0U);
  EXPECT_TRUE(std::all_of(memory->begin(), memory->end(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_P(BackendConformance, TimeDoesNotGoBackAndRandomDiffers) {
  Backend& backend = rig_->backend(0);
  const Instant first = backend.now();
  const uint64_t one = backend.random();
  const uint64_t two = backend.random();
  EXPECT_NE(one, two);
  rig_->settle();
  EXPECT_GE(backend.now(), first);
  EXPECT_GT(backend.wall_now().value, 0);
}

}  // namespace
}  // namespace posthaste::reactor::testing
