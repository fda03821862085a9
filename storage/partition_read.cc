// Partition: offsets to bytes. A read is answered from chunks; what is missing is brought in by a direct read, one per
// range, and then the answer is looked for again.
#include <algorithm>
#include <bit>

#include "storage/crc32c.h"
#include "storage/engine.h"
#include "storage/partition.h"
#include "storage/record_reader.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

namespace {
using HeaderBytes = std::array<std::byte, kBatchHeaderBytes>;

// Fields of a header whose batch is not at hand as a whole.
struct HeaderFields {
  int64_t base_offset = 0;
  int64_t next_offset = 0;
  uint64_t size = 0;
  int32_t leader_epoch = 0;
  uint32_t crc = 0;
  int64_t max_timestamp = 0;
};
Result<HeaderFields> fields_of(const HeaderBytes& header) {
  const auto length = load_be<int32_t>(header.data() + 8);
  const auto delta = load_be<int32_t>(header.data() + 23);
  const auto base = load_be<int64_t>(header.data());
  if (length < static_cast<int32_t>(kBatchHeaderBytes - kBatchLengthFieldEnd) || delta < 0 || base < 0 ||
      load_be<int8_t>(header.data() + 16) != kBatchMagic) {
    return failure(Errc::kDamaged);
  }
  return HeaderFields{.base_offset = base,
                      .next_offset = base + delta + 1,
                      .size = static_cast<uint64_t>(length) + kBatchLengthFieldEnd,
                      .leader_epoch = load_be<int32_t>(header.data() + 12),
                      .crc = load_be<uint32_t>(header.data() + 17),
                      .max_timestamp = load_be<int64_t>(header.data() + 35)};
}

// Position of the first byte in [from, to) that is not in memory; `to` if all are.
uint64_t first_missing(const Segment& segment, uint64_t from, uint64_t to) {
  while (from < to) {
    const Chunk* chunk = segment.chunk_at(from);
    if (chunk == nullptr || from < uint64_t{chunk->position} + chunk->begin || from >= chunk->segment_end())
      return from;
    from = std::min(to, chunk->segment_end());
  }
  return to;
}
}  // namespace

std::shared_ptr<Segment> Partition::segment_with(int64_t offset) const {
  for (auto at = segments_.rbegin(); at != segments_.rend(); ++at) {
    if ((*at)->base_offset() <= offset) return *at;
  }
  return segments_.front();
}

// Copies a batch header out of memory; false: not there, `miss` says what.
bool Partition::peek(const std::shared_ptr<Segment>& segment, uint64_t position, MutableBytes header,
                     Miss& miss) const {
  const uint64_t missing = first_missing(*segment, position, position + header.size());
  if (missing < position + header.size()) {
    miss = {segment, false, missing, 0};
    return false;
  }
  copy_out(*segment, position, header);
  return true;
}

// The place of the batch that holds `offset`, or of the first one behind it. `expected` gets the base offset that the
// batch at the start of the search must have, if that is known.
std::optional<Result<Partition::Boundary>> Partition::find_batch(int64_t offset, Miss& miss) {
  if (offset >= end_.offset) return end_;
  for (const Hint& hint : hints_) {
    if (hint.offset == offset && hint.linear >= segments_.front()->linear_start()) return Boundary{hint.linear, offset};
  }
  const std::shared_ptr<Segment> segment = segment_with(offset);
  if (offset <= segment->base_offset()) return Boundary{segment->linear_start(), segment->base_offset()};
  if (!segment->index_whole) {
    miss = {segment, true, 0, 0};
    return std::nullopt;
  }
  const auto range = segment->index().find_offset(offset);
  uint64_t position = range ? range->position : 0;
  // Headers are not covered by the CRC as a whole: each batch must start where the one before ends.
  int64_t expected = segment->base_offset();
  const auto& entries = segment->index().entries();
  const auto run = std::ranges::lower_bound(entries, position, {}, &IndexEntry::position);
  if (run != entries.end() && run->position == position) expected = run->base_offset;
  HeaderBytes header;
  for (;;) {
    if (position >= segment->size) return Boundary{segment->linear_end(), segment->index().next_offset()};
    if (!peek(segment, position, header, miss)) return std::nullopt;
    const auto fields = fields_of(header);
    if (!fields || !follows(expected, fields->base_offset)) return failure(Errc::kDamaged);
    expected = fields->next_offset;
    if (fields->next_offset > offset) return Boundary{segment->linear_start() + position, fields->base_offset};
    position += fields->size;
  }
}

// True if these bytes of a segment came from memory or were checked before.
bool Partition::is_verified(const Segment& segment, uint64_t from, uint64_t to) const {
  while (from < to) {
    const Chunk& chunk = *segment.chunk_at(from);
    const uint64_t piece_end = std::min(to, chunk.segment_end());
    if (from < uint64_t{chunk.position} + chunk.verified_begin) return false;
    if (piece_end > uint64_t{chunk.position} + chunk.verified_end) return false;
    from = piece_end;
  }
  return true;
}

// A batch with this base offset may stand behind one with that next offset. There are no holes, but for one below the
// log start, where a truncation has cut a batch that the log start lies in.
bool Partition::follows(int64_t next_offset, int64_t base_offset) const {
  return base_offset == next_offset || (base_offset > next_offset && base_offset <= log_start_);
}

// The batch that ends at `position` of the segment, with this next offset, is followed by what the log says or holds.
bool Partition::joins_what_follows(const Segment& segment, uint64_t position, int64_t next_offset) const {
  if (position == segment.size) {
    const auto at = std::ranges::find_if(segments_, [&](const auto& known) { return known.get() == &segment; });
    if (at == segments_.end() || at + 1 == segments_.end()) return follows(next_offset, end_.offset);
    return follows(next_offset, (*(at + 1))->base_offset());
  }
  HeaderBytes header;
  if (first_missing(segment, position, position + header.size()) < position + header.size()) return true;
  copy_out(segment, position, header);
  return follows(next_offset, load_be<int64_t>(header.data()));
}

// Checks a batch that lies in memory against its checksum and, for what that does not cover, against what the log says.
bool Partition::verify(const Segment& segment, uint64_t position, int64_t expected_offset) {
  HeaderBytes header;
  copy_out(segment, position, header);
  const auto fields = fields_of(header);
  if (!fields) return false;
  if (position > 0) {
    if (fields->base_offset != expected_offset) return false;
  } else if (fields->base_offset < segment.base_offset() ||
             !joins_what_follows(segment, fields->size, fields->next_offset)) {
    // A segment may start before its first batch, after a truncation down to a log start inside a batch.
    return false;
  }
  const int32_t epoch = epochs_.epoch_for(fields->base_offset);
  if (epoch != kNoLeaderEpoch && epoch != fields->leader_epoch) return false;
  uint32_t crc = 0;
  const uint64_t end = position + fields->size;
  for (uint64_t at = position + kBatchCrcCoverageStart; at < end;) {
    const Chunk& chunk = *segment.chunk_at(at);
    const uint64_t piece_end = std::min(end, chunk.segment_end());
    crc = crc32c(crc, chunk.bytes(static_cast<uint32_t>(at - chunk.position),
                                  static_cast<uint32_t>(piece_end - chunk.position)));
    at = piece_end;
  }
  if (crc != fields->crc) return false;
  for (uint64_t at = position; at < end;) {
    Chunk& chunk = *segment.chunk_at(at);
    const auto from = static_cast<uint32_t>(at - chunk.position);
    const auto to = static_cast<uint32_t>(std::min(end, chunk.segment_end()) - chunk.position);
    const bool touches = from <= chunk.verified_end && to >= chunk.verified_begin;
    chunk.verified_begin = touches ? std::min(from, chunk.verified_begin) : from;
    chunk.verified_end = touches ? std::max(to, chunk.verified_end) : to;
    at = uint64_t{chunk.position} + to;
  }
  return true;
}

void Partition::lease(Segment& segment, uint64_t from, uint64_t to, ReadResult& result) {
  while (from < to) {
    Chunk& chunk = *segment.chunk_at(from);
    engine_.cache().touch(chunk);
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

std::optional<Result<ReadResult>> Partition::read_memory(const ReadRequest& request, Miss& miss) {
  int64_t limit = std::min(request.limit_offset, end_.offset);
  if (request.offset < log_start_ || request.offset > limit) return failure(Errc::kOutOfRange);
  if (damage_.damaged) {
    limit = std::min(limit, damage_.from_offset);
    if (request.offset >= limit) return failure(Errc::kDamaged);
  }
  ReadResult result{.next_offset = request.offset};
  if (request.offset == limit) return result;
  const auto found = find_batch(request.offset, miss);
  if (!found) return std::nullopt;
  if (!*found) return failure(found->error());
  Boundary at = **found;
  HeaderBytes header;
  while (at.linear < end_.linear) {
    const std::shared_ptr<Segment> segment = segment_of(at.linear);
    const uint64_t position = at.linear - segment->linear_start();
    Miss missing;
    if (!peek(segment, position, header, missing)) {
      missing.bytes = request.max_bytes;
      miss = missing;
      break;
    }
    const auto fields = fields_of(header);
    if (!fields || position + fields->size > segment->size) {
      if (result.pieces.empty()) return failure(Errc::kDamaged);
      break;
    }
    if (fields->next_offset > limit && !result.pieces.empty()) break;
    const bool fits = result.size_bytes + fields->size <= request.max_bytes;
    if (!fits && (!result.pieces.empty() || !request.first_batch_whole)) break;
    const uint64_t gap = first_missing(*segment, position, position + fields->size);
    if (gap < position + fields->size) {
      miss = {segment, false, gap, std::max<uint64_t>(position + fields->size - gap, request.max_bytes)};
      break;
    }
    if (!is_verified(*segment, position, position + fields->size) && !verify(*segment, position, at.offset)) {
      engine_.core().log(reactor::LogLevel::kError, "storage.rotten_batch",
                         fmt::format("partition={}-{} offset={} segment={} position={}", topic_name_, partition_,
                                     at.offset, segment->base_offset(), position));
      if (result.pieces.empty()) return failure(Errc::kDamaged);
      break;
    }
    if (fields->next_offset > limit) break;  // only now is it known that the header can be believed
    if (result.pieces.empty()) result.base_offset = fields->base_offset;
    lease(*segment, position, position + fields->size, result);
    result.size_bytes += static_cast<uint32_t>(fields->size);
    at = {at.linear + fields->size, fields->next_offset};
    result.next_offset = at.offset;
  }
  if (result.pieces.empty() && miss.segment != nullptr) return std::nullopt;
  if (!result.pieces.empty()) hints_[next_hint_++ % hints_.size()] = {at.offset, at.linear};
  return result;
}

std::optional<Result<ReadResult>> Partition::try_read(const ReadRequest& request) {
  Miss miss;
  return read_memory(request, miss);
}

// A read that needs the disk: its share of the cache, and the chunks that it has brought in, which stay until it has
// its answer. One that only wants a header, which lies in two chunks at most, reserves nothing.
class Partition::DiskRead {
 public:
  explicit DiskRead(Engine& engine) : engine_(engine) {}
  DiskRead(const DiskRead&) = delete;
  DiskRead& operator=(const DiskRead&) = delete;
  ~DiskRead() {
    if (!engine_.core().abandoned()) let_go();
  }

  // Whether it may bring in so many bytes; if not, reserve() them and look again.
  bool has_room(uint64_t bytes) const { return units(bytes) <= units_; }
  Task<void> reserve(uint64_t bytes) {
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

Task<Result<Partition::Boundary>> Partition::load_batch_boundary(int64_t offset) {
  DiskRead disk(engine_);
  for (;;) {
    Miss miss;
    if (const auto found = find_batch(offset, miss)) co_return *found;
    if (auto filled = co_await fill(miss, &disk); !filled) co_return failure(filled.error());
  }
}

Task<Result<ReadResult>> Partition::read(ReadRequest request) {
  const Use use(*this);
  DiskRead disk(engine_);
  for (;;) {
    Miss miss;
    auto answer = read_memory(request, miss);
    if (answer) co_return std::move(*answer);
    if (mode_ == Mode::kDeleting) co_return failure(Errc::kNotFound);
    if (!disk.has_room(miss.bytes)) {
      co_await disk.reserve(miss.bytes);
      continue;
    }
    auto filled = co_await fill(miss, &disk);
    if (!filled) co_return failure(filled.error());
  }
}

// `by`: keeps the chunk that is brought in, if one is.
Task<Result<void>> Partition::fill(Miss miss, DiskRead* by) {
  if (miss.index) co_return co_await ensure_index(miss.segment);
  co_return co_await load_chunk(miss.segment, miss.position, miss.bytes, by);
}

// Brings the block at `position` and about `wanted` bytes behind it into memory. Returns early, without them, when
// somebody else is at it: the caller looks again.
Task<Result<void>> Partition::load_chunk(std::shared_ptr<Segment> segment, uint64_t position, uint64_t wanted,
                                         DiskRead* by) {
  const uint64_t from = align_down(position);
  for (const Segment::Load& load : segment->loads) {
    if (from < load.to && load.from <= from) {
      co_await segment->loaded.wait();
      co_return Result<void>();
    }
  }
  if (Chunk* chunk = segment->chunk_at(position); chunk != nullptr) {
    if (position < uint64_t{chunk->position} + chunk->begin) {
      // The tail's first block: its prefix is on the way, for the journal.
      if (damage_.damaged) co_return failure(Errc::kDamaged);
      co_await changed_.wait();
      co_return Result<void>();
    }
    if (position < chunk->segment_end()) co_return Result<void>();
    CHECK(!chunk->dirty, "a dirty chunk ends before the log does");
    segment->remove(*chunk);
  }
  const uint64_t flushed =
      std::min(std::max(flushed_linear_, segment->linear_start()) - segment->linear_start(), segment->size);
  if (position >= flushed) co_return failure(Errc::kDamaged);
  const uint64_t ahead = std::max<uint64_t>(wanted, engine_.host().options().read_ahead_bytes);
  uint64_t to = std::min({flushed, segment->next_chunk_position(from), from + ChunkCache::kChunkBytesMax,
                          std::max(align_up(position + 1), align_down(from + ahead))});
  const auto capacity = static_cast<uint32_t>(std::bit_ceil(align_up(to - from)));
  auto chunk = engine_.cache().allocate(capacity, static_cast<uint32_t>(from), false, *segment);
  if (!chunk && capacity > ChunkCache::kChunkBytesMin) {
    to = std::min(to, from + ChunkCache::kChunkBytesMin);
    chunk = engine_.cache().allocate(ChunkCache::kChunkBytesMin, static_cast<uint32_t>(from), false, *segment);
  }
  if (!chunk) co_return failure(Errc::kNoMemory);
  segment->loads.push_back({from, to});
  const uint32_t generation = generation_;
  auto got = co_await engine_.files().read(*this, *segment, from, (*chunk)->buffer.bytes().first(align_up(to - from)),
                                           reactor::IoClass::kLiveRead);
  std::erase_if(segment->loads, [from](const Segment::Load& load) { return load.from == from; });
  segment->loaded.notify_all();
  if (!got) co_return failure(got.error() == Errc::kIoError ? Errc::kDamaged : got.error());
  if (*got < to - from) co_return failure(Errc::kDamaged);
  // The log may have been cut, or the tail begun anew in the last block, while the disk worked.
  const bool still_wanted = generation == generation_ && !segment->removed && segment->chunk_at(from) == nullptr;
  if (!still_wanted) co_return Result<void>();
  (*chunk)->end = static_cast<uint32_t>(std::min(to, segment->next_chunk_position(from)) - from);
  ChunkLease kept = *chunk;
  segment->insert(std::move(*chunk));
  if (by != nullptr) by->keep(kept);
  engine_.cache().make_clean(*kept);
  co_return Result<void>();
}

Task<Result<void>> Partition::ensure_index(std::shared_ptr<Segment> segment) {
  while (segment->indexing) co_await changed_.wait();
  if (segment->index_whole) co_return Result<void>();
  segment->indexing = true;
  Result<void> built = co_await build_index(segment);
  segment->indexing = false;
  changed_.notify_all();
  co_return built;
}

// From the file beside a sealed segment if that is whole and of this segment, else from the batches' headers.
Task<Result<void>> Partition::build_index(std::shared_ptr<Segment> segment) {
  if (segment->sealed) {
    auto bytes = co_await engine_.files().read_beside(segment_path(*segment, "index"));
    if (bytes) {
      auto index = SegmentIndex::decode(*bytes);
      if (index && index->base_offset() == segment->base_offset() && index->size_bytes() == segment->size) {
        segment->set_index(SegmentIndexBuilder(std::move(*index)));
        segment->index_whole = true;
        co_return Result<void>();
      }
    }
  }
  SegmentIndexBuilder builder(segment->base_offset());
  const uint32_t generation = generation_;
  auto walked = co_await walk_headers(
      segment, 0, [&builder](const RecordBatchView& batch) { return builder.add_batch(batch).has_value(); });
  if (!walked) co_return walked;
  if (generation != generation_) co_return failure(Errc::kBusy);
  // Nothing was awaited since the last header: the index is as long as the segment.
  CHECK(builder.index().size_bytes() == segment->size);
  segment->set_index(std::move(builder));
  segment->index_whole = true;
  co_return Result<void>();
}

// Visits the headers from `position` to the end, which may grow meanwhile. The views' records are not to be touched.
Task<Result<void>> Partition::walk_headers(std::shared_ptr<Segment> segment, uint64_t position,
                                           std::function<bool(const RecordBatchView&)> visit) {
  HeaderBytes header;
  const uint32_t generation = generation_;
  int64_t expected = -1;
  DiskRead disk(engine_);
  while (position < segment->size) {
    if (generation != generation_ || segment->removed) co_return failure(Errc::kBusy);
    Miss miss;
    if (!peek(segment, position, header, miss)) {
      if (auto filled = co_await fill(miss, &disk); !filled) co_return filled;
      continue;
    }
    disk.let_go();
    const auto fields = fields_of(header);
    if (!fields || position + fields->size > segment->size) co_return failure(Errc::kDamaged);
    if (expected >= 0 && !follows(expected, fields->base_offset)) co_return failure(Errc::kDamaged);
    expected = fields->next_offset;
    const auto batch = RecordBatchView::parse({header.data(), static_cast<size_t>(fields->size)});
    if (!batch || !visit(*batch)) co_return failure(Errc::kDamaged);
    position += fields->size;
  }
  co_return Result<void>();
}

Task<Result<TimestampOffset>> Partition::find_timestamp(int64_t timestamp, int64_t limit_offset) {
  const Use use(*this);
  const std::vector<std::shared_ptr<Segment>> segments(segments_.begin(), segments_.end());
  for (const auto& segment : segments) {
    if (segment->max_timestamp < timestamp || segment->removed) continue;
    if (auto indexed = co_await ensure_index(segment); !indexed) co_return failure(indexed.error());
    const auto range = segment->index().find_timestamp(timestamp);
    if (!range) continue;
    int64_t found = -1;
    auto walked = co_await walk_headers(segment, range->position, [&](const RecordBatchView& batch) {
      if (batch.max_timestamp() < timestamp || batch.next_offset() <= log_start_) return true;
      found = batch.base_offset();
      return false;
    });
    if (found < 0) {
      if (!walked) co_return failure(walked.error());
      continue;
    }
    if (found >= limit_offset) break;
    auto bytes = co_await read({.offset = std::max(found, log_start_), .max_bytes = 1, .limit_offset = limit_offset});
    if (!bytes) co_return failure(bytes.error());
    if (bytes->pieces.empty()) break;
    Bytes whole;
    for (const LeasedBytes& piece : bytes->pieces) whole.insert(whole.end(), piece.bytes.begin(), piece.bytes.end());
    const auto batch = RecordBatchView::parse(whole);
    if (!batch) co_return failure(Errc::kDamaged);
    const auto record = first_record_at_or_after(*batch, timestamp);
    if (record && *record) {
      co_return TimestampOffset{(*record)->timestamp, (*record)->offset, batch->leader_epoch()};
    }
    co_return TimestampOffset{batch->max_timestamp(), batch->base_offset(), batch->leader_epoch()};
  }
  co_return TimestampOffset{};
}

Task<Result<TimestampOffset>> Partition::max_timestamp() {
  const Use use(*this);
  std::shared_ptr<Segment> best;
  for (const auto& segment : segments_) {
    if (segment->size > 0 && (best == nullptr || segment->max_timestamp > best->max_timestamp)) best = segment;
  }
  if (best == nullptr || best->max_timestamp == kNoTimestamp) co_return TimestampOffset{};
  if (auto indexed = co_await ensure_index(best); !indexed) co_return failure(indexed.error());
  const int64_t offset = best->index().max_timestamp_offset();
  co_return TimestampOffset{best->index().max_timestamp(), offset, epochs_.epoch_for(offset)};
}

}  // namespace posthaste::storage
