// The memory of the logs of one core: chunks out of the core's pool, dirty ones counted against a limit, clean ones
// kept for readers on a list by last use and evicted when room is needed. One structure: write-back turns a dirty chunk
// into a clean one in place. It does no I/O and knows no partition. Held by shared_ptr: a lease may outlive the engine
// when a host dies.
#pragma once
#include <cstdint>

#include "reactor/buffer.h"
#include "storage/log/chunk.h"

namespace posthaste::storage {

// Keeps a chunk findable (a segment); gets a call when the cache evicts it.
class ChunkOwner {
 public:
  virtual void evict(Chunk& chunk) = 0;

 protected:
  ~ChunkOwner() = default;
};

class ChunkCache : public std::enable_shared_from_this<ChunkCache> {
 public:
  static constexpr uint32_t kChunkBytesMin = 4096;
  static constexpr uint32_t kChunkBytesMax = 256 * 1024;

  ChunkCache(reactor::BufferPool& pool, uint64_t dirty_bytes_max, uint64_t clean_bytes_max)
      : pool_(pool), dirty_bytes_max_(dirty_bytes_max), clean_bytes_max_(clean_bytes_max) {}
  ChunkCache(const ChunkCache&) = delete;
  ChunkCache& operator=(const ChunkCache&) = delete;
  ~ChunkCache() { CHECK(chunks_ == 0); }

  // A chunk of `bytes` (a power of two from kChunkBytesMin to kChunkBytesMax) at `position`. Clean chunks go to make
  // room. kNoMemory: pool exhausted, or, if `dirty`, the limit for dirty bytes reached.
  reactor::Result<ChunkLease> allocate(uint32_t bytes, uint32_t position, bool dirty, ChunkOwner& owner);

  // Dirty -> clean: from now on it may go. Clean -> dirty: the tail grows in it again; kNoMemory at the limit.
  void make_clean(Chunk& chunk);
  reactor::Result<void> make_dirty(Chunk& chunk);
  // A read that brings in several chunks needs all of them at once: those it has are not evicted before let_go(). Reads
  // reserve room for what they keep (Engine::read_room).
  void keep(Chunk& chunk);
  void let_go(Chunk& chunk);
  // A reader has used it.
  void touch(Chunk& chunk);
  // Takes the chunk off the cache's list: its segment is being removed.
  void forget(Chunk& chunk);

  uint64_t dirty_bytes() const { return dirty_bytes_; }
  uint64_t dirty_bytes_max() const { return dirty_bytes_max_; }
  uint64_t clean_bytes() const { return clean_bytes_; }

 private:
  friend class ChunkLease;
  bool evict_one();
  void destroy(Chunk& chunk);

  reactor::BufferPool& pool_;
  uint64_t dirty_bytes_max_;
  uint64_t clean_bytes_max_;
  uint64_t dirty_bytes_ = 0;
  uint64_t clean_bytes_ = 0;
  uint64_t chunks_ = 0;
  reactor::IntrusiveList<Chunk> clean_;  // oldest use first
};

}  // namespace posthaste::storage
