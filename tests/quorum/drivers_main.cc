// posthaste-drivers: members of the quorum with their real drivers, logs, vote files and snapshots on several simulated
// machines, by seed.
//
//   posthaste-drivers [--twice] [--quiet] [--verbose] [--hashes] [--bug NAME] [--bugs] [FIRST_SEED [COUNT]]
//
// A seed draws one to five machines, how many of them vote, the network between the drivers (drivers_cluster.h) and the
// faults (tests/rig/host_faults.h). Leaders append and change the voters meanwhile, everybody reads what is committed
// to it, and the judge (checker.h) compares. Then everything heals: a leader commits once more, everybody holds the
// same, and all that was ever acknowledged is there. --twice runs each seed twice and demands one trace hash.
#include <fmt/format.h>

#include <algorithm>

#include "reactor/simulated/world.h"
#include "tests/quorum/drivers_member.h"
#include "tests/rig/host_faults.h"
#include "tests/tools/seed_runs.h"

namespace posthaste::quorum_model {
namespace {

using reactor::Duration;
using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::Random;
using reactor::simulated::World;
using namespace std::chrono_literals;

constexpr Duration kLookEvery = 20ms;
constexpr Duration kPatience = 40s;  // a pause, ten of a voter that distrusts its disk, elections, a snapshot

constexpr uint64_t kSeedsThatCover = 200;

struct Outcome : tests::SeedOutcome {
  DriversCluster::Counts counts;
  rig::FaultCounts faults{};
};

DriversCluster::Options draw(Random& random) {
  static constexpr size_t kMembers[] = {1, 2, 3, 3, 3, 4, 5};
  DriversCluster::Options options;
  options.members = kMembers[random.below(std::size(kMembers))];
  options.voters = random.below(2) == 0 ? options.members : 1 + random.below(options.members);
  options.lost_per_million = random.below(2) == 0 ? 0 : static_cast<uint32_t>(random.below(100'000));
  options.doubled_per_million = random.below(2) == 0 ? 0 : static_cast<uint32_t>(random.below(100'000));
  options.latency_max = Duration(random.between(200'000, 60'000'000));
  options.snapshot_every = random.between(5, 100);
  options.change_every = random.below(2) == 0 ? 0 : 1 + random.below(60);
  return options;
}

class Run {
 public:
  Run(uint64_t seed, bool verbose)
      : world_(seed, options_for(seed, verbose)), random_(world_.random()), cluster_(world_, draw(random_)) {
    for (size_t i = 0; i < cluster_.members().size(); ++i) {
      hosts_.push_back(&world_.add_host({.cores = 1, .pool_bytes_per_core = 4 << 20}, fmt::format("10.0.0.{}", i + 1),
                                        [this, i](reactor::Core& core) { return run_member(core, cluster_, i); }));
    }
    // Links have two ends, also those of a lone member.
    bystander_ = &world_.add_host({.cores = 1, .pool_bytes_per_core = 64 << 10}, "10.0.1.1", {});
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  // What runs on the hosts speaks of the cluster to its last moment.
  ~Run() {
    for (Host* host : hosts_) host->kill();
  }

  Outcome run() {
    Outcome outcome;
    play(outcome.faults);
    outcome.failure = cluster_.checker().violated();
    if (outcome.failure) *outcome.failure += describe() + "\n" + world_.log_tail();
    outcome.trace_hash = world_.trace_hash();
    outcome.counts = cluster_.counts();
    return outcome;
  }

 private:
  static reactor::simulated::WorldOptions options_for(uint64_t seed, bool verbose) {
    auto options = reactor::simulated::WorldOptions::swarm(seed);
    options.log_to_stdout = verbose;
    return options;
  }

  void start(size_t member) {
    if (!hosts_[member]->machine_is_on() && hosts_[member]->life() > 0) cluster_.is_unverified()[member] = true;
    hosts_[member]->start();
  }

  void play(rig::FaultCounts& counts) {
    rig::HostFaults faults(
        world_, {.mortal = hosts_, .others = {bystander_}}, [this](size_t member) { start(member); }, [](size_t) {});
    for (size_t i = 0; i < hosts_.size(); ++i) start(i);
    const Duration load(random_.between(5'000'000'000, 40'000'000'000));
    const Duration every(random_.between(30'000'000, 1'000'000'000));
    while (world_.elapsed() < load && !is_wrong()) {
      const Duration until = world_.elapsed() + every;
      while (world_.elapsed() < until && !is_wrong()) world_.run_for(kLookEvery);
      faults.disturb();
    }
    counts = faults.counts();
    if (is_wrong()) return;
    faults.heal();
    finish();
  }

  bool is_wrong() {
    for (size_t i = 0; i < hosts_.size(); ++i) {
      const HostState state = hosts_[i]->state();
      if (state == HostState::kFatal) cluster_.checker().fail("fatal: " + hosts_[i]->fatal_message());
      if (state == HostState::kStopped) cluster_.checker().fail(fmt::format("member {} ended by itself", i));
    }
    return cluster_.checker().violated().has_value();
  }

  // Everybody has read the same, up to the end of the leader's log, and a record that was asked for since is there.
  bool is_whole() const {
    quorum::Offset end = 0;
    bool has_news = false;
    for (const DriverMember* member : cluster_.members()) {
      if (member == nullptr || member->quorum() == nullptr) return false;
      end = std::max(end, member->quorum()->log().end_offset());
      has_news |= member->has_appended_last();
    }
    return has_news && std::ranges::all_of(cluster_.members(), [&](const DriverMember* member) {
             return member->applied() == end && member->chain() == cluster_.members()[0]->chain();
           });
  }

  void finish() {
    cluster_.options().lost_per_million = cluster_.options().doubled_per_million = 0;
    const Duration end = world_.elapsed() + kPatience;
    while (!is_wrong() && world_.elapsed() < end && !is_whole()) {
      for (DriverMember* member : cluster_.members()) {
        if (member != nullptr) member->load_is_over();
      }
      world_.run_for(kLookEvery);
    }
    if (is_wrong()) return;
    if (!is_whole()) return cluster_.checker().fail("liveness: healed, and not whole in time");
    cluster_.judge_acknowledged();
  }

  std::string describe() const {
    std::string text;
    for (size_t i = 0; i < hosts_.size(); ++i) {
      const DriverMember* const member = cluster_.members()[i];
      if (member == nullptr || member->quorum() == nullptr) {
        text += fmt::format("\n  {}: down", i);
        continue;
      }
      const quorum::Quorum& one = *member->quorum();
      text += fmt::format(
          "\n  {}: role {}, epoch {}, leader {}, log {}..{} durable {}, high watermark {}, read {}, voters{}{}", i,
          static_cast<int>(one.role()), one.epoch(), one.leader(), one.log().start_offset(), one.log().end_offset(),
          one.log().durable_offset(), one.high_watermark(), member->applied(), quorum_model::describe(one.voters()),
          one.is_unverified() ? ", unverified" : "");
    }
    return text;
  }

  World world_;
  Random& random_;
  mutable DriversCluster cluster_;
  std::vector<Host*> hosts_;
  Host* bystander_ = nullptr;
};

class Program {
 public:
  explicit Program(const tests::SeedSettings& settings) : settings_(settings) {}

  Outcome run(uint64_t seed) { return Run(seed, settings_.verbose).run(); }
  void add(const Outcome& outcome) {
    total_.appends += outcome.counts.appends;
    total_.acknowledged += outcome.counts.acknowledged;
    total_.in_doubt += outcome.counts.in_doubt;
    total_.leaders += outcome.counts.leaders;
    total_.installs += outcome.counts.installs;
    total_.snapshots += outcome.counts.snapshots;
    total_.changes += outcome.counts.changes;
    total_.cuts += outcome.counts.cuts;
    rig::add(faults_, outcome.faults);
  }
  std::string describe(const Outcome& outcome) const { return text_of(outcome.counts); }
  std::string totals() const { return text_of(total_) + "; " + rig::describe(faults_); }
  std::optional<std::string> missed(uint64_t seeds) const {
    const uint64_t each[] = {total_.acknowledged, total_.in_doubt, total_.leaders, total_.installs,
                             total_.snapshots,    total_.changes,  total_.cuts};
    if (seeds < kSeedsThatCover || std::ranges::none_of(each, [](uint64_t count) { return count == 0; }))
      return std::nullopt;
    return "something never happened";
  }

 private:
  static std::string text_of(const DriversCluster::Counts& counts) {
    return fmt::format(
        "{} of {} appends acknowledged, {} in doubt, {} leaders, {} cuts, {} snapshots, {} installed, {} changes of "
        "voters",
        counts.acknowledged, counts.appends, counts.in_doubt, counts.leaders, counts.cuts, counts.snapshots,
        counts.installs, counts.changes);
  }

  const tests::SeedSettings& settings_;
  DriversCluster::Counts total_;
  rig::FaultCounts faults_{};
};

}  // namespace
}  // namespace posthaste::quorum_model

int main(int argc, char** argv) {
  using namespace posthaste;
  return tests::run_seed_program<quorum_model::Program>(argc, argv, reactor::kDrivers);
}
