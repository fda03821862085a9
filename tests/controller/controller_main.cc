// posthaste-controller: the controller's decisions for a cluster in a model world, by seed.
//
//   posthaste-controller [--twice] [--quiet] [--verbose] [--hashes] [--bug NAME] [--bugs] [FIRST_SEED [COUNT]]
//
// A seed draws three to five brokers, topics with one to four replicas, settings, and the faults (faults.cc). The judge
// (checker.h) looks at every state of the metadata and at all logs. Then everything heals: within kPatience every
// partition that has its data is led and all its replicas are in sync. --twice runs each seed twice and demands one
// trace hash. --bug plants a bug (preset `planted`) and stops at the first seed that shows it.
#include <fmt/format.h>

#include <algorithm>

#include "tests/controller/world.h"
#include "tests/tools/seed_runs.h"

namespace posthaste::controller_model {
namespace {

constexpr int kSteps = 250;
constexpr int kPatience = 400;  // steps of some 170 ms: sessions that end, reports, registrations one after another
constexpr uint64_t kSeedsThatCover = 300;

struct Totals : Counts {
  uint64_t acknowledged = 0;
  uint64_t moved = 0;
  uint64_t unclean = 0;
  uint64_t from_elr = 0;
  uint64_t from_unverified = 0;
};

struct Outcome : tests::SeedOutcome {
  Totals totals;
};

Outcome play(uint64_t seed, bool verbose) {
  World world(seed, verbose);
  for (int step = 0; step < kSteps && !world.checker().violated(); ++step) world.step();
  world.heal();
  for (int step = 0; step < kPatience && !world.checker().violated() && (step < 10 || world.unwell()); ++step) {
    world.step();
  }
  if (const auto wrong = world.unwell()) world.checker().fail(fmt::format("liveness: healed, and {}", *wrong));
  Outcome outcome;
  outcome.failure = world.checker().violated();
  outcome.trace_hash = world.trace();
  static_cast<Counts&>(outcome.totals) = world.counts();
  outcome.totals.acknowledged = world.checker().acknowledged_count();
  outcome.totals.moved = world.checker().moved();
  outcome.totals.unclean = world.checker().unclean();
  outcome.totals.from_elr = world.checker().from_elr();
  outcome.totals.from_unverified = world.checker().from_unverified();
  return outcome;
}

// Each of these, with its name.
template <class Of, class Visit>
void for_each_count(Of& totals, Visit visit) {
  visit("changes", totals.batches);
  visit("acknowledged", totals.acknowledged);
  visit("kills", totals.kills);
  visit("power losses", totals.power_losses);
  visit("lies", totals.lies);
  visit("wipes", totals.wipes);
  visit("shutdowns", totals.shutdowns);
  visit("controllers", totals.failovers);
  visit("fenced early", totals.early);
  visit("ISR changes", totals.isr_changes);
  visit("refused", totals.isr_refusals);
  visit("registrations refused", totals.refused_registrations);
  visit("ELRs cleared", totals.elr_cleared);
  visit("leaders asked for", totals.elections_asked);
  visit("brokers removed", totals.removals);
  visit("topics placed", totals.topics_placed);
  visit("grown", totals.topics_grown);
  visit("moves begun", totals.moves_begun);
  visit("cancelled", totals.moves_cancelled);
  visit("refused", totals.moves_refused);
  visit("ended", totals.moved);
  visit("elected from ELR", totals.from_elr);
  visit("unverified", totals.from_unverified);
  visit("uncleanly", totals.unclean);
}

class Program {
 public:
  explicit Program(const tests::SeedSettings& settings) : settings_(settings) {}

  Outcome run(uint64_t seed) { return play(seed, settings_.verbose); }
  void add(const Outcome& outcome) {
    std::vector<uint64_t> counts;
    for_each_count(outcome.totals, [&](std::string_view, uint64_t count) { counts.push_back(count); });
    size_t at = 0;
    for_each_count(total_, [&](std::string_view, uint64_t& sum) { sum += counts[at++]; });
  }
  std::string describe(const Outcome& outcome) const { return text_of(outcome.totals); }
  std::string totals() const { return text_of(total_); }
  // Seeds by the hundred that never do one of these show nothing of it.
  std::optional<std::string> missed(uint64_t seeds) const {
    std::optional<std::string> never;
    for_each_count(total_, [&](std::string_view name, uint64_t count) {
      if (count == 0 && seeds >= kSeedsThatCover) never = fmt::format("this never happened: {}", name);
    });
    return never;
  }

 private:
  static std::string text_of(const Totals& totals) {
    std::string text;
    for_each_count(totals, [&](std::string_view name, uint64_t count) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
    });
    return text;
  }

  const tests::SeedSettings& settings_;
  Totals total_;
};

}  // namespace
}  // namespace posthaste::controller_model

int main(int argc, char** argv) {
  using namespace posthaste;
  return tests::run_seed_program<controller_model::Program>(argc, argv, reactor::kController);
}
