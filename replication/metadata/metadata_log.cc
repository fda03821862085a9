#include "replication/metadata/metadata_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "reactor/pace.h"
#include "replication/metadata/topic_name.h"
#include "storage/batch/record_batch_builder.h"

namespace posthaste::replication {
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

// Records that are encoded in one step of the core: a few hundred microseconds.
constexpr size_t kEncodedAtOnce = 512;

// One batch, so that the records are durable together.
Task<Result<storage::Bytes>> batch_of(Core& core, const std::vector<MetadataRecord>& records) {
  storage::RecordBatchBuilder builder(storage::BatchToWrite{.leader_epoch = kLeaderEpoch});
  const reactor::WallMillis now = core.wall_now();
  reactor::Pace pace(kEncodedAtOnce);
  for (const MetadataRecord& record : records) {
    const std::string value = encode(record);
    builder.add({.timestamp = now.value, .value = storage::bytes_of(value)});
    if (builder.size_bytes() > kMetadataChangeBytesMax) co_return failure(Errc::kTooLarge);
    if (pace.is_due(1)) co_await core.yield(reactor::CpuClass::kBackground);
  }
  co_return builder.finish();
}

// As earlier programs wrote snapshots: one batch of the log, which stands for everything before it.
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

MetadataLog::MetadataLog(storage::Engine& engine, const quorum::ReplicaKey& self)
    : engine_(engine),
      voters_({self}),
      snapshots_(engine.core(), engine.host().options().data_directory),
      scope_(engine.core()) {}

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
  auto newest = co_await snapshots_.load(why);
  if (!newest) co_return failure(newest.error());
  base_ = std::move(*newest);
  is_snapshot_old_ = base_ && base_->voters.empty();
  const int64_t start = partition_->log_start_offset();
  const int64_t end = partition_->end_offset();
  if (base_ && (base_->id.offset < start || base_->id.offset > end)) {
    why = gap(start);
    co_return failure(Errc::kDamaged);
  }
  must_begin_anew_ = !base_ && start > 0;
  if (base_) snapshot_at_bytes_ = std::max(kMetadataLogBytesKept, 4 * base_->bytes);
  loading_ = &image;
  const Result<void> loaded = co_await log_->lead(kLeaderEpoch);
  loading_ = nullptr;
  if (loaded && !must_begin_anew_) co_return loaded;
  if (must_begin_anew_ && (loaded || log_->was_refused())) {
    why = gap(start);
    co_return failure(Errc::kDamaged);
  }
  why = log_->was_refused()
            ? fmt::format("the metadata log has a record at offset {} that this version cannot apply ({})",
                          log_->failed_offset(), to_string(loaded.error()))
            : fmt::format("the metadata log cannot be read at offset {} ({})", log_->failed_offset(),
                          to_string(loaded.error()));
  co_return loaded;
}

// What is missing between snapshots and log, and where.
std::string MetadataLog::gap(int64_t log_start) const {
  std::string files;
  for (const std::string& name : snapshots_.rotten()) files += fmt::format("{}{}", files.empty() ? "" : ", ", name);
  return fmt::format(
      "the metadata log {}-0 holds offsets {} to {}, and no whole snapshot in {} says what was before it "
      "(newest whole one: {}; rotten: {}): restore that folder from a backup",
      kClusterMetadataTopic, log_start, partition_->end_offset(), snapshots_.folder(),
      base_ ? snapshot_file(base_->id) : "none", files.empty() ? "none" : files);
}

int64_t MetadataLog::begin_load(int64_t log_start) {
  *loading_ = base_ ? std::move(base_->image) : MetadataImage();
  return base_ ? base_->id.offset : log_start;
}

Result<void> MetadataLog::replay(const storage::RecordView& record) {
  if (!record.value) return {};
  count(record.value->size());
  const MetadataRecord decoded = TRY(decode_metadata_record(storage::text_of(*record.value)));
  if (begins_snapshot(decoded)) {
    *loading_ = MetadataImage();
    must_begin_anew_ = false;
  }
  if (must_begin_anew_) return failure(Errc::kDamaged);
  return loading_->apply(decoded);
}

Task<Result<void>> MetadataLog::append(const std::vector<MetadataRecord>& records) {
  if (!trusted_) co_return failure(Errc::kDamaged);
  storage::Bytes batch = CO_TRY(co_await batch_of(engine_.core(), records));
  const Result<int64_t> appended = co_await append_batch(std::move(batch));
  if (!appended) co_return failure(appended.error());
  co_return Result<void>{};
}

// Returns the batch's first offset.
Task<Result<int64_t>> MetadataLog::append_batch(storage::Bytes batch) {
  Appended appended(engine_.core());
  const size_t bytes = batch.size();
  log_->append(std::move(batch), engine_.core().now() + kMetadataRoomPatience, [&](const RecordLog::Outcome& outcome) {
    appended.outcome = outcome;
    appended.finished.set();
  });
  co_await appended.finished.wait();
  const RecordLog::Outcome& outcome = appended.outcome;
  if (outcome.base_offset >= 0) count(bytes);
  if (outcome.result) co_return outcome.base_offset;
  // Whether what the log has taken stays there is in doubt.
  if (outcome.base_offset >= 0) trusted_ = false;
  co_return failure(outcome.result.error());
}

bool MetadataLog::wants_snapshot() const {
  if (!trusted_ || snapshot_under_way_ || stopping_ || engine_.disk_full()) return false;
  return bytes_since_snapshot_ > snapshot_at_bytes_ || !snapshots_.rotten().empty() || is_snapshot_old_;
}

void MetadataLog::keep_small(const MetadataImage& image) {
  if (!wants_snapshot()) return;
  const SnapshotId id{.offset = partition_->end_offset(), .epoch = kLeaderEpoch};
  // Nothing new to say: the newest one is as good.
  if (!snapshots_.kept().empty() && snapshots_.kept().back().offset == id.offset) return;
  snapshot_under_way_ = true;
  bytes_since_snapshot_ = 0;
  is_snapshot_old_ = false;
  partition_->roll();  // what lies before is then in segments of its own, and can go
  scope_.spawn_job(write_snapshot(id, image));
}

Task<void> MetadataLog::write_snapshot(SnapshotId id, MetadataImage image) {
  // What is free on a full disk is for what was accepted.
  const std::function<bool()> is_cancelled = [this] { return stopping_ || engine_.disk_full(); };
  Result<uint64_t> written = co_await snapshots_.write(id, voters_, std::move(image), is_cancelled);
  if (written) snapshot_at_bytes_ = std::max(kMetadataLogBytesKept, 4 * *written);
  Result<void> done = written ? Result<void>() : failure(written.error());
  // The log from the older one on says the same as the newer one, if that is ever found rotten.
  if (done && snapshots_.kept().size() >= MetadataSnapshots::kKept) {
    done = co_await partition_->set_log_start(snapshots_.kept().front().offset);
  }
  if (!done && done.error() != Errc::kCancelled) {
    engine_.core().log(
        reactor::LogLevel::kWarning, "metadata_snapshot_failed",
        fmt::format("error={} consequence=\"the metadata log grows until the next attempt\"", to_string(done.error())));
  }
  snapshot_under_way_ = false;
}

Task<void> MetadataLog::snapshot_ended() { co_await scope_.join(); }

Task<void> MetadataLog::stop() {
  stopping_ = true;
  co_await scope_.join();
  if (log_) co_await log_->stop();
  co_await snapshots_.stop();
}

}  // namespace posthaste::replication
