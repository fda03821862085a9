// Two readers of a simulated run (models.h), when everything has healed: a session that reads all partitions in small
// answers, none of which may starve; and a crowd that waits for records with large requests, beside which a producer
// must be answered. Nothing here is drawn.
#include <fmt/format.h>

#include <algorithm>

#include "net/kafka/fetch.h"
#include "tests/simulation/kafka_client.h"
#include "tests/simulation/models.h"
#include "tests/simulation/produce.h"

namespace posthaste::simulation {

using net::kafka::ErrorCode;
using net::kafka::FetchRequest;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

constexpr int16_t kFetchVersion = 12;
constexpr reactor::Duration kPatience = 5s;

// One session over all partitions. Each answer holds one batch; whose it is goes round.
class SessionReader {
 public:
  SessionReader(reactor::Core& core, Models& models)
      : core_(core), models_(models), client_(core, models.broker_address, "session-reader", models.oracle) {}

  Task<void> run() {
    for (const Topic& topic : models_.topics) {
      for (int32_t i = 0; i < topic.partitions; ++i) {
        const PartitionName name{topic.name, i};
        logs_[name].end = co_await detail::find_end(core_, client_, name);
      }
    }
    // Each partition is the first of its core, and its core the first of an answer, once in so many answers; there may
    // be no memory then, so it gets a second turn.
    rounds_max_ = 2 * models_.broker_cores * logs_.size();
    for (size_t round = 0; round < 2 * rounds_max_ && !over(); ++round) co_await fetch();
    co_await client_.close();
  }

 private:
  struct Log {
    int64_t position = 0;
    int64_t end = 0;
    int64_t told = -1;  // the position that the session knows
    size_t waited = 0;  // answers in turn with records, but none of it
  };

  bool over() const {
    return models_.oracle.violated() ||
           std::ranges::none_of(logs_, [](const auto& entry) { return entry.second.position < entry.second.end; });
  }

  Task<void> fetch() {
    FetchRequest request{.max_wait_ms = 0, .min_bytes = 0, .max_bytes = 1};
    request.session_id = session_;
    request.session_epoch = epoch_;
    for (auto& [name, log] : logs_) {
      if (std::exchange(log.told, log.position) == log.position) continue;
      request.topics.push_back({.topic = name.topic});
      request.topics.back().partitions.push_back(
          {.partition = name.index, .fetch_offset = log.position, .partition_max_bytes = 1});
    }
    const auto answer = co_await client_.call(request, kFetchVersion, kPatience);
    if (!answer || answer->body.error_code != ErrorCode::kNone || answer->body.session_id == 0) {
      begin_anew();
      co_return;
    }
    session_ = answer->body.session_id;
    ++epoch_;
    take(answer->body);
  }

  void begin_anew() {
    session_ = epoch_ = 0;
    for (auto& [name, log] : logs_) log = {.position = log.position, .end = log.end};
  }

  void take(const net::kafka::FetchResponse& answer) {
    const bool is_empty = std::ranges::all_of(answer.responses, [](const auto& topic) {
      return std::ranges::all_of(topic.partitions, [](const auto& each) { return each.records.size() == 0; });
    });
    if (is_empty) return;  // there was no memory for it
    for (auto& [name, log] : logs_) ++log.waited;
    for (const auto& topic : answer.responses) {
      for (const auto& partition : topic.partitions) {
        Log& log = logs_.at({std::string(topic.topic), partition.partition_index});
        for (storage::BatchCursor cursor(partition.records.whole); auto batch = cursor.next();) {
          log.position = batch->next_offset();
          log.waited = 0;
        }
      }
    }
    for (auto& [name, log] : logs_) {
      if (log.position >= log.end || log.waited <= rounds_max_) continue;
      models_.oracle.violation(
          fmt::format("{}-{}: {} answers of a session in turn hold records, but none of it; it is at {} of {}",
                      name.topic, name.index, log.waited, log.position, log.end));
    }
  }

  reactor::Core& core_;
  Models& models_;
  KafkaClient client_;
  std::map<PartitionName, Log> logs_;
  int32_t session_ = 0;
  int32_t epoch_ = 0;
  size_t rounds_max_ = 0;
};

// More than the memory for small requests of every core, if those who wait keep theirs.
class WaitingCrowd {
 public:
  WaitingCrowd(reactor::Core& core, Models& models) : core_(core), models_(models) {}

  Task<void> run() {
    KafkaClient client(core_, models_.broker_address, "crowd-end", models_.oracle);
    end_ = co_await detail::find_end(core_, client, watched_);
    co_await client.close();
    reactor::TaskScope scope(core_);
    for (uint32_t i = 0; i < kReadersPerCore * models_.broker_cores; ++i) scope.spawn(wait_for_records());
    co_await core_.sleep(kSettle);
    // Connections go to the core that has the fewest: one for each.
    for (uint32_t i = 0; i < models_.broker_cores; ++i) scope.spawn(produce(i));
    co_await scope.join();
  }

 private:
  static constexpr uint32_t kReadersPerCore = 18;
  static constexpr size_t kForgotten = 8500;  // partitions that a reader names besides: 34 KB, nothing of which is kept
  static constexpr reactor::Duration kSettle = 2s;
  static constexpr reactor::Duration kDelayMax = 3s;
  static constexpr reactor::Duration kReadersPatience = 8s;
  static constexpr reactor::Duration kWait = 20s;
  static constexpr size_t kPayloadBytes = 2000;  // more than has its place in a connection

  Task<void> wait_for_records() {
    KafkaClient client(core_, models_.broker_address, "crowd", models_.oracle);
    FetchRequest request{.max_wait_ms = static_cast<int32_t>(kWait / 1ms), .min_bytes = 1 << 20, .max_bytes = 1 << 20};
    request.session_epoch = -1;
    request.topics.push_back({.topic = watched_.topic});
    request.topics.back().partitions.push_back(
        {.partition = watched_.index, .fetch_offset = end_, .partition_max_bytes = 1 << 20});
    request.forgotten_topics_data.push_back({.topic = watched_.topic});
    request.forgotten_topics_data.back().partitions.resize(kForgotten);
    (void)co_await client.call(request, kFetchVersion, kReadersPatience);
    co_await client.close();
  }

  Task<void> produce(uint32_t number) {
    const PartitionName partition{models_.topics[1].name, 0};
    const std::string payload = fmt::format("crowd.{}", number) + std::string(kPayloadBytes, '.');
    const storage::Bytes batch = detail::batch_of_one(core_, payload);
    const auto request = detail::produce_request(partition, batch, detail::kAcksAll);
    KafkaClient client(core_, models_.broker_address, "crowd-producer", models_.oracle);
    const reactor::Instant asked = core_.now();
    const auto answer = co_await client.call(request, detail::kProduceVersion, kReadersPatience);
    if (core_.now() - asked > kDelayMax) {
      models_.oracle.violation(
          fmt::format("a produce beside readers that wait took {} ms", (core_.now() - asked).count() / 1'000'000));
    }
    // Else a reset that was on its way when the world healed: whether it is there is not known.
    const auto written = answer ? detail::only_partition(answer->body, partition) : std::nullopt;
    if (written && written->error_code == ErrorCode::kNone) {
      models_.oracle.acked(partition, written->base_offset, payload);
    }
    co_await client.close();
  }

  reactor::Core& core_;
  Models& models_;
  const PartitionName watched_{models_.topics[0].name, 0};
  int64_t end_ = 0;
};

}  // namespace

Task<void> session_reader(reactor::Core& core, Models& models) {
  SessionReader model(core, models);
  co_await model.run();
}

Task<void> waiting_crowd(reactor::Core& core, Models& models) {
  WaitingCrowd model(core, models);
  co_await model.run();
}

}  // namespace posthaste::simulation
