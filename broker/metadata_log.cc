#include "broker/metadata_log.h"

#include <fmt/format.h>

#include "broker/metadata/topic_name.h"
#include "storage/record_batch_builder.h"

namespace posthaste::broker {
namespace {

using reactor::Core;
using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

// A lone broker leads its log for ever; every start reads all of it.
constexpr int32_t kLeaderEpoch = 0;
constexpr std::string_view kSnapshotName = "snapshot";

storage::LogConfig metadata_log_config() {
  storage::LogConfig config;
  config.retention = {.retention_ms = -1, .retention_bytes = -1};
  return config;
}

// One batch, so that the records are durable together.
Result<storage::Bytes> batch_of(const std::vector<MetadataRecord>& records, reactor::WallMillis now) {
  storage::RecordBatchBuilder builder(storage::BatchToWrite{.leader_epoch = kLeaderEpoch});
  for (const MetadataRecord& record : records) {
    const std::string value = encode(record);
    builder.add({.timestamp = now.value, .value = storage::bytes_of(value)});
    if (builder.size_bytes() > kMetadataChangeBytesMax) return failure(Errc::kTooLarge);
  }
  return builder.finish();
}

// A snapshot stands for everything before it.
bool begins_snapshot(const MetadataRecord& record) {
  const auto* begin = std::get_if<BeginTransactionRecord>(&record);
  return begin != nullptr && begin->name == kSnapshotName;
}

struct Appended {
  explicit Appended(Core& core) : finished(core) {}
  reactor::Event finished;
  RecordLog::Outcome outcome;
};

}  // namespace

Task<Result<void>> MetadataLog::open() {
  partition_ = engine_.find(kMetadataTopicId.bytes, 0);
  if (partition_ == nullptr) {
    auto created = co_await engine_.create_partition({.topic_id = kMetadataTopicId.bytes,
                                                      .topic_name = std::string(kClusterMetadataTopic),
                                                      .partition = 0,
                                                      .config = metadata_log_config()});
    partition_ = CO_TRY(std::move(created));
  }
  partition_->set_config(metadata_log_config());
  // Safe is what this disk holds: nobody else has the log.
  replication::Replica::of(*partition_).become_leader({.leader_epoch = kLeaderEpoch}, {});
  RecordLogReader& reader = *this;
  log_.emplace(engine_.core(), engine_, *partition_, reader);
  co_return Result<void>{};
}

Task<Result<void>> MetadataLog::replay(MetadataImage& image, std::string& why) {
  loading_ = &image;
  const Result<void> loaded = co_await log_->lead(kLeaderEpoch);
  loading_ = nullptr;
  if (loaded) co_return loaded;
  why = log_->was_refused()
            ? fmt::format("the metadata log has a record at offset {} that this version cannot apply ({})",
                          log_->failed_offset(), to_string(loaded.error()))
            : fmt::format("the metadata log cannot be read at offset {} ({})", log_->failed_offset(),
                          to_string(loaded.error()));
  co_return loaded;
}

void MetadataLog::begin_load() { *loading_ = MetadataImage(); }

Result<void> MetadataLog::replay(const storage::RecordView& record) {
  if (!record.value) return {};
  const MetadataRecord decoded = TRY(decode_metadata_record(storage::text_of(*record.value)));
  if (begins_snapshot(decoded)) *loading_ = MetadataImage();
  return loading_->apply(decoded);
}

Task<Result<void>> MetadataLog::append(const std::vector<MetadataRecord>& records) {
  if (!trusted_) co_return failure(Errc::kDamaged);
  storage::Bytes batch = CO_TRY(batch_of(records, engine_.core().wall_now()));
  const Result<int64_t> appended = co_await append_batch(std::move(batch));
  if (!appended) co_return failure(appended.error());
  co_return Result<void>{};
}

// Returns the batch's first offset.
Task<Result<int64_t>> MetadataLog::append_batch(storage::Bytes batch) {
  Appended appended(engine_.core());
  log_->append(std::move(batch), engine_.core().now() + kMetadataRoomPatience, [&](const RecordLog::Outcome& outcome) {
    appended.outcome = outcome;
    appended.finished.set();
  });
  co_await appended.finished.wait();
  const RecordLog::Outcome& outcome = appended.outcome;
  if (outcome.result) co_return outcome.base_offset;
  // Whether what the log has taken stays there is in doubt.
  if (outcome.base_offset >= 0) trusted_ = false;
  co_return failure(outcome.result.error());
}

Task<void> MetadataLog::stop() {
  if (log_) co_await log_->stop();
}

bool MetadataLog::wants_snapshot() const {
  // It frees space in the end, but takes some first.
  return trusted_ && !engine_.disk_full() && partition_->size_bytes() > kMetadataLogBytesKept + 4 * snapshot_bytes_;
}

Task<Result<void>> MetadataLog::write_snapshot(const MetadataImage& image) {
  if (!trusted_) co_return failure(Errc::kDamaged);
  std::vector<MetadataRecord> records = image.to_records();
  records.insert(records.begin(), BeginTransactionRecord{std::string(kSnapshotName)});
  records.emplace_back(EndTransactionRecord{});
  Result<storage::Bytes> batch = batch_of(records, engine_.core().wall_now());
  snapshot_bytes_ = batch ? batch->size() : partition_->size_bytes();  // too large: not tried again for a while
  if (!batch) co_return failure(batch.error());
  partition_->roll();  // what lies before is then a segment of its own, and can go
  const Result<int64_t> offset = co_await append_batch(std::move(*batch));
  if (!offset) co_return failure(offset.error());
  co_return co_await partition_->set_log_start(*offset);
}

}  // namespace posthaste::broker
