#include "broker/handlers/produce_errors.h"

#include <fmt/format.h>

#include "storage/batch/record_reader.h"

namespace posthaste::broker {
namespace {

using net::kafka::ErrorCode;

// The times that a record may carry now. No limit up to INT64_MAX overflows.
struct Window {
  int64_t earliest = 0;
  int64_t latest = 0;
};

Window window_at(const storage::BatchRules& rules, reactor::WallMillis now) {
  Window window;
  window.earliest = rules.timestamp_before_max_ms >= now.value ? 0 : now.value - rules.timestamp_before_max_ms;
  window.latest =
      rules.timestamp_after_max_ms > INT64_MAX - now.value ? INT64_MAX : now.value + rules.timestamp_after_max_ms;
  return window;
}

void list_timestamps(const storage::RecordBatchView& batch, const Window& window, RefusedBatch& refused) {
  int32_t index = 0;
  // A batch that cannot be walked to its end has another error too, and was refused for its times first.
  (void)storage::walk_records(batch, [&](const storage::RecordView& record) {
    const int32_t at = index++;
    const bool inside = record.timestamp == storage::kNoTimestamp ||
                        (record.timestamp >= window.earliest && record.timestamp <= window.latest);
    if (inside || refused.records.size() >= kRefusedRecordsListed) return;
    refused.records.push_back(
        {at, fmt::format("Timestamp {} of record {} is outside {} to {} (message.timestamp.before.max.ms, "
                         "message.timestamp.after.max.ms)",
                         record.timestamp, at, window.earliest, window.latest)});
  });
}

RefusedBatch explain_timestamps(storage::ByteView bytes, const storage::BatchRules& rules, reactor::WallMillis now) {
  RefusedBatch refused{.message = "One or more records have been rejected due to invalid timestamp", .records = {}};
  const auto batch = storage::RecordBatchView::parse(bytes);
  if (!batch) return refused;
  if (batch->timestamp_type() == storage::TimestampType::kLogAppendTime) {
    refused.message = "The batch claims LogAppendTime, which only the broker sets";
    return refused;
  }
  if (batch->compression() == storage::Compression::kNone) list_timestamps(*batch, window_at(rules, now), refused);
  return refused;
}

}  // namespace

RefusedBatch explain_refusal(ErrorCode error, storage::ByteView batch, const storage::BatchRules& rules,
                             reactor::WallMillis now) {
  switch (error) {
    case ErrorCode::kInvalidTimestamp:
      return explain_timestamps(batch, rules, now);
    case ErrorCode::kMessageTooLarge:
      return {.message = fmt::format("The batch has {} bytes, max.message.bytes of the topic is {}", batch.size(),
                                     rules.max_message_bytes),
              .records = {}};
    case ErrorCode::kCorruptMessage:
      return {.message = "The batch does not match its checksum or its stated length", .records = {}};
    case ErrorCode::kInvalidRecord:
      return {.message = "There is not one whole batch of format version 2, or it breaks a rule of the format",
              .records = {}};
    case ErrorCode::kUnsupportedForMessageFormat:
      return {.message = "Only batches of format version 2 are taken", .records = {}};
    case ErrorCode::kUnsupportedCompressionType:
      return {.message = "zstd is taken from version 7 of Produce on", .records = {}};
    case ErrorCode::kInvalidTxnState:
    case ErrorCode::kTransactionalIdAuthorizationFailed:
      return {.message = "Transactions are not served in this version", .records = {}};
    default:
      return {};  // the code says it all, and clients have its words
  }
}

}  // namespace posthaste::broker
