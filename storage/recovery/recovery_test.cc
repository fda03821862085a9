// Starts on folders that were damaged while no broker ran: what must exist and does not is refused by name, and what
// was never used may be missing. tests/storage_crash (--rot) tests every kind of loss at random places.
#include "storage/recovery/recovery.h"

#include <gtest/gtest.h>

#include "reactor/simulated/world.h"
#include "storage/journal/journal_files.h"
#include "storage/testing/batches.h"
#include "storage/testing/format_2_folder.h"

namespace posthaste::storage {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::Task;
using reactor::simulated::Disk;
using reactor::simulated::Host;
using reactor::simulated::World;

const std::string kJournal = "/data/journal/s00";
using Files = std::map<std::string, Bytes>;
using testing::kNow;

TopicId topic_id(uint8_t number) {
  TopicId id{};
  id[0] = std::byte{number};
  return id;
}

EngineOptions options() {
  return {.data_directory = "/data", .journal_file_bytes = 64 << 10, .journal_files = 6, .commit_bytes_max = 16 << 10};
}

// What a start found.
struct Start {
  std::optional<Errc> refused;
  std::string why;
  RecoveryReport report;
  std::map<std::string, std::pair<int64_t, int64_t>> logs;  // by topic: start and end, all of it read
};

class RecoveryTest : public ::testing::Test {
 protected:
  // A life that appends `records` one by one, each durable before the next, and is killed. `idle`: long enough after
  // the last one that the stream has written a frontier for.
  void live_and_die(int records, bool idle) {
    World world(++lives_);  // or streams of all lives had one id
    Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 16 << 20}, "10.0.0.1", nullptr);
    restore(host.disk());
    bool done = false;
    host.set_program([&](Core& core) { return append(core, records, idle, &done); });
    host.start();
    ASSERT_TRUE(world.run_until([&] { return done || !host.running(); }, 60s)) << world.log_tail();
    ASSERT_TRUE(done) << world.log_tail();
    host.kill();
    files_.clear();
    for (const std::string& path : host.disk().all_files()) files_[path] = *host.disk().read_file(path);
  }

  static Task<void> append(Core& core, int records, bool idle, bool* done) {
    EngineHost store(options(), 1);
    auto recovered = co_await store.recover(core);
    EXPECT_TRUE(recovered.has_value()) << store.error_text();
    auto engine = co_await store.open(core);
    if (!recovered || !engine) co_return;
    Partition* partition = (*engine)->find(topic_id(1), 0);
    if (partition == nullptr) {
      auto created = co_await (*engine)->create_partition({.topic_id = topic_id(1), .topic_name = "t"});
      EXPECT_TRUE(created.has_value());
      partition = *created;
    }
    for (int i = 0; i < records; ++i) {
      Bytes batch = testing::one_record();
      EXPECT_TRUE(partition->append(batch, {.leader_epoch = 0}, kNow).has_value());
      while (partition->durable_offset() < partition->end_offset()) co_await core.yield();
    }
    if (idle) co_await core.sleep(1s);
    *done = true;
    co_await core.sleep(3600s);
  }

  static Task<void> append_and_close(Core& core, bool* closed) {
    EngineHost store(options(), 1);
    EXPECT_TRUE((co_await store.recover(core)).has_value());
    auto engine = co_await store.open(core);
    auto created = co_await (*engine)->create_partition({.topic_id = topic_id(1), .topic_name = "t"});
    Bytes batch = testing::one_record();
    EXPECT_TRUE((*created)->append(batch, {.leader_epoch = 0}, kNow).has_value());
    co_await (*engine)->close();
    (void)co_await store.close(core);
    *closed = true;
  }

  // One batch that the journal cannot hold as a whole.
  static Task<void> append_large(Core& core) {
    EngineHost store(options(), 1);
    EXPECT_TRUE((co_await store.recover(core)).has_value());
    auto engine = co_await store.open(core);
    Bytes batch = testing::one_record(Bytes(600 << 10, std::byte{7}));
    EXPECT_TRUE((*engine)->find(topic_id(1), 0)->append(batch, {.leader_epoch = 0}, kNow).has_value());
    co_await core.sleep(3600s);
  }

  void restore(Disk& disk) const {
    for (const auto& [path, bytes] : files_) disk.write_file(path, bytes);
  }

  Start start() const {
    World world(9);
    Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 16 << 20}, "10.0.0.1", nullptr);
    restore(host.disk());
    const uint64_t before = host.disk().content_hash();
    Start found;
    bool done = false;
    host.set_program([&](Core& core) { return look(core, found, &done); });
    host.start();
    EXPECT_TRUE(world.run_until([&] { return done || !host.running(); }, 60s)) << world.log_tail();
    EXPECT_TRUE(done) << world.log_tail();
    if (found.refused && files_.contains("/data/.lock")) EXPECT_EQ(host.disk().content_hash(), before) << found.why;
    return found;
  }

  static Task<void> look(Core& core, Start& found, bool* done) {
    EngineHost store(options(), 1);
    auto recovered = co_await store.recover(core);
    if (recovered) {
      found.report = *recovered;
      auto engine = co_await store.open(core);
      EXPECT_TRUE(engine.has_value());
      std::vector<Partition*> all;
      (*engine)->for_each([&](Partition& partition) { all.push_back(&partition); });
      for (Partition* partition : all) {
        int64_t offset = partition->log_start_offset();
        while (offset < partition->end_offset()) {
          auto read =
              co_await partition->read({.offset = offset, .max_bytes = 4096, .limit_offset = partition->end_offset()});
          if (!read || read->next_offset <= offset) break;
          offset = read->next_offset;
        }
        found.logs[partition->topic_name()] = {partition->log_start_offset(), offset};
      }
    } else {
      found.refused = recovered.error();
      found.why = store.error_text();
    }
    *done = true;
    co_await core.sleep(3600s);
  }

  void expect_refused(std::string_view named) const {
    const Start found = start();
    EXPECT_EQ(found.refused, Errc::kDamaged) << "ends at " << (found.logs.empty() ? -1 : found.logs.at("t").second);
    EXPECT_TRUE(found.why.contains(named)) << found.why;
  }

  Bytes& file(size_t slot) { return files_.at(journal_file_path(kJournal, slot)); }
  static void zero(Bytes& bytes, size_t from, size_t to) {
    std::fill(bytes.begin() + static_cast<ptrdiff_t>(from), bytes.begin() + static_cast<ptrdiff_t>(to), std::byte{0});
  }

  Files files_;
  uint64_t lives_ = 0;
};

TEST_F(RecoveryTest, ALostJournalFileIsRefusedAndNamed) {
  live_and_die(6, true);
  const Files whole = files_;
  EXPECT_EQ(start().logs.at("t").second, 6);
  for (const size_t slot : {size_t{0}, size_t{1}}) {
    const std::string path = journal_file_path(kJournal, slot);
    SCOPED_TRACE(path);
    files_ = whole;
    files_.erase(path);
    expect_refused(path + " is missing");
    files_ = whole;
    file(slot).clear();
    expect_refused(path + " is empty");
    files_ = whole;
    zero(file(slot), 0, file(slot).size());
    expect_refused(path);
    files_ = whole;
    zero(file(slot), kBlock, file(slot).size());
    expect_refused("cannot be read");
    files_ = whole;
    file(slot).resize(2 * kBlock);
    expect_refused(path);
  }
}

TEST_F(RecoveryTest, CommitsBehindAWipedStartAreNotForgotten) {
  live_and_die(6, true);
  zero(file(0), 0, 2 * kBlock);
  expect_refused("cannot be read");
}

TEST_F(RecoveryTest, AHeaderThatIsLostIsKnownFromCommits) {
  live_and_die(6, true);
  zero(file(1), 0, kBlock);
  const Start found = start();
  ASSERT_FALSE(found.refused) << found.why;
  EXPECT_EQ(found.logs.at("t").second, 6);
  EXPECT_GE(found.report.repaired, 1U);
}

TEST_F(RecoveryTest, OnlyTheVeryLastCommitCanBeLostUnseen) {
  // Nothing came after the last record: creation, then records 0 to 5, in files 0, 1, 0, 1, ...
  live_and_die(6, false);
  const Files whole = files_;
  // The last used block of each file.
  for (const size_t slot : {size_t{0}, size_t{1}}) {
    files_ = whole;
    size_t last = file(slot).size() - kBlock;
    while (file(slot)[last] == std::byte{0}) last -= kBlock;
    zero(file(slot), last, last + kBlock);
    if (slot == 1) {
      expect_refused("cannot be read");
    } else {
      EXPECT_EQ(start().logs.at("t").second, 5);
    }
  }
}

TEST_F(RecoveryTest, ADeletedJournalIsRefused) {
  live_and_die(6, true);
  std::erase_if(files_, [](const auto& file) { return file.first.starts_with("/data/journal/"); });
  expect_refused("00.wal is missing");
}

TEST_F(RecoveryTest, TablesOfAnEarlierLifeAreRefused) {
  live_and_die(6, true);
  const Files earlier = files_;
  live_and_die(5, true);
  for (const char* table : {"/data/table-0.snap", "/data/table-1.snap"}) files_[table] = earlier.at(table);
  expect_refused("later life");
}

TEST_F(RecoveryTest, AJournalOfAnEarlierLifeIsRefused) {
  live_and_die(6, true);
  const Files earlier = files_;
  live_and_die(5, true);
  for (const auto& [path, bytes] : earlier) {
    if (path.starts_with(kJournal)) files_[path] = bytes;
  }
  expect_refused(kJournal);
}

TEST_F(RecoveryTest, AFileThatWasNeverUsedIsMadeAgain) {
  live_and_die(6, true);
  files_.erase(journal_file_path(kJournal, 2));
  zero(file(5), 0, file(5).size());
  const Start found = start();
  ASSERT_FALSE(found.refused) << found.why;
  EXPECT_EQ(found.logs.at("t").second, 6);
  EXPECT_EQ(found.report.repaired, 2U);
  ASSERT_EQ(found.report.notes.size(), 2U);
  EXPECT_TRUE(found.report.notes.front().contains("02.wal")) << found.report.notes.front();
}

TEST_F(RecoveryTest, ExchangedJournalFilesAreKnownByWhatTheySay) {
  live_and_die(6, true);
  std::swap(file(0), file(1));
  const Start found = start();
  ASSERT_FALSE(found.refused) << found.why;
  EXPECT_EQ(found.logs.at("t").second, 6);
}

TEST_F(RecoveryTest, AMissingTableIsSaidAndTheOtherOneCounts) {
  live_and_die(6, true);
  for (const char* table : {"/data/table-0.snap", "/data/table-1.snap"}) {
    const Bytes kept = files_.at(table);
    files_.erase(table);
    const Start found = start();
    ASSERT_FALSE(found.refused) << found.why;
    EXPECT_EQ(found.logs.at("t").second, 6);
    ASSERT_FALSE(found.report.notes.empty());
    EXPECT_TRUE(found.report.notes.front().contains(table)) << found.report.notes.front();
    files_[table] = kept;
  }
}

TEST_F(RecoveryTest, MissingTablesAreRefused) {
  live_and_die(6, true);
  files_.erase("/data/table-0.snap");
  files_.erase("/data/table-1.snap");
  expect_refused("table-0.snap");
}

// A block that was flushed with acked bytes in it is written again with the first part of a batch whose other parts are
// not yet in the journal: a tear there is made good, though nothing behind what was flushed counts.
TEST_F(RecoveryTest, ABlockTornByPartOfABatchIsMadeGood) {
  const std::string segment = "/data/t-0/00000000000000000000.log";
  World world(1);
  Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 16 << 20}, "10.0.0.1", nullptr);
  bool closed = false;
  host.set_program([&](Core& core) -> Task<void> { return append_and_close(core, &closed); });
  host.start();
  ASSERT_TRUE(world.run_until([&] { return closed; }, 60s)) << world.log_tail();
  std::optional<Disk> torn;
  host.on_submit([&](const reactor::Op& op, uint64_t) {
    if (torn || op.kind != reactor::OpKind::kWrite) return;
    if (host.disk().describe_in_flight().contains("write " + segment + " 0+")) torn = host.disk();
  });
  host.set_program([&](Core& core) -> Task<void> { return append_large(core); });
  host.start();
  ASSERT_TRUE(world.run_until([&] { return torn.has_value(); }, 60s)) << world.log_tail();
  host.kill();
  Bytes bytes = *torn->read_file(segment);
  zero(bytes, 0, kBlock);
  torn->write_file(segment, bytes);
  for (const std::string& path : torn->all_files()) files_[path] = *torn->read_file(path);
  const Start found = start();
  ASSERT_FALSE(found.refused) << found.why;
  EXPECT_EQ(found.logs.at("t"), (std::pair<int64_t, int64_t>{0, 1}));
}

TEST_F(RecoveryTest, AFolderOfFormat2Starts) {
  for (const testing::OldFile& old : testing::format_2_folder()) {
    Bytes bytes(old.size);
    for (const testing::OldBytes& run : old.bytes) {
      for (size_t i = 0; i < run.times * (run.hex.size() / 2); ++i) {
        const std::string digits(run.hex.substr(2 * (i % (run.hex.size() / 2)), 2));
        bytes.at(run.offset + i) = static_cast<std::byte>(std::stoi(digits, nullptr, 16));
      }
    }
    files_[std::string(old.path)] = std::move(bytes);
  }
  const Start found = start();
  ASSERT_FALSE(found.refused) << found.why;
  EXPECT_EQ(found.logs.at("orders"), (std::pair<int64_t, int64_t>{3, 10}));
  EXPECT_EQ(found.logs.at("t"), (std::pair<int64_t, int64_t>{0, 12}));
  EXPECT_EQ(found.report.damaged_partitions, 0U);
}

}  // namespace
}  // namespace posthaste::storage
