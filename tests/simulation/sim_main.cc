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
#include "tests/tools/bug_hunt.h"
#include "tests/tools/seed_arguments.h"

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

struct Settings {
  bool twice = false;
  bool quiet = false;
  bool verbose = false;
  bool hashes = false;
  bool list_bugs = false;
  std::string bug;
};

struct Outcome {
  std::optional<std::string> failure;
  uint64_t trace_hash = 0;
  uint64_t acked = 0;
  uint64_t seen = 0;
  uint64_t commits = 0;
  uint64_t rebalances = 0;
  uint64_t retries = 0;
  uint64_t deaths = 0;
};

class Run {
 public:
  Run(uint64_t seed, const Settings& settings)
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
  static WorldOptions options_for(uint64_t seed, const Settings& settings) {
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

  // The world works again and a broker serves, or is about to. What a stop was asked of must have ended by then.
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

int run_seeds(const Settings& settings, uint64_t first, uint64_t count) {
  Outcome total;
  uint64_t failed = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    tests::BugHunt::at_seed(seed);
    Outcome outcome = Run(seed, settings).run();
    if (outcome.failure && !settings.bug.empty()) return tests::BugHunt::found(*outcome.failure);
    if (settings.twice && !outcome.failure) {
      const Outcome again = Run(seed, settings).run();
      if (again.trace_hash != outcome.trace_hash) {
        outcome.failure =
            fmt::format("two runs, two trace hashes: {:016x} and {:016x}", outcome.trace_hash, again.trace_hash);
      }
    }
    if (outcome.failure) {
      ++failed;
      fmt::print("seed {}: {}\n", seed, *outcome.failure);
    } else if (settings.hashes) {
      fmt::print("seed {} trace {:016x}\n", seed, outcome.trace_hash);
    } else if (!settings.quiet) {
      fmt::print(
          "seed {}: {} acked, {} seen, {} commits, {} generations joined, {} retries, {} deaths, trace {:016x}\n", seed,
          outcome.acked, outcome.seen, outcome.commits, outcome.rebalances, outcome.retries, outcome.deaths,
          outcome.trace_hash);
    }
    std::fflush(stdout);
    total.acked += outcome.acked;
    total.seen += outcome.seen;
    total.commits += outcome.commits;
    total.rebalances += outcome.rebalances;
    total.retries += outcome.retries;
    total.deaths += outcome.deaths;
  }
  if (!settings.bug.empty()) return tests::BugHunt::missed(count);
  if (!settings.hashes) {
    fmt::print(
        "{} seeds: {} records acked, {} seen, {} commits, {} generations joined, {} retries, {} deaths of the broker\n",
        count, total.acked, total.seen, total.commits, total.rebalances, total.retries, total.deaths);
    fmt::print("{} passed, {} failed\n", count - failed, failed);
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace posthaste::simulation

int main(int argc, char** argv) {
  using namespace posthaste::simulation;
  Settings settings;
  const auto seeds = posthaste::tests::parse_seed_arguments(argc, argv,
                                                            {{"--twice", &settings.twice},
                                                             {"--quiet", &settings.quiet},
                                                             {"--verbose", &settings.verbose},
                                                             {"--hashes", &settings.hashes},
                                                             {"--bugs", &settings.list_bugs},
                                                             {.name = "--bug", .text = &settings.bug}});
  if (!seeds) return 2;
  if (settings.list_bugs) {
    posthaste::tests::BugHunt::list(posthaste::reactor::kSimulation);
    return 0;
  }
  if (settings.bug.empty()) {
    posthaste::tests::BugHunt::watch();
  } else if (!posthaste::tests::BugHunt::begin(settings.bug)) {
    return 2;
  }
  return run_seeds(settings, seeds->first, seeds->count);
}
