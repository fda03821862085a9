// The producers of a simulated run (models.h).
#include <fmt/format.h>

#include <deque>
#include <set>

#include "net/kafka/producer_ids.h"
#include "net/kafka/topics.h"
#include "storage/batch/record_batch_builder.h"
#include "tests/simulation/kafka_client.h"
#include "tests/simulation/models.h"
#include "tests/simulation/produce.h"

namespace posthaste::simulation {

using detail::any_partition;
using detail::backoff;
using detail::below;
using detail::kAcksAll;
using detail::kAcksLeader;
using detail::kProduceVersion;
using net::kafka::ErrorCode;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

constexpr int16_t kInitProducerIdVersion = 4;
constexpr int16_t kCreateTopicsVersion = 7;
constexpr uint64_t kInFlightMax = 5;  // what a broker remembers per producer and partition
constexpr reactor::Duration kPatience = 5s;
constexpr reactor::Duration kImpatience = 30ms;

// Errors that a fault may cause. Stricter than Kafka's own list of retriable ones: a corrupt message, say, is a bug
// here.
bool may_happen(ErrorCode error) {
  switch (error) {
    case ErrorCode::kUnknownTopicOrPartition:
    case ErrorCode::kLeaderNotAvailable:
    case ErrorCode::kNotLeaderOrFollower:
    case ErrorCode::kRequestTimedOut:
    case ErrorCode::kNotEnoughReplicas:
    case ErrorCode::kKafkaStorageError:
    case ErrorCode::kCoordinatorNotAvailable:
    case ErrorCode::kCoordinatorLoadInProgress:
      return true;
    default:
      return false;
  }
}

struct Batch {
  PartitionName partition;
  std::vector<std::string> payloads;
  storage::Bytes bytes;
};

// Payloads are mostly short, now and then as large as several blocks: both sides of every block boundary get visited.
std::string payload(std::mt19937_64& random, const std::string& name) {
  constexpr uint64_t kLargeBytes = 20'000;
  const uint64_t kind = below(random, 20);
  const uint64_t padding = kind == 0 ? below(random, kLargeBytes) : kind < 4 ? below(random, 1500) : below(random, 60);
  return name + std::string(padding, '.');
}

Batch make_batch(reactor::Core& core, std::mt19937_64& random, const PartitionName& partition,
                 const storage::BatchToWrite& header, const std::string& prefix) {
  Batch batch{.partition = partition, .payloads = {}, .bytes = {}};
  storage::RecordBatchBuilder builder(header);
  const uint64_t records = 1 + below(random, 4);
  for (uint64_t i = 0; i < records; ++i) {
    batch.payloads.push_back(payload(random, fmt::format("{}.{}", prefix, i)));
    builder.add({.timestamp = core.wall_now().value, .key = {}, .value = storage::bytes_of(batch.payloads.back())});
  }
  batch.bytes = builder.finish();
  return batch;
}

net::kafka::ProduceRequest make_request(const Batch& batch, int16_t acks) {
  return detail::produce_request(batch.partition, batch.bytes, acks);
}

// The one partition of a one-partition answer; reports an answer of another shape.
std::optional<net::kafka::ProduceResponse::Topic::Partition> only_partition(Models& models,
                                                                            const net::kafka::ProduceResponse& body,
                                                                            const PartitionName& partition) {
  auto found = detail::only_partition(body, partition);
  if (!found) {
    models.oracle.violation(
        fmt::format("a produce answer does not match its request for {}-{}", partition.topic, partition.index));
  }
  return found;
}

void report_ack(Models& models, const Batch& batch, int64_t base_offset) {
  if (base_offset < 0) {
    models.oracle.violation(
        fmt::format("{}-{}: acked at offset {}", batch.partition.topic, batch.partition.index, base_offset));
  }
  for (size_t i = 0; i < batch.payloads.size(); ++i) {
    models.oracle.acked(batch.partition, base_offset + static_cast<int64_t>(i), batch.payloads[i]);
  }
}

// One idempotent producer: the state that a client library keeps.
class Producer {
 public:
  Producer(reactor::Core& core, Models& models, uint32_t id)
      : core_(core),
        models_(models),
        id_(id),
        random_(detail::seeded(core)),
        client_(core, models.broker_address, fmt::format("producer-{}", id), models.oracle) {}

  Task<void> run() {
    co_await init_producer_id();
    while (!models_.load_over && !models_.oracle.violated()) {
      enqueue();
      co_await flush();
      if (below(random_, 8) == 0) co_await send_gap();
      co_await core_.sleep(reactor::Duration(std::chrono::milliseconds(below(random_, 300))));
    }
    co_await client_.close();
  }

 private:
  Task<void> init_producer_id() {
    for (;;) {
      auto answer = co_await client_.call(net::kafka::InitProducerIdRequest{}, kInitProducerIdVersion, kPatience);
      if (answer && answer->body.error_code == ErrorCode::kNone) {
        producer_id_ = answer->body.producer_id;
        epoch_ = answer->body.producer_epoch;
        co_return;
      }
      ++models_.retries;
      co_await core_.sleep(backoff(random_));
    }
  }

  // A flight goes to one partition or, as often, to several: those answers are ready in any order, and must not be sent
  // so.
  void enqueue() {
    const bool is_spread = below(random_, 2) == 0;
    PartitionName partition = any_partition(models_, random_);
    const uint64_t batches = 1 + below(random_, kInFlightMax);
    for (uint64_t i = 0; i < batches; ++i) {
      if (is_spread) partition = any_partition(models_, random_);
      int32_t& sequence = sequences_.try_emplace(partition, 0).first->second;
      const storage::BatchToWrite header{
          .producer_id = producer_id_, .producer_epoch = epoch_, .base_sequence = sequence};
      pending_.push_back(make_batch(core_, random_, partition, header, fmt::format("i{}.{}", id_, next_payload_++)));
      sequence = storage::sequence_after(sequence, static_cast<int32_t>(pending_.back().payloads.size()));
    }
  }

  // Sends what is pending until all of it is acknowledged.
  Task<void> flush() {
    while (!pending_.empty() && !models_.oracle.violated()) {
      std::vector<net::kafka::ProduceRequest> requests;
      requests.reserve(pending_.size());
      for (const Batch& batch : pending_) requests.push_back(make_request(batch, kAcksAll));
      // Now and then it does not wait long: what it repeats is still on its way to the disk.
      const reactor::Duration patience = below(random_, 4) == 0 ? kImpatience : kPatience;
      auto answers = co_await client_.call_all(std::move(requests), kProduceVersion, patience);
      if (answers && take_answers(*answers)) continue;
      ++models_.retries;
      co_await core_.sleep(backoff(random_));
    }
  }

  // A batch that leaves out sequence numbers must be refused: what lies between may still be on its way.
  Task<void> send_gap() {
    const PartitionName partition = any_partition(models_, random_);
    const auto known = sequences_.find(partition);
    if (known == sequences_.end() || models_.oracle.violated()) co_return;
    const auto gap = static_cast<int32_t>(1 + below(random_, 5));
    const storage::BatchToWrite header{.producer_id = producer_id_,
                                       .producer_epoch = epoch_,
                                       .base_sequence = storage::sequence_after(known->second, gap)};
    const Batch batch = make_batch(core_, random_, partition, header, fmt::format("gap{}.{}", id_, next_payload_++));
    const auto answer = co_await client_.call(make_request(batch, kAcksAll), kProduceVersion, kPatience);
    if (!answer) co_return;
    const auto answered = only_partition(models_, answer->body, partition);
    if (!answered || answered->error_code == ErrorCode::kOutOfOrderSequenceNumber) co_return;
    if (may_happen(answered->error_code)) co_return;
    models_.oracle.violation(fmt::format("producer {}: {}-{} a sequence gap is answered with error {}", id_,
                                         partition.topic, partition.index, static_cast<int>(answered->error_code)));
  }

  // True if all were acknowledged. Once one is refused, those behind it in the same flight and partition may be refused
  // as out of order.
  bool take_answers(const std::vector<Answer<net::kafka::ProduceResponse>>& answers) {
    std::set<PartitionName> refused;
    std::deque<Batch> again;
    for (const auto& answer : answers) {
      Batch batch = std::move(pending_.front());
      pending_.pop_front();
      const auto partition = only_partition(models_, answer.body, batch.partition);
      if (!partition) return true;
      const ErrorCode error = partition->error_code;
      if (error == ErrorCode::kNone) {
        report_ack(models_, batch, partition->base_offset);
        continue;
      }
      const bool follows = refused.contains(batch.partition) && error == ErrorCode::kOutOfOrderSequenceNumber;
      if (!may_happen(error) && !follows) {
        models_.oracle.violation(fmt::format("producer {}: {}-{} sequence refused with error {}", id_,
                                             batch.partition.topic, batch.partition.index, static_cast<int>(error)));
      }
      refused.insert(batch.partition);
      again.push_back(std::move(batch));
    }
    pending_ = std::move(again);
    return refused.empty();
  }

  reactor::Core& core_;
  Models& models_;
  uint32_t id_;
  std::mt19937_64 random_;
  KafkaClient client_;
  int64_t producer_id_ = -1;
  int16_t epoch_ = -1;
  uint64_t next_payload_ = 0;
  std::map<PartitionName, int32_t> sequences_;
  std::deque<Batch> pending_;
};

}  // namespace

Task<void> create_topics(reactor::Core& core, Models& models) {
  auto random = detail::seeded(core);
  KafkaClient client(core, models.broker_address, "creator", models.oracle);
  net::kafka::CreateTopicsRequest request;
  for (const Topic& topic : models.topics) {
    request.topics.push_back({.name = topic.name, .num_partitions = topic.partitions, .replication_factor = 1});
  }
  for (bool created = false; !created;) {
    auto answer = co_await client.call(request, kCreateTopicsVersion, kPatience);
    created = answer.has_value();
    if (answer) {
      for (const auto& topic : answer->body.topics) {
        created &= topic.error_code == ErrorCode::kNone || topic.error_code == ErrorCode::kTopicAlreadyExists;
      }
    }
    if (!created) co_await core.sleep(backoff(random));
  }
  models.topics_created = true;
  co_await client.close();
}

Task<void> idempotent_producer(reactor::Core& core, Models& models, uint32_t id) {
  ++models.running;
  Producer producer(core, models, id);
  co_await producer.run();
  --models.running;
}

Task<void> plain_producer(reactor::Core& core, Models& models, uint32_t id) {
  ++models.running;
  auto random = detail::seeded(core);
  KafkaClient client(core, models.broker_address, fmt::format("plain-{}", id), models.oracle);
  for (uint64_t n = 0; !models.load_over && !models.oracle.violated(); ++n) {
    Batch batch = make_batch(core, random, any_partition(models, random), {}, fmt::format("p{}.{}", id, n));
    const bool is_spoiled = below(random, 8) == 0;
    if (is_spoiled) batch.bytes.back() ^= std::byte{0x20};  // its checksum covers that
    const auto acks = static_cast<int16_t>(below(random, 2) == 0 ? kAcksLeader : kAcksAll);
    auto answer = co_await client.call(make_request(batch, acks), kProduceVersion, kPatience);
    if (answer) {
      const auto partition = only_partition(models, answer->body, batch.partition);
      if (partition && is_spoiled) {
        if (partition->error_code != ErrorCode::kCorruptMessage && !may_happen(partition->error_code)) {
          models.oracle.violation(
              fmt::format("plain producer {}: a batch with a wrong checksum is answered with error {}", id,
                          static_cast<int>(partition->error_code)));
        }
      } else if (partition && partition->error_code == ErrorCode::kNone) {
        report_ack(models, batch, partition->base_offset);
      } else if (partition && !may_happen(partition->error_code)) {
        models.oracle.violation(
            fmt::format("plain producer {}: refused with error {}", id, static_cast<int>(partition->error_code)));
      }
    } else {
      ++models.retries;
    }
    co_await core.sleep(backoff(random));
  }
  co_await client.close();
  --models.running;
}

}  // namespace posthaste::simulation
