#include "storage/log/commit_state.h"

#include <algorithm>

#include "storage/planted_bugs.h"

namespace posthaste::storage {
namespace {

// How many of the bytes at `position` an aligned record can take: what the sub-block has room for, and no more chunks
// than it may refer to.
size_t referable(const Segment& segment, uint64_t position, uint64_t bytes, const RecordWriter& writer) {
  const uint64_t end_max = position + std::min<uint64_t>(bytes, writer.aligned_payload_max(position));
  uint64_t end = position;
  for (size_t chunks = writer.references_max(); chunks > 0 && end < end_max; --chunks) {
    end = segment.chunk_at(end)->segment_end();
  }
  return std::min(end, end_max) - position;
}

// Gives the record its bytes: whole blocks by reference if it is aligned, the rest as a copy. A block that lies below
// the submitted end does not change any more.
void hand_over(const Segment& segment, uint64_t position, size_t bytes, bool aligned, RecordWriter& writer,
               std::vector<ChunkLease>& referred) {
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

}  // namespace

CommitState::CommitState(const LogBytes& bytes, const Boundary& end, uint64_t last_meta_lsn,
                         const std::optional<HeaderProof>& proof)
    : bytes_(bytes),
      flushed_linear_(end.linear),
      durable_linear_(end.linear),
      submitted_linear_(end.linear),
      durable_(end),
      submitted_(end),
      submitting_(&bytes.active()),
      durable_segment_(&bytes.active()),
      durable_proof_(proof),
      last_meta_lsn_(last_meta_lsn),
      prefix_due_(bytes.active().size % kBlock != 0) {}

CommitState::Submitted CommitState::submit(const RecordSource& source, RecordWriter& writer,
                                           std::vector<ChunkLease>& referred) {
  Submitted submitted;
  const uint64_t until = is_in_batch() ? batch_end_.linear : UINT64_MAX;
  for (;;) {
    if (submitted_linear_ == until) {
      submitted.more = submitted_linear_ < bytes_.end().linear || submitting_ != &bytes_.active();
      break;
    }
    if (submitted_linear_ == submitting_->linear_end()) {
      if (submitting_ == &bytes_.active()) break;
      if (submit_roll(source, writer, submitted)) continue;
      submitted.more = true;
      break;
    }
    if (writer.room() < kRecordRoomMin) {
      submitted.more = true;
      break;
    }
    if (submit_range(source, writer, referred, submitted, until) == 0) break;
  }
  submitted.linear_end = submitted_linear_;
  submitted.boundary = submitted_;
  CHECK(durable_linear_ <= submitted_linear_ && submitted_linear_ <= bytes_.end().linear);
  return submitted;
}

// False: no room.
bool CommitState::submit_roll(const RecordSource& source, RecordWriter& writer, Submitted& submitted) {
  Segment* const next = bytes_.next_of(*submitting_);
  const Bytes record = encode_meta_record({.type = RecordType::kRoll,
                                           .uid = source.uid,
                                           .generation = source.generation,
                                           .segment_base = submitting_->base_offset(),
                                           .position = submitting_->size,
                                           .first_offset = next->base_offset()});
  if (!writer.add_encoded(record)) return false;
  submitted.any = true;
  ++submitted.rolls;
  submitting_ = next;
  return true;
}

bool CommitState::is_prefix_in_memory() const {
  const uint64_t position = submitted_linear_ - submitting_->linear_start();
  const Chunk* chunk = submitting_->chunk_at(position);
  return chunk != nullptr && uint64_t{chunk->position} + chunk->begin <= align_down(position);
}

// One data record out of the submitting segment, which ends at `until` at the latest. 0: the prefix it needs is not in
// memory yet.
size_t CommitState::submit_range(const RecordSource& source, RecordWriter& writer, std::vector<ChunkLease>& referred,
                                 Submitted& submitted, uint64_t until) {
  Segment& segment = *submitting_;
  const uint64_t position = submitted_linear_ - segment.linear_start();
  const size_t prefix_due = prefix_due_ ? position % kBlock : 0;
  if (prefix_due > 0 && !is_prefix_in_memory()) {
    submitted.needs_prefix = true;
    return 0;
  }
  const size_t prefix = planted(kBugs["no-full-page-prefix"]) ? 0 : prefix_due;
  const uint64_t pending = std::min(segment.linear_end(), until) - submitted_linear_;
  size_t bytes = 0;
  const bool aligned = pending >= source.gather_bytes_min &&
                       (bytes = referable(segment, position - prefix, prefix + pending, writer)) > prefix;
  if (aligned) {
    bytes -= prefix;
  } else {
    bytes = std::min<uint64_t>(pending, writer.room() - RecordWriter::data_record_bytes(0) - prefix);
  }
  advance_submitted(submitted_linear_ + bytes);
  // A boundary before this segment is the segment's start: segments begin with a batch.
  const uint64_t boundary = std::max(submitted_.linear, segment.linear_start()) - segment.linear_start();
  writer.begin_data({.type = RecordType::kDataInline,
                     .uid = source.uid,
                     .generation = source.generation,
                     .segment_base = segment.base_offset(),
                     .position = position,
                     .boundary = boundary,
                     .boundary_offset = submitted_.offset,
                     .high_watermark = source.high_watermark},
                    prefix, bytes, aligned);
  hand_over(segment, position - prefix, prefix + bytes, aligned, writer, referred);
  writer.end_data();
  prefix_due_ = false;
  submitted.any = true;
  return bytes;
}

// The record that is built now ends at `linear`. Looks at headers of batches that begin in what was not submitted
// before, which is in memory; of the batch before them, the end is remembered.
void CommitState::advance_submitted(uint64_t linear) {
  const bool was_in_batch = is_in_batch();
  submitted_linear_ = linear;
  const Segment& segment = *submitting_;
  if (linear == bytes_.end().linear && segment.headers_known) {
    submitted_proofs_.push_back({linear, {segment.base_offset(), segment.size, segment.headers_hash}});
  }
  if (linear == bytes_.end().linear || planted(kBugs["gap-acked"])) {
    submitted_ = bytes_.end();
  } else if (linear == segment.linear_end()) {
    submitted_ = {linear, bytes_.offset_behind(segment)};
  } else {
    if (!was_in_batch) batch_end_ = bytes_.batch_end_at(submitted_);
    while (is_in_batch() && batch_end_.linear <= linear) {
      submitted_ = batch_end_;
      if (is_in_batch()) batch_end_ = bytes_.batch_end_at(submitted_);
    }
  }
}

CommitState::Advance CommitState::made_durable(const Submitted& submitted, const CommitPlace& place) {
  CHECK(submitted.linear_end >= durable_linear_ && submitted.linear_end <= submitted_linear_);
  const Advance advance{.bytes = submitted.linear_end > durable_linear_,
                        .boundary = submitted.boundary.linear > durable_.linear};
  if (advance.bytes) {
    if (!live_.empty() && live_.back().file_start_lsn == place.file_start_lsn) {
      live_.back().linear_end = submitted.linear_end;
    } else {
      live_.push_back({place.file_start_lsn, submitted.linear_end});
    }
    durable_linear_ = submitted.linear_end;
  }
  for (uint32_t i = 0; i < submitted.rolls; ++i) {
    durable_segment_ = bytes_.next_of(*durable_segment_);
    meta_durable(place.lsn, false);
  }
  if (advance.boundary) {
    durable_ = submitted.boundary;
    const auto later = std::ranges::find_if(
        submitted_proofs_, [this](const SubmittedProof& known) { return known.linear_end > durable_.linear; });
    if (later != submitted_proofs_.begin()) durable_proof_ = std::prev(later)->proof;
    submitted_proofs_.erase(submitted_proofs_.begin(), later);
    CHECK(durable_.offset <= bytes_.end().offset && durable_.linear <= durable_linear_);
  }
  return advance;
}

void CommitState::meta_durable(uint64_t lsn, bool applies_later) {
  CHECK(metas_pending_ > 0);
  --metas_pending_;
  if (applies_later) ++metas_unapplied_;
  last_meta_lsn_ = lsn;
}

void CommitState::meta_applied() {
  CHECK(metas_unapplied_ > 0);
  --metas_unapplied_;
}

uint64_t CommitState::released_linear() const {
  const auto segment = bytes_.segment_of(flushed_linear_);
  const uint64_t position = std::max(flushed_linear_, segment->linear_start()) - segment->linear_start();
  if (position % kBlock == 0 || prefix_due_) return flushed_linear_;
  return segment->linear_start() + align_down(position);
}

uint64_t CommitState::oldest_needed_lsn(uint64_t bound_lsn) const {
  const uint64_t released = released_linear();
  for (const LiveRecords& live : live_) {
    if (live.linear_end > released) return std::min(live.file_start_lsn, bound_lsn);
  }
  return bound_lsn;
}

std::optional<uint64_t> CommitState::oldest_live_lsn() const {
  if (live_.empty()) return std::nullopt;
  return live_.front().file_start_lsn;
}

void CommitState::flushed_to(uint64_t linear) {
  CHECK(linear > flushed_linear_ && linear <= durable_linear_);
  flushed_linear_ = linear;
  const SegmentPosition end = bytes_.position_of(linear);
  if (end.position % kBlock != 0 && linear == submitted_linear_) prefix_due_ = true;
  const uint64_t released = released_linear();
  std::erase_if(live_, [released](const LiveRecords& live) { return live.linear_end <= released; });
}

void CommitState::dropped_below(uint64_t linear) {
  if (flushed_linear_ >= linear) return;
  CHECK(durable_linear_ >= linear);
  flushed_linear_ = linear;
  prefix_due_ = false;
  std::erase_if(live_, [linear](const LiveRecords& live) { return live.linear_end <= linear; });
}

SegmentPosition CommitState::durable_position_of(uint64_t linear) const {
  const Segment& last = *durable_segment_;
  if (linear >= last.linear_start()) return {last.base_offset(), linear - last.linear_start()};
  return bytes_.position_of(linear);
}

void CommitState::know_proof_of_end() {
  const Segment& active = bytes_.active();
  CHECK(active.headers_known && active.linear_end() == durable_.linear);
  durable_proof_ = {active.base_offset(), active.size, active.headers_hash};
}

void CommitState::before_cut() {
  CHECK(submitted_linear_ == durable_linear_, "a commit of what is cut is under way");
  metas_pending_ -= static_cast<uint32_t>(rolls_to_submit());
}

void CommitState::go_on_from(const Boundary& end) {
  CHECK(bytes_.end().linear == end.linear && bytes_.end().offset == end.offset);
  durable_ = submitted_ = end;
  flushed_linear_ = durable_linear_ = submitted_linear_ = end.linear;
  submitting_ = durable_segment_ = &bytes_.active();
  prefix_due_ = bytes_.active().size % kBlock != 0;
  durable_proof_.reset();
  submitted_proofs_.clear();
  live_.clear();
}

}  // namespace posthaste::storage
