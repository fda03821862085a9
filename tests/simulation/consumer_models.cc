// The consumers of a simulated run (models.h).
#include <fmt/format.h>

#include "net/kafka/fetch.h"
#include "net/kafka/group_offsets.h"
#include "net/kafka/groups.h"
#include "net/kafka/offsets.h"
#include "storage/batch/record_reader.h"
#include "tests/simulation/kafka_client.h"
#include "tests/simulation/models.h"

namespace posthaste::simulation {

using detail::backoff;
using detail::below;
using net::kafka::ErrorCode;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

constexpr int16_t kFetchVersion = 12;
constexpr int16_t kListOffsetsVersion = 7;
constexpr int16_t kFindCoordinatorVersion = 2;
constexpr int16_t kOffsetFetchVersion = 7;
constexpr int64_t kLatest = -1;
constexpr reactor::Duration kPatience = 5s;

bool is_passing(ErrorCode error) {
  return error == ErrorCode::kUnknownTopicOrPartition || error == ErrorCode::kLeaderNotAvailable ||
         error == ErrorCode::kNotLeaderOrFollower || error == ErrorCode::kKafkaStorageError ||
         error == ErrorCode::kOffsetNotAvailable;
}

// One partition, read in order.
class PartitionReader {
 public:
  PartitionReader(reactor::Core& core, Models& models, PartitionName partition, const std::string& name)
      : models_(models),
        partition_(std::move(partition)),
        random_(detail::seeded(core)),
        client_(core, models.broker_address, name, models.oracle) {
    keeps_sessions_ = below(random_, 2) == 0;
    end_session();
  }

  int64_t position() const { return position_; }
  const std::map<int64_t, std::string>& records() const { return records_; }
  std::mt19937_64& random() { return random_; }
  KafkaClient& client() { return client_; }

  // One fetch. False if it failed for a reason that passes.
  Task<bool> fetch() {
    net::kafka::FetchRequest request{.max_wait_ms = static_cast<int32_t>(below(random_, 500)),
                                     .min_bytes = static_cast<int32_t>(below(random_, 2000)),
                                     .max_bytes = static_cast<int32_t>(1 + below(random_, 100'000))};
    const bool incremental = session_epoch_ > 0;
    request.session_id = session_id_;
    request.session_epoch = session_epoch_;
    if (!incremental || position_ != wished_) {
      request.topics.push_back({.topic = partition_.topic});
      request.topics.back().partitions.push_back(
          {.partition = partition_.index,
           .fetch_offset = position_,
           .partition_max_bytes = static_cast<int32_t>(1 + below(random_, 50'000))});
    }
    auto answer = co_await client_.call(request, kFetchVersion, kPatience);
    if (!answer || answer->body.error_code != ErrorCode::kNone) {
      end_session();
      co_return false;
    }
    follow_session(answer->body);
    if (incremental && answer->body.responses.empty()) co_return true;  // nothing new
    if (answer->body.responses.size() != 1 || answer->body.responses[0].partitions.size() != 1) {
      models_.oracle.violation("a fetch answer does not match its request");
      co_return false;
    }
    co_return take(answer->body.responses[0].partitions[0]);
  }

  // The high watermark, or -1 if it could not be had now.
  Task<int64_t> list_end() {
    net::kafka::ListOffsetsRequest request{.replica_id = -1};
    request.topics.push_back({.name = partition_.topic});
    request.topics.back().partitions.push_back({.partition_index = partition_.index, .timestamp = kLatest});
    const int64_t known = models_.oracle.known_end(partition_);
    auto answer = co_await client_.call(request, kListOffsetsVersion, kPatience);
    if (!answer || answer->body.topics.size() != 1 || answer->body.topics[0].partitions.size() != 1) co_return -1;
    const auto& partition = answer->body.topics[0].partitions[0];
    if (partition.error_code != ErrorCode::kNone) co_return -1;
    models_.oracle.log_end(partition_, partition.offset, known);
    co_return partition.offset;
  }

 private:
  // The next fetch starts a session, or (epoch -1) goes without.
  void end_session() {
    session_id_ = 0;
    session_epoch_ = keeps_sessions_ ? 0 : -1;
  }
  void follow_session(const net::kafka::FetchResponse& answer) {
    if (!keeps_sessions_) return;
    if (answer.session_id == 0) return end_session();
    session_id_ = answer.session_id;
    ++session_epoch_;
    wished_ = position_;
  }

  bool take(const net::kafka::FetchResponse::Topic::Partition& answer) {
    if (is_passing(answer.error_code)) return false;
    if (answer.error_code != ErrorCode::kNone) {
      complain(fmt::format("fetch at {} refused with error {}", position_, static_cast<int>(answer.error_code)));
      return false;
    }
    for (storage::BatchCursor cursor(answer.records.whole); auto batch = cursor.next();) {
      if (!batch->crc_matches()) complain(fmt::format("batch at {} has a wrong CRC", batch->base_offset()));
      if (batch->next_offset() <= position_) continue;
      if (batch->base_offset() > position_) complain(fmt::format("offset {} is missing", position_));
      take_batch(*batch);
      if (position_ > answer.high_watermark)
        complain(fmt::format("read up to {} above the high watermark {}", position_, answer.high_watermark));
    }
    return true;
  }

  void take_batch(const storage::RecordBatchView& batch) {
    auto walked = storage::walk_records(batch, [&](const storage::RecordView& record) {
      if (record.offset < position_) return;
      std::string payload(storage::text_of(*record.value));
      models_.oracle.seen(partition_, record.offset, payload);
      records_.emplace(record.offset, std::move(payload));
    });
    if (!walked)
      complain(fmt::format("batch at {} cannot be read: {}", batch.base_offset(), to_string(walked.error())));
    position_ = batch.next_offset();
  }

  void complain(const std::string& what) {
    models_.oracle.violation(fmt::format("{}-{}: {}", partition_.topic, partition_.index, what));
  }

  Models& models_;
  PartitionName partition_;
  std::mt19937_64 random_;
  KafkaClient client_;
  int64_t position_ = 0;
  std::map<int64_t, std::string> records_;
  // Half of the readers keep a fetch session (KIP-227); `wished_` is the offset that it knows.
  bool keeps_sessions_ = false;
  int32_t session_id_ = 0;
  int32_t session_epoch_ = -1;
  int64_t wished_ = -1;
};

Task<void> read_whole_partition(reactor::Core& core, Models& models, PartitionName partition) {
  PartitionReader reader(core, models, partition, "final-reader");
  int64_t end = -1;
  while (end < 0 && !models.oracle.violated()) {
    end = co_await reader.list_end();
    if (end < 0) co_await core.sleep(backoff(reader.random()));
  }
  while (reader.position() < end && !models.oracle.violated()) {
    if (!co_await reader.fetch()) co_await core.sleep(backoff(reader.random()));
  }
  models.oracle.read_whole(partition, reader.records());
  co_await reader.client().close();
}

Task<void> read_committed_offsets(reactor::Core& core, Models& models) {
  auto random = detail::seeded(core);
  KafkaClient client(core, models.broker_address, "final-offsets", models.oracle);
  net::kafka::OffsetFetchRequest request{.group_id = models.group};
  request.topics.emplace();
  request.topics->push_back({.name = models.topics[0].name});
  for (int32_t i = 0; i < models.topics[0].partitions; ++i) request.topics->back().partition_indexes.push_back(i);
  net::kafka::FindCoordinatorRequest find{.key = models.group};
  while (!models.oracle.violated()) {
    // As every client does first; it may be the first of this run, and the broker makes the offsets topic for it.
    (void)co_await client.call(find, kFindCoordinatorVersion, kPatience);
    auto answer = co_await client.call(request, kOffsetFetchVersion, kPatience);
    if (answer && answer->body.error_code == ErrorCode::kNone && answer->body.topics.size() == 1) {
      for (const auto& partition : answer->body.topics[0].partitions) {
        const PartitionName name{models.topics[0].name, partition.partition_index};
        models.oracle.committed(models.group, name, partition.committed_offset,
                                models.oracle.committed_floor(models.group, name));
      }
      break;
    }
    co_await core.sleep(backoff(random));
  }
  co_await client.close();
}

}  // namespace

Task<void> consumer(reactor::Core& core, Models& models, PartitionName partition, uint32_t id) {
  ++models.running;
  PartitionReader reader(core, models, std::move(partition), fmt::format("consumer-{}", id));
  while (!models.load_over && !models.oracle.violated()) {
    const bool listed = below(reader.random(), 10) == 0 && co_await reader.list_end() >= 0;
    if (!listed && !co_await reader.fetch()) {
      ++models.retries;
      co_await core.sleep(backoff(reader.random()));
    }
  }
  co_await reader.client().close();
  --models.running;
}

Task<void> final_reader(reactor::Core& core, Models& models) {
  for (const Topic& topic : models.topics) {
    for (int32_t i = 0; i < topic.partitions; ++i) co_await read_whole_partition(core, models, {topic.name, i});
  }
  co_await read_committed_offsets(core, models);
  models.everything_read = true;
}

}  // namespace posthaste::simulation
