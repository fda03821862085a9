// Partition: whether what comes from a disk is what was acked. Kafka's checksum covers a batch's records; a segment's
// name, its index, its neighbours and the leader epochs vouch for the rest. What does not hold is refused and said.
#include <algorithm>

#include "storage/bytes/crc32c.h"
#include "storage/engine.h"
#include "storage/log/disk_read.h"
#include "storage/log/header_fields.h"
#include "storage/log/partition.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

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

// Whether the batch that ends at `position` of the segment, with this next offset, is followed by what the log says or
// holds. Nothing: that is not in memory, `miss` says what.
std::optional<bool> Partition::joins_what_follows(const std::shared_ptr<Segment>& segment, uint64_t position,
                                                  int64_t next_offset, Miss& miss) const {
  if (position == segment->size) return follows(next_offset, bytes_.offset_behind(*segment));
  HeaderBytes header;
  if (!peek(segment, position, header, miss)) return std::nullopt;
  return follows(next_offset, load_be<int64_t>(header.data()));
}

// Checks a batch that lies in memory against its checksum and, for what that does not cover (offset, epoch, whether it
// is this log's batch at all), against its neighbours, the segment's name, the epochs and the run's hash. Nothing: for
// that something must be brought in first, `miss` says what.
std::optional<bool> Partition::verify(const std::shared_ptr<Segment>& of, uint64_t position, int64_t expected_offset,
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
  // Where there may be a hole in front of a batch, the one behind it tells its offset.
  const bool behind_hole = fields->base_offset > holes_from_ ||
                           (fields->base_offset <= log_start_ && (position > 0 || fields->base_offset != expected));
  if (behind_hole || position + fields->size == segment.size) {
    const auto joins = joins_what_follows(of, position + fields->size, fields->next_offset, miss);
    if (!joins) return std::nullopt;
    if (!*joins) return rotten("the batch there does not fit before the next one");
  }
  const int32_t epoch = epochs_.epoch_for(fields->base_offset);
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

bool Partition::crc_matches(const Segment& segment, uint64_t position, const HeaderFields& fields) {
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

void Partition::mark_verified(const Segment& segment, uint64_t position, uint64_t end) {
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
Errc Partition::refuse(const Segment& segment, uint64_t position, int64_t offset, std::string_view reason) {
  constexpr size_t kPlacesNamed = 16;
  std::vector<uint64_t>& named = segment.make_extras().refused;
  if (named.size() >= kPlacesNamed || std::ranges::find(named, position) != named.end()) return Errc::kDamaged;
  named.push_back(position);
  engine_.count_refused_range();
  engine_.core().log(
      reactor::LogLevel::kError, "storage.range_refused",
      fmt::format("partition={}-{} file={} position={} offset={} segment_offsets={}..{} reason=\"{}\"{} "
                  "remedy=\"restore the file from a backup while the broker is stopped, or read on behind the range\"",
                  topic_name_, partition_, segment_path(segment, "log"), position,
                  offset < 0 ? "unknown" : std::to_string(offset), segment.base_offset(),
                  bytes_.offset_behind(segment) - 1, reason,
                  named.size() == kPlacesNamed ? " more=\"further places of this file are not named\"" : ""));
  return Errc::kDamaged;
}

// What it means that a segment's file could not be read. A file that is gone is damage; anything else may pass, is said
// once until a read succeeds, and is what the reader is told.
Result<void> Partition::read_failed(Segment& segment, uint64_t position, Errc error) {
  if (error == Errc::kNotFound) {
    if (segment.removed || mode_ == Mode::kDeleting) return {};  // the caller looks again
    return failure(refuse(segment, position, -1, "the file is missing"));
  }
  if (!std::exchange(segment.read_failing, true)) {
    engine_.core().log(
        reactor::LogLevel::kError, "storage.read_failed",
        fmt::format("partition={}-{} file={} position={} error={} consequence=\"tried again whenever the "
                    "bytes are wanted\"{}",
                    topic_name_, partition_, segment_path(segment, "log"), position, to_string(error),
                    remedy_field(error)));
  }
  return failure(error);
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
  const uint32_t generation = generation_;
  auto walked = co_await walk_headers(segment, 0, UINT64_MAX, [&](const RecordBatchView& batch) {
    hash = chain_header_hash(hash, batch);
    if (!builder.add_batch(batch)) return false;
    proven = proven || (builder.index().size_bytes() == proof->position && hash == proof->hash);
    return true;
  });
  if (!walked) co_return walked;
  if (generation != generation_) co_return failure(Errc::kBusy);
  // Nothing was awaited since the last header: the index is as long as the segment.
  CHECK(builder.index().size_bytes() == segment->size);
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
bool Partition::fits(const Segment& segment, const SegmentIndex& index) const {
  if (index.base_offset() != segment.base_offset() || index.size_bytes() == 0) return false;
  if (!follows(index.base_offset(), index.entries().front().base_offset)) return false;
  return index.size_bytes() == segment.size && follows(index.next_offset(), bytes_.offset_behind(segment));
}

// Compares a run with the hash that the index has of it, once.
Task<Result<void>> Partition::check_run(std::shared_ptr<Segment> segment, size_t run) {
  while (segment->indexing) co_await changed_.wait();
  // The log may have been cut meanwhile.
  if (!segment->index_whole || run >= segment->index().entries().size()) co_return Result<void>();
  if (segment->run_state(run) != Segment::RunState::kUnknown) co_return Result<void>();
  const uint32_t generation = generation_;
  segment->indexing = true;
  const auto same = co_await matches(segment, segment->index().range_of(run), segment->index().entries()[run]);
  segment->indexing = false;
  changed_.notify_all();
  if (!same) co_return failure(same.error());
  if (generation == generation_) {
    segment->set_run_state(run, *same ? Segment::RunState::kGood : Segment::RunState::kBad);
  }
  co_return Result<void>();
}

// Whether the headers of these bytes have the hash of `entry`, which ends where they do.
Task<Result<bool>> Partition::matches(std::shared_ptr<Segment> segment, IndexRange range, IndexEntry entry) {
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

// Visits the headers from `position` to `to`, or to the end, which may grow meanwhile. The views' records are not to be
// touched.
Task<Result<void>> Partition::walk_headers(std::shared_ptr<Segment> segment, uint64_t position, uint64_t to,
                                           std::function<bool(const RecordBatchView&)> visit) {
  HeaderBytes header;
  const uint32_t generation = generation_;
  int64_t expected = position == 0 ? segment->base_offset() : -1;
  DiskRead disk(engine_);
  while (position < std::min(to, segment->size)) {
    if (generation != generation_ || segment->removed) co_return failure(Errc::kBusy);
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

}  // namespace posthaste::storage
