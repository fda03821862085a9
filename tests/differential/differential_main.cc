// posthaste-differential: the same random sequences against Apache Kafka and Posthaste (docs/testing.md).
//
// usage: posthaste-differential --kafka HOST:PORT --posthaste HOST:PORT [--verbose] [--every-row] [FIRST [COUNT]]
//        posthaste-differential --table          the accepted differences as docs/differences.md has them
//
// --every-row: fail when a row of the accepted differences was never used. --verbose: every step of every sequence.
// Last line: N passed, M failed.
#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "tests/differential/runner.h"
#include "tests/tools/seed_arguments.h"

namespace {

using namespace posthaste::differential;
using posthaste::tests::SeedArguments;

// Sequences that run side by side: most of their time is waiting.
constexpr int kThreads = 10;

std::optional<Address> parse_address(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  Address address{.host = text.substr(0, colon)};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, address.port);
  return parsed.ec == std::errc() && parsed.ptr == end ? std::optional(address) : std::nullopt;
}

int64_t wall_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

// What kind of difference it is: of many sequences that fail for one cause, one is shown.
std::string kind_of(const Failure& failure) {
  const Difference& first = failure.differences.front();
  const auto shortened = [](const std::string& text) { return text.substr(0, 60); };
  return fmt::format("{} {}: Kafka {}, Posthaste {}", posthaste::net::kafka::to_string(failure.step->api), first.field,
                     shortened(first.kafka), shortened(first.posthaste));
}

bool same(const Failure& a, const Failure& b) {
  return a.step->number == b.step->number && a.differences.front().field == b.differences.front().field;
}

class Campaign {
 public:
  Campaign(Setting setting, SeedArguments seeds) : setting_(std::move(setting)), seeds_(seeds), next_(seeds.first) {}

  void run() {
    std::vector<std::jthread> threads;
    const auto count = static_cast<int>(std::min<uint64_t>(kThreads, seeds_.count));
    threads.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) threads.emplace_back([this, i] { work(i); });
  }
  int finish(bool every_row) {
    for (const AcceptedDifference& row : accepted_differences()) {
      if (used_.contains(&row)) continue;
      fmt::print("not used: {} v{}-{} {}[{}] {} / {} {}\n", posthaste::net::kafka::to_string(row.api),
                 row.first_version, row.last_version, row.field, row.element, row.kafka, row.posthaste, row.condition);
      if (every_row) ++failed_;
    }
    for (const auto& [kind, times] : kinds_) fmt::print("{:5} times {}\n", times, kind);
    fmt::print("{} steps compared\n{} passed, {} failed\n", steps_, passed_, failed_);
    return failed_ == 0 && passed_ > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }

 private:
  std::string prefix(uint64_t seed, int attempt) const {
    return fmt::format("d{:x}-{}-{}-", setting_.run_start_ms & 0xFFFFFF, seed, attempt);
  }

  void work(int thread) {
    KafkaBarrier barrier(setting_.brokers.kafka, fmt::format("barrier-{:x}-{}", setting_.run_start_ms, thread));
    for (;;) {
      const uint64_t seed = next_++;
      if (seed >= seeds_.first + seeds_.count) return;
      const Sequence sequence = make_sequence(seed, setting_.versions, base_time());
      const Result result = run_sequence(setting_, sequence, prefix(seed, 0), barrier);
      if (!count(result)) continue;
      const std::string text = explain(seed, sequence, *result.failure, barrier);
      const std::lock_guard lock(mutex_);
      fmt::print("{}", text);
      std::fflush(stdout);
    }
  }

  // A day before the run.
  int64_t base_time() const { return setting_.run_start_ms - 24 * 3'600'000; }

  // Whether it failed in a way that is not shown yet.
  bool count(const Result& result) {
    const std::lock_guard lock(mutex_);
    used_.insert(result.accepted.begin(), result.accepted.end());
    steps_ += result.steps;
    ++(result.failure ? failed_ : passed_);
    return result.failure && ++kinds_[kind_of(*result.failure)] == 1;
  }

  // The failure with the fewest steps that still lead to it.
  std::string explain(uint64_t seed, const Sequence& sequence, const Failure& failure, KafkaBarrier& barrier) const {
    Setting quiet = setting_;
    quiet.verbose = false;
    std::set<size_t> left_out;
    const auto last = static_cast<size_t>(failure.last);
    for (size_t i = last + 1; i < sequence.size(); ++i) left_out.insert(i);
    int attempt = 0;
    // Ever smaller pieces are left out, as long as it fails in the same way.
    for (size_t piece = std::max<size_t>(last / 2, 1); piece > 0; piece /= 2) {
      for (size_t at = 0; at <= last; at += piece) {
        std::set<size_t> without = left_out;
        for (size_t i = at; i < std::min(at + piece, last + 1); ++i) without.insert(i);
        without.erase(static_cast<size_t>(failure.step->number));
        if (without.size() == left_out.size()) continue;
        const Result again = run_sequence(quiet, sequence, prefix(seed, ++attempt), barrier, without);
        if (again.failure && same(*again.failure, failure)) left_out = std::move(without);
      }
    }
    std::string text = fmt::format("\nFAILED: seed {}, step {}\n", seed, failure.step->number);
    for (size_t i = 0; i <= last; ++i) {
      if (left_out.contains(i)) continue;
      const Step& step = *sequence[i];
      text += fmt::format("  {} {} v{} {}\n", step.number, to_string(step.api), step.version, step.request());
      if (step.damage.any()) text += "     (damaged)\n";
    }
    for (const Difference& d : failure.differences) {
      text += fmt::format("  > {}: Kafka {}, Posthaste {}  [{}]\n", d.where, d.kafka, d.posthaste, d.field);
    }
    return text;
  }

  const Setting setting_;
  const SeedArguments seeds_;
  std::atomic<uint64_t> next_;
  std::mutex mutex_;
  uint64_t passed_ = 0;
  uint64_t failed_ = 0;
  uint64_t steps_ = 0;
  std::map<std::string, int> kinds_;
  std::set<const AcceptedDifference*> used_;
};

}  // namespace

int main(int argc, char** argv) {
  bool table = false;
  bool every_row = false;
  Setting setting;
  std::string kafka_text;
  std::string posthaste_text;
  const auto seeds = posthaste::tests::parse_seed_arguments(argc, argv,
                                                            {{"--table", &table},
                                                             {"--every-row", &every_row},
                                                             {"--verbose", &setting.verbose},
                                                             {"--kafka", nullptr, &kafka_text},
                                                             {"--posthaste", nullptr, &posthaste_text}});
  if (!seeds) return EXIT_FAILURE;
  if (table) {
    fmt::print("{}", accepted_as_markdown());
    return EXIT_SUCCESS;
  }
  const auto kafka_address = parse_address(kafka_text);
  const auto posthaste_address = parse_address(posthaste_text);
  if (!kafka_address || !posthaste_address) {
    fmt::print(stderr, "--kafka HOST:PORT and --posthaste HOST:PORT are needed\n");
    return EXIT_FAILURE;
  }
  setting.brokers = {*kafka_address, *posthaste_address};
  setting.versions = common_versions(setting.brokers);
  wait_for_coordinators(setting.brokers);
  setting.run_start_ms = wall_ms();
  Campaign campaign(std::move(setting), *seeds);
  campaign.run();
  return campaign.finish(every_row);
}
