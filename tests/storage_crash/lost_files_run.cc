// Two lives, so that files of the earlier one can come back. The model of before the last commit is kept besides: only
// the journal file that is lost may be the only proof of that commit.
#include "tests/storage_crash/lost_files_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "reactor/simulated/world.h"
#include "storage/bytes/endian.h"
#include "tests/storage_crash/lost_files.h"
#include "tests/storage_crash/recover_copy.h"
#include "tests/storage_crash/tiny_store.h"
#include "tests/storage_crash/workload.h"

namespace posthaste::storage_crash {
namespace {

using reactor::CoreId;
using reactor::simulated::Host;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;

// What a store is allowed to show when files of it were lost.
struct KilledStore {
  Files earlier;  // as an earlier life left it
  Files now;
  Model before_last_commit;  // acknowledged before the last commit was submitted
  std::optional<std::string> failure;
};

// One life that ends by SIGKILL when nothing is under way; `store.now` is where it begins and what it leaves.
void live_and_die(Workload& work, std::mt19937_64& random, uint64_t seed, const Settings& settings,
                  KilledStore& store) {
  World world(seed, WorldOptions::instant());
  world.options().log_to_stdout = settings.verbose;
  const auto cores = static_cast<CoreId>(1 + below(random, 3));
  Host& host = world.add_host({.cores = cores, .pool_bytes_per_core = kPoolBytes}, "10.0.0.1", {});
  host.disk() = disk_of(store.now);
  work.options = tiny_options(random, cores);
  // One stream has one last commit.
  work.options.streams = 1;
  work.options.journal_file_bytes = std::max(work.options.journal_file_bytes, uint64_t{4096} * (1 + 3 * cores));
  work.steps_left = UINT64_MAX;
  work.paused = false;
  bool serving = false;
  host.on_submit([&](const reactor::Op& op, uint64_t) {
    // A commit begins with its magic; what was acknowledged when the last one began is behind two files.
    constexpr uint32_t kCommitMagic = 0x434a4850;
    if (op.kind != reactor::OpKind::kWrite || op.io_class != reactor::IoClass::kJournal) return;
    serving = true;
    if (storage::load_le<uint32_t>(op.slices[0].data) == kCommitMagic) store.before_last_commit = work.model;
  });
  host.set_program(work.program());
  host.start();
  world.run_until([&] { return serving || work.failure || !host.running(); }, kPatience);
  const uint64_t stop_after = host.operations_submitted() + below(random, 600);
  world.run_until([&] { return work.failure || !host.running() || host.operations_submitted() >= stop_after; },
                  kPatience);
  work.paused = true;
  // In half of the lives the stream writes a frontier for its last commit.
  if (below(random, 2) == 0) world.run_until([&] { return work.failure || !host.running(); }, kSettle);
  world.run_until([&] { return work.failure || !host.running() || host.disk().in_flight() == 0; }, kPatience);
  if (host.state() == reactor::simulated::HostState::kFatal) store.failure = "fatal: " + host.fatal_message();
  if (work.failure) store.failure = work.failure;
  if (host.running()) host.kill();
  store.now = files_of(host.disk());
}

}  // namespace

std::optional<std::string> run_lost(uint64_t seed, const Settings& settings, Counts& counts) {
  std::mt19937_64 random(seed);
  Workload work(seed);
  KilledStore store;
  live_and_die(work, random, seed, settings, store);
  store.earlier = store.now;
  // Of another seed: streams of two lives have different ids.
  if (!store.failure) live_and_die(work, random, ~seed, settings, store);
  if (store.failure) return store.failure;
  for (const LostFiles& lost : lose_files(store.now, store.earlier, random)) {
    ++counts.losses;
    Recovery recovery = recover(disk_of(lost.files), seed, {});
    if (recovery.failure) return fmt::format("{}: {}", lost.what, *recovery.failure);
    if (recovery.reader.refused) {
      ++counts.refused;
      if (recovery.reader.refusal.empty()) return fmt::format("{}: refused, and nothing says why", lost.what);
      continue;
    }
    auto wrong = compare(work.model, recovery.reader.image, true);
    if (wrong && compare(store.before_last_commit, recovery.reader.image, true)) {
      return fmt::format("{}: {}", lost.what, *wrong);
    }
    ++(recovery.reader.report.repaired > 0 ? counts.repaired : counts.unaffected);
  }
  return std::nullopt;
}

}  // namespace posthaste::storage_crash
