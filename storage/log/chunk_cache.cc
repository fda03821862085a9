#include "storage/log/chunk_cache.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

void ChunkLease::reset() {
  Chunk* chunk = std::exchange(chunk_, nullptr);
  if (chunk != nullptr && --chunk->references == 0) chunk->cache->destroy(*chunk);
}

Result<ChunkLease> ChunkCache::allocate(uint32_t bytes, uint32_t position, bool dirty, ChunkOwner& owner) {
  if (dirty && dirty_bytes_ + bytes > dirty_bytes_max_) return failure(Errc::kNoMemory);
  while (!dirty && clean_bytes_ + bytes > clean_bytes_max_ && evict_one()) {
  }
  Result<reactor::Buffer> buffer = pool_.allocate(bytes);
  while (!buffer && buffer.error() == Errc::kNoMemory && evict_one()) buffer = pool_.allocate(bytes);
  if (!buffer) return failure(Errc::kNoMemory);
  auto* chunk = new Chunk;
  ++chunks_;
  chunk->buffer = std::move(*buffer);
  chunk->cache = shared_from_this();
  chunk->owner = &owner;
  chunk->position = position;
  chunk->dirty = dirty;
  (dirty ? dirty_bytes_ : clean_bytes_) += chunk->capacity();
  return ChunkLease(chunk);
}

void ChunkCache::make_clean(Chunk& chunk) {
  if (chunk.dirty) {
    chunk.dirty = false;
    dirty_bytes_ -= chunk.capacity();
    clean_bytes_ += chunk.capacity();
  }
  if (!chunk.cached && chunk.owner != nullptr && chunk.readers == 0) {
    chunk.cached = true;
    clean_.push_back(chunk);
  }
  while (clean_bytes_ > clean_bytes_max_ && evict_one()) {
  }
}

Result<void> ChunkCache::make_dirty(Chunk& chunk) {
  if (!chunk.dirty) {
    if (dirty_bytes_ + chunk.capacity() > dirty_bytes_max_) return failure(Errc::kNoMemory);
    chunk.dirty = true;
    clean_bytes_ -= chunk.capacity();
    dirty_bytes_ += chunk.capacity();
  }
  if (chunk.cached) {
    chunk.cached = false;
    chunk.unlink();
  }
  return {};
}

void ChunkCache::keep(Chunk& chunk) {
  ++chunk.readers;
  if (!chunk.cached) return;
  chunk.cached = false;
  chunk.unlink();
}

void ChunkCache::let_go(Chunk& chunk) {
  CHECK(chunk.readers > 0);
  if (--chunk.readers == 0 && !chunk.dirty) make_clean(chunk);
}

void ChunkCache::touch(Chunk& chunk) {
  if (!chunk.cached) return;
  chunk.unlink();
  clean_.push_back(chunk);
}

void ChunkCache::forget(Chunk& chunk) {
  chunk.owner = nullptr;
  if (!chunk.cached) return;
  chunk.cached = false;
  chunk.unlink();
}

// Evicts the chunk that was not used for the longest time. A chunk that is being sent from leaves the cache too; its
// memory follows when the last lease ends.
bool ChunkCache::evict_one() {
  if (clean_.empty()) return false;
  Chunk& chunk = clean_.front();
  ChunkOwner* owner = chunk.owner;
  forget(chunk);
  owner->evict(chunk);
  return true;
}

void ChunkCache::destroy(Chunk& chunk) {
  (chunk.dirty ? dirty_bytes_ : clean_bytes_) -= chunk.capacity();
  --chunks_;
  const std::shared_ptr<ChunkCache> kept = std::move(chunk.cache);
  delete &chunk;
}

}  // namespace posthaste::storage
