// What the simulator programs share to look for a planted bug (reactor/planted.h): plant it, stop at the first
// seed that shows it, also when that is a CHECK or a wild access, which end the process; and, without a bug, to say at
// which seed the process ended. It judges nothing itself.
#pragma once
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "broker/planted_bugs.h"
#include "net/planted_bugs.h"
#include "reactor/planted_bugs.h"
#include "replication/planted_bugs.h"
#include "storage/planted_bugs.h"

#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#endif

namespace posthaste::tests {

// "found NAME SEED HOW", or "missed NAME COUNT": the last line that a hunt prints.
class BugHunt {
 public:
  // How a program begins whose bugs are those of the rooms: lists the ones that are for `program`, or plants `bug`, or,
  // when it is empty, only watches. The exit code, if the program is to end with that.
  static std::optional<int> start(std::string_view program, bool list_bugs, std::string_view bug) {
    if (list_bugs) {
      list(program);
      return 0;
    }
    if (bug.empty()) {
      watch();
    } else if (!begin(bug)) {
      return 2;
    }
    return std::nullopt;
  }
  // The program has planted a bug of its own.
  static void hunt(std::string_view name) {
    bug_name() = name;
    for (const int signal : kDeadly) std::signal(signal, died);
  }
  // No bug: if the process ends at a seed, a line "seed N: ..." says so, as for any other failure.
  static void watch() {
#if __has_feature(address_sanitizer)
    __sanitizer_set_death_callback([] { say_seed("a sanitizer ends the process"); });
    std::signal(SIGABRT, ended);
#else
    for (const int signal : kDeadly) std::signal(signal, ended);
#endif
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

 private:
  // False, and said on stderr, if there is no such bug here.
  static bool begin(std::string_view name) {
    const reactor::PlantedBug* const known = find(name);
    if (!reactor::kHasPlantedBugs || known == nullptr) {
      fmt::print(stderr,
                 reactor::kHasPlantedBugs ? "no bug is called {}\n"
                                          : "this build holds no bugs; {} is in the preset `planted`\n",
                 name);
      return false;
    }
#ifdef POSTHASTE_PLANTED_BUGS
    reactor::planted_bug = known;
#endif
    hunt(name);
    return true;
  }
  // One line for each bug that `program` is to find: name and what it is.
  static void list(std::string_view program) {
    for_each([program](const reactor::PlantedBug& bug) {
      if (bug.program == program) fmt::print("{} {}\n", bug.name, bug.what);
    });
  }
  // The bugs of all rooms.
  template <class Visit>
  static void for_each(Visit visit) {
    std::ranges::for_each(storage::kBugs.all, visit);
    std::ranges::for_each(reactor::kBugs.all, visit);
    std::ranges::for_each(net::kBugs.all, visit);
    std::ranges::for_each(replication::kBugs.all, visit);
    std::ranges::for_each(broker::kBugs.all, visit);
  }
  static const reactor::PlantedBug* find(std::string_view name) {
    const reactor::PlantedBug* found = nullptr;
    for_each([name, &found](const reactor::PlantedBug& bug) {
      if (bug.name == name) found = &bug;
    });
    return found;
  }
  static std::string& bug_name() {
    static std::string name;
    return name;
  }
  static uint64_t& current_seed() {
    static uint64_t seed = 0;
    return seed;
  }
  static constexpr int kDeadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
  static std::string_view how_it_ends(int signal) {
    return signal == SIGABRT ? "a CHECK ends the process" : "a wild access ends the process";
  }
  static void say_seed(std::string_view how) {
    fmt::print("seed {}: {}\n", current_seed(), how);
    std::fflush(stdout);
  }
  static void ended(int signal) {
    std::signal(signal, SIG_DFL);
    say_seed(how_it_ends(signal));
    std::raise(signal);
  }
  [[noreturn]] static void died(int signal) {
    found(how_it_ends(signal));
    std::fflush(stdout);
    ::_exit(0);
  }
};

}  // namespace posthaste::tests
