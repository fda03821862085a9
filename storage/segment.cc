#include "storage/segment.h"

#include <iterator>

namespace posthaste::storage {

Chunk* Segment::chunk_at(uint64_t position) const {
  auto after = chunks_.upper_bound(static_cast<uint32_t>(position));
  if (after == chunks_.begin()) return nullptr;
  Chunk* chunk = std::prev(after)->second.get();
  return position < uint64_t{chunk->position} + chunk->capacity() ? chunk : nullptr;
}

std::map<uint32_t, ChunkLease>::const_iterator Segment::chunks_from(uint64_t position) const {
  const auto after = chunks_.upper_bound(static_cast<uint32_t>(position));
  return chunk_at(position) == nullptr ? after : std::prev(after);
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
