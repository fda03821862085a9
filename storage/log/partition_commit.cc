// Partition: what the journal takes of it, what became durable, what is flushed. The rules of this file are those that
// keep acked bytes safe (docs/storage-format.md, "The full-page rule").
#include <algorithm>

#include "storage/engine.h"
#include "storage/journal/contributor.h"
#include "storage/log/partition.h"
#include "storage/log/write_back.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

namespace {
// Write-back starts when this much is durable and waits: large enough that a write is worth its operation.
constexpr uint64_t kWriteBackBytes = 64 * 1024;
// How long to wait before the last block is read again. Something outside must change; a second is soon enough.
constexpr reactor::Duration kPrefixRetryMin = std::chrono::milliseconds(10);
constexpr reactor::Duration kPrefixRetryMax = std::chrono::seconds(1);
}  // namespace

bool Partition::prefix_in_memory() const {
  const uint64_t position = submitted_linear_ - submitting_->linear_start();
  const Chunk* chunk = submitting_->chunk_at(position);
  return chunk != nullptr && uint64_t{chunk->position} + chunk->begin <= align_down(position);
}

// Moves what fits into the commit being built; of a partition that is inside a batch, the rest of that batch only: then
// it is somebody else's turn. The caller tells when it is durable, and keeps `referred` until then.
Partition::Submitted Partition::submit(RecordWriter& writer, std::vector<ChunkLease>& referred) {
  check_core();
  Submitted submitted;
  const uint64_t until = in_batch() ? batch_end_.linear : UINT64_MAX;
  for (;;) {
    if (submitted_linear_ == until) {
      submitted.more = submitted_linear_ < bytes_.end().linear || submitting_ != bytes_.segments().back();
      break;
    }
    if (submitted_linear_ == submitting_->linear_end()) {
      if (submitting_ == bytes_.segments().back()) break;
      const auto next = std::ranges::find(bytes_.segments(), submitting_) + 1;
      const Bytes record = encode_meta_record({.type = RecordType::kRoll,
                                               .uid = uid_,
                                               .generation = generation_,
                                               .segment_base = submitting_->base_offset(),
                                               .position = submitting_->size,
                                               .first_offset = (*next)->base_offset()});
      if (!writer.add_encoded(record)) {
        submitted.more = true;
        break;
      }
      submitted.any = true;
      ++submitted.rolls;
      submitting_ = *next;
      continue;
    }
    if (writer.room() < kRecordRoomMin) {
      submitted.more = true;
      break;
    }
    if (submit_range(writer, referred, submitted, until) == 0) break;
  }
  submitted.linear_end = submitted_linear_;
  submitted.boundary = submitted_;
  if (planted(kBugs["ack-before-journal-write"])) acknowledge(submitted_.offset);
  return submitted;
}

// One data record out of the submitting segment, which ends at `until` at the latest. 0: the prefix it needs is not in
// memory yet.
size_t Partition::submit_range(RecordWriter& writer, std::vector<ChunkLease>& referred, Submitted& submitted,
                               uint64_t until) {
  Segment& segment = *submitting_;
  const uint64_t position = submitted_linear_ - segment.linear_start();
  const size_t prefix_due = prefix_due_ ? position % kBlock : 0;
  if (prefix_due > 0 && !prefix_in_memory()) {
    if (!loading_prefix_ && !damage_.damaged) {
      loading_prefix_ = true;
      engine_.spawn(load_prefix(Use(*this)));
    }
    return 0;
  }
  const size_t prefix = planted(kBugs["no-full-page-prefix"]) ? 0 : prefix_due;
  const uint64_t pending = std::min(segment.linear_end(), until) - submitted_linear_;
  size_t bytes = 0;
  const bool aligned = pending >= engine_.host().options().gather_bytes_min &&
                       (bytes = referable(segment, position - prefix, prefix + pending, writer)) > prefix;
  if (aligned) {
    bytes -= prefix;
  } else {
    bytes = std::min<uint64_t>(pending, writer.room() - RecordWriter::data_record_bytes(0) - prefix);
  }
  const uint64_t linear_end = submitted_linear_ + bytes;
  advance_submitted(linear_end);
  // A boundary before this segment is the segment's start: segments begin with a batch.
  const uint64_t boundary = std::max(submitted_.linear, segment.linear_start()) - segment.linear_start();
  writer.begin_data({.type = RecordType::kDataInline,
                     .uid = uid_,
                     .generation = generation_,
                     .segment_base = segment.base_offset(),
                     .position = position,
                     .boundary = boundary,
                     .boundary_offset = submitted_.offset,
                     .high_watermark = high_watermark_},
                    prefix, bytes, aligned);
  hand_over(segment, position - prefix, prefix + bytes, aligned, writer, referred);
  writer.end_data();
  prefix_due_ = false;
  submitted.any = true;
  return bytes;
}

// How many of the bytes at `position` an aligned record can take: what the sub-block has room for, and no more chunks
// than it may refer to.
size_t Partition::referable(const Segment& segment, uint64_t position, uint64_t bytes,
                            const RecordWriter& writer) const {
  const uint64_t end_max = position + std::min<uint64_t>(bytes, writer.aligned_payload_max(position));
  uint64_t end = position;
  for (size_t chunks = writer.references_max(); chunks > 0 && end < end_max; --chunks) {
    end = segment.chunk_at(end)->segment_end();
  }
  return std::min(end, end_max) - position;
}

// Gives the record its bytes: whole blocks by reference if it is aligned, the rest as a copy. A block that lies below
// the submitted end does not change any more.
void Partition::hand_over(const Segment& segment, uint64_t position, size_t bytes, bool aligned, RecordWriter& writer,
                          std::vector<ChunkLease>& referred) const {
  if (!aligned) return LogBytes::copy_out(segment, position, writer.space_for(bytes));
  for (size_t done = 0; done < bytes;) {
    const uint64_t at = position + done;
    Chunk* chunk = segment.chunk_at(at);
    const uint64_t whole = align_down(std::min<uint64_t>(bytes - done, chunk->segment_end() - at));
    if (at % kBlock == 0 && whole > 0) {
      CHECK(at >= uint64_t{chunk->position} + chunk->begin);
      writer.refer({chunk->buffer.data() + (at - chunk->position), static_cast<size_t>(whole)});
      referred.emplace_back(chunk);
      done += whole;
    } else {
      const size_t piece = std::min<uint64_t>(bytes - done, kBlock - at % kBlock);
      LogBytes::copy_out(segment, at, writer.space_for(piece));
      done += piece;
    }
  }
}

// The record that is built now ends at `linear`. Looks at headers of batches that begin in what was not submitted
// before, which is in memory; of the batch before them, the end is remembered.
void Partition::advance_submitted(uint64_t linear) {
  const bool was_in_batch = in_batch();
  submitted_linear_ = linear;
  const Segment& segment = *submitting_;
  if (linear == bytes_.end().linear && segment.headers_known) {
    submitted_proofs_.push_back({linear, {segment.base_offset(), segment.size, segment.headers_hash}});
  }
  if (linear == bytes_.end().linear || planted(kBugs["gap-acked"])) {
    submitted_ = bytes_.end();
  } else if (linear == submitting_->linear_end()) {
    const auto next = std::ranges::find(bytes_.segments(), submitting_) + 1;
    submitted_ = {linear, (*next)->base_offset()};
  } else {
    if (!was_in_batch) batch_end_ = bytes_.batch_end_at(submitted_);
    while (in_batch() && batch_end_.linear <= linear) {
      submitted_ = batch_end_;
      if (in_batch()) batch_end_ = bytes_.batch_end_at(submitted_);
    }
  }
}

// The block's first bytes, which only the segment file has, for the prefix of the next record. Until they are there
// nothing of the partition can be journaled: an error that may pass is waited out, and appends are refused meanwhile.
// That the file is gone, or ends before, does not pass.
Task<void> Partition::load_prefix(Use use) {
  const std::shared_ptr<Segment> segment = submitting_;
  const uint64_t block = align_down(submitted_linear_ - segment->linear_start());
  ChunkLease chunk(segment->chunk_at(block));
  CHECK(chunk && chunk->position == block && chunk->begin > 0);
  const Result<uint64_t> got = co_await read_prefix(use, *segment, block, *chunk);
  loading_prefix_ = prefix_failing_ = false;
  if (!got && got.error() != Errc::kNotFound) co_return;  // deleted or stopped meanwhile
  if (!got || *got < chunk->begin) {
    damage_from(durable_.offset, fmt::format("the log's last block is not there any more: {} {}",
                                             segment_path(*segment, "log"), got ? "was cut" : "is missing"));
    fail_waiters(Errc::kDamaged);
    changed_.notify_all();
    co_return;
  }
  segment->read_failing = false;
  chunk->begin = 0;
  // The prefix is not checked; a read that needs it checks the whole batch.
  changed_.notify_all();
  engine_.contributor().mark_dirty(*this);
}

// Reads a block into the place before what the chunk holds of it; again and again if that fails for a reason that may
// pass, until the partition is closed. Returns how much of the block there is.
Task<Result<uint64_t>> Partition::read_prefix(const Use& /*use*/, Segment& segment, uint64_t block, Chunk& chunk) {
  for (reactor::Duration pause = kPrefixRetryMin;; pause = std::min(2 * pause, kPrefixRetryMax)) {
    reactor::Buffer bounce = co_await engine_.take_prefix_block();
    const Result<uint64_t> got =
        co_await engine_.files().read(*this, segment, block, bounce.bytes(), reactor::IoClass::kLiveRead);
    if (got && *got >= chunk.begin) std::copy_n(bounce.data(), chunk.begin, chunk.buffer.data());
    engine_.give_back_prefix_block(std::move(bounce));  // before the pause: others may be able to read theirs
    if (got || got.error() == Errc::kNotFound) co_return got;
    (void)read_failed(segment, block, got.error());
    prefix_failing_ = true;
    changed_.notify_all();
    // Who waits for what was taken before the error was known is told when it does not pass soon; a stop would wait for
    // them.
    if (pause == kPrefixRetryMax) fail_waiters(Errc::kIoError);
    co_await engine_.core().sleep(pause);
    if (mode_ == Mode::kDeleting || mode_ == Mode::kStopping) co_return failure(Errc::kStopping);
  }
}

void Partition::meta_durable(uint64_t lsn, bool applies_later) {
  CHECK(metas_pending_ > 0);
  --metas_pending_;
  if (applies_later) ++metas_unapplied_;
  last_meta_lsn_ = lsn;
  changed_.notify_all();
}

void Partition::meta_applied() {
  CHECK(metas_unapplied_ > 0);
  --metas_unapplied_;
  changed_.notify_all();
}

void Partition::acknowledge(int64_t offset) {
  waiters_.advanced_to(offset);
  if (attachment_ != nullptr) attachment_->durable_advanced();
}

void Partition::submitted_is_durable(const Submitted& submitted, const CommitPlace& place) {
  check_core();
  CHECK(submitted.linear_end >= durable_linear_ && submitted.linear_end <= submitted_linear_);
  if (submitted.linear_end > durable_linear_) {
    if (!live_.empty() && live_.back().file_start_lsn == place.file_start_lsn) {
      live_.back().linear_end = submitted.linear_end;
    } else {
      live_.push_back({place.file_start_lsn, submitted.linear_end});
    }
    durable_linear_ = submitted.linear_end;
    engine_.note_unflushed(*this);
  }
  for (uint32_t i = 0; i < submitted.rolls; ++i) {
    durable_segment_ = *(std::ranges::find(bytes_.segments(), durable_segment_) + 1);
    meta_durable(place.lsn, false);
  }
  changed_.notify_all();
  if (submitted.boundary.linear > durable_.linear) {
    durable_ = submitted.boundary;
    const auto later = std::ranges::find_if(
        submitted_proofs_, [this](const SubmittedProof& known) { return known.linear_end > durable_.linear; });
    if (later != submitted_proofs_.begin()) durable_proof_ = std::prev(later)->proof;
    submitted_proofs_.erase(submitted_proofs_.begin(), later);
    CHECK(durable_.offset <= bytes_.end().offset);
    acknowledge(durable_.offset);
  }
  const bool segment_ended = bytes_.segment_of(flushed_linear_)->sealed && durable_linear_ > flushed_linear_;
  if (segment_ended || durable_linear_ - flushed_linear_ >= kWriteBackBytes) {
    engine_.write_back().request(*this, durable_linear_, false);
  }
}

// Journal records that end at or before this are not needed any more. If the flushed end lies inside a block, a record
// that was built already shares the block and has no prefix: then the block's older records stay.
uint64_t Partition::released_linear() const {
  const auto segment = bytes_.segment_of(flushed_linear_);
  const uint64_t position = std::max(flushed_linear_, segment->linear_start()) - segment->linear_start();
  if (position % kBlock == 0 || prefix_due_) return flushed_linear_;
  return segment->linear_start() + align_down(position);
}

uint64_t Partition::oldest_needed_lsn(uint64_t released, uint64_t bound_lsn) const {
  for (const LiveRecords& live : live_) {
    if (live.linear_end > released) return std::min(live.file_start_lsn, bound_lsn);
  }
  return bound_lsn;
}

void Partition::flushed_to(uint64_t linear) {
  check_core();
  const uint64_t before = flushed_linear_;
  CHECK(linear > before && linear <= durable_linear_);
  flushed_linear_ = linear;
  const SegmentPosition end = bytes_.position_of(linear);
  if (end.position % kBlock != 0 && linear == submitted_linear_) prefix_due_ = true;
  const uint64_t released = released_linear();
  std::erase_if(live_, [released](const LiveRecords& live) { return live.linear_end <= released; });
  bytes_.clean(before, linear);
  if (flushed_linear_ == bytes_.end().linear) static_cast<reactor::ListNode<UnflushedTag>&>(*this).unlink();
  changed_.notify_all();
  engine_.room_made();
}

// A place that is durable, in a segment that is: where two segments touch, the earlier one until its ROLL is durable.
SegmentPosition Partition::durable_position_of(uint64_t linear) const {
  const Segment& last = *durable_segment_;
  if (linear >= last.linear_start()) return {last.base_offset(), linear - last.linear_start()};
  return bytes_.position_of(linear);
}

// Keeps a copy of the producers' state for the next table, as soon as all that it covers is durable. Taken at the end
// of the log, it may have to wait for that: a table meanwhile names the older copy, and recovery reads a little more.
void Partition::snapshot_producers() {
  if (next_producers_.valid && next_producers_.at.linear <= durable_.linear) {
    stable_producers_ = std::move(next_producers_);
    next_producers_ = {};
  }
  if (next_producers_.valid || !producers_known_) return;
  if (stable_producers_.valid && stable_producers_.at.linear == bytes_.end().linear) return;
  ProducerSnapshot taken{producers_.encode(bytes_.end().offset), bytes_.end(), true};
  (durable_.linear == bytes_.end().linear ? stable_producers_ : next_producers_) = std::move(taken);
}

// What a table says of this partition: the durable log and nothing else, so that a table can be made while the journal
// is full. META records that are queued or under way are not contained; they lie above last_meta_lsn.
TableEntry Partition::table_entry() {
  CHECK(metas_unapplied_ == 0);
  CHECK(high_watermark_ <= durable_.offset);
  snapshot_producers();
  TableEntry entry{.uid = uid_,
                   .topic_id = topic_id_,
                   .topic_name = topic_name_,
                   .partition = partition_,
                   .core = engine_.core().id(),
                   .generation = generation_,
                   .last_meta_lsn = last_meta_lsn_,
                   .directory_created = directory_created_,
                   .log_start = log_start_,
                   .flushed = durable_position_of(flushed_linear_),
                   .released = durable_position_of(released_linear()),
                   .end = durable_position_of(durable_.linear),
                   .end_offset = durable_.offset,
                   .high_watermark = high_watermark_,
                   .epochs = epochs_,
                   .holes_from = holes_from_,
                   .damage = damage_};
  if (planted(kBugs["table-of-wrong-moment"])) {
    entry.end = durable_position_of(bytes_.end().linear);
    entry.end_offset = bytes_.end().offset;
  }
  if (stable_producers_.valid) {
    entry.producers = stable_producers_.bytes;
    // A new log has one too, so that the table needs no more space for it later.
    std::optional<HeaderProof> proof = durable_proof_;
    if (!proof && entry.end.position == 0) proof = HeaderProof{.segment_base = entry.end.base_offset};
    if (proof) append_proof(entry.producers, *proof);
    entry.producers_at = durable_position_of(stable_producers_.at.linear);
    entry.producers_offset = stable_producers_.at.offset;
  }
  for (const auto& segment : bytes_.segments()) {
    entry.segments.push_back({segment->base_offset(), segment->size, segment->max_timestamp, segment->last_append});
    if (segment == durable_segment_) break;
  }
  entry.segments.back().size_bytes = entry.end.position;
  return entry;
}

size_t Partition::rolls_to_submit() const {
  return static_cast<size_t>(bytes_.segments().end() - std::ranges::find(bytes_.segments(), submitting_)) - 1;
}

// Waits until all that was appended is durable and flushed, no META record is under way and no write-back runs. Of a
// damaged log what is durable: the rest can not become so any more.
Task<Result<void>> Partition::quiesce() {
  for (;;) {
    if (prefix_failing_) co_return failure(Errc::kIoError);
    const bool is_durable = damage_.damaged
                                ? durable_linear_ == submitted_linear_ && !loading_prefix_
                                : durable_.linear == bytes_.end().linear && submitting_ == bytes_.segments().back();
    const bool settled =
        is_durable && metas_pending_ == rolls_to_submit() && metas_unapplied_ == 0 && !write_back_running_;
    if (settled && (flushed_linear_ == durable_linear_ || planted(kBugs["no-flush-before-truncate"]))) {
      co_return Result<void>();
    }
    if (settled) engine_.write_back().request(*this, durable_linear_, true);
    co_await changed_.wait();
  }
}

}  // namespace posthaste::storage
