#include "storage/segment.h"

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
