// posthaste-sim-brokers: several whole brokers in one simulated world, by seed, each on a host with a disk of its own
// and with clients of its own.
//
//   posthaste-sim-brokers [--twice] [--quiet] [--verbose] [--hashes] [--brokers COUNT] [FIRST_SEED [COUNT]]
//
// What posthaste-sim does with one broker, with two to five of them and with the faults of several hosts
// (tests/rig/host_faults.h): pauses of whole machines, clocks, links, hosts that are lost for ever. Between the faults
// the oracle reads all logs of the brokers that serve (replica_logs.h). Each broker is a cluster of its own.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "tests/rig/host_faults.h"
#include "tests/simulation/replica_logs.h"
#include "tests/tools/seed_runs.h"

namespace posthaste::simulation {
namespace {

using reactor::Duration;
using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::Random;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;
using rig::FaultCounts;
using rig::HostFaults;
using namespace std::chrono_literals;

constexpr uint32_t kBrokersMin = 2;
constexpr uint32_t kBrokersMax = 5;
constexpr Duration kLoad = 20s;
constexpr Duration kFaultEveryMax = 1500ms;
constexpr Duration kLookPatience = 2s;
constexpr Duration kWallJumpMax = 60s;      // clients' timestamps stay within what a topic takes
constexpr Duration kFinishPatience = 300s;  // rebalances and retries of a healed world take far less
constexpr Duration kStopPatience = 60s;

struct Settings : tests::SeedSettings {
  uint32_t brokers = 0;  // drawn
};

struct Outcome : tests::SeedOutcome {
  uint64_t acked = 0;
  uint64_t looked_at = 0;
  FaultCounts faults{};
};

class Run {
 public:
  Run(uint64_t seed, const Settings& settings) : world_(seed, options_for(seed, settings)), random_(world_.random()) {
    const auto drawn = static_cast<uint32_t>(random_.between(kBrokersMin, kBrokersMax));
    const uint32_t count = settings.brokers == 0 ? drawn : settings.brokers;
    for (uint32_t i = 0; i < count; ++i) brokers_.push_back(std::make_unique<BrokerWithClients>(world_, i));
    judges_.resize(count);
  }

  Outcome run() {
    Outcome outcome;
    outcome.failure = play(outcome.faults);
    if (outcome.failure) *outcome.failure += "\n" + world_.log_tail();
    outcome.trace_hash = world_.trace_hash();
    for (const auto& broker : brokers_) outcome.acked += broker->models().oracle.acked_records();
    for (const LogJudge& judge : judges_) outcome.looked_at += judge.records_seen();
    return outcome;
  }

 private:
  static WorldOptions options_for(uint64_t seed, const Settings& settings) {
    WorldOptions options = WorldOptions::swarm(seed);
    options.log_to_stdout = settings.verbose;
    return options;
  }

  std::optional<std::string> play(FaultCounts& counts) {
    HostFaults::Hosts hosts{.losses_max = random_.below(2), .wall_jump_max = kWallJumpMax};
    for (const auto& broker : brokers_) {
      broker->start();
      broker->start_clients();
      hosts.mortal.push_back(&broker->host());
    }
    for (size_t i = 0; i < world_.host_count(); ++i) {
      if (std::ranges::find(hosts.mortal, &world_.host(i)) == hosts.mortal.end()) {
        hosts.others.push_back(&world_.host(i));
      }
    }
    HostFaults faults(
        world_, std::move(hosts), [this](size_t i) { brokers_[i]->start(); },
        [this](size_t i) { brokers_[i]->kill_clients(); });
    while (world_.elapsed() < kLoad) {
      world_.run_for(Duration(random_.between(Duration(50ms).count(), kFaultEveryMax.count())));
      if (random_.below(3) == 0) look(random_.below(brokers_.size()), false);
      if (auto wrong = check()) return wrong;
      faults.disturb();
    }
    counts = faults.counts();
    faults.heal();
    return finish();
  }

  std::optional<std::string> finish() {
    for (const auto& broker : brokers_) broker->models().load_over = true;
    world_.run_until([&] { return everything_read() || check().has_value(); }, kFinishPatience);
    if (auto wrong = check()) return wrong;
    if (!everything_read()) {
      return fmt::format("liveness: models still run {} s after everything healed",
                         std::chrono::duration_cast<std::chrono::seconds>(kFinishPatience).count());
    }
    for (size_t i = 0; i < brokers_.size(); ++i) look(i, true);
    if (auto wrong = check()) return wrong;
    return stop_all();
  }

  bool lives(size_t i) const { return brokers_[i]->host().state() != HostState::kLost; }

  bool everything_read() const {
    for (size_t i = 0; i < brokers_.size(); ++i) {
      if (lives(i) && !brokers_[i]->models().everything_read) return false;
    }
    return true;
  }

  void look(size_t i, bool at_end) {
    const auto logs = read_replica_logs(world_, *brokers_[i], kLookPatience);
    if (logs == nullptr) return;
    if (at_end) {
      judges_[i].judge_at_end(*logs);
    } else {
      judges_[i].judge(*logs);
    }
  }

  std::optional<std::string> check() const {
    for (size_t i = 0; i < brokers_.size(); ++i) {
      std::optional<std::string> wrong = judges_[i].violated();
      if (!wrong && lives(i)) wrong = brokers_[i]->check();
      if (wrong) return fmt::format("broker {}: {}", brokers_[i]->host().ip(), *wrong);
    }
    return std::nullopt;
  }

  std::optional<std::string> stop_all() {
    for (size_t i = 0; i < brokers_.size(); ++i) {
      if (lives(i)) brokers_[i]->stop();
    }
    const auto running = [&] {
      return std::ranges::any_of(brokers_, [](const auto& broker) { return broker->host().running(); });
    };
    if (!world_.run_until([&] { return !running(); }, kStopPatience)) return "a broker does not stop";
    for (size_t i = 0; i < brokers_.size(); ++i) {
      const Host& host = brokers_[i]->host();
      if (lives(i) && host.state() != HostState::kStopped) {
        return fmt::format("broker {} did not stop in an orderly way: {}", host.ip(), host.fatal_message());
      }
    }
    return std::nullopt;
  }

  World world_;
  Random& random_;
  std::vector<std::unique_ptr<BrokerWithClients>> brokers_;
  std::vector<LogJudge> judges_;
};

class Program {
 public:
  explicit Program(const Settings& settings) : settings_(settings) {}
  Outcome run(uint64_t seed) const { return Run(seed, settings_).run(); }
  std::string describe(const Outcome& outcome) const {
    return fmt::format("{} acked, {} batches looked at; {}; trace {:016x}", outcome.acked, outcome.looked_at,
                       rig::describe(outcome.faults), outcome.trace_hash);
  }
  void add(const Outcome& outcome) {
    total_.acked += outcome.acked;
    total_.looked_at += outcome.looked_at;
    rig::add(total_.faults, outcome.faults);
  }
  std::string totals() const {
    return fmt::format("{} records acked, {} batches looked at; {}", total_.acked, total_.looked_at,
                       rig::describe(total_.faults));
  }

 private:
  const Settings& settings_;
  Outcome total_;
};

}  // namespace
}  // namespace posthaste::simulation

int main(int argc, char** argv) {
  using namespace posthaste;
  simulation::Settings settings;
  const auto seeds = tests::parse_seed_arguments(
      argc, argv,
      {{"--twice", &settings.twice},
       {"--quiet", &settings.quiet},
       {"--verbose", &settings.verbose},
       {"--hashes", &settings.hashes},
       {.name = "--brokers", .number = &settings.brokers, .number_max = simulation::kBrokersMax}});
  if (!seeds) return 2;
  tests::BugHunt::watch();
  simulation::Program program(settings);
  return tests::run_seeds(program, settings, *seeds);
}
