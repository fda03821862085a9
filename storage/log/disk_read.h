// A partition's read that is under way and needs the disk. Lives in the reader's frame, on the partition's core.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "storage/engine.h"

namespace posthaste::storage {

// A read that needs the disk: its share of the cache, and the chunks that it has brought in, which stay until it has
// its answer. One that only wants a header, which lies in two chunks at most, reserves nothing.
class DiskRead {
 public:
  explicit DiskRead(Engine& engine) : engine_(engine) {}
  DiskRead(const DiskRead&) = delete;
  DiskRead& operator=(const DiskRead&) = delete;
  ~DiskRead() {
    if (!engine_.core().abandoned()) let_go();
  }

  // Whether it may bring in so many bytes; if not, reserve() them and look again.
  [[nodiscard]] bool has_room(uint64_t bytes) const { return units(bytes) <= units_; }
  reactor::Task<void> reserve(uint64_t bytes) {
    let_go();  // all at once or nothing: two that wait for each other's rest would wait for ever
    const uint64_t wanted = units(bytes);
    co_await engine_.read_room().acquire(wanted);
    units_ = wanted;
  }
  void keep(const ChunkLease& chunk) {
    engine_.cache().keep(*chunk);
    chunks_.push_back(chunk);
  }
  void let_go() {
    for (const ChunkLease& chunk : chunks_) engine_.cache().let_go(*chunk);
    chunks_.clear();
    if (units_ > 0) engine_.read_room().release(std::exchange(units_, 0));
  }

 private:
  // A batch begins and ends inside a chunk, and the one before its first may be walked over.
  uint64_t units(uint64_t bytes) const {
    return std::min(bytes + uint64_t{2} * ChunkCache::kChunkBytesMax, engine_.read_room().total());
  }
  Engine& engine_;
  uint64_t units_ = 0;
  std::vector<ChunkLease> chunks_;
};

}  // namespace posthaste::storage
