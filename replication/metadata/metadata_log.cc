#include "replication/metadata/metadata_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "reactor/check.h"
#include "reactor/pace.h"
#include "replication/metadata/topic_name.h"
#include "storage/batch/record_batch_builder.h"

namespace posthaste::replication {
namespace {

using quorum::StoredSnapshot;
using reactor::Core;
using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

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
  storage::RecordBatchBuilder builder;
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

}  // namespace

MetadataLog::MetadataLog(storage::Engine& engine, quorum::Transport& transport, const quorum::ReplicaKey& self)
    : engine_(engine),
      transport_(transport),
      self_(self),
      snapshots_(engine.core(), engine.host().options().data_directory),
      moved_(engine.core()),
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
  quorum::LogUser& user = *this;
  driver_.emplace(
      quorum::Driver::Parts{engine_, *partition_, snapshots_, transport_, user},
      quorum::DriverOptions{
          .self = self_, .folder = engine_.host().options().data_directory, .first_voters = quorum::VoterSet({self_})});
  co_return Result<void>{};
}

// --- A start ---------------------------------------------------------------------------------------------------------

Task<Result<void>> MetadataLog::replay(MetadataImage& image, std::string& why) {
  Loading loading{.image = image};
  Result<void> done = co_await load_snapshot(loading, why);
  if (done) done = co_await start_driver(loading, why);
  if (done) done = co_await lead(why);
  co_return done;
}

Task<Result<void>> MetadataLog::load_snapshot(Loading& loading, std::string& why) {
  auto newest = co_await snapshots_.load(why);
  if (!newest) co_return failure(newest.error());
  const int64_t start = partition_->log_start_offset();
  const int64_t end = partition_->end_offset();
  if (*newest) {
    MetadataSnapshots::Loaded& loaded = **newest;
    loading.image = std::move(loaded.image);
    snapshot_at_bytes_ = std::max(kMetadataLogBytesKept, 4 * loaded.bytes);
    is_snapshot_old_ = loaded.voters.empty();
    if (loaded.id.offset >= start && loaded.id.offset <= end) co_return Result<void>();
    why = gap(snapshot_file(loaded.id));
    co_return failure(Errc::kDamaged);
  }
  loading.image = MetadataImage();
  if (start == 0) co_return Result<void>();
  loading.must_begin_anew = true;
  is_snapshot_old_ = true;
  snapshots_.stand_in_log({.offset = start, .epoch = 0});
  if (start < end) co_return Result<void>();
  why = gap("none");
  co_return failure(Errc::kDamaged);
}

// Of a lone voter everything that its log holds is committed, or will be.
Task<Result<void>> MetadataLog::start_driver(Loading& loading, std::string& why) {
  const Result<void> started =
      co_await driver_->start(why, [&](const storage::RecordBatchView& batch) { return apply(batch, loading); });
  if (started || loading.refused_offset < 0) co_return started;
  why = loading.must_begin_anew
            ? gap("none")
            : fmt::format("the metadata log has a record at offset {} that this version cannot apply ({})",
                          loading.refused_offset, to_string(started.error()));
  co_return started;
}

// Until the beginning of its epoch is durable. What holds that up passes, or is a full disk without any reserve left.
Task<Result<void>> MetadataLog::lead(std::string& why) {
  if (!driver_->quorum().is_lone_voter()) {
    why =
        fmt::format("the metadata log of this folder names {} voters, and this version is the only one of its log: {}",
                    driver_->quorum().voters().size(), "start the version that added the others");
    co_return failure(Errc::kUnsupported);
  }
  while (!failure_ && !driver_->quorum().has_committed_in_epoch()) {
    const bool has_moved = co_await moved_.wait_until(engine_.core().now() + kMetadataRoomPatience);
    if (has_moved || !engine_.disk_full()) continue;
    why = fmt::format("cannot write the metadata log ({})", to_string(Errc::kNoSpace));
    co_return failure(Errc::kNoSpace);
  }
  if (!failure_) co_return Result<void>();
  why = fmt::format("cannot write the metadata log ({})", to_string(*failure_));
  co_return failure(*failure_);
}

// What is missing between snapshots and log, and where.
std::string MetadataLog::gap(std::string_view newest) const {
  std::string files;
  for (const std::string& name : snapshots_.rotten()) files += fmt::format("{}{}", files.empty() ? "" : ", ", name);
  return fmt::format(
      "the metadata log {}-0 holds offsets {} to {}, and no whole snapshot in {} says what was before it "
      "(newest whole one: {}; rotten: {}): restore that folder from a backup",
      kClusterMetadataTopic, partition_->log_start_offset(), partition_->end_offset(), snapshots_.folder(), newest,
      files.empty() ? "none" : files);
}

Result<void> MetadataLog::apply(const storage::RecordBatchView& batch, Loading& loading) {
  storage::RecordReader records(batch);
  for (auto record = TRY(records.next()); record && !batch.is_control(); record = TRY(records.next())) {
    const Result<void> applied = apply(*record, loading);
    if (!applied) loading.refused_offset = record->offset;
    if (!applied) return applied;
  }
  if (!loading.must_begin_anew) return {};
  loading.refused_offset = batch.base_offset();
  return failure(Errc::kDamaged);
}

Result<void> MetadataLog::apply(const storage::RecordView& record, Loading& loading) {
  if (!record.value) return {};
  count(record.value->size());
  const MetadataRecord decoded = TRY(decode_metadata_record(storage::text_of(*record.value)));
  if (begins_snapshot(decoded)) {
    loading.image = MetadataImage();
    loading.must_begin_anew = false;
  }
  if (loading.must_begin_anew) return {};
  return loading.image.apply(decoded);
}

// --- Told by the quorum ----------------------------------------------------------------------------------------------

void MetadataLog::committed(quorum::Offset /*high_watermark*/) { moved_.notify_all(); }

// What another leader writes does not get into the image here: who has led and does so no more takes no change for the
// rest of its life, whoever leads then.
void MetadataLog::role_changed(const quorum::RoleChanged& now) {
  const bool leads = now.role == quorum::Role::kLeader;
  if (has_led_ && !leads) trusted_ = false;
  has_led_ |= leads;
  moved_.notify_all();
}

// The image is of before. A lone voter installs none.
void MetadataLog::snapshot_installed(SnapshotId /*id*/) { trusted_ = false; }

void MetadataLog::failed(Errc error) {
  failure_ = error;
  moved_.notify_all();
}

// --- Changes ---------------------------------------------------------------------------------------------------------

Task<Result<void>> MetadataLog::append(const std::vector<MetadataRecord>& records) {
  if (!trusted_) co_return failure(Errc::kDamaged);
  storage::Bytes batch = CO_TRY(co_await batch_of(engine_.core(), records));
  const size_t bytes = batch.size();
  const quorum::Driver::Appended appended =
      co_await driver_->append(std::move(batch), engine_.core().now() + kMetadataRoomPatience);
  const bool is_in_log = appended.base_offset != quorum::kNoOffset;
  if (is_in_log) count(bytes);
  if (appended.result) co_return Result<void>();
  // Whether what the log has taken stays there is in doubt.
  if (is_in_log) trusted_ = false;
  co_return failure(failure_.value_or(appended.result.error()));
}

// --- Snapshots -------------------------------------------------------------------------------------------------------

bool MetadataLog::wants_snapshot() const {
  if (!trusted_ || failure_ || snapshot_under_way_ || stopping_ || engine_.disk_full()) return false;
  return bytes_since_snapshot_ > snapshot_at_bytes_ || !snapshots_.rotten().empty() || is_snapshot_old_;
}

void MetadataLog::keep_small(const MetadataImage& image) {
  if (!wants_snapshot()) return;
  const quorum::Quorum& member = driver_->quorum();
  const SnapshotId id = member.log().end();
  if (id.offset != member.high_watermark()) return;  // the image is not of all that the log holds
  // Nothing new to say: the newest one is as good.
  if (!snapshots_.kept().empty() && snapshots_.kept().back().offset == id.offset) return;
  snapshot_under_way_ = true;
  bytes_since_snapshot_ = 0;
  is_snapshot_old_ = false;
  partition_->roll();  // what lies before is then in segments of its own, and can go
  scope_.spawn_job(write_snapshot({id, member.voters_at(id.offset)}, image));
}

Task<void> MetadataLog::write_snapshot(StoredSnapshot snapshot, MetadataImage image) {
  // What is free on a full disk is for what was accepted.
  const std::function<bool()> is_cancelled = [this] { return stopping_ || engine_.disk_full(); };
  const Result<uint64_t> written =
      co_await snapshots_.write(snapshot.id, std::move(snapshot.voters), std::move(image), is_cancelled);
  if (written) {
    snapshot_at_bytes_ = std::max(kMetadataLogBytesKept, 4 * *written);
    driver_->snapshot_written(snapshot.id);
  } else if (written.error() != Errc::kCancelled) {
    engine_.core().log(reactor::LogLevel::kWarning, "metadata_snapshot_failed",
                       fmt::format("error={} consequence=\"the metadata log grows until the next attempt\"",
                                   to_string(written.error())));
  }
  snapshot_under_way_ = false;
}

Task<void> MetadataLog::snapshot_ended() { co_await scope_.join(); }

Task<void> MetadataLog::stop() {
  stopping_ = true;
  co_await scope_.join();
  if (driver_) co_await driver_->stop();
  co_await snapshots_.stop();
}

}  // namespace posthaste::replication
