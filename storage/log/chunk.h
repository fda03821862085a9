// A piece of one segment in memory: the growing tail, and after write-back the same bytes as a cache entry. Counted
// references keep it while a response is being sent from it. It does no I/O. Owned by one core, never shared.
#pragma once
#include <cstdint>
#include <memory>
#include <utility>

#include "reactor/buffer.h"
#include "reactor/intrusive_list.h"
#include "reactor/recycled.h"
#include "storage/bytes/bytes.h"

namespace posthaste::storage {

class ChunkCache;
class ChunkOwner;

// Bytes [position + begin, position + end) of a segment. `position` is a multiple of the block size, and so is the
// capacity: a chunk can be written and read with direct I/O. Bytes below `end` never change while anyone may see them.
struct Chunk : reactor::ListNode<>, reactor::Recycled {
  reactor::Buffer buffer;
  std::shared_ptr<ChunkCache> cache;  // outlives its chunks, whatever holds them last
  ChunkOwner* owner = nullptr;        // whose map holds it; null once the owner has dropped it
  uint32_t position = 0;
  uint32_t begin = 0;  // > 0: the block's first bytes are on disk only
  uint32_t end = 0;
  uint32_t references = 0;
  uint32_t readers = 0;  // disk reads under way that need it where it is: it does not go
  bool dirty = false;    // holds bytes that are not in the segment file yet
  bool cached = false;   // on the cache's list: clean, may be evicted when nothing else refers to it
  // [verified_begin, verified_end) came from memory or passed its checks after a disk read.
  uint32_t verified_begin = 0;
  uint32_t verified_end = 0;

  uint32_t capacity() const { return static_cast<uint32_t>(buffer.capacity()); }
  uint64_t segment_end() const { return uint64_t{position} + end; }
  ByteView bytes(uint32_t from, uint32_t to) const { return {buffer.data() + from, to - from}; }
};

// Counted reference to a chunk.
class ChunkLease {
 public:
  ChunkLease() = default;
  explicit ChunkLease(Chunk* chunk) : chunk_(chunk) {
    if (chunk_ != nullptr) ++chunk_->references;
  }
  ChunkLease(const ChunkLease& other) : ChunkLease(other.chunk_) {}
  ChunkLease(ChunkLease&& other) noexcept : chunk_(std::exchange(other.chunk_, nullptr)) {}
  ChunkLease& operator=(ChunkLease other) noexcept {
    std::swap(chunk_, other.chunk_);
    return *this;
  }
  ~ChunkLease() { reset(); }
  void reset();
  Chunk* get() const { return chunk_; }
  Chunk& operator*() const { return *chunk_; }
  Chunk* operator->() const { return chunk_; }
  explicit operator bool() const { return chunk_ != nullptr; }

 private:
  Chunk* chunk_ = nullptr;
};

}  // namespace posthaste::storage
