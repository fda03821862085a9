// A read is answered from chunks; what is missing is brought in by a direct read, one per
// range, and then the answer is looked for again.
#include "storage/log/log_reader.h"

#include <algorithm>
#include <bit>

#include "storage/batch/record_reader.h"
#include "storage/engine.h"
#include "storage/log/disk_read.h"
#include "storage/log/partition.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

Engine& LogReader::engine() const { return partition_.engine(); }

// Copies a batch header out of memory; false: not there, `miss` says what.
bool LogReader::peek(const std::shared_ptr<Segment>& segment, uint64_t position, MutableBytes header,
                     Miss& miss) const {
  const uint64_t missing = segment->first_missing(position, position + header.size());
  if (missing < position + header.size()) {
    miss = {.segment = segment, .position = missing};
    return false;
  }
  LogBytes::copy_out(*segment, position, header);
  return true;
}

// The place of the batch that holds `offset`, or of the first one behind it. `expected` gets the base offset that the
// batch at the start of the search must have, if that is known.
std::optional<Result<Boundary>> LogReader::find_batch(int64_t offset, Miss& miss) {
  if (offset >= partition_.bytes().end().offset) return partition_.bytes().end();
  for (const Hint& hint : hints_) {
    if (hint.offset == offset && hint.linear >= partition_.bytes().segments().front()->linear_start())
      return Boundary{hint.linear, offset};
  }
  const std::shared_ptr<Segment> segment = partition_.bytes().segment_with(offset);
  if (offset <= segment->base_offset()) return Boundary{segment->linear_start(), segment->base_offset()};
  if (!segment->index_whole) {
    miss = {.segment = segment, .index = true};
    return std::nullopt;
  }
  const auto range = segment->index().find_offset(offset);
  uint64_t position = range ? range->position : 0;
  // In a hole at the segment's end: whether it is one, its last batches tell.
  if (!range && segment->size > 0 && offset >= segment->index().next_offset()) {
    position = segment->index().entries().back().position;
  }
  // Headers are not covered by the CRC as a whole: each batch must follow the one before.
  int64_t expected = segment->base_offset();
  const auto& entries = segment->index().entries();
  const auto run = std::ranges::lower_bound(entries, position, {}, &IndexEntry::position);
  if (run != entries.end() && run->position == position) expected = run->base_offset;
  HeaderBytes header;
  for (;;) {
    if (position >= segment->size) {
      const int64_t behind = partition_.bytes().offset_behind(*segment);
      if (position == segment->size && follows(expected, behind)) return Boundary{segment->linear_end(), behind};
      return failure(refuse(*segment, position, expected, "the batches there do not reach to the next segment"));
    }
    if (!peek(segment, position, header, miss)) return std::nullopt;
    const auto fields = fields_of(header);
    if (!fields || !follows(expected, fields->base_offset)) {
      return failure(refuse(*segment, position, expected, "no batch with the next offset begins there"));
    }
    expected = fields->next_offset;
    if (fields->next_offset > offset) return Boundary{segment->linear_start() + position, fields->base_offset};
    position += fields->size;
  }
}

void LogReader::lease(Segment& segment, uint64_t from, uint64_t to, ReadResult& result) {
  while (from < to) {
    Chunk& chunk = *segment.chunk_at(from);
    engine().cache().touch(chunk);
    const uint64_t piece_end = std::min(to, chunk.segment_end());
    const ByteView bytes =
        chunk.bytes(static_cast<uint32_t>(from - chunk.position), static_cast<uint32_t>(piece_end - chunk.position));
    const bool adjoins = !result.pieces.empty() && result.pieces.back().lease.get() == &chunk &&
                         result.pieces.back().bytes.data() + result.pieces.back().bytes.size() == bytes.data();
    if (adjoins) {
      ByteView& last = result.pieces.back().bytes;
      last = {last.data(), last.size() + bytes.size()};
    } else {
      result.pieces.push_back({bytes, ChunkLease(&chunk)});
    }
    from = piece_end;
  }
}

std::optional<Result<ReadResult>> LogReader::read_memory(const ReadRequest& request, Miss& miss) {
  int64_t limit = std::min(request.limit_offset, partition_.bytes().end().offset);
  if (request.offset < partition_.log_start_offset() || request.offset > limit) return failure(Errc::kOutOfRange);
  if (partition_.damage().damaged) {
    limit = std::min(limit, partition_.damage().from_offset);
    if (request.offset >= limit) return failure(Errc::kDamaged);
  }
  ReadResult result{.next_offset = request.offset};
  if (request.offset == limit) return result;
  const auto found = find_batch(request.offset, miss);
  if (!found) return std::nullopt;
  if (!*found) return failure(found->error());
  Boundary at = **found;
  HeaderBytes header;
  while (at.linear < partition_.bytes().end().linear) {
    const std::shared_ptr<Segment> segment = partition_.bytes().segment_of(at.linear);
    const uint64_t position = at.linear - segment->linear_start();
    Miss missing;
    if (!peek(segment, position, header, missing)) {
      missing.bytes = request.max_bytes;
      miss = missing;
      break;
    }
    const auto fields = fields_of(header);
    if (!fields || position + fields->size > segment->size) {
      if (!result.pieces.empty()) break;
      return failure(refuse(*segment, position, at.offset, "no batch begins there"));
    }
    if (fields->next_offset > limit && !result.pieces.empty()) break;
    const bool fits = result.size_bytes + fields->size <= request.max_bytes;
    if (!fits && (!result.pieces.empty() || !request.first_batch_whole)) break;
    const uint64_t gap = segment->first_missing(position, position + fields->size);
    if (gap < position + fields->size) {
      miss = {.segment = segment,
              .position = gap,
              .bytes = std::max<uint64_t>(position + fields->size - gap, request.max_bytes)};
      break;
    }
    if (!is_verified(*segment, position, position + fields->size)) {
      const auto verified = verify(segment, position, at.offset, missing);
      if (!verified) {
        if (!missing.index && !missing.run) missing.bytes = request.max_bytes;
        miss = missing;
        break;
      }
      if (!*verified) {
        if (!result.pieces.empty()) break;
        return failure(Errc::kDamaged);
      }
    }
    if (fields->next_offset > limit) {
      // Only now is it known that the header can be believed.
      if (result.pieces.empty() && fields->base_offset >= limit) result.next_offset = limit;
      break;
    }
    if (result.pieces.empty()) result.base_offset = fields->base_offset;
    lease(*segment, position, position + fields->size, result);
    result.size_bytes += static_cast<uint32_t>(fields->size);
    at = {at.linear + fields->size, fields->next_offset};
    result.next_offset = at.offset;
  }
  if (result.pieces.empty() && miss.segment != nullptr) return std::nullopt;
  if (result.pieces.empty() && at.linear == partition_.bytes().end().linear) result.next_offset = limit;
  if (!result.pieces.empty()) hints_[next_hint_++ % hints_.size()] = {at.offset, at.linear};
  return result;
}

std::optional<Result<ReadResult>> LogReader::try_read(const ReadRequest& request) {
  Miss miss;
  return read_memory(request, miss);
}

Task<Result<Boundary>> LogReader::batch_boundary(int64_t offset) {
  DiskRead disk(engine());
  for (;;) {
    Miss miss;
    if (const auto found = find_batch(offset, miss)) co_return *found;
    if (auto filled = co_await fill(miss, &disk); !filled) co_return failure(filled.error());
  }
}

Task<Result<ReadResult>> LogReader::read(ReadRequest request) {
  const Partition::Use use(partition_);
  DiskRead disk(engine());
  for (;;) {
    Miss miss;
    auto answer = read_memory(request, miss);
    if (answer) co_return std::move(*answer);
    if (partition_.mode() == Partition::Mode::kDeleting) co_return failure(Errc::kNotFound);
    if (!disk.has_room(miss.bytes)) {
      co_await disk.reserve(miss.bytes);
      continue;
    }
    auto filled = co_await fill(miss, &disk);
    if (!filled) co_return failure(filled.error());
  }
}

// `by`: keeps the chunk that is brought in, if one is.
Task<Result<void>> LogReader::fill(Miss miss, DiskRead* by) {
  if (miss.index) co_return co_await ensure_index(miss.segment);
  if (miss.run) co_return co_await check_run(miss.segment, *miss.run);
  co_return co_await load_chunk(miss.segment, miss.position, miss.bytes, by);
}

// Brings the block at `position` and about `wanted` bytes behind it into memory. Returns early, without them, when
// another reader is at it: the caller looks again.
Task<Result<void>> LogReader::load_chunk(std::shared_ptr<Segment> segment, uint64_t position, uint64_t wanted,
                                         DiskRead* by) {
  const uint64_t from = align_down(position);
  Segment::Access& access = segment->make_access(engine().core());
  for (const Segment::Access::Load& load : access.loads) {
    if (from < load.to && load.from <= from) {
      co_await access.loaded.wait();
      co_return Result<void>();
    }
  }
  if (Chunk* chunk = segment->chunk_at(position); chunk != nullptr) {
    if (position < uint64_t{chunk->position} + chunk->begin) {
      // The tail's first block: its prefix is on the way, for the journal.
      if (partition_.damage().damaged) co_return failure(Errc::kDamaged);
      co_await partition_.changed().wait();
      co_return Result<void>();
    }
    if (position < chunk->segment_end()) co_return Result<void>();
    CHECK(!chunk->dirty, "a dirty chunk ends before the log does");
    segment->remove(*chunk);
  }
  const uint64_t flushed = std::min(
      std::max(partition_.commit().flushed_linear(), segment->linear_start()) - segment->linear_start(), segment->size);
  if (position >= flushed) co_return failure(refuse(*segment, position, -1, "neither memory nor the file holds it"));
  const uint64_t ahead = std::max<uint64_t>(wanted, engine().host().options().read_ahead_bytes);
  uint64_t to = std::min({flushed, segment->next_chunk_position(from), from + ChunkCache::kChunkBytesMax,
                          std::max(align_up(position + 1), align_down(from + ahead))});
  const auto capacity = static_cast<uint32_t>(std::bit_ceil(align_up(to - from)));
  auto chunk = engine().cache().allocate(capacity, static_cast<uint32_t>(from), false, *segment);
  if (!chunk && capacity > ChunkCache::kChunkBytesMin) {
    to = std::min(to, from + ChunkCache::kChunkBytesMin);
    chunk = engine().cache().allocate(ChunkCache::kChunkBytesMin, static_cast<uint32_t>(from), false, *segment);
  }
  if (!chunk) co_return failure(Errc::kNoMemory);
  access.loads.push_back({from, to});
  const uint32_t generation = partition_.generation();
  auto got = co_await engine().files().read(
      partition_, *segment, from, (*chunk)->buffer.bytes().first(align_up(to - from)), reactor::IoClass::kLiveRead);
  std::erase_if(access.loads, [from](const Segment::Access::Load& load) { return load.from == from; });
  access.loaded.notify_all();
  if (!got) co_return read_failed(*segment, position, got.error());
  segment->read_failing = false;
  // What is there of a file that was cut is served.
  to = std::min(to, from + *got);
  if (position >= to) co_return failure(refuse(*segment, position, -1, "the file ends before"));
  // The log may have been truncated, or the tail have begun again in the last block, during the read.
  const bool still_wanted =
      generation == partition_.generation() && !segment->removed && segment->chunk_at(from) == nullptr;
  if (!still_wanted) co_return Result<void>();
  (*chunk)->end = static_cast<uint32_t>(std::min(to, segment->next_chunk_position(from)) - from);
  ChunkLease kept = *chunk;
  segment->insert(std::move(*chunk));
  if (by != nullptr) by->keep(kept);
  engine().cache().make_clean(*kept);
  co_return Result<void>();
}

namespace {
// The batch's first record at or after both; empty: it has none. Records that cannot be read as they lie here, being
// compressed, count as one, at the batch's first offset that is still there.
std::optional<TimestampOffset> look_in_batch(ByteView bytes, int64_t timestamp, int64_t from_offset) {
  const auto batch = RecordBatchView::parse(bytes);
  CHECK(batch, "a batch that was read is none");
  const auto record = first_record_at_or_after(*batch, timestamp, from_offset);
  if (!record) {
    return TimestampOffset{batch->max_timestamp(), std::max(batch->base_offset(), from_offset), batch->leader_epoch()};
  }
  if (!*record) return std::nullopt;
  return TimestampOffset{(*record)->timestamp, (*record)->offset, batch->leader_epoch()};
}
}  // namespace

Task<Result<TimestampOffset>> LogReader::find_timestamp(int64_t timestamp, int64_t limit_offset) {
  const Partition::Use use(partition_);
  const std::vector<std::shared_ptr<Segment>> segments(partition_.bytes().segments().begin(),
                                                       partition_.bytes().segments().end());
  int64_t from = partition_.log_start_offset();
  for (const auto& segment : segments) {
    if (segment->max_timestamp < timestamp || segment->removed) continue;
    if (auto indexed = co_await ensure_index(segment); !indexed) co_return failure(indexed.error());
    const auto range = segment->index().find_timestamp(timestamp);
    if (!range) continue;
    for (;;) {
      // The log start may move while a disk works.
      from = std::max(from, partition_.log_start_offset());
      int64_t found = -1;
      int64_t behind = -1;
      auto walked = co_await walk_headers(segment, range->position, UINT64_MAX, [&](const RecordBatchView& batch) {
        if (batch.max_timestamp() < timestamp || batch.next_offset() <= from) return true;
        found = batch.base_offset();
        behind = batch.next_offset();
        return false;
      });
      if (found < 0) {
        if (!walked && !segment->removed) co_return failure(walked.error());
        break;
      }
      const int64_t offset = std::max({found, from, partition_.log_start_offset()});
      if (found >= limit_offset || offset >= limit_offset) co_return TimestampOffset{};
      const auto bytes = co_await read({.offset = offset, .max_bytes = 1, .limit_offset = limit_offset});
      if (!bytes && bytes.error() == Errc::kOutOfRange && offset < partition_.log_start_offset()) continue;
      if (!bytes) co_return failure(bytes.error());
      if (bytes->pieces.empty()) co_return TimestampOffset{};
      from = std::max(from, partition_.log_start_offset());
      if (const auto record = look_in_batch(joined(*bytes), timestamp, from)) co_return *record;
      from = behind;  // its records of that time are below the log start
    }
  }
  co_return TimestampOffset{};
}

Task<Result<TimestampOffset>> LogReader::max_timestamp() {
  const Partition::Use use(partition_);
  std::shared_ptr<Segment> best;
  for (const auto& segment : partition_.bytes().segments()) {
    if (segment->size > 0 && (best == nullptr || segment->max_timestamp > best->max_timestamp)) best = segment;
  }
  if (best == nullptr || best->max_timestamp == kNoTimestamp) co_return TimestampOffset{};
  if (auto indexed = co_await ensure_index(best); !indexed) co_return failure(indexed.error());
  const int64_t offset = best->index().max_timestamp_offset();
  co_return TimestampOffset{best->index().max_timestamp(), offset, partition_.epochs().epoch_for(offset)};
}

}  // namespace posthaste::storage
