// One script of operations for every backend: what the rooms above may rely on is what passes here on all of them. Rigs
// are instantiated beside each backend (reactor/uring, reactor/simulated).
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

// ---- Files

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

// ---- Sockets

TEST_P(BackendConformance, ListenPicksAPortAndAcceptNamesThePeer) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  EXPECT_FALSE(listener.address.ends_with(":0"));
  const auto pair = ops.connect(listener);
  EXPECT_EQ(pair.peer.substr(0, pair.peer.rfind(':')), listener.address.substr(0, listener.address.rfind(':')));
  EXPECT_NE(pair.peer, listener.address);
  TestOp again;
  EXPECT_EQ(ops.run(again.as(OpKind::kListen).named(listener.address)).error(), Errc::kAddressInUse);
  for (const char* wrong : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:9x", "1.2.3:80", "[::1:80"}) {
    TestOp listen;
    EXPECT_EQ(ops.run(listen.as(OpKind::kListen).named(wrong)).error(), Errc::kInvalidArgument) << wrong;
    TestOp connect;
    EXPECT_EQ(ops.run(connect.as(OpKind::kConnect).named(wrong)).error(), Errc::kInvalidArgument) << wrong;
  }
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ListenWhereNoInterfaceIsNamesTheReason) {
  Operations ops(*rig_);
  TestOp listen;
  EXPECT_EQ(ops.run(listen.as(OpKind::kListen).named("203.0.113.1:0")).error(), Errc::kAddressNotAvailable);
}

TEST_P(BackendConformance, ASocketKnowsItsOwnSide) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  EXPECT_EQ(rig_->backend(0).local_address(pair.server), listener.address);
  EXPECT_EQ(rig_->backend(0).local_address(pair.client), pair.peer);
  const auto adopted = rig_->backend(1).adopt(rig_->backend(0).detach(pair.server));
  ASSERT_TRUE(adopted);
  EXPECT_EQ(rig_->backend(1).local_address(*adopted), listener.address);
  ops.close(*adopted, 1);
  for (const FileId socket : {pair.client, listener.id}) ops.close(socket);
}

// ---- Names

TEST_P(BackendConformance, ResolveGivesEachAddressOnce) {
  Operations ops(*rig_);
  std::vector<std::string> ips{"of before"};
  TestOp resolve;
  const auto found = ops.run(resolve.as(OpKind::kResolve).named("localhost").into(&ips));
  EXPECT_EQ(found, ips.size());
  EXPECT_EQ(std::ranges::count(ips, "127.0.0.1"), 1);
  for (const std::string& ip : ips) EXPECT_EQ(ip.find_first_of("[]"), std::string::npos) << ip;
}

TEST_P(BackendConformance, ResolveOfAnIpIsTheIp) {
  Operations ops(*rig_);
  for (const char* ip : {"127.0.0.1", "10.1.2.3", "0.0.0.0", "::1", "::", "fe80::1:2"}) {
    std::vector<std::string> ips;
    TestOp resolve;
    EXPECT_EQ(ops.run(resolve.as(OpKind::kResolve).named(ip).into(&ips)), 1U) << ip;
    EXPECT_EQ(ips, std::vector<std::string>{ip});
  }
}

TEST_P(BackendConformance, ResolveOfWhatIsNoNameIsNotFound) {
  Operations ops(*rig_);
  for (const char* name : {"", "a..b"}) {
    std::vector<std::string> ips;
    TestOp resolve;
    EXPECT_EQ(ops.run(resolve.as(OpKind::kResolve).named(name).into(&ips)).error(), Errc::kNotFound) << name;
  }
}

TEST_P(BackendConformance, CancelledResolvesEndAtOnceAndOthersGoOn) {
  Operations ops(*rig_);
  constexpr size_t kNames = 40;  // more than are looked up at one time
  std::deque<TestOp> resolves(kNames);
  std::deque<TestOp> cancels(kNames);
  std::vector<std::vector<std::string>> ips(kNames);
  for (size_t i = 0; i < kNames; ++i) {
    ops.submit(resolves[i].as(OpKind::kResolve).named(i % 2 == 0 ? "a..b" : "localhost").into(&ips[i]));
    cancels[i].as(OpKind::kCancel).target = &resolves[i];
    if (i % 4 < 2) ops.submit(cancels[i]);
  }
  for (size_t i = 0; i < kNames; ++i) {
    const auto outcome = ops.wait_for(resolves[i]);
    const bool cancelled = !outcome && outcome.error() == Errc::kCancelled;
    EXPECT_TRUE(cancelled ? i % 4 < 2 : outcome.has_value() == (i % 2 == 1)) << i;
    if (i % 4 < 2) EXPECT_TRUE(ops.wait_for(cancels[i]) || cancels[i].error() == Errc::kNotFound);
  }
}

TEST_P(BackendConformance, ConnectIsRefusedWhereNobodyListens) {
  Operations ops(*rig_);
  TestOp connect;
  EXPECT_EQ(ops.run(connect.as(OpKind::kConnect).named(rig_->refused_address())).error(), Errc::kConnectionRefused);
  const auto listener = ops.listen();
  ops.close(listener.id);
  TestOp late;
  EXPECT_EQ(ops.run(late.as(OpKind::kConnect).named(listener.address)).error(), Errc::kConnectionRefused);
}

TEST_P(BackendConformance, GatheredSendArrivesInOrderAndReceiveScatters) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(3000);
  TestOp send;
  send.as(OpKind::kSend)
      .on(pair.client)
      .over({{bytes.data(), 1}, {nullptr, 0}, {bytes.data() + 1, 999}, {bytes.data() + 1000, 2000}});
  EXPECT_EQ(ops.run(send), bytes.size());
  std::vector<std::byte> in(3000);
  TestOp receive;
  receive.as(OpKind::kReceive)
      .on(pair.server)
      .with(kReceiveAll)
      .over({{in.data(), 10}, {in.data() + 10, 0}, {in.data() + 10, 2990}});
  EXPECT_EQ(ops.run(receive), in.size());
  EXPECT_EQ(in, bytes);

  EXPECT_TRUE(ops.send(pair.server, std::span(bytes).first(5)));
  std::vector<std::byte> more(100);
  TestOp part;
  part.as(OpKind::kReceive).on(pair.client).over({{more.data(), 3}, {more.data() + 3, 97}});
  EXPECT_EQ(ops.run(part), 5U) << "without kReceiveAll what is there is enough";
  EXPECT_TRUE(same_bytes(std::span(more).first(5), std::span(bytes).first(5)));
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, LargeSendCompletesOnlyAsTheSlowReaderTakesIt) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(size_t{32} << 20);
  TestOp send;
  const size_t half = bytes.size() / 2;
  send.as(OpKind::kSend)
      .on(pair.client)
      .over({{bytes.data(), 777}, {bytes.data() + 777, half}, {bytes.data() + 777 + half, bytes.size() - 777 - half}});
  ops.submit(send);
  rig_->settle();
  EXPECT_FALSE(send.done) << "nobody read yet; no socket buffer is that large";
  std::vector<std::byte> in(300'001);
  size_t received = 0;
  while (received < bytes.size()) {
    const auto got = ops.receive(pair.server, in);
    ASSERT_TRUE(got && *got > 0);
    ASSERT_TRUE(same_bytes(std::span(in).first(*got), std::span(bytes).subspan(received, *got)));
    received += *got;
  }
  EXPECT_EQ(ops.wait_for(send), bytes.size());
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ReceiveAllWaitsForEveryByteOverManySends) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(5000);
  std::vector<std::byte> in(bytes.size());
  TestOp receive;
  receive.as(OpKind::kReceive).on(pair.server).with(kReceiveAll).over({{in.data(), 33}, {in.data() + 33, 4967}});
  ops.submit(receive);
  for (size_t at = 0; at < bytes.size(); at += 100) {
    EXPECT_FALSE(receive.done);
    EXPECT_TRUE(ops.send(pair.client, std::span(bytes).subspan(at, 100)));
  }
  EXPECT_EQ(ops.wait_for(receive), bytes.size());
  EXPECT_EQ(in, bytes);

  TestOp cut;
  ops.submit(cut.as(OpKind::kReceive).on(pair.server).with(kReceiveAll).over(in));
  EXPECT_TRUE(ops.send(pair.client, std::span(bytes).first(7)));
  ops.close(pair.client);
  EXPECT_EQ(ops.wait_for(cut), 7U) << "the orderly end makes it short";
  EXPECT_EQ(ops.receive(pair.server, in), 0U);
  EXPECT_EQ(ops.receive(pair.server, in), 0U) << "and it stays the end";
  for (const FileId socket : {pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, SendToAPeerThatIsGoneFails) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(100);
  // The server closes with unread bytes: the client's connection is reset.
  EXPECT_TRUE(ops.send(pair.client, bytes));
  rig_->settle();
  ops.close(pair.server);
  rig_->settle();
  EXPECT_EQ(ops.receive(pair.client, bytes).error(), Errc::kConnectionClosed);
  EXPECT_EQ(ops.send(pair.client, bytes).error(), Errc::kConnectionClosed);
  for (const FileId socket : {pair.client, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ADiscardingCloseThrowsAwayWhatThePeerDidNotTake) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(size_t{32} << 20);
  TestOp send;
  ops.submit(send.as(OpKind::kSend).on(pair.server).over(bytes));
  rig_->settle();
  EXPECT_FALSE(send.done);
  TestOp shutdown;
  EXPECT_TRUE(ops.run(shutdown.as(OpKind::kShutdown).on(pair.server)));
  EXPECT_FALSE(ops.wait_for(send).has_value());
  TestOp close;
  EXPECT_TRUE(ops.run(close.as(OpKind::kClose).with(kCloseDiscard).on(pair.server)));
  rig_->settle();
  std::vector<std::byte> in(300'001);
  size_t received = 0;
  for (;;) {
    const auto got = ops.receive(pair.client, in);
    if (!got) {
      EXPECT_EQ(got.error(), Errc::kConnectionClosed);
      break;
    }
    ASSERT_GT(*got, 0U) << "an orderly end";
    received += *got;
  }
  EXPECT_LT(received, bytes.size());
  for (const FileId socket : {pair.client, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ShutdownEndsBothDirections) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  std::vector<std::byte> in(100);
  std::vector<std::byte> in_all(100);
  TestOp mine;
  TestOp theirs;
  ops.submit(mine.as(OpKind::kReceive).on(pair.server).over(in));
  ops.submit(theirs.as(OpKind::kReceive).on(pair.client).with(kReceiveAll).over(in_all));
  rig_->settle();
  EXPECT_FALSE(mine.done || theirs.done);
  TestOp shutdown;
  EXPECT_TRUE(ops.run(shutdown.as(OpKind::kShutdown).on(pair.server)));
  EXPECT_EQ(ops.wait_for(mine), 0U);
  EXPECT_EQ(ops.wait_for(theirs), 0U);
  auto bytes = pattern(10);
  EXPECT_EQ(ops.send(pair.server, bytes).error(), Errc::kConnectionClosed);
  TestOp again;
  EXPECT_TRUE(ops.run(again.as(OpKind::kShutdown).on(pair.server)));
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ShutdownOfAListenerEndsItsAccepts) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  TestOp pending;
  ops.submit(pending.as(OpKind::kAccept).on(listener.id));
  rig_->settle();
  EXPECT_FALSE(pending.done);
  TestOp shutdown;
  EXPECT_TRUE(ops.run(shutdown.as(OpKind::kShutdown).on(listener.id)));
  EXPECT_EQ(ops.wait_for(pending).error(), Errc::kInvalidArgument);
  TestOp late;
  EXPECT_EQ(ops.run(late.as(OpKind::kAccept).on(listener.id)).error(), Errc::kInvalidArgument);
  ops.close(listener.id);
}

// ---- Receive-select

TEST_P(BackendConformance, SelectPicksABufferOnlyWhenDataArrives) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  std::vector<Operations::Pair> pairs;
  std::deque<TestOp> receives;
  // More idle receives than there are buffers.
  const size_t count = 2 * rig_->select_buffers();
  for (size_t i = 0; i < count; ++i) {
    pairs.push_back(ops.connect(listener));
    ops.submit(receives.emplace_back().as(OpKind::kReceiveSelect).on(pairs.back().server));
  }
  rig_->settle();
  for (size_t i = count; i-- > 0;) {
    EXPECT_FALSE(receives[i].done);
    auto bytes = pattern(50 + i, i);
    EXPECT_TRUE(ops.send(pairs[i].client, bytes));
    EXPECT_EQ(ops.wait_for(receives[i]), bytes.size());
    EXPECT_EQ(receives[i].selected.size, bytes.size());
    EXPECT_TRUE(same_bytes(std::span(receives[i].selected.data, receives[i].selected.size), bytes));
    rig_->backend(0).recycle(receives[i].selected);
  }
  for (const auto& pair : pairs) {
    ops.close(pair.client);
    ops.close(pair.server);
  }
  ops.close(listener.id);
}

TEST_P(BackendConformance, SelectWaitsForABufferWhenAllAreOut) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const size_t buffers = rig_->select_buffers();
  const size_t count = buffers + 3;
  std::vector<Operations::Pair> pairs;
  std::deque<TestOp> receives;
  for (size_t i = 0; i < count; ++i) {
    pairs.push_back(ops.connect(listener));
    ops.submit(receives.emplace_back().as(OpKind::kReceiveSelect).on(pairs.back().server));
  }
  auto byte = pattern(1);
  for (const auto& pair : pairs) EXPECT_TRUE(ops.send(pair.client, byte));
  const auto done_count = [&] {
    return static_cast<size_t>(std::count_if(receives.begin(), receives.end(), [](auto& op) { return op.done; }));
  };
  rig_->settle();
  EXPECT_EQ(done_count(), buffers);
  for (size_t recycled = 0; recycled < count; ++recycled) {
    const auto ready =
        std::find_if(receives.begin(), receives.end(), [](auto& op) { return op.done && op.selected.data != nullptr; });
    ASSERT_NE(ready, receives.end());
    EXPECT_EQ(ready->outcome(), 1U);
    rig_->backend(0).recycle(std::exchange(ready->selected, Slice{}));
    const size_t expected = std::min(count, buffers + recycled + 1);
    EXPECT_TRUE(rig_->run_until([&] { return done_count() == expected; })) << expected;
  }
  for (const auto& pair : pairs) {
    ops.close(pair.client);
    ops.close(pair.server);
  }
  ops.close(listener.id);
}

TEST_P(BackendConformance, AnIdleSelectThatFoundNoBufferDoesNotBlockOneWithData) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const size_t buffers = rig_->select_buffers();
  auto byte = pattern(1);
  std::vector<Operations::Pair> pairs;
  pairs.reserve(buffers + 3);
  std::deque<TestOp> holders;
  for (size_t i = 0; i < buffers + 3; ++i) pairs.push_back(ops.connect(listener));
  for (size_t i = 0; i < buffers; ++i) {
    ops.submit(holders.emplace_back().as(OpKind::kReceiveSelect).on(pairs[i].server));
    EXPECT_TRUE(ops.send(pairs[i].client, byte));
    EXPECT_EQ(ops.wait_for(holders.back()), 1U);
  }
  TestOp idle;
  TestOp busy;
  TestOp cancelled;
  ops.submit(idle.as(OpKind::kReceiveSelect).on(pairs[buffers].server));
  ops.submit(busy.as(OpKind::kReceiveSelect).on(pairs[buffers + 1].server));
  ops.submit(cancelled.as(OpKind::kReceiveSelect).on(pairs[buffers + 2].server));
  EXPECT_TRUE(ops.send(pairs[buffers + 1].client, byte));
  rig_->settle();
  EXPECT_FALSE(busy.done);
  TestOp cancel;
  EXPECT_TRUE(ops.run(cancel.cancelling(cancelled)));
  EXPECT_EQ(ops.wait_for(cancelled).error(), Errc::kCancelled);
  rig_->backend(0).recycle(holders[0].selected);
  EXPECT_EQ(ops.wait_for(busy), 1U);
  EXPECT_FALSE(idle.done);
  ops.close(pairs[buffers].client);
  rig_->backend(0).recycle(busy.selected);
  EXPECT_EQ(ops.wait_for(idle), 0U) << "the end of the stream";
  EXPECT_EQ(idle.selected.size, 0U);
  for (size_t i = 1; i < buffers; ++i) rig_->backend(0).recycle(holders[i].selected);
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (i != buffers) ops.close(pairs[i].client);
    ops.close(pairs[i].server);
  }
  ops.close(listener.id);
}

// ---- Cancel

TEST_P(BackendConformance, CancelEndsAReceiveAndTheSocketGoesOn) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  std::vector<std::byte> in(10);
  for (const OpKind kind : {OpKind::kReceive, OpKind::kReceiveSelect}) {
    TestOp receive;
    ops.submit(receive.as(kind).on(pair.server).over(in));
    rig_->settle();
    TestOp cancel;
    EXPECT_TRUE(ops.run(cancel.cancelling(receive)));
    EXPECT_EQ(ops.wait_for(receive).error(), Errc::kCancelled);
    // In one batch, and before the operation had a chance to begin.
    TestOp young;
    TestOp cancel_young;
    ops.submit_all({&young.as(kind).on(pair.server).over(in), &cancel_young.cancelling(young)});
    EXPECT_TRUE(ops.wait_for(cancel_young));
    EXPECT_EQ(ops.wait_for(young).error(), Errc::kCancelled);
  }
  auto bytes = pattern(10);
  EXPECT_TRUE(ops.send(pair.client, bytes));
  EXPECT_EQ(ops.receive(pair.server, in, kReceiveAll), 10U) << "no byte was lost";
  EXPECT_EQ(in, bytes);
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, CancelEndsAnAccept) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  TestOp accept;
  ops.submit(accept.as(OpKind::kAccept).on(listener.id));
  rig_->settle();
  TestOp cancel;
  EXPECT_TRUE(ops.run(cancel.cancelling(accept)));
  EXPECT_EQ(ops.wait_for(accept).error(), Errc::kCancelled);
  const auto pair = ops.connect(listener);
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, CancelEndsASendThatNobodyReads) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(size_t{32} << 20);
  TestOp send;
  const size_t third = bytes.size() / 3;
  ops.submit(send.as(OpKind::kSend)
                 .on(pair.client)
                 .over({{bytes.data(), third}, {bytes.data() + third, third}, {bytes.data() + 2 * third, third}}));
  rig_->settle();
  EXPECT_FALSE(send.done);
  TestOp cancel;
  EXPECT_TRUE(ops.run(cancel.cancelling(send)));
  EXPECT_EQ(ops.wait_for(send).error(), Errc::kCancelled);
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, CancelOfACompletedOperationFindsNothing) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(10);
  std::vector<std::byte> in(10);
  TestOp receive;
  ops.submit(receive.as(OpKind::kReceive).on(pair.server).over(in));
  EXPECT_TRUE(ops.send(pair.client, bytes));
  EXPECT_EQ(ops.wait_for(receive), 10U);
  TestOp cancel;
  EXPECT_EQ(ops.run(cancel.cancelling(receive)).error(), Errc::kNotFound);
  EXPECT_EQ(receive.outcome(), 10U);
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, CancelThatRacesWithDataLosesNoByte) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  std::byte next_in{0};
  std::byte next_out{0};
  std::array<std::byte, 8> in{};
  const auto check = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(in[i], next_in);
      next_in = static_cast<std::byte>(static_cast<uint8_t>(next_in) + 1);
    }
  };
  size_t in_stream = 0;
  for (int i = 0; i < 300; ++i) {
    TestOp receive;
    TestOp cancel;
    TestOp send;
    std::array<std::byte, 1> out{next_out};
    next_out = static_cast<std::byte>(static_cast<uint8_t>(next_out) + 1);
    receive.as(OpKind::kReceive).on(pair.server).over(in);
    send.as(OpKind::kSend).on(pair.client).over(out);
    cancel.cancelling(receive);
    if (i % 3 == 0) {
      ops.submit_all({&receive, &send, &cancel});
    } else if (i % 3 == 1) {
      ops.submit_all({&receive, &cancel, &send});
    } else {
      ops.submit_all({&receive});
      ops.submit_all({&send});
      rig_->run_until([&] { return send.done; });
      ops.submit_all({&cancel});
    }
    (void)ops.wait_for(cancel);
    EXPECT_EQ(ops.wait_for(send), 1U);
    ++in_stream;
    const auto got = ops.wait_for(receive);
    if (got) {
      check(*got);
      in_stream -= *got;
    } else {
      EXPECT_EQ(got.error(), Errc::kCancelled);
    }
    if (in_stream == in.size()) {
      EXPECT_EQ(ops.receive(pair.server, in, kReceiveAll), in.size());
      check(in.size());
      in_stream = 0;
    }
  }
  EXPECT_EQ(ops.receive(pair.server, std::span(in).first(in_stream), kReceiveAll), in_stream);
  check(in_stream);
  EXPECT_EQ(next_in, next_out);
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

// ---- Between cores

TEST_P(BackendConformance, ASocketMovesToAnotherCore) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(1000);
  EXPECT_TRUE(ops.send(pair.client, bytes));
  const int number = rig_->backend(0).detach(pair.server);
  const auto adopted = rig_->backend(1).adopt(number);
  ASSERT_TRUE(adopted);
  std::vector<std::byte> in(1000);
  EXPECT_EQ(ops.receive(*adopted, in, kReceiveAll, 1), 1000U);
  EXPECT_EQ(in, bytes);
  EXPECT_TRUE(ops.send(*adopted, bytes, 1));
  EXPECT_EQ(ops.receive(pair.client, in, kReceiveAll), 1000U);
  TestOp select;
  ops.submit(select.as(OpKind::kReceiveSelect).on(*adopted), 1);
  EXPECT_TRUE(ops.send(pair.client, std::span(bytes).first(5)));
  EXPECT_EQ(ops.wait_for(select), 5U);
  rig_->backend(1).recycle(select.selected);
  ops.close(*adopted, 1);
  EXPECT_EQ(ops.receive(pair.client, in), 0U);
  for (const FileId socket : {pair.client, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ManyConnectionsBothWaysWithRandomSizes) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  constexpr size_t kConnections = 20;
  constexpr size_t kBytes = 200'000;
  struct Stream {
    FileId from;
    FileId to;
    std::vector<std::byte> bytes;
    std::vector<std::byte> in;
    size_t sent = 0;
    size_t received = 0;
    TestOp send;
    TestOp receive;
    bool sending = false;
    bool receiving = false;
  };
  std::deque<Stream> streams;
  std::vector<FileId> sockets{listener.id};
  for (size_t i = 0; i < kConnections; ++i) {
    const auto pair = ops.connect(listener);
    sockets.insert(sockets.end(), {pair.client, pair.server});
    for (const bool forth : {false, true}) {
      Stream& stream = streams.emplace_back();
      stream.from = forth ? pair.client : pair.server;
      stream.to = forth ? pair.server : pair.client;
      stream.bytes = pattern(kBytes, 2 * i + (forth ? 1 : 0));
      stream.in.resize(kBytes);
    }
  }
  std::mt19937_64 random(7);
  const auto size_up_to = [&](size_t left) { return std::min<size_t>(left, 1 + random() % 20'000); };
  // Settles what is done and starts the next piece; true when all is over.
  const auto step = [&] {
    bool all = true;
    for (Stream& stream : streams) {
      if (stream.sending && stream.send.done) {
        stream.sending = false;
        stream.send.done = false;
        EXPECT_TRUE(stream.send.outcome());
        stream.sent += static_cast<size_t>(stream.send.result);
      }
      if (stream.receiving && stream.receive.done) {
        stream.receiving = false;
        stream.receive.done = false;
        EXPECT_TRUE(stream.receive.outcome());
        stream.received += static_cast<size_t>(stream.receive.result);
      }
      if (!stream.sending && stream.sent < kBytes) {
        const auto piece = std::span(stream.bytes).subspan(stream.sent, size_up_to(kBytes - stream.sent));
        stream.sending = true;
        ops.submit(stream.send.as(OpKind::kSend).on(stream.from).over(piece));
      }
      if (!stream.receiving && stream.received < kBytes) {
        const auto piece = std::span(stream.in).subspan(stream.received, size_up_to(kBytes - stream.received));
        stream.receiving = true;
        const uint16_t flags = random() % 2 == 0 ? kReceiveAll : uint16_t{0};
        ops.submit(stream.receive.as(OpKind::kReceive).on(stream.to).with(flags).over(piece));
      }
      all = all && stream.received == kBytes && !stream.sending;
    }
    return all;
  };
  EXPECT_TRUE(rig_->run_until(step));
  for (const Stream& stream : streams) EXPECT_EQ(stream.in, stream.bytes);
  for (const FileId socket : sockets) ops.close(socket);
}

// ---- The rest of the backend

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
