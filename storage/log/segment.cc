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
  CHECK(index.index().base_offset() == base_offset(), "an index from {} for a segment from {}",
        index.index().base_offset(), base_offset());
  index_ = std::move(index);
  index_vouches_ = vouches;
  if (extras_ != nullptr) extras_->run_states.clear();
}

Segment::RunState Segment::run_state(size_t run) const {
  const bool is_kept = extras_ != nullptr && run < extras_->run_states.size();
  const RunState known = is_kept ? extras_->run_states[run] : RunState::kUnknown;
  if (known != RunState::kUnknown) return known;
  return index_vouches_ ? RunState::kUnknown : RunState::kGood;
}

void Segment::set_run_state(size_t run, RunState state) {
  std::vector<RunState>& states = make_extras().run_states;
  if (run >= states.size()) states.resize(run + 1, RunState::kUnknown);
  states[run] = state;
}

bool Segment::has_bad_run() const {
  return extras_ != nullptr && std::ranges::find(extras_->run_states, RunState::kBad) != extras_->run_states.end();
}

Segment::Extras& Segment::make_extras() const {
  if (extras_ == nullptr) extras_ = std::make_unique<Extras>();
  return *extras_;
}

void Segment::cut_extras() {
  if (extras_ == nullptr) return;
  std::erase_if(extras_->refused, [this](uint64_t position) { return position >= size; });
  extras_->producer_snapshot.clear();
  if (extras_->proof && extras_->proof->position > size) extras_->proof.reset();
}

Segment::Access& Segment::make_access(reactor::Core& core) {
  if (access_ == nullptr) access_ = std::make_unique<Access>(core);
  return *access_;
}

void Segment::drop_access() {
  if (access_ == nullptr || access_->file.valid() || file_users > 0 || !access_->loads.empty()) return;
  if (access_->gate.available() == access_->gate.total() && !access_->gate.has_waiters()) access_.reset();
}

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
