// Building a journal commit: what dirty partitions put into it, and its hash. The partitions are those of an engine on
// a simulated disk; only what a commit costs the CPU is timed, not the appends before it and no device.
#include <chrono>

#include "bench/micro/measure.h"
#include "reactor/check.h"
#include "reactor/simulated/world.h"
#include "storage/engine.h"
#include "storage/journal/contributor.h"

namespace posthaste::micro {
namespace {

using reactor::Core;
using reactor::Task;
using storage::Engine;

constexpr reactor::WallMillis kNow{1'000};
constexpr size_t kCommitBytes = size_t{1} << 20;

void append_to_all(const std::vector<storage::Partition*>& partitions, storage::Bytes& batch) {
  for (storage::Partition* partition : partitions) CHECK(partition->append(batch, {}, kNow).has_value());
}

Task<void> build_commits(Core& core, Engine& engine, benchmark::State& state) {
  std::vector<storage::Partition*> partitions;
  for (int32_t i = 0; i < state.range(0); ++i) {
    auto made = co_await engine.create_partition({.topic_name = "topic", .partition = i});
    CHECK(made.has_value());
    partitions.push_back(*made);
  }
  storage::Bytes batch = make_batch(1, 200);
  append_to_all(partitions, batch);
  auto space = core.pool().allocate(kCommitBytes);
  CHECK(space.has_value());
  storage::Contributor& contributor = engine.contributor();
  size_t bytes = 0;
  uint64_t lsn = uint64_t{1} << 60;  // behind all that the journal itself will write here
  uint64_t allocations = 0;
  for ([[maybe_unused]] auto _ : state) {
    co_await core.sleep(std::chrono::milliseconds(100));  // what the appends before led to is over
    append_to_all(partitions, batch);
    const uint64_t before = testing::allocation_count::total();
    const auto begin = std::chrono::steady_clock::now();
    const size_t used = contributor.build(space->bytes(), 0, kCommitBytes);
    benchmark::DoNotOptimize(storage::hash_sub_block({}, 0, contributor.pieces(), used));
    const auto end = std::chrono::steady_clock::now();
    allocations += testing::allocation_count::total() - before;
    contributor.durable({.lsn = lsn, .file_start_lsn = lsn});
    bytes += used;
    CHECK(used > 0);
    state.SetIterationTime(std::chrono::duration<double>(end - begin).count());
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  state.counters["allocs/op"] =
      benchmark::Counter(static_cast<double>(allocations), benchmark::Counter::kAvgIterations);
}

// The engine is there until the world ends, as after a power loss: what it does in the background then is abandoned.
Task<void> run_engine(Core& core, const storage::EngineOptions& options, benchmark::State& state, bool& done) {
  storage::EngineHost store(options, 1);
  CHECK((co_await store.recover(core)).has_value());
  auto engine = co_await store.open(core);
  CHECK(engine.has_value());
  co_await build_commits(core, **engine, state);
  done = true;
  co_await core.until_stopping();
}

void journal_build_commit(benchmark::State& state) {
  reactor::simulated::World world(1, reactor::simulated::WorldOptions::instant());
  const storage::EngineOptions options{.data_directory = "/data", .journal_files = 4};
  bool done = false;
  const auto program = [&](Core& core) { return run_engine(core, options, state, done); };
  auto& host = world.add_host({.cores = 1, .pool_bytes_per_core = size_t{64} << 20}, "10.0.0.1", program);
  host.start();
  CHECK(world.run_until([&] { return done; }, std::chrono::hours(10'000)), "{}", world.log_tail());
}
BENCHMARK(journal_build_commit)->ArgName("partitions")->Arg(1)->Arg(1'000)->UseManualTime()->Iterations(1'000);

void journal_hash(benchmark::State& state) {
  const storage::Bytes bytes(static_cast<size_t>(state.range(0)), std::byte{0x5a});
  measure(state, [&] { benchmark::DoNotOptimize(storage::hash_sub_block({}, 0, storage::ByteView(bytes))); });
  bytes_per_operation(state, bytes.size());
}
BENCHMARK(journal_hash)->ArgName("bytes")->Arg(4 << 10)->Arg(64 << 10)->Arg(1 << 20);

}  // namespace
}  // namespace posthaste::micro
