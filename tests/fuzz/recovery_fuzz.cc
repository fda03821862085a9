// A whole data folder as a disk may give it back: a store that died under load, then damaged in a few places, with
// checksums that fit or not; then it is recovered, read from end to end, appended to and closed. What is refused or
// reported is fine; an assertion, a read out of bounds or a start that never ends is not.
#include <algorithm>
#include <chrono>
#include <functional>

#include "reactor/simulated/world.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/bytes/crc32c.h"
#include "storage/bytes/endian.h"
#include "storage/bytes/xxh3.h"
#include "storage/engine.h"
#include "storage/journal/journal_format.h"
#include "tests/fuzz/fuzz.h"

namespace posthaste::fuzz {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Task;
using reactor::simulated::Disk;
using reactor::simulated::Host;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;
using storage::Engine;
using storage::EngineHost;
using storage::Partition;

constexpr reactor::WallMillis kNow{1'700'000'000'000};
constexpr int kPartitions = 2;

storage::EngineOptions options() {
  return {.data_directory = "/data",
          .journal_file_bytes = 64 << 10,
          .journal_files = 4,
          .commit_bytes_max = 16 << 10,
          .reserve_bytes_max = 256 << 10};
}

storage::TopicId topic_id(int number) {
  storage::TopicId id{};
  id[0] = static_cast<std::byte>(1 + number);
  return id;
}

storage::Bytes batch(int number, size_t bytes) {
  storage::RecordBatchBuilder builder({.producer_id = 5, .producer_epoch = 0, .base_sequence = number});
  const std::vector<std::byte> value(bytes, std::byte{7});
  builder.add({.timestamp = kNow.value + number, .value = value});
  return builder.finish();
}

// Appends, rolls, truncates and raises the log start, so that each kind of record is in the journal.
Task<void> fill(Core& core, Engine& engine) {
  for (int number = 0; number < kPartitions; ++number) {
    auto created = co_await engine.create_partition(
        {.topic_id = topic_id(number), .topic_name = number == 0 ? "orders" : "t", .config = {.segment_bytes = 8192}});
    if (!created) co_return;
    Partition& partition = **created;
    for (int i = 0; i < 12; ++i) {
      if (i % 5 == 4) partition.start_epoch(i / 5);
      auto bytes = batch(i, static_cast<size_t>(200 + 900 * (i % 3)));
      (void)partition.append(bytes, {.leader_epoch = i / 5}, kNow);
      if (i % 4 == 3) co_await core.sleep(3ms);
    }
    while (partition.durable_offset() < partition.end_offset()) co_await core.sleep(1ms);
    if (number == 0) (void)co_await partition.truncate(partition.end_offset() - 2);
    if (number == 0) (void)co_await partition.set_log_start(3);
    auto last = batch(number == 0 ? 10 : 12, 300);
    (void)partition.append(last, {.leader_epoch = 3}, kNow);
    while (partition.durable_offset() < partition.end_offset()) co_await core.sleep(1ms);
  }
  co_await engine.checkpoint();
  // Behind the checkpoint: in the journal alone.
  for (int number = 0; number < kPartitions; ++number) {
    Partition& partition = *engine.find(topic_id(number), 0);
    for (int i = 13; i < 16; ++i) {
      auto bytes = batch(i - (number == 0 ? 2 : 0), 700);
      (void)partition.append(bytes, {.leader_epoch = 3}, kNow);
    }
    partition.roll();
    while (partition.durable_offset() < partition.end_offset()) co_await core.sleep(1ms);
  }
}

Task<void> use(Core& core, Engine& engine) {
  std::vector<storage::Uid> uids;
  engine.for_each([&](Partition& partition) { uids.push_back(partition.uid()); });
  for (const storage::Uid uid : uids) {
    Partition& partition = *engine.find(uid);
    for (int64_t offset = partition.log_start_offset(); offset < partition.end_offset();) {
      auto read =
          co_await partition.read({.offset = offset, .max_bytes = 4096, .limit_offset = partition.end_offset()});
      if (!read || read->next_offset <= offset) break;
      offset = read->next_offset;
    }
    (void)co_await partition.find_timestamp(kNow.value + 5, partition.end_offset());
    (void)co_await partition.max_timestamp();
    auto bytes = batch(99, 500);
    if (partition.append(bytes, {.leader_epoch = 90, .from_client = false}, kNow)) {
      for (int i = 0; i < 50 && partition.durable_offset() < partition.end_offset(); ++i) co_await core.sleep(1ms);
    }
  }
}

Task<void> program(Core& core, std::function<Task<void>(Core&, Engine&)> work, bool* stay) {
  EngineHost store(options(), 1);
  if (!co_await store.recover(core)) co_return;
  auto engine = co_await store.open(core);
  if (engine) {
    co_await work(core, **engine);
    while (*stay) co_await core.sleep(1s);
    co_await (*engine)->close();
  }
  (void)co_await store.close(core);
}

// A disk whose store was killed with records in its journal.
const Disk& killed_store() {
  static const Disk disk = [] {
    World world(3, WorldOptions::instant());
    bool stay = true;
    bool filled = false;
    Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 8 << 20}, "10.0.0.1", nullptr);
    const auto work = [&filled](Core& core, Engine& engine) -> Task<void> {
      co_await fill(core, engine);
      filled = true;
    };
    host.set_program([&](Core& core) { return program(core, work, &stay); });
    host.start();
    require(world.run_until([&] { return filled; }, 60s), "the store to damage can be made");
    host.kill();
    return host.disk();
  }();
  return disk;
}

// --- Checksums that fit whatever the bytes now say.

void mend_frame(std::span<std::byte> file) {
  if (file.size() < 24) return;
  const size_t total = storage::load_le<uint32_t>(file.data() + 8);
  if (total < 24 || total > file.size()) return;
  storage::store_le<uint64_t>(file.data() + total - 8, storage::xxh3_64(file.first(total - 8)));
}

void mend_commit(std::span<std::byte> commit) {
  storage::CommitHeader header{.flags = storage::load_le<uint16_t>(commit.data() + 6)};
  header.total_bytes = storage::load_le<uint32_t>(commit.data() + 8);
  header.header_bytes = storage::load_le<uint32_t>(commit.data() + 12);
  std::copy_n(commit.data() + 16, header.stream.size(), header.stream.begin());
  header.lsn = storage::load_le<uint64_t>(commit.data() + 32);
  header.sequence = storage::load_le<uint64_t>(commit.data() + 40);
  header.durable_lsn = storage::load_le<uint64_t>(commit.data() + 48);
  header.table_number = storage::load_le<uint64_t>(commit.data() + 56);
  header.slot = storage::load_le<uint16_t>(commit.data() + 68);
  header.file_sequence = storage::load_le<uint64_t>(commit.data() + 72);
  header.file_start_lsn = storage::load_le<uint64_t>(commit.data() + 80);
  header.block = storage::load_le<uint32_t>(commit.data() + 88);
  const auto count = storage::load_le<uint32_t>(commit.data() + 64);
  if (count > 64 || header.header_bytes < storage::commit_header_bytes(count)) return;
  if (header.header_bytes > storage::kBlock) return;
  uint64_t at = header.header_bytes;
  for (uint32_t i = 0; i < count; ++i) {
    const std::byte* const place = commit.data() + 96 + 32 * i;
    storage::SubBlock sub_block{storage::load_le<uint32_t>(place), storage::load_le<uint16_t>(place + 4), {}};
    if (at + sub_block.used_bytes > commit.size()) return;
    sub_block.hash = storage::hash_sub_block(header.stream, sub_block.core, commit.subspan(at, sub_block.used_bytes));
    header.sub_blocks.push_back(sub_block);
    at = storage::align_up(at + sub_block.used_bytes);
  }
  storage::encode_commit_header(header, commit);
}

void mend_journal(std::span<std::byte> file, size_t changed_at) {
  constexpr uint32_t kCommitMagic = 0x434a4850;
  if (changed_at < storage::kBlock) {
    if (file.size() < 80) return;
    storage::store_hash128(file.data() + 64, storage::xxh3_128(file.first(64)));
    return;
  }
  // The commit that the change lies in begins at or before it.
  for (size_t at = storage::align_down(changed_at); at >= storage::kBlock; at -= storage::kBlock) {
    if (at + storage::kBlock > file.size() || storage::load_le<uint32_t>(file.data() + at) != kCommitMagic) continue;
    return mend_commit(file.subspan(at));
  }
}

void mend_segment(std::span<std::byte> file) {
  for (size_t at = 0; at + storage::kBatchHeaderBytes <= file.size();) {
    const auto length = storage::load_be<int32_t>(file.data() + at + 8);
    const size_t left = file.size() - at;
    if (length < 49 || static_cast<size_t>(length) + storage::kBatchLengthFieldEnd > left) return;
    const size_t size = static_cast<size_t>(length) + storage::kBatchLengthFieldEnd;
    const auto covered = file.subspan(at + storage::kBatchCrcCoverageStart, size - storage::kBatchCrcCoverageStart);
    storage::store_be<uint32_t>(file.data() + at + 17, storage::crc32c(covered));
    at += size;
  }
}

void damage(Disk& disk, Choices& choices) {
  const std::vector<std::string> paths = disk.all_files();
  const std::string& path = paths[choices.below(paths.size())];
  auto bytes = disk.read_file(path);
  if (!bytes || bytes->empty()) return;
  const uint64_t kind = choices.below(8);
  // Most of a file is empty: what is written is where damage counts.
  size_t written = bytes->size();
  while (written > 1 && (*bytes)[written - 1] == std::byte{0}) --written;
  const size_t within = kind < 6 ? written : bytes->size();
  const size_t at = choices.number(2) % within;
  if (kind == 7) {
    bytes->resize(at);
  } else {
    const Bytes fresh = choices.take(1 + choices.below(16));
    for (size_t i = 0; i < fresh.size() && at + i < bytes->size(); ++i) (*bytes)[at + i] = fresh[i];
    if (choices.below(4) != 0) {
      if (path.ends_with(".wal")) {
        mend_journal(*bytes, at);
      } else if (path.ends_with(".log")) {
        mend_segment(*bytes);
      } else {
        mend_frame(*bytes);
      }
    }
  }
  disk.write_file(path, *bytes);
}

}  // namespace

void run_one(Bytes input) {
  if (input.empty()) return;
  Choices choices(input);
  World world(1, WorldOptions::instant());
  bool stay = false;
  Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 8 << 20}, "10.0.0.1",
                              [&](Core& core) { return program(core, use, &stay); });
  host.disk() = killed_store();
  for (int i = 0; i < 4 && !choices.empty(); ++i) damage(host.disk(), choices);
  const AllocationBudget budget(size_t{256} << 20);
  host.start();
  require(world.run_until([&] { return !host.running(); }, 300s), "a damaged store starts or is refused, and ends");
}

}  // namespace posthaste::fuzz
