// The long poll of a simulated run (models.h): a reader that waits for records, and a writer that sends one at a moment
// around the beginning of that wait. It runs when everything has healed, so that a limit on the delay is fair.
#include <fmt/format.h>

#include "net/kafka/fetch.h"
#include "net/kafka/offsets.h"
#include "tests/simulation/kafka_client.h"
#include "tests/simulation/models.h"
#include "tests/simulation/produce.h"

namespace posthaste::simulation {

using detail::below;
using net::kafka::ErrorCode;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

constexpr int16_t kFetchVersion = 12;
constexpr int16_t kListOffsetsVersion = 7;
constexpr int kRounds = 8;
constexpr reactor::Duration kWait = 20s;
constexpr reactor::Duration kPatience = 40s;
constexpr reactor::Duration kDelayMax = 3s;  // far more than a healthy broker needs, far less than the wait
constexpr uint64_t kRaceMicroseconds = 1500;

class LongPoll {
 public:
  LongPoll(reactor::Core& core, Models& models)
      : core_(core),
        models_(models),
        random_(detail::seeded(core)),
        reader_(core, models.broker_address, "long-poll-reader", models.oracle),
        writer_(core, models.broker_address, "long-poll-writer", models.oracle) {}

  Task<void> run() {
    for (const Topic& topic : models_.topics) {
      for (int32_t i = 0; i < topic.partitions; ++i) {
        const PartitionName name{topic.name, i};
        ends_[name] = co_await detail::find_end(core_, reader_, name);
      }
    }
    for (int round = 0; round < kRounds && !models_.oracle.violated(); ++round) {
      written_ = {};
      answered_ = {};
      reactor::TaskScope scope(core_);
      scope.spawn(read());
      scope.spawn(write(round));
      co_await scope.join();
      if (!written_ || !answered_) continue;  // a reset that was on its way when the world healed
      if (*answered_ - *written_ > kDelayMax) {
        models_.oracle.violation(fmt::format("a fetch that waited was answered {} ms after a record was acknowledged",
                                             (*answered_ - *written_).count() / 1'000'000));
      }
    }
    co_await reader_.close();
    co_await writer_.close();
  }

 private:
  Task<void> read() {
    net::kafka::FetchRequest request{
        .max_wait_ms = static_cast<int32_t>(kWait / 1ms), .min_bytes = 1, .max_bytes = 1 << 20};
    for (const Topic& topic : models_.topics) {
      auto& asked = request.topics.emplace_back();
      asked.topic = topic.name;
      for (int32_t i = 0; i < topic.partitions; ++i) {
        asked.partitions.push_back(
            {.partition = i, .fetch_offset = ends_[{topic.name, i}], .partition_max_bytes = 1 << 20});
      }
    }
    auto answer = co_await reader_.call(request, kFetchVersion, kPatience);
    if (answer) answered_ = core_.now();
  }

  Task<void> write(int round) {
    co_await core_.sleep(reactor::Duration(std::chrono::microseconds(below(random_, kRaceMicroseconds))));
    const PartitionName partition = detail::any_partition(models_, random_);
    const std::string payload = fmt::format("long-poll.{}", round);
    const storage::Bytes batch = detail::batch_of_one(core_, payload);
    const auto request = detail::produce_request(partition, batch, detail::kAcksAll);
    const auto answer = co_await writer_.call(request, detail::kProduceVersion, kPatience);
    if (!answer) co_return;
    const auto written = detail::only_partition(answer->body, partition);
    if (!written || written->error_code != ErrorCode::kNone) co_return;
    models_.oracle.acked(partition, written->base_offset, payload);
    ends_[partition] = written->base_offset + 1;
    written_ = core_.now();
  }

  reactor::Core& core_;
  Models& models_;
  std::mt19937_64 random_;
  KafkaClient reader_;
  KafkaClient writer_;
  std::map<PartitionName, int64_t> ends_;
  std::optional<reactor::Instant> written_;
  std::optional<reactor::Instant> answered_;
};

}  // namespace

Task<int64_t> detail::find_end(reactor::Core& core, KafkaClient& client, PartitionName partition) {
  net::kafka::ListOffsetsRequest request{.replica_id = -1};
  request.topics.push_back({.name = partition.topic});
  request.topics.back().partitions.push_back({.partition_index = partition.index, .timestamp = -1});
  for (;;) {
    auto answer = co_await client.call(request, kListOffsetsVersion, kPatience);
    if (answer && answer->body.topics.size() == 1 && answer->body.topics[0].partitions.size() == 1 &&
        answer->body.topics[0].partitions[0].error_code == ErrorCode::kNone) {
      co_return answer->body.topics[0].partitions[0].offset;
    }
    co_await core.sleep(100ms);
  }
}

Task<void> long_poller(reactor::Core& core, Models& models) {
  LongPoll model(core, models);
  co_await model.run();
}

}  // namespace posthaste::simulation
