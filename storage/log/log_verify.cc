// LogReader: whether what comes from a disk is what was acked. Kafka's checksum covers a batch's records; a segment's
// name, its index, its neighbours and the leader epochs prove the rest. What does not match is refused and logged.
#include <algorithm>

#include "storage/bytes/crc32c.h"
#include "storage/engine.h"
#include "storage/log/disk_read.h"
#include "storage/log/log_reader.h"
#include "storage/log/partition.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

bool LogReader::follows(int64_t next_offset, int64_t base_offset) const {
  return OffsetOrder{partition_.log_start_offset(), partition_.holes_from()}.follows(next_offset, base_offset);
}

// True if these bytes of a segment came from memory or were checked before.
bool LogReader::is_verified(const Segment& segment, uint64_t from, uint64_t to) const {
  while (from < to) {
    const Chunk& chunk = *segment.chunk_at(from);
    const uint64_t piece_end = std::min(to, chunk.segment_end());
    if (from < uint64_t{chunk.position} + chunk.verified_begin) return false;
    if (piece_end > uint64_t{chunk.position} + chunk.verified_end) return false;
    from = piece_end;
  }
  return true;
}

// Whether the batch that ends at `position` of the segment, with this next offset, is followed by what the log says or
// holds. Nothing: that is not in memory, `miss` says what.
std::optional<bool> LogReader::joins_what_follows(const std::shared_ptr<Segment>& segment, uint64_t position,
                                                  int64_t next_offset, Miss& miss) const {
  if (position == segment->size) return follows(next_offset, partition_.bytes().offset_behind(*segment));
  HeaderBytes header;
  if (!peek(segment, position, header, miss)) return std::nullopt;
  return follows(next_offset, load_be<int64_t>(header.data()));
}

// Checks a batch that lies in memory against its checksum and, for what that does not cover (offset, epoch, whether it
// is this log's batch at all), against its neighbours, the segment's name, the epochs and the run's hash. Nothing: for
// that something must be brought in first, `miss` says what.
std::optional<bool> LogReader::verify(const std::shared_ptr<Segment>& of, uint64_t position, int64_t expected_offset,
                                      Miss& miss) {
  const Segment& segment = *of;
  HeaderBytes header;
  LogBytes::copy_out(segment, position, header);
  const auto fields = fields_of(header);
  const auto rotten = [&](std::string_view reason) {
    (void)refuse(segment, position, expected_offset, reason);
    return false;
  };
  if (!fields) return rotten("no batch begins there");
  const int64_t expected = position == 0 ? segment.base_offset() : expected_offset;
  const bool takes_any = planted(kBugs["first-offset-unchecked"]) && position == 0 && fields->base_offset > expected;
  if (!takes_any && !follows(expected, fields->base_offset)) return rotten("the batch there has another offset");
  // Where there may be a hole in front of a batch, the batch behind it shows its offset.
  const bool behind_hole =
      fields->base_offset > partition_.holes_from() ||
      (fields->base_offset <= partition_.log_start_offset() && (position > 0 || fields->base_offset != expected));
  if (behind_hole || position + fields->size == segment.size) {
    const auto joins = joins_what_follows(of, position + fields->size, fields->next_offset, miss);
    if (!joins) return std::nullopt;
    if (!*joins) return rotten("the batch there does not fit before the next one");
  }
  const int32_t epoch = partition_.epochs().epoch_for(fields->base_offset);
  if (epoch != kNoLeaderEpoch && epoch != fields->leader_epoch) return rotten("the batch there has another epoch");
  if (!planted(kBugs["first-offset-unchecked"])) {
    if (!segment.index_whole) {
      miss = {.segment = of, .index = true};
      return std::nullopt;
    }
    const size_t run = segment.index().run_at(static_cast<uint32_t>(position));
    const Segment::RunState state = segment.run_state(run);
    if (state == Segment::RunState::kUnknown) {
      miss = {.segment = of, .run = run};
      return std::nullopt;
    }
    if (state == Segment::RunState::kBad) return rotten("the batches there are not those that were written");
  }
  if (!crc_matches(segment, position, *fields)) return rotten("the batch there does not match its checksum");
  mark_verified(segment, position, position + fields->size);
  return true;
}

bool LogReader::crc_matches(const Segment& segment, uint64_t position, const HeaderFields& fields) {
  uint32_t crc = 0;
  const uint64_t end = position + fields.size;
  for (uint64_t at = position + kBatchCrcCoverageStart; at < end;) {
    const Chunk& chunk = *segment.chunk_at(at);
    const uint64_t piece_end = std::min(end, chunk.segment_end());
    crc = crc32c(crc, chunk.bytes(static_cast<uint32_t>(at - chunk.position),
                                  static_cast<uint32_t>(piece_end - chunk.position)));
    at = piece_end;
  }
  return crc == fields.crc;
}

void LogReader::mark_verified(const Segment& segment, uint64_t position, uint64_t end) {
  for (uint64_t at = position; at < end;) {
    Chunk& chunk = *segment.chunk_at(at);
    const auto from = static_cast<uint32_t>(at - chunk.position);
    const auto to = static_cast<uint32_t>(std::min(end, chunk.segment_end()) - chunk.position);
    const bool touches = from <= chunk.verified_end && to >= chunk.verified_begin;
    chunk.verified_begin = touches ? std::min(from, chunk.verified_begin) : from;
    chunk.verified_end = touches ? std::max(to, chunk.verified_end) : to;
    at = uint64_t{chunk.position} + to;
  }
}

// Says once per place, of so many places of a segment, that bytes of the log are not served, and why. kDamaged.
Errc LogReader::refuse(const Segment& segment, uint64_t position, int64_t offset, std::string_view reason) {
  constexpr size_t kPlacesNamed = 16;
  std::vector<uint64_t>& named = segment.make_extras().refused;
  if (named.size() >= kPlacesNamed || std::ranges::find(named, position) != named.end()) return Errc::kDamaged;
  named.push_back(position);
  engine().count_refused_range();
  engine().core().log(
      reactor::LogLevel::kError, "storage.range_refused",
      fmt::format("partition={}-{} file={} position={} offset={} segment_offsets={}..{} reason=\"{}\"{} "
                  "remedy=\"restore the file from a backup while the broker is stopped, or read on behind the range\"",
                  partition_.topic_name(), partition_.partition(), partition_.segment_path(segment, "log"), position,
                  offset < 0 ? "unknown" : std::to_string(offset), segment.base_offset(),
                  partition_.bytes().offset_behind(segment) - 1, reason,
                  named.size() == kPlacesNamed ? " more=\"further places of this file are not named\"" : ""));
  return Errc::kDamaged;
}

Result<void> LogReader::read_failed(Segment& segment, uint64_t position, Errc error) {
  if (error == Errc::kNotFound) {
    if (segment.removed || partition_.mode() == Partition::Mode::kDeleting) return {};  // the caller looks again
    return failure(refuse(segment, position, -1, "the file is missing"));
  }
  if (!std::exchange(segment.read_failing, true)) {
    engine().core().log(
        reactor::LogLevel::kError, "storage.read_failed",
        fmt::format("partition={}-{} file={} position={} error={} consequence=\"tried again whenever the "
                    "bytes are wanted\"{}",
                    partition_.topic_name(), partition_.partition(), partition_.segment_path(segment, "log"), position,
                    to_string(error), remedy_field(error)));
  }
  return failure(error);
}

Task<Result<void>> LogReader::ensure_index(std::shared_ptr<Segment> segment) {
  while (segment->indexing) co_await partition_.changed().wait();
  if (segment->index_whole) co_return Result<void>();
  segment->indexing = true;
  Result<void> built = co_await build_index(segment);
  segment->indexing = false;
  partition_.changed().notify_all();
  co_return built;
}

// From the file beside a sealed segment if that is whole and of this segment, else from the batches' headers.
Task<Result<void>> LogReader::build_index(std::shared_ptr<Segment> segment) {
  if (segment->sealed) {
    auto bytes = co_await engine().files().read_beside(partition_.segment_path(*segment, "index"));
    auto index = bytes ? SegmentIndex::decode(*bytes) : Result<SegmentIndex>(failure(bytes.error()));
    if (index && fits(*segment, *index)) {
      segment->set_index(SegmentIndexBuilder(std::move(*index)), true);
      segment->index_whole = true;
      co_return Result<void>();
    }
  }
  SegmentIndexBuilder builder(segment->base_offset());
  const std::optional<HeaderProof> proof = segment->extras() == nullptr ? std::nullopt : segment->extras()->proof;
  uint64_t hash = 0;
  bool proven = !proof || (proof->position == 0 && proof->hash == 0);
  const uint32_t generation = partition_.generation();
  auto walked = co_await walk_headers(segment, 0, UINT64_MAX, [&](const RecordBatchView& batch) {
    hash = chain_header_hash(hash, batch);
    if (!builder.add_batch(batch)) return false;
    proven = proven || (builder.index().size_bytes() == proof->position && hash == proof->hash);
    return true;
  });
  if (!walked) co_return walked;
  if (generation != partition_.generation()) co_return failure(Errc::kBusy);
  // Nothing was awaited since the last header: the index is as long as the segment.
  CHECK(builder.index().size_bytes() == segment->size);
  // Batches of another log may have the same size together, and begin at the same offset.
  const int64_t next_offset = builder.index().next_offset();
  if (!follows(next_offset, partition_.bytes().offset_behind(*segment))) {
    co_return failure(
        refuse(*segment, segment->size, next_offset, "the batches there do not end where the segment does"));
  }
  segment->set_index(std::move(builder), false);
  for (size_t run = 0; !proven && run < segment->index().entries().size(); ++run) {
    if (segment->index().entries()[run].position < proof->position)
      segment->set_run_state(run, Segment::RunState::kBad);
  }
  if (!std::exchange(segment->headers_known, true)) segment->headers_hash = hash;
  segment->index_whole = true;
  co_return Result<void>();
}

// Whether an index that was found beside the segment can be of it.
bool LogReader::fits(const Segment& segment, const SegmentIndex& index) const {
  if (index.base_offset() != segment.base_offset() || index.size_bytes() == 0) return false;
  if (!follows(index.base_offset(), index.entries().front().base_offset)) return false;
  return index.size_bytes() == segment.size && follows(index.next_offset(), partition_.bytes().offset_behind(segment));
}

// Compares a run with the hash that the index has of it, once.
Task<Result<void>> LogReader::check_run(std::shared_ptr<Segment> segment, size_t run) {
  while (segment->indexing) co_await partition_.changed().wait();
  // The log may have been cut meanwhile.
  if (!segment->index_whole || run >= segment->index().entries().size()) co_return Result<void>();
  if (segment->run_state(run) != Segment::RunState::kUnknown) co_return Result<void>();
  const uint32_t generation = partition_.generation();
  segment->indexing = true;
  const auto same = co_await matches(segment, segment->index().range_of(run), segment->index().entries()[run]);
  segment->indexing = false;
  partition_.changed().notify_all();
  if (!same) co_return failure(same.error());
  if (generation == partition_.generation()) {
    segment->set_run_state(run, *same ? Segment::RunState::kGood : Segment::RunState::kBad);
  }
  co_return Result<void>();
}

// Whether the headers of these bytes have the hash of `entry`, which ends where they do.
Task<Result<bool>> LogReader::matches(std::shared_ptr<Segment> segment, IndexRange range, IndexEntry entry) {
  uint64_t hash = 0;
  int64_t first = -1;
  auto walked = co_await walk_headers(segment, range.position, range.end, [&](const RecordBatchView& batch) {
    if (first < 0) first = batch.base_offset();
    hash = chain_header_hash(hash, batch);
    return true;
  });
  if (!walked && walked.error() != Errc::kDamaged) co_return failure(walked.error());
  co_return walked&& first == entry.base_offset&& hash == entry.header_hash;
}

Task<Result<void>> LogReader::walk_headers(std::shared_ptr<Segment> segment, uint64_t position, uint64_t to,
                                           std::function<bool(const RecordBatchView&)> visit) {
  HeaderBytes header;
  const uint32_t generation = partition_.generation();
  int64_t expected = position == 0 ? segment->base_offset() : -1;
  DiskRead disk(engine());
  while (position < std::min(to, segment->size)) {
    if (generation != partition_.generation() || segment->removed) co_return failure(Errc::kBusy);
    Miss miss;
    if (!peek(segment, position, header, miss)) {
      if (auto filled = co_await fill(miss, &disk); !filled) co_return filled;
      continue;
    }
    disk.let_go();
    const auto fields = fields_of(header);
    if (!fields || position + fields->size > segment->size) {
      co_return failure(refuse(*segment, position, expected, "no batch begins there"));
    }
    if (expected >= 0 && !follows(expected, fields->base_offset)) {
      co_return failure(refuse(*segment, position, expected, "the batch there has another offset"));
    }
    expected = fields->next_offset;
    const auto batch = RecordBatchView::parse({header.data(), static_cast<size_t>(fields->size)});
    if (!batch) co_return failure(refuse(*segment, position, expected, "no batch begins there"));
    if (!visit(*batch)) co_return failure(Errc::kDamaged);
    position += fields->size;
  }
  co_return Result<void>();
}

Task<Result<Boundary>> LogReader::last_whole_batch(int64_t offset) {
  const int64_t limit = partition_.damage().damaged ? std::min(offset, partition_.damage().from_offset) : offset;
  const std::shared_ptr<Segment> segment = partition_.bytes().segment_with(limit);
  const uint64_t size = std::min(segment->linear_end(), partition_.commit().flushed_linear()) - segment->linear_start();
  // What is not durable goes in any case, and is in the way of the block that it shares with what is.
  for (auto at =
           std::ranges::find(partition_.bytes().segments(), partition_.bytes().keep(partition_.commit().submitting()));
       partition_.damage().damaged && at != partition_.bytes().segments().end(); ++at) {
    (*at)->drop_chunks();
  }
  Boundary whole{segment->linear_start(), segment->base_offset()};
  DiskRead disk(engine());
  HeaderBytes header;
  for (;;) {
    const uint64_t position = whole.linear - segment->linear_start();
    if (position + header.size() > size) break;
    Miss miss;
    if (peek(segment, position, header, miss)) {
      const auto fields = fields_of(header);
      if (!fields || fields->next_offset > limit || position + fields->size > size) break;
      if (!follows(whole.offset, fields->base_offset)) break;
      const uint64_t missing = segment->first_missing(position, position + fields->size);
      if (missing == position + fields->size) {
        const int32_t epoch = partition_.epochs().epoch_for(fields->base_offset);
        if (!crc_matches(*segment, position, *fields)) break;
        if (epoch != kNoLeaderEpoch && epoch != fields->leader_epoch) break;
        whole = {whole.linear + fields->size, fields->next_offset};
        disk.let_go();
        continue;
      }
      miss = {.segment = segment, .position = missing, .bytes = position + fields->size - missing};
    }
    if (!disk.has_room(miss.bytes)) {
      co_await disk.reserve(miss.bytes);
      continue;
    }
    const Result<void> filled = co_await fill(miss, &disk);
    if (!filled && filled.error() == Errc::kDamaged) break;
    if (!filled) co_return failure(filled.error());
  }
  co_return whole;
}

}  // namespace posthaste::storage
