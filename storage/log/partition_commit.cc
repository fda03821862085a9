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

CommitState::Submitted Partition::submit(RecordWriter& writer, std::vector<ChunkLease>& referred) {
  check_core();
  const RecordSource source{.uid = uid_,
                            .generation = generation_,
                            .high_watermark = high_watermark_,
                            .gather_bytes_min = engine_.host().options().gather_bytes_min};
  const CommitState::Submitted submitted = commit_.submit(source, writer, referred);
  if (submitted.needs_prefix && !loading_prefix_ && !damage_.damaged) {
    loading_prefix_ = true;
    engine_.spawn(load_prefix(Use(*this)));
  }
  if (planted(kBugs["ack-before-journal-write"])) acknowledge(commit_.submitted().offset);
  return submitted;
}

// The block's first bytes, which only the segment file has, for the prefix of the next record. Until they are there
// nothing of the partition can be journaled: an error that may pass is waited out, and appends are refused meanwhile.
// That the file is gone, or ends before, does not pass.
Task<void> Partition::load_prefix(Use use) {
  const std::shared_ptr<Segment> segment = bytes_.keep(commit_.submitting());
  const uint64_t block = align_down(commit_.submitted_linear() - segment->linear_start());
  ChunkLease chunk(segment->chunk_at(block));
  CHECK(chunk && chunk->position == block && chunk->begin > 0);
  const Result<uint64_t> got = co_await read_prefix(use, *segment, block, *chunk);
  loading_prefix_ = prefix_failing_ = false;
  if (!got && got.error() != Errc::kNotFound) co_return;  // deleted or stopped meanwhile
  if (!got || *got < chunk->begin) {
    damage_from(commit_.durable().offset, fmt::format("the log's last block is not there any more: {} {}",
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
    (void)reader_.read_failed(segment, block, got.error());
    prefix_failing_ = true;
    changed_.notify_all();
    // Those who wait for what was taken before the error was known get the error when it does not pass soon; a stop
    // would wait for them.
    if (pause == kPrefixRetryMax) fail_waiters(Errc::kIoError);
    co_await engine_.core().sleep(pause);
    if (mode_ == Mode::kDeleting || mode_ == Mode::kStopping) co_return failure(Errc::kStopping);
  }
}

void Partition::meta_durable(uint64_t lsn, bool applies_later) {
  commit_.meta_durable(lsn, applies_later);
  changed_.notify_all();
}

void Partition::meta_applied() {
  commit_.meta_applied();
  changed_.notify_all();
}

void Partition::acknowledge(int64_t offset) {
  waiters_.advanced_to(offset);
  if (attachment_ != nullptr) attachment_->durable_advanced();
}

void Partition::submitted_is_durable(const CommitState::Submitted& submitted, const CommitPlace& place) {
  check_core();
  const CommitState::Advance advance = commit_.made_durable(submitted, place);
  if (advance.bytes) engine_.note_unflushed(*this);
  changed_.notify_all();
  if (advance.boundary) acknowledge(commit_.durable().offset);
  const bool segment_ended =
      bytes_.segment_of(commit_.flushed_linear())->sealed && commit_.durable_linear() > commit_.flushed_linear();
  if (segment_ended || commit_.durable_linear() - commit_.flushed_linear() >= kWriteBackBytes) {
    engine_.write_back().request(*this, commit_.durable_linear(), false);
  }
}

void Partition::flushed_to(uint64_t linear) {
  check_core();
  const uint64_t before = commit_.flushed_linear();
  commit_.flushed_to(linear);
  bytes_.clean(before, linear);
  if (commit_.is_all_flushed()) static_cast<reactor::ListNode<UnflushedTag>&>(*this).unlink();
  changed_.notify_all();
  engine_.room_made();
}

// Keeps a copy of the producers' state for the next table, as soon as all that it covers is durable. Taken at the end
// of the log, it may have to wait for that: a table meanwhile names the older copy, and recovery reads a little more.
void Partition::snapshot_producers() {
  if (next_producers_.valid && next_producers_.at.linear <= commit_.durable().linear) {
    stable_producers_ = std::move(next_producers_);
    next_producers_ = {};
  }
  if (next_producers_.valid || !producers_known_) return;
  if (stable_producers_.valid && stable_producers_.at.linear == bytes_.end().linear) return;
  ProducerSnapshot taken{.at = bytes_.end(), .valid = true};
  if (producers_.size() > 0) taken.bytes = producers_.encode(bytes_.end().offset);
  (commit_.durable().linear == bytes_.end().linear ? stable_producers_ : next_producers_) = std::move(taken);
}

// What a table says of this partition: the durable log and nothing else, so that a table can be made while the journal
// is full. META records that are queued or under way are not contained; they lie above last_meta_lsn.
TableEntry Partition::table_entry() {
  CHECK(commit_.metas_unapplied() == 0);
  CHECK(high_watermark_ <= commit_.durable().offset);
  snapshot_producers();
  TableEntry entry{.uid = uid_,
                   .topic_id = topic_id_,
                   .topic_name = topic_name_,
                   .partition = partition_,
                   .core = engine_.core().id(),
                   .generation = generation_,
                   .last_meta_lsn = commit_.last_meta_lsn(),
                   .directory_created = folder_.is_created,
                   .log_start = log_start_,
                   .flushed = commit_.durable_position_of(commit_.flushed_linear()),
                   .released = commit_.durable_position_of(commit_.released_linear()),
                   .end = commit_.durable_position_of(commit_.durable().linear),
                   .end_offset = commit_.durable().offset,
                   .high_watermark = high_watermark_,
                   .epochs = epochs_,
                   .holes_from = holes_from_,
                   .damage = damage_};
  if (planted(kBugs["table-of-wrong-moment"])) {
    entry.end = commit_.durable_position_of(bytes_.end().linear);
    entry.end_offset = bytes_.end().offset;
  }
  if (stable_producers_.valid) {
    entry.producers =
        stable_producers_.bytes.empty() ? ProducerState().encode(stable_producers_.at.offset) : stable_producers_.bytes;
    // A new log has one too, so that the table needs no more space for it later.
    std::optional<HeaderProof> proof = commit_.durable_proof();
    if (!proof && entry.end.position == 0) proof = HeaderProof{.segment_base = entry.end.base_offset};
    if (proof) append_proof(entry.producers, *proof);
    entry.producers_at = commit_.durable_position_of(stable_producers_.at.linear);
    entry.producers_offset = stable_producers_.at.offset;
  }
  for (const auto& segment : bytes_.segments()) {
    entry.segments.push_back({segment->base_offset(), segment->size, segment->max_timestamp, segment->last_append});
    if (segment.get() == &commit_.durable_segment()) break;
  }
  entry.segments.back().size_bytes = entry.end.position;
  return entry;
}

// Waits until all that was appended is durable and flushed, no META record is under way and no write-back runs. Of a
// damaged log what is durable: the rest can not become so any more.
Task<Result<void>> Partition::quiesce() {
  for (;;) {
    if (prefix_failing_) co_return failure(Errc::kIoError);
    const bool is_durable = damage_.damaged ? commit_.durable_linear() == commit_.submitted_linear() && !loading_prefix_
                                            : commit_.is_all_durable();
    const bool settled = is_durable && commit_.metas_pending() == commit_.rolls_to_submit() &&
                         commit_.metas_unapplied() == 0 && !write_back_goal_.running;
    if (settled &&
        (commit_.flushed_linear() == commit_.durable_linear() || planted(kBugs["no-flush-before-truncate"]))) {
      co_return Result<void>();
    }
    if (settled) engine_.write_back().request(*this, commit_.durable_linear(), true);
    co_await changed_.wait();
  }
}

}  // namespace posthaste::storage
