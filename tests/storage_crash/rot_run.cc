// Whatever is damaged, what is served afterwards must be the model's, or refused by name.
#include "tests/storage_crash/rot_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/simulated/world.h"
#include "tests/storage_crash/recover_copy.h"
#include "tests/storage_crash/tiny_store.h"
#include "tests/storage_crash/workload.h"

namespace posthaste::storage_crash {
namespace {

using reactor::simulated::Disk;
using reactor::simulated::Host;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;

std::string_view extension_of(const std::string& path) {
  return std::string_view(path).substr(std::min(path.rfind('.'), path.size()));
}

// Files that an operator's mistake changes as a whole: emptied, cut, exchanged with another of its kind.
std::vector<std::pair<std::string, Disk>> misplaced(const Disk& whole, std::mt19937_64& random) {
  std::vector<std::pair<std::string, Disk>> disks;
  const std::vector<std::string> files = whole.all_files();
  for (const std::string& path : files) {
    const std::string_view extension = extension_of(path);
    if (extension != ".log" && extension != ".index" && extension != ".snapshot") continue;
    const auto bytes = whole.read_file(path);
    if (!bytes || bytes->empty()) continue;
    const std::span<const std::byte> content(*bytes);
    disks.emplace_back("emptied " + path, whole).second.write_file(path, {});
    disks.emplace_back("cut " + path, whole).second.write_file(path, content.first(below(random, content.size())));
    std::vector<std::string> others;
    for (const std::string& other : files) {
      if (other != path && extension_of(other) == extension) others.push_back(other);
    }
    if (others.empty()) continue;
    const std::string& other = others[below(random, others.size())];
    Disk& disk = disks.emplace_back(fmt::format("{} exchanged with {}", path, other), whole).second;
    disk.write_file(path, *whole.read_file(other));
    disk.write_file(other, content);
  }
  return disks;
}

// Recovers and reads a damaged disk: what is served must be the model's.
std::optional<std::string> check_damaged(const Disk& disk, const Workload& work, uint64_t seed, Counts& counts) {
  const Recovery recovery = recover(disk, seed, {});
  if (recovery.failure) return recovery.failure;
  if (recovery.reader.refused) {
    ++counts.refused;
    return std::nullopt;
  }
  if (auto wrong = compare(work.model, recovery.reader.image, true)) return wrong;
  bool is_damaged = false;
  for (const auto& [id, found] : recovery.reader.image) is_damaged |= found.damaged;
  ++(is_damaged ? counts.damaged : recovery.reader.report.repaired > 0 ? counts.repaired : counts.unaffected);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> run_rot(uint64_t seed, const Settings& settings, Counts& counts) {
  ++counts.seeds;
  Workload work(seed);
  World world(seed, WorldOptions::instant());
  world.options().log_to_stdout = settings.verbose;
  Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = kPoolBytes}, "10.0.0.1", {});
  work.options = tiny_options(work.random, 1);
  work.steps_left = 200;
  host.set_program(work.program());
  const uint64_t stop_after = 30 + below(work.random, 200);
  host.start();
  world.run_until(
      [&] { return work.closed || work.failure || host.operations_submitted() >= stop_after || !host.running(); },
      kPatience);
  // An idle stream writes a frontier for its last commit within some milliseconds; before that, rot there looks like a
  // tear.
  work.paused = true;
  world.run_until([&] { return work.closed || !host.running(); }, kSettle);
  if (work.failure) return work.failure;
  if (host.running()) host.kill();
  const Recovery whole = recover(host.disk(), seed, {});
  if (whole.failure) return whole.failure;
  if (auto wrong = compare(work.model, whole.reader.image, false)) return wrong;
  for (const std::string& path : host.disk().all_files()) {
    if (path.ends_with("/.reserve")) continue;  // its bytes have no meaning
    const auto stat = host.disk().stat(path);
    for (uint64_t block = 0; stat && block < stat->size_bytes; block += reactor::kBlockBytes) {
      Disk rotten(host.disk());
      const uint64_t length = std::min<uint64_t>(reactor::kBlockBytes, stat->size_bytes - block);
      const uint64_t byte = block + below(work.random, length);
      if (!rotten.flip_bit(path, byte, static_cast<uint32_t>(below(work.random, 8)))) continue;
      ++counts.flips;
      if (auto wrong = check_damaged(rotten, work, seed, counts)) {
        return fmt::format("bit flipped in {} at {}: {}", path, byte, *wrong);
      }
    }
  }
  // A generator of its own: what a seed does above does not change with what is added here.
  std::mt19937_64 misplacing(seed ^ 0x6d6973706c616365);
  for (const auto& [what, disk] : misplaced(host.disk(), misplacing)) {
    ++counts.misplaced;
    if (auto wrong = check_damaged(disk, work, seed, counts)) return fmt::format("{}: {}", what, *wrong);
  }
  return std::nullopt;
}

}  // namespace posthaste::storage_crash
