// Durability with real processes: idempotent producers load many partitions and committers move group offsets while the
// broker is killed with SIGKILL at random moments and started again, sometimes killed once more while it recovers.
// After each round every acknowledged record must be there once, in order, at its offset, with every byte right, and no
// committed offset may have gone back. The random choices follow from the seed; how threads and processes interleave
// does not.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <random>

#include "app/cli/topic_commands.h"
#include "reactor/check.h"
#include "tests/durability/broker_process.h"
#include "tests/durability/clients.h"

namespace posthaste::durability {
namespace {

using std::chrono::milliseconds;

constexpr auto kReadyLimit = milliseconds(60'000);
constexpr auto kDrainLimit = milliseconds(60'000);
constexpr auto kReadLimit = milliseconds(120'000);
const std::string kTopic = "durability";

struct Options {
  std::string broker;
  std::string folder;
  std::string log = "durability.broker.log";
  uint64_t seed = 0;
  uint32_t rounds = 20;
  int32_t partitions = 50;
  uint32_t producers = 6;
  uint32_t groups = 4;
  std::vector<std::string> serve;
};

class Rounds {
 public:
  explicit Rounds(const Options& options)
      : options_(options),
        random_(options.seed),
        bootstrap_(fmt::format("127.0.0.1:{}", free_port(options.seed))),
        broker_(command(), options.log),
        ledger_(options.partitions) {}

  // The number of rounds that failed.
  uint32_t run() {
    start_broker();
    create_topic();
    for (uint32_t i = 0; i < options_.producers; ++i) add_producer();
    for (uint32_t i = 0; i < options_.groups; ++i) {
      committers_.push_back(
          std::make_unique<Committer>(bootstrap_, fmt::format("durability-{}", i), kTopic, options_.partitions));
    }
    uint32_t failed = 0;
    for (uint32_t round = 1; round <= options_.rounds && failed == 0; ++round) failed += run_round(round) ? 0 : 1;
    return failed;
  }

  uint64_t acknowledged() const { return ledger_.acknowledged_count(); }

 private:
  std::vector<std::string> command() const {
    std::vector<std::string> all = {options_.broker, "serve", "--data", options_.folder, "--listen", bootstrap_};
    all.insert(all.end(), options_.serve.begin(), options_.serve.end());
    return all;
  }

  milliseconds draw_milliseconds(uint64_t least, uint64_t most) {
    return milliseconds(least + random_() % (most - least + 1));
  }

  void add_producer() {
    producers_.push_back(
        std::make_unique<LoadProducer>(bootstrap_, kTopic, options_.partitions, next_producer_++, random_(), ledger_));
  }

  milliseconds start_broker() {
    broker_.start();
    const milliseconds took = broker_.wait_until_ready(bootstrap_, kReadyLimit);
    if (took.count() < 0) {
      fmt::print("the broker is not ready after {} ms, or ended; its output: {}\n", kReadyLimit.count(), options_.log);
      std::exit(1);
    }
    return took;
  }

  void create_topic() {
    auto client = app::AdminClient::open(bootstrap_, kReadyLimit);
    CHECK(client, "{}", client.error().message);
    const auto made = app::create_topic(*client, {.name = kTopic, .partitions = options_.partitions}, false);
    CHECK(made, "{}", made.error().message);
  }

  void pause(bool paused) {
    for (const auto& producer : producers_) producer->set_paused(paused);
    for (const auto& committer : committers_) committer->set_paused(paused);
  }

  // Some producers live through the death and repeat what was not acknowledged; others are abandoned with it.
  void abandon_some() {
    for (auto& producer : producers_) {
      if (random_() % 3 == 0) producer.reset();
    }
    const size_t gone = std::erase(producers_, nullptr);
    for (size_t i = 0; i < gone; ++i) add_producer();
  }

  bool run_round(uint32_t round) {
    std::this_thread::sleep_for(draw_milliseconds(100, 1200));
    const bool alive = broker_.runs();
    broker_.kill();
    if (!alive) fmt::print("the broker had ended by itself; its output: {}\n", options_.log);
    if (random_() % 2 == 0) abandon_some();
    uint32_t kills = 1;
    for (; random_() % 4 == 0; ++kills) {  // again, while it starts or recovers
      broker_.start();
      std::this_thread::sleep_for(draw_milliseconds(0, 150));
      broker_.kill();
    }
    const milliseconds ready = start_broker();
    std::this_thread::sleep_for(draw_milliseconds(0, 200));  // the clients continue before the check
    pause(true);
    std::vector<std::string> mistakes =
        alive ? std::vector<std::string>{} : std::vector<std::string>{"the broker ended by itself"};
    const auto drain_end = std::chrono::steady_clock::now() + kDrainLimit;
    for (const auto& producer : producers_) {
      if (!producer->drain(drain_end))
        mistakes.push_back(fmt::format("a producer still waits for acknowledgements after {} ms", kDrainLimit.count()));
      if (const std::string error = producer->error(); !error.empty()) mistakes.push_back(error);
    }
    size_t records = 0;
    compare(mistakes, records);
    for (const auto& committer : committers_) {
      const auto wrong = committer->check(kDrainLimit);
      mistakes.insert(mistakes.end(), wrong.begin(), wrong.end());
    }
    fmt::print(
        "round {}: killed {} time{}, ready after {} ms, {} records sent, {} acknowledged, {} read, commits up to "
        "{}{}\n",
        round, kills, kills == 1 ? "" : "s", ready.count(), ledger_.sent_count(), ledger_.acknowledged_count(), records,
        committers_.empty() ? 0 : committers_.front()->acknowledged(), mistakes.empty() ? "" : ": WRONG");
    for (const std::string& mistake : mistakes) fmt::print("  {}\n", mistake);
    std::fflush(stdout);
    pause(false);
    return mistakes.empty();
  }

  void compare(std::vector<std::string>& mistakes, size_t& records) {
    const std::optional<ReadLog> log = read_everything(bootstrap_, kTopic, options_.partitions, kReadLimit);
    if (!log) {
      mistakes.push_back(fmt::format("the end of all partitions was not reached within {} ms", kReadLimit.count()));
      return;
    }
    for (int32_t partition = 0; partition < options_.partitions; ++partition) {
      const std::vector<Ledger::Found>& found = log->at(static_cast<size_t>(partition));
      records += found.size();
      const auto wrong = ledger_.compare(partition, found);
      mistakes.insert(mistakes.end(), wrong.begin(), wrong.end());
    }
  }

  const Options& options_;
  std::mt19937_64 random_;
  std::string bootstrap_;
  BrokerProcess broker_;
  Ledger ledger_;
  uint32_t next_producer_ = 0;
  std::vector<std::unique_ptr<LoadProducer>> producers_;
  std::vector<std::unique_ptr<Committer>> committers_;
};

int main_with(const Options& options) {
  fmt::print("seed {}: {} rounds, {} producers, {} partitions, {} groups\n", options.seed, options.rounds,
             options.producers, options.partitions, options.groups);
  std::fflush(stdout);
  Rounds rounds(options);
  const uint32_t failed = rounds.run();
  if (failed > 0) fmt::print("repeat with --seed {}; the data folder is kept: {}\n", options.seed, options.folder);
  if (failed == 0 && rounds.acknowledged() == 0) fmt::print("nothing was ever acknowledged\n");
  const bool good = failed == 0 && rounds.acknowledged() > 0;
  fmt::print("{} passed, {} failed\n", good ? options.rounds : 0, good ? 0 : 1);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace posthaste::durability

int main(int argc, char** argv) {
  posthaste::durability::Options options;
  options.seed = std::random_device{}();
  CLI::App app("Durability with real processes: load, SIGKILL, restart, compare");
  app.add_option("--broker", options.broker, "the posthaste binary")->required();
  app.add_option("--data", options.folder, "data folder for the broker (empty or new)")->required();
  app.add_option("--log", options.log, "where the broker's output goes");
  app.add_option("--seed", options.seed, "seed of all random choices (default: a new one)");
  app.add_option("--rounds", options.rounds);
  app.add_option("--partitions", options.partitions);
  app.add_option("--producers", options.producers);
  app.add_option("--groups", options.groups);
  app.add_option("--serve", options.serve, "further arguments of `posthaste serve`");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // CLI11's way to end
    return app.exit(error);
  }
  return posthaste::durability::main_with(options);
}
