#include "storage/log/segment.h"

#include <algorithm>
#include <iterator>

namespace posthaste::storage {

Chunk* Segment::chunk_at(uint64_t position) const {
  const auto found = chunks_from(position);
  return found != chunks_.end() && found->first <= position ? found->second.get() : nullptr;
}

Segment::Chunks::const_iterator Segment::chunks_from(uint64_t position) const {
  const auto after = chunks_.upper_bound(static_cast<uint32_t>(position));
  if (after == chunks_.begin()) return after;
  const auto before = std::prev(after);
  return position < uint64_t{before->first} + before->second->capacity() ? before : after;
}

uint64_t Segment::next_chunk_position(uint64_t position) const {
  const auto after = chunks_.upper_bound(static_cast<uint32_t>(position));
  return after == chunks_.end() ? UINT64_MAX : after->first;
}

uint64_t Segment::first_missing(uint64_t from, uint64_t to) const {
  while (from < to) {
    const Chunk* chunk = chunk_at(from);
    if (chunk == nullptr || from < uint64_t{chunk->position} + chunk->begin || from >= chunk->segment_end()) {
      return from;
    }
    from = std::min(to, chunk->segment_end());
  }
  return to;
}

void Segment::set_index(SegmentIndexBuilder index, bool vouches) {
  index_ = std::move(index);
  index_vouches_ = vouches;
  run_states_.clear();
}

Segment::RunState Segment::run_state(size_t run) const {
  const RunState known = run < run_states_.size() ? run_states_[run] : RunState::kUnknown;
  if (known != RunState::kUnknown) return known;
  return index_vouches_ ? RunState::kUnknown : RunState::kGood;
}

void Segment::set_run_state(size_t run, RunState state) {
  if (run >= run_states_.size()) run_states_.resize(run + 1, RunState::kUnknown);
  run_states_[run] = state;
}

bool Segment::has_bad_run() const { return std::ranges::find(run_states_, RunState::kBad) != run_states_.end(); }

void Segment::insert(ChunkLease chunk) {
  const uint32_t position = chunk->position;
  CHECK(chunks_.emplace(position, std::move(chunk)).second, "two chunks at {}", position);
}

void Segment::remove(Chunk& chunk) {
  chunk.cache->forget(chunk);
  chunks_.erase(chunk.position);
}

void Segment::drop_chunks() {
  while (!chunks_.empty()) remove(*chunks_.begin()->second);
}

void Segment::evict(Chunk& chunk) { chunks_.erase(chunk.position); }

}  // namespace posthaste::storage
