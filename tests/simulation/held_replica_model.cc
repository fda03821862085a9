// Of a simulated run (models.h): the replica of a partition is held back by an in-sync one that acknowledges nothing,
// and loses its role, while a producer and a reader wait for it. What was not safe must not be shown or acknowledged,
// and every waiter must get an answer soon. It runs when everything has healed, so that limits are fair.
#include <fmt/format.h>

#include "net/kafka/fetch.h"
#include "tests/simulation/kafka_client.h"
#include "tests/simulation/models.h"
#include "tests/simulation/produce.h"

namespace posthaste::simulation {

using detail::kAcksAll;
using detail::kAcksLeader;
using net::kafka::ErrorCode;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

constexpr int16_t kFetchVersion = 12;
constexpr int kRounds = 3;
constexpr reactor::Duration kWait = 20s;
constexpr reactor::Duration kPatience = 40s;
constexpr reactor::Duration kProduceTimeout = 30s;
constexpr reactor::Duration kUntilAllWait = 500ms;
constexpr reactor::Duration kDelayMax = 3s;  // far more than a healthy broker needs, far less than the wait

class HeldReplica {
 public:
  HeldReplica(reactor::Core& core, Models& models)
      : core_(core),
        models_(models),
        random_(detail::seeded(core)),
        reader_(core, models.broker_address, "held-reader", models.oracle),
        writer_(core, models.broker_address, "held-writer", models.oracle),
        late_writer_(core, models.broker_address, "late-writer", models.oracle) {}

  Task<void> run() {
    for (int round = 0; round < kRounds && !models_.oracle.violated(); ++round) {
      partition_ = detail::any_partition(models_, random_);
      co_await shown_when_safe(fmt::format("held.{}", round));
      co_await told_when_the_role_ends(fmt::format("ended.{}", round));
    }
    co_await reader_.close();
    co_await writer_.close();
    co_await late_writer_.close();
  }

 private:
  struct Outcome {
    bool is_answered = false;  // not, when the connection was lost: a reset that was on its way when the world healed
    ErrorCode error = ErrorCode::kNone;
    int64_t offset = -1;    // of a produce
    size_t bytes = 0;       // of a fetch
    reactor::Instant at{};  // the answer came
  };

  void wrong(std::string_view what) {
    models_.oracle.violation(fmt::format("{}-{}: {}", partition_.topic, partition_.index, what));
  }

  Task<void> write(KafkaClient& client, std::string payload, int16_t acks, Outcome& outcome) {
    const storage::Bytes batch = detail::batch_of_one(core_, payload);
    const auto request = detail::produce_request(partition_, batch, acks, kProduceTimeout);
    const auto answer = co_await client.call(request, detail::kProduceVersion, kPatience);
    if (!answer) co_return;
    const auto result = detail::only_partition(answer->body, partition_);
    if (!result) co_return;
    outcome = {.is_answered = true, .error = result->error_code, .offset = result->base_offset, .at = core_.now()};
  }

  Task<void> read(int64_t offset, Outcome& outcome) {
    net::kafka::FetchRequest request{
        .max_wait_ms = static_cast<int32_t>(kWait / 1ms), .min_bytes = 1, .max_bytes = 1 << 20};
    request.topics.push_back({.topic = partition_.topic});
    request.topics.back().partitions.push_back(
        {.partition = partition_.index, .fetch_offset = offset, .partition_max_bytes = 1 << 20});
    auto answer = co_await reader_.call(request, kFetchVersion, kPatience);
    if (!answer || answer->body.responses.size() != 1) co_return;
    const auto& result = answer->body.responses[0].partitions.at(0);
    outcome = {
        .is_answered = true, .error = result.error_code, .bytes = result.records.whole.size(), .at = core_.now()};
  }

  // A record that is on the leader's disk alone is not shown; once it is safe, its waiters are answered.
  Task<void> shown_when_safe(std::string payload) {
    const int64_t end = co_await detail::find_end(core_, reader_, partition_);
    models_.set_replica(partition_, ReplicaState::kHeldBack);
    Outcome written;
    co_await write(writer_, payload, kAcksLeader, written);
    Outcome fetched;
    reactor::TaskScope scope(core_);
    scope.spawn(read(end, fetched));
    co_await core_.sleep(kUntilAllWait);
    if (fetched.is_answered && fetched.bytes > 0) wrong("a record is shown that is not safe");
    const reactor::Instant safe_at = core_.now();
    models_.set_replica(partition_, ReplicaState::kLeader);
    co_await scope.join();
    if (!written.is_answered || written.error != ErrorCode::kNone) co_return;
    models_.oracle.acked(partition_, written.offset, payload);
    if (fetched.is_answered && fetched.at > safe_at + kDelayMax) {
      wrong(fmt::format("a fetch that waited was answered {} ms after what it waited for was safe",
                        (fetched.at - safe_at).count() / 1'000'000));
    }
  }

  void expect_told(const Outcome& outcome, std::string_view who, reactor::Instant ended_at) {
    if (!outcome.is_answered) return;
    if (outcome.error != ErrorCode::kNotLeaderOrFollower) {
      wrong(fmt::format("{} was answered with error {} though the leader's role had ended", who,
                        static_cast<int>(outcome.error)));
    }
    if (outcome.at > ended_at + kDelayMax) {
      wrong(fmt::format("{} was told {} ms after the leader's role had ended", who,
                        (outcome.at - ended_at).count() / 1'000'000));
    }
  }

  // Waiters get an answer at once when a role ends, and later requests are not served.
  Task<void> told_when_the_role_ends(std::string payload) {
    const int64_t end = co_await detail::find_end(core_, reader_, partition_);
    models_.set_replica(partition_, ReplicaState::kHeldBack);
    Outcome written;
    Outcome fetched;
    reactor::TaskScope scope(core_);
    scope.spawn(write(writer_, payload, kAcksAll, written));
    scope.spawn(read(end, fetched));
    co_await core_.sleep(kUntilAllWait);
    const reactor::Instant ended_at = core_.now();
    models_.set_replica(partition_, ReplicaState::kNone);
    Outcome late_write;
    co_await write(late_writer_, payload + ".late", kAcksLeader, late_write);
    expect_told(late_write, "a produce", ended_at);
    co_await scope.join();
    expect_told(written, "a produce that waited", ended_at);
    expect_told(fetched, "a fetch that waited", ended_at);
    models_.set_replica(partition_, ReplicaState::kLeader);
    Outcome again;
    co_await write(writer_, payload + ".again", kAcksAll, again);
    if (!again.is_answered) co_return;
    if (again.error != ErrorCode::kNone) wrong("a leader refuses a record");
    models_.oracle.acked(partition_, again.offset, payload + ".again");
  }

  reactor::Core& core_;
  Models& models_;
  std::mt19937_64 random_;
  KafkaClient reader_;
  KafkaClient writer_;
  KafkaClient late_writer_;
  PartitionName partition_;
};

}  // namespace

Task<void> held_replica(reactor::Core& core, Models& models) {
  HeldReplica model(core, models);
  co_await model.run();
}

}  // namespace posthaste::simulation
