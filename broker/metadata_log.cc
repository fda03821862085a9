#include "broker/metadata_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/metadata/topic_name.h"
#include "storage/record_batch_builder.h"
#include "storage/record_reader.h"

namespace posthaste::broker {
namespace {

using reactor::Core;
using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

constexpr uint32_t kReplayReadBytes = uint32_t{1} << 20;
constexpr std::string_view kSnapshotName = "snapshot";

storage::LogConfig metadata_log_config() {
  storage::LogConfig config;
  config.retention = {.retention_ms = -1, .retention_bytes = -1};
  return config;
}

// One batch, so that the records are durable together.
Result<storage::Bytes> batch_of(const std::vector<MetadataRecord>& records, reactor::WallMillis now) {
  storage::RecordBatchBuilder builder(storage::BatchToWrite{.leader_epoch = 0});
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

Result<void> apply_record(MetadataImage& image, std::string_view bytes) {
  const MetadataRecord record = TRY(decode_metadata_record(bytes));
  if (begins_snapshot(record)) image = MetadataImage();
  return image.apply(record);
}

// Applies one batch; on error `offset` is that of the record at fault.
Result<void> apply_batch(MetadataImage& image, const storage::RecordBatchView& batch, int64_t& offset) {
  Result<void> applied;
  offset = batch.base_offset();
  const Result<void> walked = storage::walk_records(batch, [&](const storage::RecordView& record) {
    if (!applied || !record.value) return;
    offset = record.offset;
    applied = apply_record(image, storage::text_of(*record.value));
  });
  return walked ? applied : walked;
}

struct Wait : storage::OffsetWaiter {
  explicit Wait(Core& core) : finished(core) {}
  reactor::Event finished;
  Result<void> outcome;
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
  co_return Result<void>{};
}

Task<Result<void>> MetadataLog::replay(MetadataImage& image, std::string& why) {
  int64_t offset = partition_->log_start_offset();
  const int64_t end = partition_->end_offset();
  while (offset < end) {
    Result<storage::ReadResult> read =
        co_await partition_->read({.offset = offset, .max_bytes = kReplayReadBytes, .limit_offset = end});
    if (!read || read->next_offset <= offset) {
      const Errc error = read ? Errc::kDamaged : read.error();
      why = fmt::format("the metadata log cannot be read at offset {} ({})", offset, to_string(error));
      co_return failure(error);
    }
    storage::Bytes bytes;
    for (const auto& piece : read->pieces) bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
    storage::BatchCursor cursor(bytes);
    while (auto batch = cursor.next()) {
      int64_t at = 0;
      if (const Result<void> applied = apply_batch(image, *batch, at); !applied) {
        why = fmt::format("the metadata log has a record at offset {} that this version cannot apply ({})", at,
                          to_string(applied.error()));
        co_return applied;
      }
    }
    offset = read->next_offset;
  }
  co_return Result<void>{};
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
  const reactor::Instant deadline = engine_.core().now() + kMetadataRoomPatience;
  for (;;) {
    Result<storage::AppendResult> appended =
        partition_->append(batch, {.leader_epoch = 0, .from_client = false}, engine_.core().wall_now());
    if (!appended && appended.error() == Errc::kNoMemory && engine_.core().now() < deadline) {
      co_await engine_.wait_for_room();
      continue;
    }
    if (!appended) co_return failure(appended.error());
    Wait wait(engine_.core());
    wait.offset = appended->last_offset + 1;
    wait.done = [](storage::OffsetWaiter& waiter, Result<void> outcome) {
      auto& self = static_cast<Wait&>(waiter);
      self.outcome = outcome;
      self.finished.set();
    };
    partition_->wait_high_watermark(wait);
    co_await wait.finished.wait();
    if (!wait.outcome) {
      trusted_ = false;
      co_return failure(wait.outcome.error());
    }
    co_return appended->base_offset;
  }
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
