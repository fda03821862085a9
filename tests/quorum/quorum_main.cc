// posthaste-quorum: the quorum of the metadata log in a model world, by seed.
//
//   posthaste-quorum [--twice] [--quiet] [--verbose] [--hashes] [--bug NAME] [--bugs] [FIRST_SEED [COUNT]]
//
// A seed draws one to seven machines, how many of them vote, the network, the disks and the faults (faults.h). The
// judge (checker.h) looks at every step. Then everything heals: within kPatience a leader commits what is asked,
// everybody holds all that was ever committed, and from then on nobody stands for election. --twice runs each seed
// twice and demands one trace hash. --bug plants a bug (preset `planted`) and stops at the first seed that shows it.
#include <fmt/format.h>

#include <algorithm>

#include "tests/quorum/faults.h"
#include "tests/tools/seed_runs.h"

namespace posthaste::quorum_model {
namespace {

constexpr Duration kPatience = 30s;  // a pause of six, ten of a voter that distrusts its disk, elections
constexpr Duration kCalm = 6s;       // longer than any time-out

constexpr uint64_t kSeedsThatCover = 500;

struct Outcome : tests::SeedOutcome {
  Counts counts;
  uint64_t committed = 0;
};

WorldOptions draw(Random& random) {
  static constexpr size_t kMachines[] = {1, 2, 3, 3, 3, 4, 5, 5, 7};
  WorldOptions options;
  options.machines = kMachines[random.below(std::size(kMachines))];
  options.voters = random.below(2) == 0 ? options.machines : 1 + random.below(options.machines);
  options.lost_per_million = random.below(2) == 0 ? 0 : static_cast<uint32_t>(random.below(200'000));
  options.doubled_per_million = random.below(2) == 0 ? 0 : static_cast<uint32_t>(random.below(200'000));
  options.latency_max = Duration(random.between(200'000, 60'000'000));
  options.straggler_max =
      random.below(2) == 0 ? options.latency_max : Duration(random.between(1'000'000, 3'000'000'000));
  options.disk_max = Duration(random.between(10'000, 100'000'000));
  options.batches_max = uint64_t{1} << random.below(4);
  options.snapshot_every = random.between(3, 60);
  return options;
}

class Run {
 public:
  Run(uint64_t seed, bool verbose) : draws_(seed), world_(seed, draw(draws_)), faults_(world_) {
    world_.set_verbose(verbose);
  }

  Outcome run() {
    Outcome outcome;
    for (size_t i = 0; i < world_.machines().size(); ++i) world_.start(i);
    load();
    if (!world_.checker().violated()) finish();
    outcome.failure = world_.checker().violated();
    outcome.trace_hash = world_.trace();
    outcome.counts = world_.counts();
    outcome.committed = world_.checker().committed_count();
    return outcome;
  }

 private:
  void load() {
    Random& random = world_.random();
    const Instant end = world_.now() + Duration(random.between(5'000'000'000, 40'000'000'000));
    const auto fault_every = static_cast<uint64_t>(random.between(1, 12));
    const auto change_every = static_cast<uint64_t>(random.between(2, 60));
    const auto write_every = static_cast<uint64_t>(random.between(1, 4));
    while (world_.now() < end && !world_.checker().violated()) {
      world_.run_until(world_.now() + 100ms);
      if (random.below(write_every) == 0) faults_.write();
      if (random.below(fault_every) == 0) faults_.disturb();
      if (random.below(change_every) == 0) faults_.change_voters();
    }
  }

  // Everybody holds the same, up to a record of the leader's own epoch that was asked for after `from`.
  bool is_whole(Offset from) const {
    const auto leader = world_.leader();
    if (!leader) return false;
    const Life& leads = *world_.machines()[*leader].life;
    if (!leads.machine.has_committed_in_epoch() || leads.high_watermark <= from) return false;
    return std::ranges::all_of(world_.machines(), [&](const Machine& machine) {
      if (machine.paused_until > world_.now()) return false;
      const Life& life = *machine.life;
      return life.log.end() == leads.log.end() && life.log.chain() == leads.log.chain() &&
             life.high_watermark == leads.log.end() && !life.machine.is_unverified();
    });
  }

  void finish() {
    faults_.heal();
    const Offset before = world_.checker().committed_end();
    const Instant end = world_.now() + kPatience;
    bool has_asked = false;
    while (world_.now() < end && !world_.checker().violated()) {
      world_.run_until(world_.now() + 100ms);
      if (const auto leader = world_.leader();
          !has_asked && leader && world_.machines()[*leader].life->machine.has_committed_in_epoch()) {
        has_asked = true;
        world_.event(*leader, quorum::AppendRequested{.body = UINT32_MAX});
      }
      if (has_asked && is_whole(before)) return stay_calm();
    }
    world_.say_states();
    world_.checker().fail("liveness: healed, and not whole in time");
  }

  void stay_calm() {
    const size_t leader = *world_.leader();
    const quorum::Epoch epoch = world_.machines()[leader].life->machine.epoch();
    world_.run_until(world_.now() + kCalm);
    for (const Machine& machine : world_.machines()) {
      if (machine.life->machine.epoch() != epoch) world_.checker().fail("an election where nothing is wrong");
      if (!world_.checker().holds_all(machine.life->log)) world_.checker().fail("a log without what is committed");
    }
  }

  Random draws_;
  World world_;
  Faults faults_;
};

void add(Counts& total, const Counts& one) {
  total.steps += one.steps;
  total.leaders += one.leaders;
  total.records += one.records;
  total.cuts += one.cuts;
  total.installs += one.installs;
  total.snapshots += one.snapshots;
  total.changes += one.changes;
  total.kills += one.kills;
  total.power_losses += one.power_losses;
  total.lies += one.lies;
  total.wipes += one.wipes;
  total.alarms += one.alarms;
}

std::string text_of(const Counts& counts) {
  return fmt::format(
      "{} steps, {} leaders, {} records, {} cuts, {} snapshots, {} installed, {} changes of voters; {} kills, "
      "{} power losses, {} lies, {} wipes; {} alarms",
      counts.steps, counts.leaders, counts.records, counts.cuts, counts.snapshots, counts.installs, counts.changes,
      counts.kills, counts.power_losses, counts.lies, counts.wipes, counts.alarms);
}

// Seeds by the thousand that never do one of these show nothing of it.
bool covers_all(const Counts& counts) {
  const uint64_t each[] = {counts.leaders, counts.records, counts.cuts,         counts.installs, counts.snapshots,
                           counts.changes, counts.kills,   counts.power_losses, counts.lies,     counts.wipes};
  return std::ranges::none_of(each, [](uint64_t count) { return count == 0; });
}

class Program {
 public:
  explicit Program(const tests::SeedSettings& settings) : settings_(settings) {}

  Outcome run(uint64_t seed) { return Run(seed, settings_.verbose).run(); }
  void add(const Outcome& outcome) { quorum_model::add(total_, outcome.counts); }
  std::string describe(const Outcome& outcome) const {
    return fmt::format("{} committed; {}", outcome.committed, text_of(outcome.counts));
  }
  std::string totals() const { return text_of(total_); }
  std::optional<std::string> missed(uint64_t seeds) const {
    if (seeds < kSeedsThatCover || covers_all(total_)) return std::nullopt;
    return "some fault never happened";
  }

 private:
  const tests::SeedSettings& settings_;
  Counts total_;
};

}  // namespace
}  // namespace posthaste::quorum_model

int main(int argc, char** argv) {
  using namespace posthaste;
  return tests::run_seed_program<quorum_model::Program>(argc, argv, reactor::kQuorum);
}
