// Recovery: journal records into segments, and what follows from the bytes (producers, timestamps).
#include <algorithm>

#include "storage/log/header_fields.h"
#include "storage/log/header_proof.h"
#include "storage/log/segment_index.h"
#include "storage/planted_bugs.h"
#include "storage/recovery/recovery.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::IoClass;
using reactor::Result;
using reactor::Task;
namespace file_system = reactor::file_system;

namespace {
// Redone bytes are written out when a partition has gathered this many.
constexpr size_t kOverlayBytesMax = 4 * 1024 * 1024;
constexpr uint64_t kScanBytes = 1024 * 1024;

SegmentEntry* segment_entry(TableEntry& entry, int64_t base) {
  const auto found = std::ranges::find(entry.segments, base, &SegmentEntry::base_offset);
  return found == entry.segments.end() ? nullptr : &*found;
}
}  // namespace

void Recovery::start_replay(Replay& replay) {
  drop_below_log_start(replay);
  TableEntry& entry = replay.entry;
  replay.raw_end = entry.flushed;
  replay.boundary = entry.end;
  replay.boundary_offset = entry.end_offset;
  replay.overlay_base = entry.flushed.base_offset;
}

// The start cannot continue without this file, which is there and cannot be used for now.
std::unexpected<Errc> Recovery::unusable(const TableEntry& entry, int64_t base, Errc error) {
  if (host_.error_text_.empty()) {
    host_.error_text_ =
        fmt::format("{} cannot be opened, read or written ({}): see to that and start again. Nothing was lost",
                    segment_of(entry, base, "log"), to_string(error));
  }
  return failure(error);
}

Task<Result<void>> Recovery::make_partition_folder(TableEntry& entry) {
  auto made = co_await file_system::make_directory(core_, directory_of(entry));
  if (!made && made.error() != Errc::kExists) co_return made;
  if (entry.directory_created && made) {
    note(fmt::format("the folder {} is missing: it is made anew, and reads of what it held are refused",
                     directory_of(entry)));
  }
  auto synced = co_await file_system::sync_directory(core_, host_.options_.data_directory);
  if (!synced) co_return synced;
  entry.directory_created = true;
  co_return Result<void>();
}

// A file that must be there and is not is made again: what the journal holds for it is acked.
Task<Result<File>> Recovery::open_or_replace(Replay& replay, int64_t base) {
  TableEntry& entry = replay.entry;
  const std::string path = segment_of(entry, base, "log");
  const bool must_exist = entry.flushed > SegmentPosition{base, 0};
  if (must_exist) {
    auto file = co_await File::open(core_, path, reactor::kOpenWrite);
    if (file || file.error() != Errc::kNotFound) co_return file;
    if (std::ranges::find(replay.made, base) == replay.made.end()) {
      note(fmt::format("the file {} is missing: it is made anew, and reads of what it held are refused", path));
    }
  }
  if (!entry.directory_created || must_exist) {
    if (auto made = co_await make_partition_folder(entry); !made) co_return failure(made.error());
  }
  auto file = co_await File::open(core_, path, reactor::kOpenWrite | reactor::kOpenCreate);
  if (file || file.error() != Errc::kNotFound) co_return file;
  if (auto made = co_await make_partition_folder(entry); !made) co_return failure(made.error());
  co_return co_await File::open(core_, path, reactor::kOpenWrite | reactor::kOpenCreate);
}

Task<Result<File>> Recovery::open_segment(Replay& replay, int64_t base, uint64_t bytes) {
  TableEntry& entry = replay.entry;
  auto file = co_await open_or_replace(replay, base);
  if (!file) co_return unusable(entry, base, file.error());
  // Nothing of this segment was flushed when the table was written: what is in the file is redone from the journal, or
  // was left by an earlier life.
  const bool first = std::ranges::find(replay.made, base) == replay.made.end();
  const SegmentPosition start{base, 0};
  if (first && entry.flushed <= start) {
    if (auto emptied = co_await file->truncate(0); !emptied) co_return failure(emptied.error());
    for (const std::string_view extension : {"index", "snapshot"}) {
      auto removed = co_await file_system::unlink(core_, segment_of(entry, base, extension));
      if (!removed && removed.error() != Errc::kNotFound) co_return failure(removed.error());
    }
  }
  if (auto allocated = co_await file->allocate(0, align_up(bytes)); !allocated) co_return failure(allocated.error());
  if (auto synced = co_await file->sync(); !synced) co_return failure(synced.error());
  if (first) {
    auto synced = co_await file_system::sync_directory(core_, directory_of(entry));
    if (!synced) co_return failure(synced.error());
    replay.made.push_back(base);
  }
  co_return *file;
}

Task<Result<Bytes>> Recovery::read_segment(const Replay& replay, int64_t base, uint64_t from, uint64_t to) {
  auto file = co_await File::open(core_, segment_of(replay.entry, base, "log"), reactor::kOpenRead);
  if (!file) co_return failure(file.error());
  Bytes bytes(to - from);
  auto got = co_await file->read(from, bytes, IoClass::kLiveRead);
  (void)co_await file->close();
  if (!got) co_return failure(got.error());
  if (*got < bytes.size()) co_return failure(Errc::kTruncated);
  co_return bytes;
}

// Leaves the segment that was being filled, which must be complete, for the one at `base`.
Task<Result<void>> Recovery::enter_segment(Replay& replay, int64_t base) {
  while (replay.raw_end.base_offset < base) {
    const auto at = std::ranges::find(replay.entry.segments, replay.raw_end.base_offset, &SegmentEntry::base_offset);
    CHECK(at != replay.entry.segments.end() && at + 1 != replay.entry.segments.end());
    if (replay.raw_end.position != at->size_bytes) {
      damage(replay,
             fmt::format("segment {} ends at byte {} of {}", at->base_offset, replay.raw_end.position, at->size_bytes));
      co_return Result<void>();
    }
    if (auto written = co_await write_overlay(replay, true); !written) co_return written;
    replay.raw_end = {(at + 1)->base_offset, 0};
    if (replay.boundary < replay.raw_end) {
      replay.boundary = replay.raw_end;
      replay.boundary_offset = replay.raw_end.base_offset;
    }
    replay.overlay_base = replay.raw_end.base_offset;
  }
  co_return Result<void>();
}

// The block that the first redone byte lies in: its earlier bytes from the record's prefix, else from the segment.
Task<Result<void>> Recovery::begin_overlay(Replay& replay, const JournalRecord& record) {
  replay.overlay_base = record.segment_base;
  replay.overlay_start = align_down(record.position);
  const SegmentPosition block{record.segment_base, replay.overlay_start};
  const bool whole = record.position - record.prefix.size() <= replay.overlay_start;
  if (!whole && replay.entry.flushed > block && replay.entry.flushed.base_offset == record.segment_base) {
    const uint64_t known = replay.entry.flushed.position - replay.overlay_start;
    auto bytes = co_await read_segment(replay, record.segment_base, replay.overlay_start,
                                       replay.overlay_start + std::min<uint64_t>(known, kBlock));
    const bool is_gone = !bytes && (bytes.error() == Errc::kNotFound || bytes.error() == Errc::kTruncated);
    if (!bytes && !is_gone) co_return unusable(replay.entry, record.segment_base, bytes.error());
    // The rest is acked too, and goes where it belongs; the batch that began in what is gone is refused when read.
    replay.overlay = is_gone ? Bytes(std::min<uint64_t>(known, kBlock)) : std::move(*bytes);
  }
  co_return Result<void>();
}

// Blocks that end at or before the flushed end are never written again: the journal need not hold them from their start
// on, and a write that tears would take acked bytes with it.
void Recovery::leave_out_flushed_blocks(const TableEntry& entry, JournalRecord& record) {
  const uint64_t floor = align_down(entry.flushed.position);
  if (record.segment_base != entry.flushed.base_offset || record.position >= floor) return;
  CHECK(record.position + record.data.size() > floor, "a record of blocks that are flushed is not read");
  record.data = record.data.subspan(floor - record.position);
  record.prefix = {};
  record.position = floor;
}

Task<Result<void>> Recovery::apply_data(Replay& replay, JournalRecord record) {
  TableEntry& entry = replay.entry;
  const bool is_dead = record.generation < entry.generation && !planted(kBugs["generation-ignored"]);
  if (entry.damage.damaged || is_dead) co_return Result<void>();
  if (record.generation > entry.generation) {
    damage(replay, "a record of a generation that no TRUNCATE record announced");
    co_return Result<void>();
  }
  entry.high_watermark = std::max(entry.high_watermark, record.high_watermark);
  const SegmentPosition range_end{record.segment_base, record.position + record.data.size()};
  // Retention has removed it, or the segments hold it.
  const SegmentPosition flushed_blocks{entry.flushed.base_offset, align_down(entry.flushed.position)};
  if (record.segment_base < entry.segments.front().base_offset ||
      range_end <= std::max(entry.released, flushed_blocks)) {
    co_return Result<void>();
  }
  if (segment_entry(entry, record.segment_base) == nullptr) {
    damage(replay, fmt::format("a record of segment {}, which is not known", record.segment_base));
    co_return Result<void>();
  }
  if (record.segment_base < replay.raw_end.base_offset) co_return Result<void>();
  leave_out_flushed_blocks(entry, record);
  if (auto entered = co_await enter_segment(replay, record.segment_base); !entered) co_return entered;
  if (entry.damage.damaged) co_return Result<void>();
  if (record.position > replay.raw_end.position) {
    damage(replay, fmt::format("bytes {} to {} of segment {} are in no record", replay.raw_end.position,
                               record.position, record.segment_base));
    co_return Result<void>();
  }
  ++report_.records_replayed;
  report_.bytes_replayed += record.data.size();
  if (replay.overlay.empty()) {
    if (auto begun = co_await begin_overlay(replay, record); !begun) co_return begun;
  }
  const auto put = [&replay](uint64_t position, ByteView bytes) {
    const uint64_t at = position - replay.overlay_start;
    if (replay.overlay.size() < at + bytes.size()) replay.overlay.resize(at + bytes.size());
    std::ranges::copy(bytes, replay.overlay.begin() + static_cast<ptrdiff_t>(at));
  };
  if (record.position - record.prefix.size() < replay.overlay_start) {
    damage(replay, "records of one segment are not in order");
    co_return Result<void>();
  }
  put(record.position - record.prefix.size(), record.prefix);
  put(record.position, record.data);
  replay.raw_end = std::max(replay.raw_end, range_end);
  const SegmentPosition boundary{record.segment_base, record.boundary};
  if (boundary > replay.boundary) {
    replay.boundary = boundary;
    replay.boundary_offset = record.boundary_offset;
  }
  if (replay.overlay.size() >= kOverlayBytesMax) co_return co_await write_overlay(replay, false);
  co_return Result<void>();
}

// Writes what was redone; unless it is the last of its segment, the block that the end lies in stays.
Task<Result<void>> Recovery::write_overlay(Replay& replay, bool last) {
  const uint64_t end = replay.overlay_start + replay.overlay.size();
  const uint64_t to = last ? align_up(end) : align_down(end);
  if (replay.overlay.empty() || to <= replay.overlay_start) co_return Result<void>();
  // The journal holds a block as a whole only if it holds something of it that was not flushed. Whether or not that was
  // acked: it may have been on its way into the block, and have torn it.
  const bool is_torn = planted(kBugs["torn-block-held-for-flushed"]);
  if ((is_torn ? SegmentPosition{replay.overlay_base, end} : replay.raw_end) <= replay.entry.flushed) {
    replay.overlay.clear();
    co_return Result<void>();
  }
  Bytes rest(replay.overlay.begin() + static_cast<ptrdiff_t>(std::min(to, end) - replay.overlay_start),
             replay.overlay.end());
  replay.overlay.resize(to - replay.overlay_start);
  auto file = co_await open_segment(replay, replay.overlay_base, to);
  if (!file) co_return failure(file.error());
  auto written =
      co_await file->write(replay.overlay_start, replay.overlay, reactor::kWriteDurable, IoClass::kWriteBack);
  if (!written) {
    reactor::fatal(reactor::FatalReason::kDurableWriteFailed,
                   fmt::format("writing {} failed: {}", directory_of(replay.entry), to_string(written.error())));
  }
  (void)co_await file->close();
  replay.overlay = std::move(rest);
  replay.overlay_start = to;
  if (last) replay.overlay.clear();
  co_return Result<void>();
}

Task<Result<void>> Recovery::finish(Replay& replay) {
  TableEntry& entry = replay.entry;
  if (!entry.damage.damaged) {
    if (auto entered = co_await enter_segment(replay, entry.segments.back().base_offset); !entered) co_return entered;
  }
  // The table says that more was durable than table and journal hold.
  const bool is_short = !entry.damage.damaged && replay.raw_end < replay.boundary;
  if (is_short) {
    damage(replay, fmt::format("bytes behind {} of segment {} were durable and are in no record",
                               replay.raw_end.position, replay.raw_end.base_offset));
    replay.boundary = replay.raw_end;
  }
  // Bytes behind the last whole batch were never acked.
  if (!replay.overlay.empty() && replay.overlay_base == replay.boundary.base_offset) {
    const uint64_t keep = std::max(replay.boundary.position, replay.overlay_start) - replay.overlay_start;
    if (replay.overlay.size() > keep) replay.overlay.resize(keep);
  }
  if (auto written = co_await write_overlay(replay, true); !written) co_return written;
  if (is_short) {
    if (auto found = co_await find_last_batch(replay); !found) co_return found;
  }
  while (entry.segments.back().base_offset > replay.boundary.base_offset) entry.segments.pop_back();
  entry.flushed = entry.released = entry.end = replay.boundary;
  entry.end_offset = replay.boundary_offset;
  entry.segments.back().size_bytes = replay.boundary.position;
  if (entry.damage.damaged) {
    entry.damage.from_offset = std::min(entry.damage.from_offset, entry.end_offset);
    note(fmt::format("{} is damaged from offset {} on: {}", directory_of(entry), entry.damage.from_offset,
                     entry.damage.reason));
  }
  entry.log_start = std::min(entry.log_start, entry.end_offset);
  // What damage took is lost, although clients may have seen it; what was deleted was safe before.
  entry.high_watermark = std::clamp(entry.high_watermark, entry.log_start, entry.end_offset);
  // An epoch that was announced and wrote nothing starts where the log ends.
  if (const auto latest = entry.epochs.latest(); latest && latest->start_offset > entry.end_offset) {
    entry.epochs.truncate_from_end(entry.end_offset + 1);
    entry.epochs.assign(latest->epoch, entry.end_offset);
  }
  // A hole whose other side was never durable.
  if (entry.holes_from >= entry.end_offset) entry.holes_from = kNoHoles;
  if (replay.producers_lost) {
    if (auto restored = co_await restore_producers(replay); !restored) co_return restored;
  }
  co_return co_await scan_batches(replay);
}

// What is left of a log whose end was lost ends with the last batch that is whole: the offset there is not recorded
// anywhere.
Task<Result<void>> Recovery::find_last_batch(Replay& replay) {
  const int64_t base = replay.raw_end.base_offset;
  SegmentPosition at{base, 0};
  int64_t offset = base;
  if (replay.scan_offset >= 0 && replay.scan_from.base_offset == base && replay.scan_from <= replay.raw_end) {
    at = replay.scan_from;
    offset = replay.scan_offset;
  }
  for (uint64_t window = kScanBytes; at.position < replay.raw_end.position;) {
    const uint64_t to = std::min(at.position + window, replay.raw_end.position);
    auto bytes = co_await read_segment(replay, base, at.position, to);
    if (!bytes && bytes.error() != Errc::kTruncated) co_return failure(bytes.error());
    if (!bytes) break;
    BatchCursor cursor(*bytes);
    uint64_t taken = 0;
    while (const auto batch = cursor.next()) {
      offset = batch->next_offset();
      taken = cursor.position();
    }
    at.position += taken;
    if (taken > 0) continue;
    if (to == replay.raw_end.position || cursor.error() != Errc::kTruncated) break;
    window *= 2;
  }
  replay.boundary = at;
  replay.boundary_offset = offset;
  replay.entry.damage.from_offset = offset;
  co_return Result<void>();
}

// The state below a truncation: the newest snapshot of a sealed segment at or below the cut; batches from there on are
// read again.
Task<Result<void>> Recovery::restore_producers(Replay& replay) {
  TableEntry& entry = replay.entry;
  entry.producers.clear();
  replay.scan_from = {entry.segments.front().base_offset, 0};
  replay.scan_offset = entry.segments.front().base_offset;
  for (size_t i = entry.segments.size(); i-- > 1;) {
    auto bytes = co_await read_file(core_, segment_of(entry, entry.segments[i - 1].base_offset, "snapshot"));
    if (!bytes) continue;
    const auto snapshot = ProducerState::decode(*bytes, ProducerLimits{});
    if (!snapshot || snapshot->offset != entry.segments[i].base_offset) continue;
    entry.producers = std::move(*bytes);
    replay.scan_from = {entry.segments[i].base_offset, 0};
    replay.scan_offset = entry.segments[i].base_offset;
    break;
  }
  co_return Result<void>();
}

// Seen in a file, which may be put back.
void Recovery::damage_seen(TableEntry& entry, int64_t offset, std::string reason) {
  if (entry.damage.damaged) {
    entry.damage.from_offset = std::min(entry.damage.from_offset, offset);
  } else {
    entry.damage = {true, offset, std::move(reason), false};
  }
  note(
      fmt::format("{} is damaged from offset {} on: {}. Put the file back while the broker is stopped, or delete the "
                  "topic",
                  directory_of(entry), entry.damage.from_offset, entry.damage.reason));
}

// Batches that entry.producers does not know: their headers bring producers and timestamps up to the end; their
// checksums tell whether the segment holds what was acked.
Task<Result<void>> Recovery::scan_batches(Replay& replay) {
  TableEntry& entry = replay.entry;
  ProducerState producers;
  if (!entry.producers.empty()) {
    auto snapshot = ProducerState::decode(entry.producers, ProducerLimits{});
    if (snapshot) producers = std::move(snapshot->state);
  }
  const OffsetOrder order{entry.log_start, entry.holes_from};
  int64_t offset = replay.scan_offset;
  const std::optional<HeaderProof> kept = proof_behind(entry.producers);
  HeaderProof proof{replay.scan_from.base_offset, replay.scan_from.position, 0};
  bool proof_known = proof.position == 0;
  // From the place up to which the table's hash proves all headers, the hash continues with those that are read here.
  // False: all were read here, and are others.
  const auto take_kept = [&](uint64_t position) {
    if (!kept || kept->segment_base != proof.segment_base || kept->position != position) return true;
    if (proof_known && proof.hash != kept->hash) return false;
    proof.hash = kept->hash;
    proof_known = true;
    return true;
  };
  for (SegmentEntry& segment : entry.segments) {
    if (segment.base_offset < replay.scan_from.base_offset) continue;
    uint64_t at = segment.base_offset == replay.scan_from.base_offset ? replay.scan_from.position : 0;
    uint64_t window = kScanBytes;
    if (segment.base_offset != proof.segment_base) {
      proof = {segment.base_offset, 0, 0};
      proof_known = true;
    }
    (void)take_kept(at);
    while (at < segment.size_bytes) {
      const uint64_t to = std::min(at + window, segment.size_bytes);
      auto bytes = co_await read_segment(replay, segment.base_offset, at, to);
      BatchCursor cursor(bytes ? ByteView(*bytes) : ByteView());
      size_t taken = 0;
      bool rotten = !bytes;
      bool is_another = false;
      while (const auto batch = cursor.next()) {
        if (!order.follows(offset, batch->base_offset()) || !batch->crc_matches()) {
          rotten = true;
          break;
        }
        producers.append(*batch, core_.wall_now());
        proof.hash = chain_header_hash(proof.hash, *batch);
        segment.max_timestamp = std::max(segment.max_timestamp, batch->max_timestamp());
        offset = batch->next_offset();
        taken = cursor.position();
        if (!take_kept(at + taken)) {
          is_another = true;
          damage_seen(
              entry, segment.base_offset,
              fmt::format("{} holds other batches than were written", segment_of(entry, segment.base_offset, "log")));
          break;
        }
      }
      if (is_another) break;
      // A batch longer than the window: look again with more of it.
      if (!rotten && taken == 0 && cursor.error() == Errc::kTruncated && to < segment.size_bytes) {
        window *= 2;
        continue;
      }
      if (rotten || taken == 0) {
        const std::string_view what = bytes                               ? "holds something else"
                                      : bytes.error() == Errc::kNotFound  ? "is missing"
                                      : bytes.error() == Errc::kTruncated ? "ends before"
                                                                          : to_string(bytes.error());
        damage_seen(entry, offset,
                    fmt::format("byte {} of {}: {}", at + taken, segment_of(entry, segment.base_offset, "log"), what));
        break;
      }
      at += taken;
      proof.position = at;
      segment.last_append = core_.wall_now();
    }
    if (entry.damage.damaged) break;
  }
  if (!entry.damage.damaged && !order.follows(offset, entry.end_offset)) {
    damage_seen(entry, offset,
                fmt::format("the last batch of {} does not end where the log does", directory_of(entry)));
  }
  // The next start looks again, from the same place on.
  if (entry.damage.damaged && !entry.damage.lasting) co_return Result<void>();
  entry.producers = producers.encode(entry.end_offset);
  if (proof_known) append_proof(entry.producers, proof);
  entry.producers_at = entry.end;
  entry.producers_offset = entry.end_offset;
  co_return Result<void>();
}

}  // namespace posthaste::storage
