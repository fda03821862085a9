// LogBytes: the end that grows, in chunks of memory that are counted against the tail's limit.
#include <algorithm>
#include <bit>

#include "storage/bytes/crc32c.h"
#include "storage/bytes/endian.h"
#include "storage/journal/journal_format.h"
#include "storage/log/log_bytes.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

Result<void> LogBytes::reserve(ChunkCache& cache, uint64_t bytes, uint64_t flushed_linear) {
  Segment& segment = active();
  const uint64_t end = segment.size + bytes;
  Chunk* last = segment.chunk_at(segment.size);
  if (last != nullptr && last->segment_end() != segment.size) {
    // What a reader fetched of the last block, while the tail was elsewhere: the tail begins again.
    CHECK(!last->dirty);
    segment.remove(*last);
    last = nullptr;
  }
  uint64_t covered = align_down(segment.size);
  if (last != nullptr && fills_the_limit(cache, *last, end)) {
    TRY(move_last_block(cache, segment, *last));
    last = segment.chunk_at(segment.size);
  }
  if (last != nullptr) {
    TRY(cache.make_dirty(*last));
    covered = uint64_t{last->position} + last->capacity();
  }
  while (covered < end) {
    const auto wanted = static_cast<uint32_t>(std::bit_ceil(std::min<uint64_t>(
        std::max<uint64_t>(align_up(end - covered), tail_chunk_bytes_), ChunkCache::kChunkBytesMax)));
    Result<ChunkLease> chunk = cache.allocate(wanted, static_cast<uint32_t>(covered), true, segment);
    if (!chunk && wanted > ChunkCache::kChunkBytesMin) {
      chunk = cache.allocate(ChunkCache::kChunkBytesMin, static_cast<uint32_t>(covered), true, segment);
    }
    if (!chunk) {
      trim_tail(flushed_linear);
      return failure(Errc::kNoMemory);
    }
    Chunk& added = **chunk;
    if (covered < segment.size) {
      added.begin = added.end = added.verified_begin = added.verified_end =
          static_cast<uint32_t>(segment.size - covered);
    }
    covered += added.capacity();
    tail_chunk_bytes_ = std::min(tail_chunk_bytes_ * 4, ChunkCache::kChunkBytesMax);
    segment.insert(std::move(*chunk));
  }
  return {};
}

// Whether the last chunk, whose bytes are all in the file, would leave no room under the limit for the rest of what
// goes up to `end`. That would never change: there is nothing to write back.
bool LogBytes::fills_the_limit(const ChunkCache& cache, const Chunk& last, uint64_t end) {
  const uint64_t last_end = uint64_t{last.position} + last.capacity();
  if (last.dirty || end <= last_end) return false;
  return last.capacity() + align_up(end - last_end) > cache.dirty_bytes_max();
}

// The tail continues in a small chunk with a copy of the last block; kNoMemory: nothing is changed.
Result<void> LogBytes::move_last_block(ChunkCache& cache, Segment& segment, Chunk& last) {
  const ChunkLease kept(&last);
  const auto block = static_cast<uint32_t>(align_down(segment.size));
  const auto bytes = static_cast<uint32_t>(segment.size - block);
  if (bytes == 0) {
    segment.remove(last);
    return {};
  }
  const uint32_t offset = block - last.position;
  ChunkLease chunk = TRY(cache.allocate(ChunkCache::kChunkBytesMin, block, true, segment));
  Chunk& moved = *chunk;
  moved.begin = last.begin > offset ? last.begin - offset : 0;
  moved.end = bytes;
  std::copy_n(last.buffer.data() + offset + moved.begin, bytes - moved.begin, moved.buffer.data() + moved.begin);
  const bool verified = last.verified_end == last.end;
  moved.verified_begin = !verified ? bytes : last.verified_begin > offset ? last.verified_begin - offset : 0;
  moved.verified_end = bytes;
  segment.remove(last);
  segment.insert(std::move(chunk));
  return {};
}

void LogBytes::trim_tail(uint64_t flushed_linear) {
  Segment& segment = active();
  while (!segment.chunks().empty()) {
    Chunk& last = *segment.chunks().rbegin()->second;
    if (last.end > last.begin || !last.dirty) break;
    segment.remove(last);
  }
  if (segment.chunks().empty() || segment.linear_end() > flushed_linear) return;
  ChunkLease last = segment.chunks().rbegin()->second;
  if (last->dirty) last->cache->make_clean(*last);
}

bool LogBytes::copy_to_tail(uint64_t position, ByteView batch) {
  Segment& segment = active();
  uint32_t crc = 0;
  size_t done = 0;
  while (done < batch.size()) {
    Chunk& chunk = *segment.chunk_at(position + done);
    const auto into = static_cast<size_t>(position + done - chunk.position);
    size_t bytes = std::min(batch.size() - done, chunk.capacity() - into);
    if (done < kBatchCrcCoverageStart) {
      bytes = std::min(bytes, kBatchCrcCoverageStart - done);
      std::copy_n(batch.data() + done, bytes, chunk.buffer.data() + into);
    } else {
      crc = copy_and_crc32c(crc, {chunk.buffer.data() + into, bytes}, batch.subspan(done, bytes));
    }
    done += bytes;
  }
  return crc == load_be<uint32_t>(batch.data() + 17) || planted(kBugs["crc-skipped"]);
}

void LogBytes::append(const RecordBatchView& batch, reactor::WallMillis now) {
  CHECK(batch.base_offset() >= end_.offset, "batch {} behind the end {}", batch.base_offset(), end_.offset);
  Segment& segment = active();
  if (segment.headers_known) segment.headers_hash = chain_header_hash(segment.headers_hash, batch);
  if (segment.index_whole) CHECK(segment.index_builder().add_batch(batch).has_value());
  segment.max_timestamp = std::max(segment.max_timestamp, batch.max_timestamp());
  if (segment.size == 0) segment.first_append = now;
  segment.last_append = now;
  extend_tail(batch.size_bytes());
  end_ = {end_.linear + batch.size_bytes(), batch.next_offset()};
}

// The chunks show `bytes` more. Bytes that came from memory need no check when read.
void LogBytes::extend_tail(uint64_t bytes) {
  Segment& segment = active();
  const uint64_t size = segment.size + bytes;
  for (uint64_t at = segment.size; at < size;) {
    Chunk& chunk = *segment.chunk_at(at);
    const uint64_t chunk_end = uint64_t{chunk.position} + chunk.capacity();
    const auto end = static_cast<uint32_t>(std::min(size, chunk_end) - chunk.position);
    if (chunk.verified_end == chunk.end) chunk.verified_end = end;
    chunk.end = end;
    at = chunk_end;
  }
  segment.size = size;
}

void LogBytes::clean(uint64_t from, uint64_t to) {
  CHECK(from <= to && to <= end_.linear);
  // From the newest segment on: what was just written lies near the end.
  reactor::RecycledVector<ChunkLease> clean;
  for (auto at = segments_.rbegin(); at != segments_.rend() && (*at)->linear_end() >= from; ++at) {
    const Segment& segment = **at;
    const bool is_last = *at == segments_.back();
    const uint64_t position = std::max(from, segment.linear_start()) - segment.linear_start();
    for (auto chunk = segment.chunks_from(position); chunk != segment.chunks().end(); ++chunk) {
      if (segment.linear_start() + chunk->first >= to) break;
      const ChunkLease& lease = chunk->second;
      const uint64_t chunk_end = segment.linear_start() + lease->segment_end();
      const bool grows = is_last && lease->end < lease->capacity() && to < end_.linear;
      if (lease->dirty && chunk_end <= to && !grows) clean.push_back(lease);
    }
  }
  for (const ChunkLease& chunk : clean) chunk->cache->make_clean(*chunk);
  if (to == end_.linear) tail_chunk_bytes_ = ChunkCache::kChunkBytesMin;
}

}  // namespace posthaste::storage
