// posthaste-two-logs: a log that leads and one that follows it, in the simulator, against a model of KIP-101.
//
//   posthaste-two-logs [--verbose] [--bug NAME] [--bugs] [FIRST_SEED [COUNT]]
//
// One seed is some lives of two stores on one host. In each a leader is elected under a new epoch, of those that hold
// all that is committed; it appends, the other is cut by KIP-101 and takes its batches with what looks like compaction
// has left of them; logs roll, are reset, lose their beginnings; until the power goes, or SIGKILL comes, at a random
// operation, be it inside a recovery. After every step both logs are what the model says. After a cut the follower
// holds nothing but its leader's, the leader holds what was committed, and a crash leaves only what it may leave. --bug
// plants a bug (preset `planted`) and stops at the first seed that shows it; --bugs lists them.
#include <fmt/format.h>

#include <cstdio>

#include "reactor/simulated/world.h"
#include "tests/tools/seed_runs.h"
#include "tests/two_logs/driver.h"

namespace posthaste::two_logs {
namespace {

using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;
using namespace std::chrono_literals;

constexpr uint32_t kLives = 5;  // and one that only looks
constexpr uint64_t kStepsMax = 300;
constexpr uint64_t kOperationsMax = 1000;
constexpr reactor::Duration kPatience = 3600s;  // of simulated time: a life that takes longer hangs

storage::EngineOptions tiny_options(std::mt19937_64& random, std::string directory) {
  storage::EngineOptions options;
  options.data_directory = std::move(directory);
  options.journal_file_bytes = 4096 * (6 + random() % 8);
  options.journal_files = 4;
  options.commit_bytes_max = static_cast<uint32_t>(4096 * (2 + random() % 3));
  options.staging_bytes = 4 * 4096;
  options.gather_bytes_min = random() % 2 == 0 ? 4096 : 1 << 20;
  options.tail_bytes_max = 256 << 10;
  options.cache_bytes_max = 128 << 10;
  options.read_ahead_bytes = static_cast<uint32_t>(4096 << random() % 3);
  options.reserve_bytes_max = 64 << 10;
  return options;
}

std::optional<std::string> run_seed(uint64_t seed, bool verbose, Pair& pair) {
  pair.replicas[0].options = tiny_options(pair.random, "/one");
  pair.replicas[1].options = tiny_options(pair.random, "/other");
  reactor::simulated::Disk disk;
  for (uint32_t number = 0; number <= kLives; ++number) {
    std::mt19937_64 random(seed * (kLives + 1) + number);
    World world(random(), random() % 2 == 0 ? WorldOptions::instant() : WorldOptions::swarm(seed));
    world.options().log_to_stdout = verbose;
    Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = 4 << 20}, "10.0.0.1", pair.program());
    host.disk() = disk;
    pair.is_closed = false;
    pair.steps_left = number == kLives ? 0 : 10 + random() % kStepsMax;
    const uint64_t last_operation = number == kLives || random() % 8 == 0 ? 0 : 1 + random() % kOperationsMax;
    const bool by_power = random() % 3 > 0;
    host.on_submit([&](const reactor::Op&, uint64_t index) {
      if (index != last_operation) return;
      by_power ? host.crash_after_operations(index) : host.kill();
    });
    host.start();
    world.run_until([&] { return pair.failure || !host.running(); }, kPatience);
    if (host.state() == HostState::kFatal) pair.failure = "fatal: " + host.fatal_message();
    if (host.running() && !pair.failure) pair.failure = "it hangs";
    if (pair.failure) return fmt::format("life {}: {}\n{}", number, *pair.failure, world.log_tail());
    disk = host.disk();
  }
  return std::nullopt;
}

class Program {
 public:
  explicit Program(const tests::SeedSettings& settings) : settings_(settings) {}

  tests::SeedOutcome run(uint64_t seed) {
    Pair pair(seed);
    auto wrong = run_seed(seed, settings_.verbose, pair);
    appends_ += pair.appends;
    cuts_ += pair.cuts;
    resets_ += pair.resets;
    holes_ += pair.holes;
    return {.failure = std::move(wrong)};
  }
  void add(const tests::SeedOutcome& /*outcome*/) const {}  // a run adds to the totals itself
  std::string totals() const {
    return fmt::format("{} appends, {} cuts, {} resets, {} holes", appends_, cuts_, resets_, holes_);
  }

 private:
  const tests::SeedSettings& settings_;
  uint64_t appends_ = 0;
  uint64_t cuts_ = 0;
  uint64_t resets_ = 0;
  uint64_t holes_ = 0;
};

}  // namespace
}  // namespace posthaste::two_logs

int main(int argc, char** argv) {
  using namespace posthaste;
  tests::SeedSettings settings;
  const auto seeds = tests::parse_seed_arguments(
      argc, argv,
      {{"--verbose", &settings.verbose}, {"--bugs", &settings.list_bugs}, {.name = "--bug", .text = &settings.bug}});
  if (!seeds) return 2;
  if (const auto end = tests::BugHunt::start(reactor::kTwoLogs, settings.list_bugs, settings.bug)) return *end;
  two_logs::Program program(settings);
  return tests::run_seeds(program, settings, *seeds);
}
