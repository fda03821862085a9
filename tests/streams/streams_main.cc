// posthaste-streams: several brokers in one simulated world, by seed, with real stores, replicas and streams between
// them; who leads is said by a coordinator of the tests' own.
//
//   posthaste-streams [--twice] [--quiet] [--verbose] [--hashes] [--bug NAME] [--bugs] [FIRST_SEED [COUNT]]
//
// A seed draws the machines (three to five, latencies, small buffers and stores), partitions and clients, how often
// leaders change, and the faults (tests/rig/host_faults.h), and empty disks beside those. Then everything heals: every
// producer must be acknowledged once more, and all replicas must hold one log on their disks. Meanwhile ReplicaChecker
// looks at all replicas, and no cut may have been asked for that goes below a high watermark. --twice runs each seed
// twice and demands one trace hash. --bug plants a bug (preset `planted`) and stops at the first seed that shows it;
// --bugs lists them.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ranges>

#include "reactor/simulated/world.h"
#include "tests/rig/host_faults.h"
#include "tests/streams/cluster.h"
#include "tests/streams/node.h"
#include "tests/tools/seed_runs.h"

namespace posthaste::streams {
namespace {

using reactor::Duration;
using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::Random;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;
using namespace std::chrono_literals;

constexpr size_t kBrokerPoolBytes = 4 << 20;  // of each core
constexpr reactor::HostOptions kSmall{.cores = 1, .pool_bytes_per_core = 64 << 10};
constexpr Duration kLoad = 12s;
constexpr Duration kFaultEveryMin = 50ms;  // drawn once for a seed
constexpr Duration kFaultEveryMax = 1500ms;
constexpr Duration kLookEvery = 20ms;
constexpr Duration kFinishPatience = 30s;  // a healed world needs a few seconds

// Of one seed, or of all.
struct Outcome : tests::SeedOutcome {
  uint64_t acknowledged = 0;
  uint64_t terms = 0;
  uint64_t cuts = 0;
  uint64_t resets = 0;
  uint64_t bytes = 0;
  uint64_t far = 0;
  uint64_t close = 0;
  uint64_t wipes = 0;
  uint64_t joins = 0;
  uint64_t leaves = 0;
  uint64_t refusals = 0;
  uint64_t moves = 0;
  rig::FaultCounts faults{};
};

class Run {
 public:
  Run(uint64_t seed, bool verbose)
      : world_(seed, options_for(seed, verbose)),
        random_(world_.random()),
        cluster_(random_, static_cast<uint32_t>(random_.between(3, 5)), static_cast<uint32_t>(random_.between(1, 3))) {
    for (uint32_t i = 0; i < cluster_.nodes(); ++i) {
      const reactor::HostOptions options{.cores = static_cast<reactor::CoreId>(cluster_.cores(i)),
                                         .pool_bytes_per_core = kBrokerPoolBytes};
      hosts_.push_back(&world_.add_host(options, node_ip(i), [this, i](reactor::Core& core) {
        return run_node(core, cluster_, i, cluster_.life_of(i, core));
      }));
    }
    coordinator_ =
        &world_.add_host(kSmall, "10.0.1.1", [this](reactor::Core& core) { return run_coordinator(core, cluster_); });
    const auto producers = static_cast<uint32_t>(cluster_.partitions() + random_.below(4));
    clients_ = &world_.add_host(
        kSmall, "10.0.1.2", [this, producers](reactor::Core& core) { return run_clients(core, cluster_, producers); });
    election_every_ = static_cast<uint64_t>(random_.between(2, 40));
    wipe_every_ = random_.below(2) == 0 ? 0 : static_cast<uint64_t>(random_.between(4, 40));
    cluster_.deletes = random_.below(3) == 0;
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  // What runs on the hosts speaks of the cluster to its last moment, and the world goes after it.
  ~Run() {
    for (size_t i = 0; i < world_.host_count(); ++i) world_.host(i).kill();
  }

  Outcome run() {
    Outcome outcome;
    outcome.failure = play(outcome.faults);
    if (outcome.failure) *outcome.failure += "\n" + world_.log_tail();
    outcome.trace_hash = world_.trace_hash();
    outcome.acknowledged = cluster_.acknowledged;
    outcome.cuts = cluster_.cuts;
    outcome.resets = cluster_.resets;
    outcome.bytes = cluster_.bytes;
    outcome.far = cluster_.far;
    outcome.close = cluster_.close;
    outcome.wipes = cluster_.wipes;
    outcome.joins = cluster_.joins;
    outcome.leaves = cluster_.leaves;
    outcome.refusals = cluster_.refusals;
    outcome.moves = cluster_.moves;
    for (uint32_t i = 0; i < cluster_.partitions(); ++i) {
      outcome.terms += static_cast<uint64_t>(cluster_.assignment(i).leader_epoch) + 1;
    }
    return outcome;
  }

 private:
  static WorldOptions options_for(uint64_t seed, bool verbose) {
    WorldOptions options = WorldOptions::swarm(seed);
    options.silence_timeout = 3s;
    options.connect_timeout = 1s;
    options.log_to_stdout = verbose;
    return options;
  }

  std::optional<std::string> play(rig::FaultCounts& counts) {
    rig::HostFaults faults(
        world_, {.mortal = hosts_, .others = {coordinator_, clients_}}, [this](size_t node) { hosts_[node]->start(); },
        [](size_t) {});
    coordinator_->start();
    for (Host* host : hosts_) host->start();
    clients_->start();
    const auto every = Duration(random_.between(kFaultEveryMin.count(), kFaultEveryMax.count()));
    while (world_.elapsed() < kLoad && !wrong()) {
      const Duration until = world_.elapsed() + every;
      while (world_.elapsed() < until && !wrong()) look_after(kLookEvery);
      if (random_.below(election_every_) == 0)
        cluster_.elect(static_cast<uint32_t>(random_.below(cluster_.partitions())));
      if (wipe_every_ > 0 && random_.below(wipe_every_) == 0) wipe(static_cast<uint32_t>(random_.below(hosts_.size())));
      faults.disturb();
      cluster_.look();
    }
    counts = faults.counts();
    if (wrong()) return wrong();
    faults.heal();
    return finish();
  }

  // The machine comes back with an empty disk: at once, half of the time, so that what it said before is still under
  // way.
  void wipe(uint32_t node) {
    if (!cluster_.may_wipe(node)) return;
    cluster_.wiped(node);
    if (hosts_[node]->machine_is_on()) hosts_[node]->power_off();
    hosts_[node]->replace_disk();
    if (random_.below(2) == 0) hosts_[node]->start();
  }

  void look_after(Duration duration) {
    world_.run_for(duration);
    cluster_.look();
  }

  std::optional<std::string> wrong() {
    if (const auto violated = cluster_.violated()) return violated;
    if (cluster_.fuses > 0) return "a follower was asked to cut its log below its high watermark";
    for (const Host* host : hosts_) {
      if (host->state() == HostState::kFatal) return "fatal: " + host->fatal_message();
      if (host->state() == HostState::kStopped) return "a broker ended by itself";
    }
    return std::nullopt;
  }

  std::optional<std::string> finish() {
    cluster_.load_over = true;
    const Duration end = world_.elapsed() + kFinishPatience;
    while (!wrong() && world_.elapsed() < end && !(cluster_.producers == 0 && is_quiet())) look_after(kLookEvery);
    if (wrong()) return wrong();
    if (cluster_.producers > 0 || !is_quiet()) {
      return fmt::format("liveness: {} producers wait {} s after everything healed, and the replicas are {}: {}",
                         cluster_.producers, kFinishPatience / 1s, is_quiet() ? "quiet" : "not at one", describe());
    }
    return compare();
  }

  bool is_quiet() const {
    if (!cluster_.all_live()) return false;
    for (uint32_t i = 0; i < cluster_.partitions(); ++i) {
      const rig::ReplicaState first = cluster_.node_of(0, i)->positions(i);
      for (uint32_t id = 0; id < cluster_.nodes(); ++id) {
        if (!cluster_.node_of(id, i)->is_quiet(i, first.end)) return false;
      }
    }
    return true;
  }

  std::string describe() const {
    std::string text;
    for (uint32_t i = 0; i < cluster_.partitions(); ++i) {
      for (uint32_t id = 0; id < cluster_.nodes(); ++id) {
        const Node* const node = cluster_.node_of(id, i);
        if (node == nullptr) continue;
        const rig::ReplicaState state = node->positions(i);
        text += fmt::format("\n  partition {} broker {}: epoch {}{} start {} high watermark {} durable {} end {}", i,
                            id, state.leader_epoch, state.leads ? " leads" : "", state.log_start, state.high_watermark,
                            state.durable, state.end);
      }
    }
    return text;
  }

  // All of each log, read anew. What an earlier leader has deleted, and the present one has not heard of, is gone on
  // some only: nobody was told that it is.
  std::optional<std::string> compare() {
    const size_t nodes = cluster_.nodes();
    std::vector<std::vector<std::vector<rig::ReplicaRecord>>> logs(nodes);
    size_t left = nodes * cluster_.partitions();
    for (uint32_t id = 0; id < nodes; ++id) {
      logs[id].resize(cluster_.partitions());
      for (uint32_t i = 0; i < cluster_.partitions(); ++i) {
        Node& node = *cluster_.node_of(id, i);
        node.tasks().spawn_job(read_log(node, i, logs[id][i], left));
        hosts_[id]->wake(static_cast<reactor::CoreId>(cluster_.core_of(id, i)));
      }
    }
    if (!world_.run_until([&] { return left == 0; }, kFinishPatience)) return "the logs cannot be read at the end";
    for (uint32_t i = 0; i < cluster_.partitions(); ++i) {
      std::vector<rig::ReplicaState> states;
      for (uint32_t id = 0; id < nodes; ++id) {
        states.push_back(cluster_.node_of(id, i)->positions(i));
        // Its log start may have followed the leader's since it was read.
        std::erase_if(logs[id][i], [&](const auto& record) { return record.offset < states.back().log_start; });
        states.back().log = logs[id][i];
      }
      cluster_.checker(i).converged(states);
      for (const rig::ReplicaState& state : states) {
        if (!are_alike(state, states[0])) return fmt::format("partition {}: two logs differ", i);
      }
    }
    return wrong();
  }
  static bool are_alike(const rig::ReplicaState& one, const rig::ReplicaState& other) {
    const int64_t from = std::max(one.log_start, other.log_start);
    const auto is_before = [from](const rig::ReplicaRecord& record) { return record.offset < from; };
    return std::ranges::equal(one.log | std::views::drop_while(is_before),
                              other.log | std::views::drop_while(is_before));
  }
  static reactor::Task<void> read_log(Node& node, uint32_t partition, std::vector<rig::ReplicaRecord>& log,
                                      size_t& left) {
    co_await node.read_all(partition, log);
    --left;
  }

  World world_;
  Random& random_;
  Cluster cluster_;
  std::vector<Host*> hosts_;
  Host* coordinator_ = nullptr;
  Host* clients_ = nullptr;
  uint64_t election_every_ = 1;
  uint64_t wipe_every_ = 0;
};

class Program {
 public:
  explicit Program(const tests::SeedSettings& settings) : settings_(settings) {}

  Outcome run(uint64_t seed) { return Run(seed, settings_.verbose).run(); }
  void add(const Outcome& outcome) {
    total_.acknowledged += outcome.acknowledged;
    total_.terms += outcome.terms;
    total_.cuts += outcome.cuts;
    total_.resets += outcome.resets;
    total_.bytes += outcome.bytes;
    total_.far += outcome.far;
    total_.close += outcome.close;
    total_.wipes += outcome.wipes;
    total_.joins += outcome.joins;
    total_.leaves += outcome.leaves;
    total_.refusals += outcome.refusals;
    total_.moves += outcome.moves;
    rig::add(total_.faults, outcome.faults);
  }
  std::string totals() const {
    return fmt::format(
        "{} batches acknowledged, {} MB streamed, {} terms, {} cuts, {} resets, {} far behind, {} caught up, {} empty "
        "disks, {} joined and {} left in-sync sets, {} of which were refused; {} found on other cores; {}",
        total_.acknowledged, total_.bytes / 1'000'000, total_.terms, total_.cuts, total_.resets, total_.far,
        total_.close, total_.wipes, total_.joins, total_.leaves, total_.refusals, total_.moves,
        rig::describe(total_.faults));
  }

 private:
  const tests::SeedSettings& settings_;
  Outcome total_;
};

}  // namespace
}  // namespace posthaste::streams

int main(int argc, char** argv) {
  using namespace posthaste;
  return tests::run_seed_program<streams::Program>(argc, argv, reactor::kStreams);
}
