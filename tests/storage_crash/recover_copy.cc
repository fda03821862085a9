// A recovery runs on other cores and streams than the life before it, and may have journal files of another size.
#include "tests/storage_crash/recover_copy.h"

#include <fmt/format.h>

#include "reactor/simulated/world.h"
#include "tests/storage_crash/disk_room.h"
#include "tests/storage_crash/found_store.h"
#include "tests/storage_crash/run.h"
#include "tests/storage_crash/tiny_store.h"

namespace posthaste::storage_crash {

using reactor::CoreId;
using reactor::simulated::Disk;
using reactor::simulated::Host;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;

Recovery recover(const Disk& disk, uint64_t seed, Deaths deaths) {
  std::mt19937_64 random(seed);
  Recovery recovery;
  recovery.disk = disk;
  World world(seed, WorldOptions::instant());
  const auto cores = static_cast<CoreId>(1 + below(random, kCoresMax));
  Host& host = world.add_host({.cores = cores, .pool_bytes_per_core = kPoolBytes}, "10.0.0.1", {});
  host.disk() = disk;
  recovery.reader.options = tiny_options(random, cores);
  keep_journal_size(recovery.reader.options, cores, disk, seed);
  // A start with larger or more journals than before needs room for these.
  uint64_t& capacity = host.disk().options().capacity_bytes;
  if (capacity < kNeverFull) capacity += journal_room(recovery.reader.options);
  host.set_program(recovery.reader.program());
  Moment death;
  death.passed = deaths.left == 0;
  if (deaths.left > 0) death = draw_moment(random, deaths);
  const End end = deaths.by_power || below(random, 3) > 0 ? End::kPowerLoss : End::kSigkill;
  host.on_submit([&](const reactor::Op& op, uint64_t index) {
    if (op.kind == reactor::OpKind::kSync) ++recovery.flushes;
    if (death.is_at(op, index)) end_life(host, end, index);
  });
  host.start();
  world.run_until([&] { return recovery.reader.done || !host.running(); }, kPatience);
  const bool died =
      host.state() == reactor::simulated::HostState::kOff || host.state() == reactor::simulated::HostState::kKilled;
  if (deaths.left > 0 && died) {
    --deaths.left;
    deaths.by_power = false;
    Recovery next = recover(host.disk(), seed + 1, deaths);
    ++next.deaths;
    return next;
  }
  recovery.operations = host.operations_submitted();
  if (!recovery.reader.done) {
    recovery.failure = host.running() ? "recovery hangs" : fmt::format("recovery died: {}", host.fatal_message());
    recovery.failure = *recovery.failure + "\n" + world.log_tail();
  }
  if (host.running()) host.kill();
  return recovery;
}

}  // namespace posthaste::storage_crash
