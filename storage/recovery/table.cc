#include "storage/recovery/table.h"

#include <algorithm>

#include "storage/bytes/codec.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

namespace {
constexpr uint16_t kFlagDeleted = 1;
constexpr uint16_t kFlagDirectoryCreated = 2;
constexpr uint16_t kFlagDamaged = 4;

void put_position(LittleWriter& writer, const SegmentPosition& at) {
  writer.put<int64_t>(at.base_offset);
  writer.put<uint64_t>(at.position);
}
SegmentPosition take_position(LittleReader& reader) {
  SegmentPosition at;
  at.base_offset = reader.take<int64_t>();
  at.position = reader.take<uint64_t>();
  return at;
}
void put_blob(LittleWriter& writer, ByteView bytes) {
  writer.put<uint32_t>(static_cast<uint32_t>(bytes.size()));
  writer.put_bytes(bytes);
}
ByteView take_blob(LittleReader& reader) { return reader.take_bytes(reader.take<uint32_t>()); }

}  // namespace

void encode_table_entry(const TableEntry& entry, Bytes& out) {
  LittleWriter writer(out);
  writer.put<uint64_t>(entry.uid);
  writer.put_bytes(entry.topic_id);
  writer.put<int32_t>(entry.partition);
  writer.put<uint16_t>(entry.core);
  writer.put<uint16_t>(static_cast<uint16_t>((entry.deleted ? kFlagDeleted : 0) |
                                             (entry.directory_created ? kFlagDirectoryCreated : 0) |
                                             (entry.damage.damaged && entry.damage.lasting ? kFlagDamaged : 0)));
  writer.put<uint32_t>(entry.generation);
  writer.put<uint32_t>(static_cast<uint32_t>(entry.segments.size()));
  writer.put<uint64_t>(entry.last_meta_lsn);
  writer.put<int64_t>(entry.log_start);
  put_position(writer, entry.flushed);
  put_position(writer, entry.released);
  put_position(writer, entry.end);
  writer.put<int64_t>(entry.end_offset);
  writer.put<int64_t>(entry.damage.from_offset);
  for (const SegmentEntry& segment : entry.segments) {
    writer.put<int64_t>(segment.base_offset);
    writer.put<uint64_t>(segment.size_bytes);
    writer.put<int64_t>(segment.max_timestamp);
    writer.put<int64_t>(segment.last_append.value);
  }
  put_blob(writer, bytes_of(entry.topic_name));
  put_blob(writer, bytes_of(entry.damage.reason));
  put_blob(writer, entry.epochs.encode());
  put_blob(writer, entry.producers);
  put_position(writer, entry.producers_at);
  writer.put<int64_t>(entry.producers_offset);
  writer.put<int64_t>(entry.high_watermark);
  writer.put<int64_t>(entry.holes_from);
}

namespace {
// Positions in a segment are 32 bits wide in its index, and segment.bytes has less.
constexpr uint64_t kSegmentBytesMax = UINT32_MAX;

bool possible(const TableEntry& entry) {
  if (entry.deleted) return true;
  if (entry.segments.empty()) return false;
  for (const SegmentEntry& segment : entry.segments) {
    if (segment.size_bytes > kSegmentBytesMax) return false;
  }
  for (const SegmentPosition& at : {entry.flushed, entry.released, entry.end}) {
    if (at.position > kSegmentBytesMax) return false;
  }
  for (size_t i = 1; i < entry.segments.size(); ++i) {
    if (entry.segments[i].base_offset <= entry.segments[i - 1].base_offset) return false;
  }
  const SegmentEntry& last = entry.segments.back();
  // What is flushed may end behind the log: in a batch whose rest was not durable yet.
  return entry.released <= entry.flushed && entry.flushed.base_offset <= entry.end.base_offset &&
         entry.end.base_offset == last.base_offset && entry.end_offset >= last.base_offset &&
         entry.log_start <= entry.end_offset && entry.log_start >= 0 && entry.high_watermark <= entry.end_offset &&
         entry.high_watermark >= 0 && entry.holes_from >= 0;
}

// id 16 | low water u64 | next file sequence u64 | from version 3: file bytes u64 | in use u16 | pairs u16 | u16 each
void put_stream(LittleWriter& writer, const TableStream& stream) {
  writer.put_bytes(stream.id);
  writer.put<uint64_t>(stream.low_water_lsn);
  writer.put<uint64_t>(stream.next_file_sequence);
  writer.put<uint64_t>(stream.file_bytes);
  writer.put<uint16_t>(stream.in_use ? 1 : 0);
  writer.put<uint16_t>(static_cast<uint16_t>(stream.pairs.size()));
  for (const uint16_t pair : stream.pairs) writer.put<uint16_t>(pair);
}

Result<TableStream> take_stream(LittleReader& reader, uint16_t version) {
  TableStream stream;
  const ByteView id = reader.take_bytes(stream.id.size());
  if (reader.failed()) return failure(Errc::kCorrupt);
  std::copy(id.begin(), id.end(), stream.id.begin());
  stream.low_water_lsn = reader.take<uint64_t>();
  stream.next_file_sequence = reader.take<uint64_t>();
  if (version < 3) return stream;
  stream.file_bytes = reader.take<uint64_t>();
  stream.in_use = reader.take<uint16_t>() != 0;
  const auto pairs = reader.take<uint16_t>();
  if (reader.failed() || pairs > reader.remaining() / 2) return failure(Errc::kCorrupt);
  for (uint16_t i = 0; i < pairs; ++i) stream.pairs.push_back(reader.take<uint16_t>());
  return stream;
}

Result<TableEntry> take_entry(LittleReader& reader, uint16_t version) {
  TableEntry entry;
  entry.uid = reader.take<uint64_t>();
  const ByteView id = reader.take_bytes(entry.topic_id.size());
  if (reader.failed()) return failure(Errc::kCorrupt);
  std::copy(id.begin(), id.end(), entry.topic_id.begin());
  entry.partition = reader.take<int32_t>();
  entry.core = reader.take<uint16_t>();
  const auto flags = reader.take<uint16_t>();
  entry.deleted = (flags & kFlagDeleted) != 0;
  entry.directory_created = (flags & kFlagDirectoryCreated) != 0;
  entry.damage.damaged = (flags & kFlagDamaged) != 0;
  entry.generation = reader.take<uint32_t>();
  const auto segments = reader.take<uint32_t>();
  entry.last_meta_lsn = reader.take<uint64_t>();
  entry.log_start = reader.take<int64_t>();
  entry.flushed = take_position(reader);
  entry.released = take_position(reader);
  entry.end = take_position(reader);
  entry.end_offset = reader.take<int64_t>();
  entry.damage.from_offset = reader.take<int64_t>();
  if (reader.failed() || segments > reader.remaining() / 32) return failure(Errc::kCorrupt);
  entry.segments.resize(segments);
  for (SegmentEntry& segment : entry.segments) {
    segment.base_offset = reader.take<int64_t>();
    segment.size_bytes = reader.take<uint64_t>();
    segment.max_timestamp = reader.take<int64_t>();
    segment.last_append.value = reader.take<int64_t>();
  }
  entry.topic_name = std::string(text_of(take_blob(reader)));
  entry.damage.reason = std::string(text_of(take_blob(reader)));
  entry.epochs = TRY(EpochCache::decode(take_blob(reader)));
  const ByteView producers = take_blob(reader);
  entry.producers.assign(producers.begin(), producers.end());
  entry.producers_at = take_position(reader);
  entry.producers_offset = reader.take<int64_t>();
  const bool is_older = version < 4;
  entry.high_watermark = is_older ? std::max<int64_t>(entry.end_offset, 0) : reader.take<int64_t>();
  entry.holes_from = is_older ? kNoHoles : reader.take<int64_t>();
  if (reader.failed() || !possible(entry)) return failure(Errc::kCorrupt);
  return entry;
}
}  // namespace

// number u64 | next uid u64 | cores u16 | streams u16 | zero u32 | entries u64 | streams | from version 3: owner
// (length u32 and bytes) | entries
Bytes encode_table_begin(const TableSnapshot& snapshot, uint64_t count) {
  Bytes begin;
  begin.reserve(64 + 64 * snapshot.streams.size() + snapshot.owner.size());
  LittleWriter writer(begin);
  writer.put<uint64_t>(snapshot.number);
  writer.put<uint64_t>(snapshot.next_uid);
  writer.put<uint16_t>(snapshot.cores);
  writer.put<uint16_t>(static_cast<uint16_t>(snapshot.streams.size()));
  writer.put<uint32_t>(0);
  writer.put<uint64_t>(count);
  for (const TableStream& stream : snapshot.streams) put_stream(writer, stream);
  put_blob(writer, bytes_of(snapshot.owner));
  return begin;
}

Result<TableSnapshot> decode_table(ByteView file) {
  const OpenedFrame frame = TRY(open_frame(file, kTableMagic, kTableVersion));
  LittleReader reader(frame.payload);
  TableSnapshot snapshot{.version = frame.version};
  snapshot.number = reader.take<uint64_t>();
  snapshot.next_uid = reader.take<uint64_t>();
  snapshot.cores = reader.take<uint16_t>();
  const auto streams = reader.take<uint16_t>();
  reader.take<uint32_t>();
  const auto count = reader.take<uint64_t>();
  if (reader.failed() || streams == 0 || streams > reactor::kCoresMax) return failure(Errc::kCorrupt);
  for (uint16_t i = 0; i < streams; ++i) snapshot.streams.push_back(TRY(take_stream(reader, frame.version)));
  if (snapshot.version > 2) snapshot.owner = std::string(text_of(take_blob(reader)));
  if (count > reader.remaining()) return failure(Errc::kCorrupt);
  for (uint64_t i = 0; i < count; ++i) snapshot.entries.push_back(TRY(take_entry(reader, frame.version)));
  if (reader.failed() || reader.remaining() != 0) return failure(Errc::kCorrupt);
  return snapshot;
}

}  // namespace posthaste::storage
