// The loop of every program that takes seeds: it runs one seed after another, says which ones failed, adds up what they
// did, and ends with the line `N passed, M failed` that the suites read. What a seed is, the program says.
#pragma once
#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "tests/tools/bug_hunt.h"
#include "tests/tools/seed_arguments.h"

namespace posthaste::tests {

// What a run of one seed ended with.
struct SeedOutcome {
  std::optional<std::string> failure;
  uint64_t trace_hash = 0;  // 0 in a program that has none
};

// A program: `run` plays one seed; `add` takes an outcome into the totals, once for each seed; `totals` is the text
// behind "N seeds: ". One that has `describe` prints a line with that text for each seed that passed. One that has
// `missed(count)` says what so many seeds must have shown together and have not, which counts as a failed one.
template <class Program>
concept SeedProgram = requires(Program program, const Program& constant, uint64_t seed) {
  { program.run(seed) } -> std::derived_from<SeedOutcome>;
  program.add(program.run(seed));
  { constant.totals() } -> std::convertible_to<std::string>;
};

// One seed; with --twice a second time, which fails when the two runs leave different traces.
template <SeedProgram Program>
auto run_and_compare(Program& program, const SeedSettings& settings, uint64_t seed) {
  auto outcome = program.run(seed);
  if (!settings.twice || outcome.failure) return outcome;
  const auto again = program.run(seed);
  if (again.trace_hash != outcome.trace_hash) {
    outcome.failure =
        fmt::format("two runs, two trace hashes: {:016x} and {:016x}", outcome.trace_hash, again.trace_hash);
  }
  return outcome;
}

template <SeedProgram Program, std::derived_from<SeedOutcome> Outcome>
void print_seed(const Program& program, const SeedSettings& settings, uint64_t seed, const Outcome& outcome) {
  if (outcome.failure) {
    fmt::print("seed {}: {}\n", seed, *outcome.failure);
  } else if (settings.hashes) {
    fmt::print("seed {} trace {:016x}\n", seed, outcome.trace_hash);
  } else if constexpr (requires { program.describe(outcome); }) {
    if (!settings.quiet) fmt::print("seed {}: {}\n", seed, program.describe(outcome));
  }
  std::fflush(stdout);
}

// Returns the exit code: 0 when all seeds passed, or when the bug that was planted is found.
template <SeedProgram Program>
int run_seeds(Program& program, const SeedSettings& settings, const SeedArguments& seeds) {
  uint64_t failed = 0;
  for (uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
    BugHunt::at_seed(seed);
    const auto outcome = run_and_compare(program, settings, seed);
    if (outcome.failure && !settings.bug.empty()) return BugHunt::found(*outcome.failure);
    failed += outcome.failure ? 1 : 0;
    print_seed(program, settings, seed, outcome);
    program.add(outcome);
  }
  if (!settings.bug.empty()) return BugHunt::missed(seeds.count);
  if constexpr (requires { program.missed(seeds.count); }) {
    if (const std::optional<std::string> missed = program.missed(seeds.count)) {
      fmt::print("{}\n", *missed);
      ++failed;
    }
  }
  if (!settings.hashes) {
    fmt::print("{} seeds: {}\n{} passed, {} failed\n", seeds.count, program.totals(), seeds.count - failed, failed);
  }
  return failed == 0 ? 0 : 1;
}

// The main() of a program that has the settings of SeedSettings and no others. `planted_for`: whose planted bugs it
// looks for (reactor/planted.h).
template <class Program>
int run_seed_program(int argc, char** argv, std::string_view planted_for) {
  SeedSettings settings;
  const auto seeds = parse_seed_arguments(argc, argv,
                                          {{"--twice", &settings.twice},
                                           {"--quiet", &settings.quiet},
                                           {"--verbose", &settings.verbose},
                                           {"--hashes", &settings.hashes},
                                           {"--bugs", &settings.list_bugs},
                                           {.name = "--bug", .text = &settings.bug}});
  if (!seeds) return 2;
  if (const auto end = BugHunt::start(planted_for, settings.list_bugs, settings.bug)) return *end;
  Program program(settings);
  return run_seeds(program, settings, *seeds);
}

}  // namespace posthaste::tests
