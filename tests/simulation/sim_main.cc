// posthaste-sim: the whole broker, its clients, disks and network in one thread, by seed.
//
//   posthaste-sim [--twice] [--quiet] [--verbose] [--hashes] [--bug NAME] [--bugs] [FIRST_SEED [COUNT]]
//
// A seed draws the machine (1 to 8 cores, latencies, small buffers), the load (producers, consumers, a group) and the
// faults: SIGKILL, power loss with torn writes, orderly restarts on another number of cores, slow disks, paused cores,
// broken and delayed connections, clients cut off. Then everything heals: all models must finish, everything
// acknowledged must be read back, and the broker must stop in an orderly way. --twice runs each seed twice and demands
// one trace hash. --bug plants a bug (preset `planted`) and stops at the first seed that shows it; --bugs lists them.
#include <fmt/format.h>

#include <cstdio>
#include <vector>

#include "reactor/simulated/world.h"
#include "tests/simulation/broker_with_clients.h"
#include "tests/tools/seed_runs.h"

namespace posthaste::simulation {
namespace {

using reactor::CoreId;
using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::Random;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;
using namespace std::chrono_literals;

constexpr reactor::Duration kLoad = 20s;
constexpr reactor::Duration kFinishPatience = 300s;  // rebalances and retries of a healed world take far less
constexpr reactor::Duration kStopPatience = 60s;

using tests::SeedSettings;

struct Outcome : tests::SeedOutcome {
  uint64_t acked = 0;
  uint64_t seen = 0;
  uint64_t commits = 0;
  uint64_t rebalances = 0;
  uint64_t retries = 0;
  uint64_t deaths = 0;
};

class Run {
 public:
  Run(uint64_t seed, const SeedSettings& settings)
      : world_(seed, options_for(seed, settings)),
        random_(world_.random()),
        with_clients_(world_, 0),
        broker_(with_clients_.host()),
        models_(with_clients_.models()) {}

  Outcome run() {
    Outcome outcome;
    outcome.failure = play();
    if (outcome.failure) *outcome.failure += "\n" + world_.log_tail();
    outcome.trace_hash = world_.trace_hash();
    outcome.acked = models_.oracle.acked_records();
    outcome.seen = models_.oracle.seen_records();
    outcome.commits = models_.oracle.commits();
    outcome.rebalances = models_.rebalances;
    outcome.retries = models_.retries;
    outcome.deaths = deaths_;
    return outcome;
  }

 private:
  static WorldOptions options_for(uint64_t seed, const SeedSettings& settings) {
    WorldOptions options = WorldOptions::swarm(seed);
    options.log_to_stdout = settings.verbose;
    return options;
  }

  std::optional<std::string> play() {
    with_clients_.start();
    with_clients_.start_clients();
    const reactor::Duration load_end = world_.elapsed() + kLoad;
    while (world_.elapsed() < load_end) {
      world_.run_for(reactor::Duration(std::chrono::milliseconds(50 + random_.below(3000))));
      if (auto wrong = with_clients_.check()) return wrong;
      disturb();
    }
    if (auto wrong = heal()) return wrong;
    models_.load_over = true;
    const bool finished = world_.run_until(
        [&] { return models_.everything_read || models_.oracle.violated() || with_clients_.dead(); }, kFinishPatience);
    if (auto wrong = with_clients_.check()) return wrong;
    if (!finished || !models_.everything_read) {
      return fmt::format("liveness: {} models still run {} s after everything healed", models_.running,
                         std::chrono::duration_cast<std::chrono::seconds>(kFinishPatience).count());
    }
    with_clients_.stop();
    if (!world_.run_until([&] { return !broker_.running(); }, kStopPatience)) return "the broker does not stop";
    if (broker_.state() != HostState::kStopped)
      return "the broker did not stop in an orderly way: " + broker_.fatal_message();
    return std::nullopt;
  }

  // One fault, or the end of one.
  void disturb() {
    if (!broker_.running()) {
      if (random_.below(2) == 0) with_clients_.start();
      return;
    }
    switch (random_.below(10)) {
      case 0:
        broker_.kill();
        ++deaths_;
        break;
      case 1:
        broker_.power_off();
        ++deaths_;
        break;
      case 2:
        with_clients_.stop();
        break;
      case 3:
        broker_.slow_disk(static_cast<uint32_t>(1 + random_.below(50)));
        break;
      case 4:
        broker_.slow_disk(1);
        break;
      case 5:
        broker_.pause(static_cast<CoreId>(random_.below(with_clients_.cores())),
                      reactor::Duration(std::chrono::milliseconds(random_.below(1500))));
        break;
      case 6:
        world_.options().reset_per_million = static_cast<uint32_t>(random_.below(2000));
        break;
      case 7:
        world_.options().network_spike_per_million = static_cast<uint32_t>(random_.below(50'000));
        break;
      case 8:
        broker_.jump_wall_clock(reactor::Duration(std::chrono::milliseconds(random_.below(2000))));
        break;
      default:
        break;
    }
  }

  // The world works again and a broker serves, or is about to. A broker that was asked to stop must have ended by then.
  std::optional<std::string> heal() {
    world_.options().reset_per_million = 0;
    world_.options().network_spike_per_million = 0;
    broker_.heal_disk();
    if (with_clients_.stop_asked() && !world_.run_until([&] { return !broker_.running(); }, kStopPatience)) {
      return "the broker does not stop";
    }
    if (auto wrong = with_clients_.check()) return wrong;
    if (!broker_.running()) with_clients_.start();
    return std::nullopt;
  }

  World world_;
  Random& random_;
  BrokerWithClients with_clients_;
  Host& broker_;
  Models& models_;
  uint64_t deaths_ = 0;
};

class Program {
 public:
  explicit Program(const SeedSettings& settings) : settings_(settings) {}
  Outcome run(uint64_t seed) const { return Run(seed, settings_).run(); }
  std::string describe(const Outcome& outcome) const {
    return fmt::format("{} acked, {} seen, {} commits, {} generations joined, {} retries, {} deaths, trace {:016x}",
                       outcome.acked, outcome.seen, outcome.commits, outcome.rebalances, outcome.retries,
                       outcome.deaths, outcome.trace_hash);
  }
  void add(const Outcome& outcome) {
    total_.acked += outcome.acked;
    total_.seen += outcome.seen;
    total_.commits += outcome.commits;
    total_.rebalances += outcome.rebalances;
    total_.retries += outcome.retries;
    total_.deaths += outcome.deaths;
  }
  std::string totals() const {
    return fmt::format(
        "{} records acked, {} seen, {} commits, {} generations joined, {} retries, {} deaths of the broker",
        total_.acked, total_.seen, total_.commits, total_.rebalances, total_.retries, total_.deaths);
  }

 private:
  const SeedSettings& settings_;
  Outcome total_;
};

}  // namespace
}  // namespace posthaste::simulation

int main(int argc, char** argv) {
  using namespace posthaste;
  return tests::run_seed_program<simulation::Program>(argc, argv, reactor::kSimulation);
}
