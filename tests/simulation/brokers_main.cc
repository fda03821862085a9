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
#include <charconv>
#include <cstdio>
#include <memory>
#include <vector>

#include "tests/rig/host_faults.h"
#include "tests/simulation/replica_logs.h"
#include "tests/tools/bug_hunt.h"
#include "tests/tools/seed_arguments.h"

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
using rig::kFaults;
using namespace std::chrono_literals;

constexpr uint32_t kBrokersMin = 2;
constexpr uint32_t kBrokersMax = 5;
constexpr Duration kLoad = 20s;
constexpr Duration kFaultEveryMax = 1500ms;
constexpr Duration kLookPatience = 2s;
constexpr Duration kWallJumpMax = 60s;      // clients' timestamps stay within what a topic takes
constexpr Duration kFinishPatience = 300s;  // rebalances and retries of a healed world take far less
constexpr Duration kStopPatience = 60s;

struct Settings {
  bool twice = false;
  bool quiet = false;
  bool verbose = false;
  bool hashes = false;
  std::string brokers_text;
  uint32_t brokers = 0;  // drawn
};

struct Outcome {
  std::optional<std::string> failure;
  uint64_t trace_hash = 0;
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

Outcome run_seed(const Settings& settings, uint64_t seed) {
  Outcome outcome = Run(seed, settings).run();
  if (!settings.twice || outcome.failure) return outcome;
  const Outcome again = Run(seed, settings).run();
  if (again.trace_hash != outcome.trace_hash) {
    outcome.failure =
        fmt::format("two runs, two trace hashes: {:016x} and {:016x}", outcome.trace_hash, again.trace_hash);
  }
  return outcome;
}

void print(const Settings& settings, uint64_t seed, const Outcome& outcome) {
  if (outcome.failure) {
    fmt::print("seed {}: {}\n", seed, *outcome.failure);
  } else if (settings.hashes) {
    fmt::print("seed {} trace {:016x}\n", seed, outcome.trace_hash);
  } else if (!settings.quiet) {
    fmt::print("seed {}: {} acked, {} batches looked at; {}; trace {:016x}\n", seed, outcome.acked, outcome.looked_at,
               rig::describe(outcome.faults), outcome.trace_hash);
  }
  std::fflush(stdout);
}

int run_seeds(const Settings& settings, uint64_t first, uint64_t count) {
  Outcome total;
  uint64_t failed = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    tests::BugHunt::at_seed(seed);
    const Outcome outcome = run_seed(settings, seed);
    failed += outcome.failure ? 1 : 0;
    print(settings, seed, outcome);
    total.acked += outcome.acked;
    total.looked_at += outcome.looked_at;
    for (size_t i = 0; i < kFaults; ++i) total.faults[i] += outcome.faults[i];
  }
  if (!settings.hashes) {
    fmt::print("{} seeds: {} records acked, {} batches looked at; {}\n", count, total.acked, total.looked_at,
               rig::describe(total.faults));
    fmt::print("{} passed, {} failed\n", count - failed, failed);
  }
  return failed == 0 ? 0 : 1;
}

bool read_brokers(Settings& settings) {
  const std::string& text = settings.brokers_text;
  if (text.empty()) return true;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), settings.brokers);
  if (error == std::errc() && end == text.data() + text.size() && settings.brokers >= 1 &&
      settings.brokers <= kBrokersMax) {
    return true;
  }
  fmt::print(stderr, "--brokers takes a number from 1 to {}, not {}\n", kBrokersMax, text);
  return false;
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
                                                             {.name = "--brokers", .text = &settings.brokers_text}});
  if (!seeds || !read_brokers(settings)) return 2;
  posthaste::tests::BugHunt::watch();
  return run_seeds(settings, seeds->first, seeds->count);
}
