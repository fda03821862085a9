// posthaste-storage-crash: the storage engine alone, in the simulator, against a reference model.
//
//   posthaste-storage-crash [--every-operation] [--rot] [--verbose] [--bug NAME] [--bugs] [FIRST_SEED [COUNT]]
//
// One seed is two lives of one tiny store: random operations on 1 to 4 cores until the power goes at a random
// operation, or SIGKILL ends the process there; half of the lives end at the next flush from there on, when what was
// written is complete and not durable. On the way images are taken of what either death would leave when an operation
// has just been submitted (at some drawn ones, or after every single one), with any subset of the 512-byte sectors of
// the writes in flight kept, lost or garbage. Each image is recovered on another number of cores and compared with the
// model; then that recovery dies once to three times at any of its operations (power or SIGKILL, other cores and
// streams each time), and what the last one finds must be equal. The next life continues from there. Half of the starts
// have journal files of the size that is there. One life in four has large batches and a tiny journal; whatever the
// sizes, every append must be answered in time. --rot instead flips one bit in each 4 KiB block of every file of a
// store in turn, and empties, cuts and exchanges segments and what stands beside them, then loses, wipes and exchanges
// whole journal files and tables of a store that was killed. --bug plants a bug (preset `planted`) and stops at the
// first seed that shows it; --bugs lists them. Half of the seeds have lives of a kind of their own besides (Kind):
// those that end while the store has hardly begun, and those on a disk that is full soon.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <vector>

#include "reactor/simulated/world.h"
#include "tests/storage_crash/deaths.h"
#include "tests/storage_crash/disk_room.h"
#include "tests/storage_crash/found_store.h"
#include "tests/storage_crash/image_check.h"
#include "tests/storage_crash/lost_files_run.h"
#include "tests/storage_crash/rot_run.h"
#include "tests/storage_crash/run.h"
#include "tests/storage_crash/tiny_store.h"
#include "tests/storage_crash/workload.h"
#include "tests/tools/seed_runs.h"

namespace posthaste::storage_crash {
namespace {

using reactor::CoreId;
using reactor::simulated::Disk;
using reactor::simulated::Host;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;

constexpr uint32_t kLives = 2;
constexpr uint64_t kImagesPerLife = 2;  // without --every-operation
constexpr uint64_t kOperationsPerLifeMax = 500;
constexpr uint64_t kOperationsOfStart = 150;  // of a tiny store: tables, journals, and what makes the journal grow
constexpr uint64_t kTornRewritesMax = 6;      // images of a life
constexpr uint64_t kSeedsOfProgressLine = 1000;

// What a life is to be about. Lives of the kinds behind the first come besides those, from generators of their own:
// seeds keep their meaning.
enum class Kind : uint8_t {
  kOrdinary,
  kBrief,     // it ends while the store has hardly begun
  kFullDisk,  // the disk is full soon, and half of these lives go on to an orderly end
};

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kOrdinary:
      break;
    case Kind::kBrief:
      return "brief ";
    case Kind::kFullDisk:
      return "full disk, ";
  }
  return "";
}

// Write-back that writes a block of a file again: such a write, torn, can take what was flushed before with it.
class Rewrites {
 public:
  bool is_one(const reactor::Op& op) {
    // Tables and new journal files are made durable by a flush of their own.
    const bool is_write = op.kind == reactor::OpKind::kWrite && (op.flags & reactor::kWriteDurable) != 0;
    if (!is_write || op.io_class != reactor::IoClass::kWriteBack) return false;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < op.slice_count; ++i) bytes += op.slices[i].size;
    uint64_t& end = ends_[op.file.value];
    const bool again = op.offset < end;
    end = std::max(end, op.offset + bytes);
    return again;
  }

 private:
  std::map<int32_t, uint64_t> ends_;  // a number that another file got may count one too many
};

// One life on `disk`, which it changes; `work.model` is passed on to the next life.
std::optional<std::string> run_life(Disk& disk, Workload& work, Kind kind, uint64_t seed, const Settings& settings,
                                    Counts& counts) {
  std::mt19937_64 random(seed);
  ++counts.lives;
  World world(seed, below(random, 2) == 0 ? WorldOptions::instant() : WorldOptions::swarm(seed));
  world.options().log_to_stdout = settings.verbose;
  const auto cores = static_cast<CoreId>(1 + below(random, kCoresMax));
  Host& host = world.add_host({.cores = cores, .pool_bytes_per_core = kPoolBytes}, "10.0.0.1", {});
  host.disk() = disk;
  work.options = tiny_options(random, cores);
  work.large = LargeBatches::draw(seed);
  if (work.large) work.large->change(work.options, cores);
  keep_journal_size(work.options, cores, disk, seed, kind == Kind::kBrief);
  host.disk().options().capacity_bytes = draw_capacity(host.disk(), seed, work.options);
  std::mt19937_64 kind_random(seed ^ 0x6b696e64);
  if (kind == Kind::kFullDisk) {
    host.disk().options().capacity_bytes = small_capacity(host.disk(), kind_random, work.options, cores);
  }
  work.steps_left = 20 + below(random, 300);
  work.closed = work.recovered = false;
  End end = below(random, 3) == 0 ? End::kSigkill : End::kPowerLoss;
  Moment death = draw_moment(random, kind == Kind::kBrief ? kOperationsOfStart : kOperationsPerLifeMax);
  std::vector<Moment> wanted;
  wanted.reserve(kImagesPerLife);
  for (uint64_t i = 0; i < kImagesPerLife; ++i) wanted.push_back(draw_moment(random, death.operation));
  if (kind == Kind::kFullDisk && below(kind_random, 2) == 0) death.passed = true;
  // A SIGKILL that comes before a flush leaves what the next start may take for durable.
  if (kind == Kind::kBrief && below(kind_random, 2) == 0) {
    end = End::kSigkill;
    death.flush = 1;
  }
  std::vector<Pending> pending;
  std::vector<Pending> torn;
  Rewrites rewrites;
  reactor::simulated::Random fates(seed);
  reactor::simulated::Random torn_fates(~seed);
  host.on_submit([&](const reactor::Op& op, uint64_t index) {
    if (death.is_at(op, index)) end_life(host, end, index);
    if (work.large && rewrites.is_one(op) && torn.size() < kTornRewritesMax) {
      const reactor::simulated::CrashPolicy policy{.in_flight = reactor::simulated::Fate::kGarbage};
      torn.push_back({host.disk().crash_image(torn_fates, policy), work.model, index, End::kPowerLoss, work.recovered});
    }
    bool is_wanted = settings.every_operation;
    for (Moment& moment : wanted) is_wanted |= moment.is_at(op, index);
    if (!is_wanted) return;
    const End as = fates.below(2) == 0 ? End::kSigkill : End::kPowerLoss;
    Disk image = as == End::kSigkill ? host.disk().killed_image(fates) : host.disk().crash_image(fates, {});
    pending.push_back({std::move(image), work.model, index, as, work.recovered});
  });
  host.set_program(work.program());
  host.start();
  world.run_until([&] { return work.closed || work.failure || !host.running(); }, kPatience);
  auto explain = [&](const std::string& what) {
    return fmt::format("{} cores, {} streams{}: {}\n{}", cores, work.options.streams, work.large ? ", large" : "", what,
                       world.log_tail());
  };
  if (work.failure) return explain(*work.failure);
  if (host.state() == reactor::simulated::HostState::kFatal) return explain("fatal: " + host.fatal_message());
  if (host.running() && !work.closed) return explain("the store hangs");
  if (host.disk().stats().overlapping_writes > 0) return explain("two writes in flight over one block (S5)");
  if (host.running()) end == End::kPowerLoss ? host.power_off() : host.kill();
  for (Pending& image : pending) {
    if (auto wrong =
            check_image(image.disk, image.model, seed ^ image.index, image.end, image.decided, nullptr, counts)) {
      return explain(fmt::format("{} after operation {}: {}", name_of(image.end), image.index, *wrong));
    }
  }
  for (const Pending& image : torn) {
    if (auto wrong = check_torn_rewrite(image, seed ^ image.index, counts)) return explain(*wrong);
  }
  // After a brief life the next one finds what the death has left, not what recoveries that die have made of it.
  const Disk left(host.disk());
  Image last;
  if (auto wrong = check_image(host.disk(), work.model, seed + 3, end, work.recovered, &last, counts)) {
    return explain(fmt::format("{} after operation {}: {}", name_of(end), host.operations_submitted(), *wrong));
  }
  // What the next life finds after a SIGKILL is decided in Driver::run.
  if (end == End::kPowerLoss) adopt(work.model, last);
  disk = kind == Kind::kBrief ? left : host.disk();
  return std::nullopt;
}

// A store's lives one after the other: of each its kind and its seed.
std::optional<std::string> run_lives(uint64_t seed, const std::vector<std::pair<Kind, uint64_t>>& lives,
                                     const Settings& settings, Counts& counts) {
  Workload work(seed);
  Disk disk;
  for (size_t life = 0; life < lives.size(); ++life) {
    const auto [kind, life_seed] = lives[life];
    if (auto wrong = run_life(disk, work, kind, life_seed, settings, counts)) {
      return fmt::format("{}life {}: {}", name_of(kind), life, *wrong);
    }
  }
  counts.appends += work.appends;
  counts.truncations += work.truncations;
  counts.refused_on_full_disk += work.refused_on_full_disk;
  return std::nullopt;
}

std::optional<std::string> run_seed(uint64_t seed, const Settings& settings, Counts& counts) {
  ++counts.seeds;
  std::vector<std::pair<Kind, uint64_t>> lives;
  lives.reserve(kLives);
  for (uint32_t life = 0; life < kLives; ++life) lives.emplace_back(Kind::kOrdinary, seed * kLives + life);
  if (auto wrong = run_lives(seed, lives, settings, counts)) return wrong;
  std::mt19937_64 random(seed ^ 0x62657369646573);
  const uint64_t besides = below(random, 4);
  if (besides == 0) {
    lives = {{Kind::kBrief, random()}, {Kind::kBrief, random()}, {Kind::kOrdinary, random()}};
  } else if (besides == 1) {
    lives = {{Kind::kFullDisk, random()}, {Kind::kOrdinary, random()}};
  } else {
    return std::nullopt;
  }
  return run_lives(random(), lives, settings, counts);
}

class Program {
 public:
  explicit Program(const Settings& settings) : settings_(settings) {}

  tests::SeedOutcome run(uint64_t seed) {
    auto wrong = settings_.rot ? run_rot(seed, settings_, counts_) : run_seed(seed, settings_, counts_);
    if (settings_.rot && !wrong) wrong = run_lost(seed, settings_, counts_);
    return {.failure = std::move(wrong)};
  }
  // A run adds to `counts_` itself. A long one says how far it is.
  void add(const tests::SeedOutcome& /*outcome*/) const {
    if (counts_.seeds % kSeedsOfProgressLine != 0) return;
    fmt::print("{} seeds, {} crashes recovered\n", counts_.seeds, counts_.crashes);
    std::fflush(stdout);
  }
  std::string totals() const {
    if (settings_.rot) {
      return fmt::format(
          "{} bits flipped, {} files emptied, cut or exchanged, {} files lost: {} unaffected, {} repaired, {} "
          "partitions damaged and said so, {} stores refused",
          counts_.flips, counts_.misplaced, counts_.losses, counts_.unaffected, counts_.repaired, counts_.damaged,
          counts_.refused);
    }
    return fmt::format(
        "{} lives, {} appends, {} truncations, {} refused on a full disk, {} crashes recovered, {} deaths inside "
        "recovery",
        counts_.lives, counts_.appends, counts_.truncations, counts_.refused_on_full_disk, counts_.crashes,
        counts_.recrashes);
  }

 private:
  const Settings& settings_;
  Counts counts_;
};

}  // namespace
}  // namespace posthaste::storage_crash

int main(int argc, char** argv) {
  using namespace posthaste;
  storage_crash::Settings settings;
  const auto seeds = tests::parse_seed_arguments(argc, argv,
                                                 {{"--every-operation", &settings.every_operation},
                                                  {"--rot", &settings.rot},
                                                  {"--verbose", &settings.verbose},
                                                  {"--bugs", &settings.list_bugs},
                                                  {.name = "--bug", .text = &settings.bug}});
  if (!seeds) return 2;
  const auto bugs_for = settings.rot               ? reactor::kStorageRot
                        : settings.every_operation ? reactor::kStorageEachOperation
                                                   : reactor::kStorageCrash;
  if (const auto end = tests::BugHunt::start(bugs_for, settings.list_bugs, settings.bug)) return *end;
  storage_crash::Program program(settings);
  return tests::run_seeds(program, settings, *seeds);
}
