#include "storage/log/segment_index.h"

#include <algorithm>
#include <limits>

#include "storage/bytes/codec.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

namespace {

constexpr uint32_t kIndexMagic = 0x58495350;  // "PSIX"
constexpr uint16_t kIndexVersion = 1;
constexpr size_t kEntryBytes = 40;
constexpr size_t kPayloadHeaderBytes = 40;

// Entries must ascend, start at 0 and stay inside the segment; maxima must not fall.
bool in_order(const std::vector<IndexEntry>& entries, int64_t base_offset, int64_t next_offset, uint32_t size_bytes) {
  for (size_t i = 0; i < entries.size(); ++i) {
    const IndexEntry& entry = entries[i];
    if (entry.base_offset < base_offset || entry.base_offset >= next_offset) return false;
    if (entry.position >= size_bytes || (i == 0 && entry.position != 0)) return false;
    if (i == 0) continue;
    const IndexEntry& before = entries[i - 1];
    if (entry.base_offset <= before.base_offset || entry.position <= before.position) return false;
    if (entry.max_timestamp_so_far < before.max_timestamp_so_far) return false;
  }
  return entries.empty() == (size_bytes == 0);
}

}  // namespace

uint64_t chain_header_hash(uint64_t hash, const RecordBatchView& batch) {
  return xxh3_64(batch.bytes().first(kBatchHeaderBytes), hash);
}

size_t SegmentIndex::run_at(uint32_t position) const {
  const auto behind = std::ranges::upper_bound(entries_, position, {}, &IndexEntry::position);
  return static_cast<size_t>(behind - entries_.begin()) - 1;
}

IndexRange SegmentIndex::range_of(size_t entry) const {
  const uint32_t end = entry + 1 < entries_.size() ? entries_[entry + 1].position : size_bytes_;
  return {entries_[entry].position, end};
}

std::optional<IndexRange> SegmentIndex::find_offset(int64_t offset) const {
  if (entries_.empty() || offset < entries_.front().base_offset || offset >= next_offset_) return std::nullopt;
  const auto after = std::ranges::upper_bound(entries_, offset, {}, &IndexEntry::base_offset);
  const auto entry = static_cast<size_t>(after - entries_.begin()) - 1;
  // In a compacted segment the batch that held the offset may be gone: then the answer opens the next run.
  IndexRange range = range_of(entry);
  if (entry + 1 < entries_.size()) range.end = range_of(entry + 1).end;
  return range;
}

std::optional<IndexRange> SegmentIndex::find_timestamp(int64_t timestamp) const {
  const auto found = std::ranges::lower_bound(entries_, timestamp, {}, &IndexEntry::max_timestamp_so_far);
  if (found == entries_.end()) return std::nullopt;
  return range_of(static_cast<size_t>(found - entries_.begin()));
}

Bytes SegmentIndex::encode() const {
  Bytes payload;
  payload.reserve(kPayloadHeaderBytes + entries_.size() * kEntryBytes);
  LittleWriter writer(payload);
  writer.put<int64_t>(base_offset_);
  writer.put<int64_t>(next_offset_);
  writer.put<uint64_t>(size_bytes_);
  writer.put<uint32_t>(kIndexRunBytes);
  writer.put<uint32_t>(static_cast<uint32_t>(entries_.size()));
  writer.put<uint64_t>(0);
  for (const IndexEntry& entry : entries_) {
    writer.put<int64_t>(entry.base_offset);
    writer.put<uint32_t>(entry.position);
    writer.put<uint32_t>(0);
    writer.put<int64_t>(entry.max_timestamp_so_far);
    writer.put<int64_t>(entry.max_timestamp_offset);
    writer.put<uint64_t>(entry.header_hash);
  }
  return make_frame(kIndexMagic, kIndexVersion, payload);
}

Result<SegmentIndex> SegmentIndex::decode(ByteView file) {
  const OpenedFrame frame = TRY(open_frame(file, kIndexMagic, kIndexVersion));
  LittleReader reader(frame.payload);
  SegmentIndex index(reader.take<int64_t>());
  index.next_offset_ = reader.take<int64_t>();
  const auto size_bytes = reader.take<uint64_t>();
  reader.take<uint32_t>();  // run size: a hint for readers, not a rule
  const auto count = reader.take<uint32_t>();
  reader.take<uint64_t>();
  if (reader.failed() || reader.remaining() != count * kEntryBytes) return failure(Errc::kCorrupt);
  if (size_bytes > std::numeric_limits<uint32_t>::max()) return failure(Errc::kCorrupt);
  index.size_bytes_ = static_cast<uint32_t>(size_bytes);
  index.entries_.resize(count);
  for (IndexEntry& entry : index.entries_) {
    entry.base_offset = reader.take<int64_t>();
    entry.position = reader.take<uint32_t>();
    reader.take<uint32_t>();
    entry.max_timestamp_so_far = reader.take<int64_t>();
    entry.max_timestamp_offset = reader.take<int64_t>();
    entry.header_hash = reader.take<uint64_t>();
  }
  if (!in_order(index.entries_, index.base_offset_, index.next_offset_, index.size_bytes_)) {
    return failure(Errc::kCorrupt);
  }
  return index;
}

Result<void> SegmentIndexBuilder::add_batch(const RecordBatchView& batch) {
  // The second also where bytes claim offsets up to the largest number there is: nothing could follow.
  if (batch.base_offset() < index_.next_offset_ || batch.next_offset() <= batch.base_offset()) {
    return failure(Errc::kOutOfOrder);
  }
  const uint64_t size_after = uint64_t{index_.size_bytes_} + batch.size_bytes();
  if (size_after > std::numeric_limits<uint32_t>::max()) return failure(Errc::kLimit);
  std::vector<IndexEntry>& entries = index_.entries_;
  if (entries.empty() || index_.size_bytes_ - entries.back().position >= kIndexRunBytes) {
    entries.push_back({.base_offset = batch.base_offset(),
                       .position = index_.size_bytes_,
                       .max_timestamp_so_far = index_.max_timestamp(),
                       .max_timestamp_offset = index_.max_timestamp_offset()});
  }
  IndexEntry& run = entries.back();
  run.header_hash = chain_header_hash(run.header_hash, batch);
  if (batch.max_timestamp() > run.max_timestamp_so_far) {
    run.max_timestamp_so_far = batch.max_timestamp();
    run.max_timestamp_offset = batch.last_offset();
  }
  index_.size_bytes_ = static_cast<uint32_t>(size_after);
  index_.next_offset_ = batch.next_offset();
  return {};
}

uint32_t SegmentIndexBuilder::truncate(uint32_t position) {
  if (position >= index_.size_bytes_) return index_.size_bytes_;
  // The run that holds the last byte to be kept goes too, even if it is kept whole: only its last batch knows where the
  // offsets of a compacted segment continued.
  while (index_.size_bytes_ > 0 && index_.size_bytes_ >= position) {
    index_.size_bytes_ = index_.entries_.back().position;
    index_.next_offset_ = index_.entries_.back().base_offset;
    index_.entries_.pop_back();
  }
  if (index_.entries_.empty()) index_.next_offset_ = index_.base_offset_;
  return index_.size_bytes_;
}

Result<uint64_t> hash_of_run(ByteView run) {
  uint64_t hash = 0;
  BatchCursor cursor(run);
  while (const auto batch = cursor.next()) hash = chain_header_hash(hash, *batch);
  if (cursor.error()) return failure(*cursor.error());
  return hash;
}

namespace {
template <class Matches>
BatchScan scan(ByteView bytes, Matches matches) {
  BatchScan result;
  while (result.position < bytes.size()) {
    const ByteView rest = bytes.subspan(result.position);
    const auto batch = RecordBatchView::parse(rest);
    if (!batch) {
      const bool short_of_bytes = batch.error() == Errc::kTruncated;
      result.outcome = short_of_bytes ? BatchScan::Outcome::kNeedMore : BatchScan::Outcome::kCorrupt;
      // parse() has seen a plausible length if the bytes reach past the magic byte.
      if (short_of_bytes && rest.size() >= kBatchHeaderBytes) {
        result.size = static_cast<size_t>(load_be<int32_t>(rest.data() + 8)) + kBatchLengthFieldEnd;
      }
      return result;
    }
    if (matches(*batch)) {
      result.outcome = BatchScan::Outcome::kFound;
      result.size = batch->size_bytes();
      return result;
    }
    result.position += batch->size_bytes();
  }
  return result;
}
}  // namespace

BatchScan find_batch_with_offset(ByteView bytes, int64_t offset) {
  return scan(bytes, [offset](const RecordBatchView& batch) { return batch.last_offset() >= offset; });
}

BatchScan find_batch_with_timestamp(ByteView bytes, int64_t timestamp) {
  return scan(bytes, [timestamp](const RecordBatchView& batch) { return batch.max_timestamp() >= timestamp; });
}

}  // namespace posthaste::storage
