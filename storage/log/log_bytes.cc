#include "storage/log/log_bytes.h"

#include <algorithm>
#include <array>

#include "storage/bytes/endian.h"
#include "storage/journal/journal_format.h"

namespace posthaste::storage {

LogBytes::LogBytes(std::span<const SegmentEntry> segments, int64_t end_offset) {
  CHECK(!segments.empty());
  uint64_t linear = 0;
  for (const SegmentEntry& known : segments) {
    auto segment = std::make_shared<Segment>(known.base_offset, linear);
    segment->size = known.size_bytes;
    segment->max_timestamp = known.max_timestamp;
    segment->first_append = segment->last_append = known.last_append;
    segment->sealed = segments_.size() + 1 < segments.size();
    segment->index_whole = known.size_bytes == 0;
    segment->created = known.size_bytes > 0;
    segment->allocated = align_up(known.size_bytes);
    linear += known.size_bytes;
    segments_.push_back(std::move(segment));
  }
  end_ = {linear, end_offset};
  if (active().size > 0) active().headers_known = false;
}

bool LogBytes::adopt_proof(const HeaderProof& proof) {
  const auto of = std::ranges::find(segments_, proof.segment_base, [](const auto& s) { return s->base_offset(); });
  if (of == segments_.end() || proof.position > (*of)->size) return false;
  if (proof.position > 0) (*of)->make_extras().proof = proof;  // of nothing there is nothing to prove
  if (*of != segments_.back() || proof.position < active().size) return true;
  active().headers_hash = proof.hash;
  active().headers_known = true;
  return true;
}

std::vector<SegmentSummary> LogBytes::summaries() const {
  std::vector<SegmentSummary> summaries;
  for (const auto& segment : segments_) {
    summaries.push_back(
        {segment->base_offset(), offset_behind(*segment), segment->size, segment->max_timestamp, segment->last_append});
  }
  return summaries;
}

LogBytes::Segments::const_iterator LogBytes::find(const Segment& segment) const {
  const auto found = std::ranges::find_if(segments_, [&](const auto& known) { return known.get() == &segment; });
  CHECK(found != segments_.end(), "segment {} is not of this log", segment.base_offset());
  return found;
}

std::shared_ptr<Segment> LogBytes::segment_of(uint64_t linear) const {
  for (auto at = segments_.rbegin(); at != segments_.rend(); ++at) {
    if ((*at)->linear_start() <= linear) return *at;
  }
  return segments_.front();
}

std::shared_ptr<Segment> LogBytes::segment_with(int64_t offset) const {
  for (auto at = segments_.rbegin(); at != segments_.rend(); ++at) {
    if ((*at)->base_offset() <= offset) return *at;
  }
  return segments_.front();
}

std::shared_ptr<Segment> LogBytes::last_segment_up_to(const Boundary& end) const {
  const auto found = std::ranges::find_if(segments_.rbegin(), segments_.rend(), [&end](const auto& segment) {
    return segment->linear_start() <= end.linear && segment->base_offset() <= end.offset;
  });
  CHECK(found != segments_.rend(), "the log does not reach down to offset {}", end.offset);
  return *found;
}

Segment* LogBytes::next_of(const Segment& segment) const {
  const auto next = find(segment) + 1;
  return next == segments_.end() ? nullptr : next->get();
}

size_t LogBytes::count_behind(const Segment& segment) const {
  return static_cast<size_t>(segments_.end() - find(segment)) - 1;
}

// Also of a segment that is no longer part of the log: a reader may have been at it.
int64_t LogBytes::offset_behind(const Segment& segment) const {
  const auto at = std::ranges::find_if(segments_, [&](const auto& known) { return known.get() == &segment; });
  return at == segments_.end() || at + 1 == segments_.end() ? end_.offset : (*(at + 1))->base_offset();
}

SegmentPosition LogBytes::position_of(uint64_t linear) const {
  const auto segment = segment_of(linear);
  return {segment->base_offset(), std::max(linear, segment->linear_start()) - segment->linear_start()};
}

void LogBytes::copy_out(const Segment& segment, uint64_t position, MutableBytes into) {
  for (size_t done = 0; done < into.size();) {
    const Chunk* chunk = segment.chunk_at(position + done);
    const uint64_t at = position + done;
    CHECK(chunk != nullptr && at >= uint64_t{chunk->position} + chunk->begin && at < chunk->segment_end(),
          "bytes at {} of segment {} are not in memory", at, segment.base_offset());
    const size_t bytes = std::min<size_t>(into.size() - done, chunk->segment_end() - at);
    std::copy_n(chunk->buffer.data() + (at - chunk->position), bytes, into.data() + done);
    done += bytes;
  }
}

Boundary LogBytes::batch_end_at(const Boundary& start) const {
  const auto segment = segment_of(start.linear);
  std::array<std::byte, kBatchHeaderBytes> header;
  copy_out(*segment, start.linear - segment->linear_start(), header);
  const auto size = static_cast<uint64_t>(load_be<int32_t>(header.data() + 8)) + kBatchLengthFieldEnd;
  return {start.linear + size, load_be<int64_t>(header.data()) + load_be<int32_t>(header.data() + 23) + 1};
}

void LogBytes::roll() {
  CHECK(active().size > 0 && active().linear_end() == end_.linear, "an empty segment is not sealed");
  active().sealed = true;
  segments_.push_back(std::make_shared<Segment>(end_.offset, end_.linear));
  tail_chunk_bytes_ = ChunkCache::kChunkBytesMin;
}

void LogBytes::let_go(Segment& segment) {
  segment.removed = true;
  segment.drop_chunks();
}

LogBytes::Segments LogBytes::drop_below(int64_t log_start, const Segment& last_kept) {
  Segments gone;
  while (segments_.size() > 1 && segments_[1]->base_offset() <= log_start && segments_.front().get() != &last_kept) {
    let_go(*segments_.front());
    gone.push_back(std::move(segments_.front()));
    segments_.erase(segments_.begin());
  }
  return gone;
}

uint64_t LogBytes::bytes_from(int64_t offset) const {
  if (offset >= end_.offset) return 0;
  const Segment& segment = *segment_with(offset);
  const auto run = segment.index_whole ? segment.index().find_offset(offset) : std::nullopt;
  return end_.linear - segment.linear_start() - (run ? run->end : segment.size);
}

LogBytes::Segments LogBytes::cut_to(const Boundary& to) {
  CHECK(to.linear <= end_.linear && to.linear >= segments_.front()->linear_start());
  const std::shared_ptr<Segment> last = last_segment_up_to(to);
  Segments gone;
  while (segments_.back() != last) {
    let_go(*segments_.back());
    gone.push_back(std::move(segments_.back()));
    segments_.pop_back();
  }
  // Readers may hold leases on what is cut: these keep the bytes, the log continues in new chunks.
  last->drop_chunks();
  last->size = to.linear - last->linear_start();
  last->sealed = false;
  last->tidy = false;
  last->cut_extras();
  last->allocated = align_up(last->size);  // what was flushed has its place
  last->index_whole = false;
  last->headers_known = false;
  end_ = to;
  tail_chunk_bytes_ = ChunkCache::kChunkBytesMin;
  CHECK(active().linear_end() == end_.linear, "the log ends at {}, its last segment at {}", end_.linear,
        active().linear_end());
  return gone;
}

LogBytes::Segments LogBytes::begin_anew(const Boundary& start) {
  CHECK(start.linear <= end_.linear);
  Segments gone = std::exchange(segments_, {std::make_shared<Segment>(start.offset, start.linear)});
  for (const auto& segment : gone) let_go(*segment);
  end_ = start;
  tail_chunk_bytes_ = ChunkCache::kChunkBytesMin;
  return gone;
}

}  // namespace posthaste::storage
