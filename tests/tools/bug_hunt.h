// What the simulator programs share to look for a planted bug (reactor/planted_bugs.h): plant it, stop at the first
// seed that shows it, also when that is a CHECK or a wild access, which end the process. It judges nothing itself.
#pragma once
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "reactor/planted_bugs.h"

namespace posthaste::tests {

// "found NAME SEED HOW", or "missed NAME COUNT": the last line that a hunt prints.
class BugHunt {
 public:
  // False, and said on stderr, if there is no such bug here.
  static bool begin(std::string_view name) {
    const auto known = std::ranges::find(reactor::kPlantedBugs, name, &reactor::PlantedBug::name);
    if (!reactor::kHasPlantedBugs || known == reactor::kPlantedBugs.end()) {
      fmt::print(stderr,
                 reactor::kHasPlantedBugs ? "no bug is called {}\n"
                                          : "this build holds no bugs; {} is in the preset `planted`\n",
                 name);
      return false;
    }
#ifdef POSTHASTE_PLANTED_BUGS
    reactor::planted_bug = known->bug;
#endif
    bug_name() = name;
    for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE}) std::signal(signal, died);
    return true;
  }
  static void at_seed(uint64_t seed) { current_seed() = seed; }
  static int found(std::string_view how) {
    fmt::print("found {} {} {}\n", bug_name(), current_seed(), how.substr(0, how.find('\n')));
    return 0;
  }
  static int missed(uint64_t seeds) {
    fmt::print("missed {} {}\n", bug_name(), seeds);
    return 1;
  }
  // One line for each bug that `program` is to find: name and what it is.
  static void list(std::string_view program) {
    for (const reactor::PlantedBug& bug : reactor::kPlantedBugs) {
      if (bug.program == program) fmt::print("{} {}\n", bug.name, bug.what);
    }
  }

 private:
  static std::string& bug_name() {
    static std::string name;
    return name;
  }
  static uint64_t& current_seed() {
    static uint64_t seed = 0;
    return seed;
  }
  [[noreturn]] static void died(int signal) {
    found(signal == SIGABRT ? "a CHECK ends the process" : "a wild access ends the process");
    std::fflush(stdout);
    ::_exit(0);
  }
};

}  // namespace posthaste::tests
