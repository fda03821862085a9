// Partition: from a request's bytes to the tail. Nothing here waits.
#include <fmt/format.h>

#include <algorithm>

#include "storage/engine.h"
#include "storage/journal/contributor.h"
#include "storage/log/partition.h"
#include "storage/log/roll.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

Result<void> Partition::check_mode() const {
  if (const std::optional<Errc> why = closed()) return failure(*why);
  return mode_ == Mode::kTruncating ? failure(Errc::kBusy) : Result<void>();
}

// Whether it takes appends. Without its producers it could take a repeated batch for a new one.
Result<void> Partition::check_open() const {
  TRY(check_mode());
  if (damage_.damaged || !producers_known_) return failure(Errc::kDamaged);
  if (prefix_failing_) return failure(Errc::kIoError);
  return {};
}

// One or more, each of a right structure, and nothing else.
Result<Partition::BatchViews> Partition::whole_batches(ByteView bytes) {
  BatchViews views;
  BatchCursor cursor(bytes);
  while (auto batch = cursor.next()) {
    TRY(validate_structure(*batch));
    views.push_back(*batch);
  }
  if (cursor.error()) return failure(*cursor.error() == Errc::kTruncated ? Errc::kCorrupt : *cursor.error());
  if (views.empty()) return failure(Errc::kMalformed);
  return views;
}

// All that can be refused before a byte is stored or changed, but the CRC. A repeated batch fills `duplicate`.
Result<Partition::BatchViews> Partition::check_batches(MutableBytes batches, const AppendOptions& options,
                                                       reactor::WallMillis now, AppendResult& duplicate) const {
  if (!options.from_client) return whole_batches(batches);
  const RecordBatchView batch = TRY(parse_produced(batches, config_->batch, now));
  const ProducerVerdict verdict = producers_.check(batch);
  switch (verdict.kind) {
    case ProducerVerdict::Kind::kAccepted:
      break;
    case ProducerVerdict::Kind::kDuplicate:
      duplicate = {.base_offset = verdict.base_offset,
                   .last_offset = verdict.last_offset,
                   .log_start_offset = log_start_,
                   .duplicate = true};
      if (config_->batch.timestamp_type == TimestampType::kLogAppendTime) duplicate.log_append_time = verdict.timestamp;
      break;
    case ProducerVerdict::Kind::kOutOfOrder:
      return failure(Errc::kOutOfOrder);
    case ProducerVerdict::Kind::kFenced:
      return failure(Errc::kFenced);
  }
  BatchViews views;
  views.push_back(batch);
  return views;
}

bool Partition::roll_is_due(uint64_t bytes, reactor::WallMillis now) const {
  const Segment& segment = bytes_.active();
  if (segment.size == 0) return false;
  if (segment.size + bytes > config_->segment_bytes) return true;
  const int64_t age_ms = roll_age_ms(*config_, uid_, segment.base_offset());
  return age_ms >= 0 && now.value - segment.first_append.value > age_ms;
}

namespace {
// The same batch may be taken when it comes again.
bool passes(Errc error) {
  return error == Errc::kNoMemory || error == Errc::kNoSpace || error == Errc::kBusy || error == Errc::kStopping ||
         error == Errc::kStale || error == Errc::kIoError || error == Errc::kDamaged;
}
}  // namespace

Result<AppendResult> Partition::append(MutableBytes batches, const AppendOptions& options, reactor::WallMillis now) {
  check_core();
  Result<AppendResult> appended = append_now(batches, options, now);
  if (!appended && options.from_client && passes(appended.error())) refused(batches, now);
  return appended;
}

void Partition::refused(ByteView batch, reactor::WallMillis now) {
  check_core();
  const auto view = RecordBatchView::parse(batch);
  if (!view) return;
  const size_t producers_before = producers_.size();
  producers_.refused(*view, now);
  count_new_producers(producers_before);
}

Result<AppendResult> Partition::append_now(MutableBytes batches, const AppendOptions& options,
                                           reactor::WallMillis now) {
  TRY(check_open());
  const std::optional<EpochEntry> epoch = epochs_.latest();
  if (epoch && options.leader_epoch < epoch->epoch) return failure(Errc::kStale);
  AppendResult result;
  const BatchViews views = TRY(check_batches(batches, options, now, result));
  if (result.duplicate) return result;
  TRY(make_room(batches.size(), options.from_client, now));

  const bool stamp = config_->batch.timestamp_type == TimestampType::kLogAppendTime && options.from_client;
  result = {.base_offset = bytes_.end().offset, .last_offset = bytes_.end().offset - 1, .log_start_offset = log_start_};
  if (stamp) result.log_append_time = now.value;
  uint64_t at = bytes_.active().size;
  size_t from = 0;
  for (const RecordBatchView& view : views) {
    const MutableBytes batch = batches.subspan(from, view.size_bytes());
    if (stamp) patch_log_append_time(batch, now);
    patch_offset_and_epoch(batch, result.last_offset + 1, options.leader_epoch);
    if (!bytes_.copy_to_tail(at, batch)) {
      bytes_.trim_tail(commit_.flushed_linear());
      return failure(Errc::kCorrupt);
    }
    result.last_offset = view.last_offset();  // the view reads what was just patched
    at += batch.size();
    from += batch.size();
  }
  publish(batches, now);
  CHECK(bytes_.end().offset == result.last_offset + 1);
  return result;
}

// All that can be refused of a leader's batches before a byte is stored, but the CRC.
Result<Partition::BatchViews> Partition::check_replicated(ByteView batches) const {
  BatchViews views = TRY(whole_batches(batches));
  int64_t next = bytes_.end().offset;
  int32_t epoch = std::max(epochs_.latest().value_or(EpochEntry{}).epoch, 0);
  for (const RecordBatchView& batch : views) {
    if (batch.leader_epoch() < 0 || batch.next_offset() <= batch.base_offset()) return failure(Errc::kMalformed);
    if (batch.leader_epoch() < epoch) return failure(Errc::kStale);
    if (batch.base_offset() < next) return failure(Errc::kOutOfOrder);
    next = batch.next_offset();
    epoch = batch.leader_epoch();
  }
  return views;
}

Result<AppendResult> Partition::append_replicated(ByteView batches, reactor::WallMillis now,
                                                  std::span<const EpochEntry> leader_epochs) {
  check_core();
  TRY(check_open());
  const BatchViews views = TRY(check_replicated(batches));
  TRY(make_room(batches.size(), true, now));
  uint64_t at = bytes_.active().size;
  for (const RecordBatchView& batch : views) {
    if (!bytes_.copy_to_tail(at, batch.bytes())) {
      bytes_.trim_tail(commit_.flushed_linear());
      return failure(Errc::kCorrupt);
    }
    at += batch.size_bytes();
  }
  publish(batches, now, leader_epochs);
  CHECK(bytes_.end().offset == views.back().next_offset() &&
        (holes_from_ == kNoHoles || holes_from_ < bytes_.end().offset));
  CHECK(epochs_.latest()->epoch == views.back().leader_epoch());
  return AppendResult{.base_offset = views.front().base_offset(),
                      .last_offset = views.back().last_offset(),
                      .log_start_offset = log_start_};
}

// A place for `bytes` behind the end, in memory and on disk, in a new segment if one is due. kNoMemory, kNoSpace,
// kTooLarge: the log holds what it held.
Result<void> Partition::make_room(uint64_t bytes, bool from_client, reactor::WallMillis now) {
  if (bytes > engine_.cache().dirty_bytes_max() / 2) return failure(Errc::kTooLarge);
  if (from_client && engine_.disk_full()) return failure(Errc::kNoSpace);
  if (roll_is_due(bytes, now)) roll();
  TRY(admit(bytes, from_client));
  return reserve(bytes);
}

// Whether `bytes` more will have a place on disk, however full it gets. Changes no log state.
Result<void> Partition::admit(uint64_t bytes, bool from_client) {
  const Segment& segment = bytes_.active();
  const SpaceAccount& space = engine_.space();
  const uint64_t wanted = SpaceAccount::place_wanted(segment, segment.size + bytes) - segment.owed;
  const Result<void> admitted = space.admit(wanted, from_client);
  if (admitted || admitted.error() != Errc::kNoMemory) return admitted;
  if (wanted > space.limit(from_client) / 2) {
    engine_.grow_ahead(*this, bytes_.segments().back(), segment.size + bytes);
  } else {
    engine_.memory_wanted();
  }
  return admitted;
}

// A place for `bytes` in the tail. Changes no log state.
Result<void> Partition::reserve(uint64_t bytes) {
  const Result<void> reserved = bytes_.reserve(engine_.cache(), bytes, commit_.flushed_linear());
  if (!reserved) engine_.memory_wanted();
  return reserved;
}

// The bytes behind the end become the log's.
void Partition::publish(ByteView batches, reactor::WallMillis now, std::span<const EpochEntry> leader_epochs) {
  const size_t producers_before = producers_.size();
  BatchCursor cursor(batches);
  while (auto batch = cursor.next()) {
    if (batch->base_offset() > bytes_.end().offset) note_hole();
    const bool is_late = planted(kBugs["epoch-behind-its-batch"]);
    if (!is_late) follow_epochs(*batch, leader_epochs);
    producers_.append(*batch, now);
    bytes_.append(*batch, now);
    if (is_late) start_epoch_at(batch->leader_epoch(), bytes_.end().offset);
  }
  tell_if_producers_were_pushed_out();
  engine_.space().follow(bytes_.active());
  count_new_producers(producers_before);
  engine_.contributor().mark_dirty(*this);
  waiters_.end_moved();
}

void Partition::count_new_producers(size_t before) {
  if (producers_.size() > before) engine_.table_grows((producers_.size() - before) * SpaceAccount::kProducerBytes);
}

// Once, and at each tenfold: every batch may push one out.
void Partition::tell_if_producers_were_pushed_out() {
  if (producers_.pushed_out() < pushed_out_to_tell_) return;
  pushed_out_to_tell_ = producers_.pushed_out() * 10;
  engine_.core().log(
      reactor::LogLevel::kWarning, "storage.producers_pushed_out",
      fmt::format("partition={}-{} remembered={} pushed_out={} meaning=\"new producers take the place of "
                  "those silent longest, whose repeated batches are no longer known\"",
                  topic_name_, partition_, producers_.size(), producers_.pushed_out()));
}

// The batch that comes next leaves a hole behind the end. The first one is journaled, before that batch.
void Partition::note_hole() {
  if (holes_from_ != kNoHoles) return;
  holes_from_ = bytes_.end().offset;
  if (planted(kBugs["hole-not-journaled"])) return;
  engine_.contributor().add_detached(
      *this, {.type = RecordType::kHoles, .uid = uid_, .generation = generation_, .first_offset = bytes_.end().offset});
}

void Partition::start_epoch(int32_t epoch) {
  check_core();
  CHECK(mode_ != Mode::kTruncating, "an epoch starts at an end that is about to move");
  start_epoch_at(epoch, bytes_.end().offset);
}

// What begins with this batch, or in the hole before it.
void Partition::follow_epochs(const RecordBatchView& batch, std::span<const EpochEntry> leader_epochs) {
  for (const EpochEntry& entry : leader_epochs) {
    if (entry.epoch > batch.leader_epoch()) break;
    start_epoch_at(entry.epoch, std::clamp(entry.start_offset, bytes_.end().offset, batch.base_offset()));
  }
  start_epoch_at(batch.leader_epoch(), bytes_.end().offset);
}

void Partition::start_epoch_at(int32_t epoch, int64_t offset) {
  if (!epochs_.assign(epoch, offset)) return;
  engine_.table_grows(SpaceAccount::kEpochBytes);
  engine_.contributor().add_detached(*this, {.type = RecordType::kEpochStart,
                                             .uid = uid_,
                                             .generation = generation_,
                                             .first_offset = offset,
                                             .epoch = epoch});
}

void Partition::roll() {
  check_core();
  Segment& old = bytes_.active();
  if (old.size == 0 || mode_ != Mode::kOpen) return;
  bytes_.trim_tail(commit_.flushed_linear());
  if (producers_known_ && producers_.size() > 0) {
    old.make_extras().producer_snapshot = producers_.encode(bytes_.end().offset);
  }
  bytes_.roll();
  engine_.table_grows(SpaceAccount::kSegmentBytes);
  // Else write-back, which ends with that, has nothing to do here any more.
  if (commit_.flushed_linear() >= old.linear_end()) engine_.tidy(*this, bytes_.keep(old));
  meta_queued();  // the ROLL record follows the old segment's last bytes: submit()
  engine_.contributor().mark_dirty(*this);
}

}  // namespace posthaste::storage
