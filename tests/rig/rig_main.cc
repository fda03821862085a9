// posthaste-rig: several hosts in one simulated world, by seed, with the toy replication of tests/rig on them.
//
//   posthaste-rig [--twice] [--quiet] [--verbose] [--hashes] [--hosts COUNT] [--bug NAME] [--bugs]
//                 [FIRST_SEED [COUNT]]
//
// A seed draws the machines (three to five hosts, latencies, small buffers), how often the leader changes, and the
// faults (host_faults.h). Then everything heals: every producer must be acknowledged once more, and all replicas that
// live must hold one log. In between ReplicaChecker looks at all replicas. --twice runs each seed twice and demands one
// trace hash. --bug plants a bug in the toy and stops at the first seed that shows it; --bugs lists them.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "reactor/simulated/world.h"
#include "tests/rig/host_faults.h"
#include "tests/rig/toy_cluster.h"
#include "tests/rig/toy_replica.h"
#include "tests/tools/seed_runs.h"

namespace posthaste::rig {
namespace {

using reactor::Duration;
using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::Random;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;
using namespace std::chrono_literals;

constexpr reactor::HostOptions kSmall{.cores = 1, .pool_bytes_per_core = 64 << 10};
constexpr uint32_t kReplicasMin = 3;
constexpr uint32_t kReplicasMax = 5;
constexpr uint32_t kHostsMax = 16;
constexpr Duration kLoad = 20s;
constexpr Duration kFaultEveryMin = 50ms;  // drawn once for a seed
constexpr Duration kFaultEveryMax = 1500ms;
constexpr Duration kLookEvery = 20ms;
constexpr Duration kFinishPatience = 30s;  // a healed world needs a few seconds

struct Settings : tests::SeedSettings {
  uint32_t hosts = 0;  // drawn
  ToyBug toy_bug = ToyBug::kNone;
};

struct Outcome : tests::SeedOutcome {
  uint64_t acknowledged = 0;
  uint64_t terms = 0;
  FaultCounts faults{};
};

class Run {
 public:
  Run(uint64_t seed, const Settings& settings)
      : world_(seed, options_for(seed, settings)),
        random_(world_.random()),
        cluster_(replicas(settings), settings.toy_bug) {
    for (uint32_t i = 0; i < cluster_.size(); ++i) {
      hosts_.push_back(&world_.add_host(kSmall, toy_ip(i),
                                        [this, i](reactor::Core& core) { return run_toy_replica(core, cluster_, i); }));
    }
    coordinator_ = &world_.add_host(kSmall, "10.0.1.1",
                                    [this](reactor::Core& core) { return run_toy_coordinator(core, cluster_); });
    const auto producers = static_cast<uint32_t>(1 + random_.below(4));
    clients_ = &world_.add_host(kSmall, "10.0.1.2", [this, producers](reactor::Core& core) {
      return run_toy_clients(core, cluster_, producers);
    });
    election_every_ = static_cast<uint64_t>(random_.between(3, 60));
  }

  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  // What runs on the hosts refers to the cluster until its end, so the cluster outlives the world's hosts.
  ~Run() {
    for (size_t i = 0; i < world_.host_count(); ++i) world_.host(i).kill();
  }

  Outcome run() {
    Outcome outcome;
    outcome.failure = play(outcome.faults);
    if (outcome.failure) *outcome.failure += "\n" + world_.log_tail();
    outcome.trace_hash = world_.trace_hash();
    outcome.acknowledged = cluster_.acknowledged;
    outcome.terms = static_cast<uint64_t>(cluster_.assignment().term) + 1;
    return outcome;
  }

 private:
  static WorldOptions options_for(uint64_t seed, const Settings& settings) {
    WorldOptions options = WorldOptions::swarm(seed);
    options.silence_timeout = 3s;
    options.connect_timeout = 1s;
    options.log_to_stdout = settings.verbose;
    return options;
  }

  uint32_t replicas(const Settings& settings) {
    const auto drawn = static_cast<uint32_t>(random_.between(kReplicasMin, kReplicasMax));
    return settings.hosts == 0 ? drawn : settings.hosts;
  }

  std::optional<std::string> play(FaultCounts& counts) {
    HostFaults faults(
        world_, {.mortal = hosts_, .others = {coordinator_, clients_}, .losses_max = random_.below(3)},
        [this](size_t replica) { hosts_[replica]->start(); },
        [this](size_t replica) { cluster_.remove(static_cast<uint32_t>(replica)); });
    coordinator_->start();
    for (Host* host : hosts_) host->start();
    elect();
    clients_->start();
    const auto every = Duration(random_.between(kFaultEveryMin.count(), kFaultEveryMax.count()));
    while (world_.elapsed() < kLoad && !wrong()) {
      const Duration until = world_.elapsed() + every;
      while (world_.elapsed() < until && !wrong()) look_after(kLookEvery);
      if (random_.below(election_every_) == 0) elect();
      faults.disturb();
      cluster_.look();
    }
    counts = faults.counts();
    if (wrong()) return wrong();
    faults.heal();
    elect();
    return finish();
  }

  // Any member may lead: all hold what is committed.
  void elect() {
    const auto& members = cluster_.assignment().members;
    auto chosen = members.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(random_.below(members.size())));
    cluster_.elect(*chosen);
  }

  void look_after(Duration duration) {
    world_.run_for(duration);
    cluster_.look();
  }

  std::optional<std::string> wrong() {
    if (cluster_.checker().violated()) return cluster_.checker().violated();
    for (const Host* host : hosts_) {
      if (host->state() == HostState::kFatal) return "fatal: " + host->fatal_message();
      if (host->state() == HostState::kStopped) return "a replica ended by itself";
    }
    return std::nullopt;
  }

  std::optional<std::string> finish() {
    cluster_.load_over = true;
    const Duration end = world_.elapsed() + kFinishPatience;
    while (!wrong() && world_.elapsed() < end && !(cluster_.producers == 0 && quiet())) look_after(kLookEvery);
    if (wrong()) return wrong();
    if (cluster_.producers > 0 || !quiet()) {
      return fmt::format("liveness: {} producers wait {} s after everything healed, and the replicas are {}",
                         cluster_.producers, std::chrono::duration_cast<std::chrono::seconds>(kFinishPatience).count(),
                         quiet() ? "quiet" : "not at one");
    }
    std::vector<ReplicaState> states;
    for (const auto& [id, replica] : cluster_.live()) states.push_back(replica->state());
    cluster_.checker().converged(states);
    return wrong();
  }

  // All members are there and hold the same, durable and committed, as far as they say.
  bool quiet() const {
    if (cluster_.live().size() != cluster_.assignment().members.size()) return false;
    const int64_t end = cluster_.live().begin()->second->state().end;
    for (const auto& [id, replica] : cluster_.live()) {
      const ReplicaState state = replica->state();
      if (state.end != end || state.durable != end || state.high_watermark != end) return false;
    }
    return true;
  }

  World world_;
  Random& random_;
  ToyCluster cluster_;
  std::vector<Host*> hosts_;
  Host* coordinator_ = nullptr;
  Host* clients_ = nullptr;
  uint64_t election_every_ = 1;
};

class Program {
 public:
  explicit Program(const Settings& settings) : settings_(settings) {}
  Outcome run(uint64_t seed) const { return Run(seed, settings_).run(); }
  std::string describe(const Outcome& outcome) const {
    return fmt::format("{} acknowledged, {} terms; {}; trace {:016x}", outcome.acknowledged, outcome.terms,
                       rig::describe(outcome.faults), outcome.trace_hash);
  }
  void add(const Outcome& outcome) {
    total_.acknowledged += outcome.acknowledged;
    total_.terms += outcome.terms;
    rig::add(total_.faults, outcome.faults);
  }
  std::string totals() const {
    return fmt::format("{} records acknowledged, {} terms; {}", total_.acknowledged, total_.terms,
                       rig::describe(total_.faults));
  }

 private:
  const Settings& settings_;
  Outcome total_;
};

void list_bugs() {
  for (const NamedToyBug& bug : kToyBugs) fmt::print("{} {}\n", bug.name, bug.what);
}

// False, with a line on stderr, if the toy has no such bug. Of a hunt only the last line is printed.
bool plant(Settings& settings) {
  const auto* const known = std::ranges::find(kToyBugs, settings.bug, &NamedToyBug::name);
  if (known == kToyBugs.end()) {
    fmt::print(stderr, "no bug of the toy is called {}\n", settings.bug);
    return false;
  }
  settings.toy_bug = known->bug;
  settings.quiet = true;
  tests::BugHunt::hunt(settings.bug);
  return true;
}

}  // namespace
}  // namespace posthaste::rig

int main(int argc, char** argv) {
  using namespace posthaste;
  rig::Settings settings;
  const auto seeds =
      tests::parse_seed_arguments(argc, argv,
                                  {{"--twice", &settings.twice},
                                   {"--quiet", &settings.quiet},
                                   {"--verbose", &settings.verbose},
                                   {"--hashes", &settings.hashes},
                                   {"--bugs", &settings.list_bugs},
                                   {.name = "--hosts", .number = &settings.hosts, .number_max = rig::kHostsMax},
                                   {.name = "--bug", .text = &settings.bug}});
  if (!seeds) return 2;
  if (settings.list_bugs) {
    rig::list_bugs();
    return 0;
  }
  if (settings.bug.empty()) {
    tests::BugHunt::watch();
  } else if (!rig::plant(settings)) {
    return 2;
  }
  rig::Program program(settings);
  return tests::run_seeds(program, settings, *seeds);
}
