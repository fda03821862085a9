#include "storage/journal/journal_format.h"

#include <algorithm>

#include "storage/bytes/codec.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

namespace {

constexpr uint32_t kFileMagic = 0x464a4850;    // "PHJF"
constexpr uint32_t kCommitMagic = 0x434a4850;  // "PHJC"
constexpr size_t kFileHeaderHashed = 64;
constexpr size_t kFixedCommitBytes = 96;
constexpr size_t kSubBlockBytes = 32;

uint64_t seed_of(const StreamId& stream, uint64_t place) {
  // Any fixed mixing would do: it must only differ between streams and places.
  return load_le<uint64_t>(stream.data()) ^ (load_le<uint64_t>(stream.data() + 8) << 1) ^ (place * 0x9e3779b97f4a7c15U);
}

void put_stream(std::byte* to, const StreamId& stream) { std::copy(stream.begin(), stream.end(), to); }
StreamId take_stream(const std::byte* from) {
  StreamId stream;
  std::copy_n(from, stream.size(), stream.begin());
  return stream;
}

void put_record_header(std::byte* to, const JournalRecord& record, uint32_t total) {
  store_le<uint8_t>(to, static_cast<uint8_t>(record.type));
  store_le<uint8_t>(to + 1, 0);
  store_le<uint16_t>(to + 2, 0);
  store_le<uint32_t>(to + 4, total);
  store_le<uint64_t>(to + 8, record.uid);
  store_le<uint32_t>(to + 16, record.generation);
  store_le<uint32_t>(to + 20, 0);
}

}  // namespace

// u32 magic | u16 version | u16 slot | stream 16 | u64 sequence | u64 start lsn | u64 file bytes | zeros | xxh3 128
void encode_file_header(const JournalFileHeader& header, MutableBytes block) {
  CHECK(block.size() >= kBlock);
  std::fill(block.begin(), block.end(), std::byte{0});
  store_le<uint32_t>(block.data(), kFileMagic);
  store_le<uint16_t>(block.data() + 4, kJournalVersion);
  store_le<uint16_t>(block.data() + 6, header.slot);
  put_stream(block.data() + 8, header.stream);
  store_le<uint64_t>(block.data() + 24, header.sequence);
  store_le<uint64_t>(block.data() + 32, header.start_lsn);
  store_le<uint64_t>(block.data() + 40, header.file_bytes);
  store_hash128(block.data() + kFileHeaderHashed, xxh3_128(block.first(kFileHeaderHashed)));
}

Result<JournalFileHeader> decode_file_header(ByteView block) {
  if (block.size() < kBlock) return failure(Errc::kTruncated);
  if (load_le<uint32_t>(block.data()) != kFileMagic) return failure(Errc::kCorrupt);
  if (load_hash128(block.data() + kFileHeaderHashed) != xxh3_128(block.first(kFileHeaderHashed))) {
    return failure(Errc::kCorrupt);
  }
  const auto version = load_le<uint16_t>(block.data() + 4);
  if (version == 0 || version > kJournalVersion) return failure(Errc::kUnsupported);
  return JournalFileHeader{.version = version,
                           .slot = load_le<uint16_t>(block.data() + 6),
                           .stream = take_stream(block.data() + 8),
                           .sequence = load_le<uint64_t>(block.data() + 24),
                           .start_lsn = load_le<uint64_t>(block.data() + 32),
                           .file_bytes = load_le<uint64_t>(block.data() + 40)};
}

Hash128 hash_sub_block(const StreamId& stream, uint64_t salt, ByteView used) {
  return xxh3_128(used, seed_of(stream, salt));
}

Hash128 hash_sub_block(const StreamId& stream, uint64_t salt, std::span<const reactor::Slice> pieces, size_t used) {
  Xxh3Stream hash(seed_of(stream, salt));
  for (const reactor::Slice& piece : pieces) {
    const size_t bytes = std::min(piece.size, used);
    hash.update({piece.data, bytes});
    used -= bytes;
  }
  CHECK(used == 0);
  return hash.digest_128();
}

// 0 magic u32 | 4 version u16 | 6 flags u16 | 8 total u32 | 12 header bytes u32 | 16 stream 16 | 32 lsn | 40 sequence |
// 48 durable lsn | 56 table number | 64 sub-block count u32 | 68 slot u16 | 70 zero u16 | 72 file sequence |
// 80 file start lsn | 88 block u32 | 92 zero u32 | sub-blocks 32 each | xxh3 128 of all before it, seeded by stream and
// lsn
void encode_commit_header(const CommitHeader& header, MutableBytes out) {
  CHECK(header.header_bytes >= commit_header_bytes(header.sub_blocks.size()) && header.header_bytes <= out.size());
  std::byte* at = out.data();
  std::fill_n(at, header.header_bytes, std::byte{0});
  store_le<uint32_t>(at, kCommitMagic);
  store_le<uint16_t>(at + 4, kJournalVersion);
  store_le<uint16_t>(at + 6, header.flags);
  store_le<uint32_t>(at + 8, header.total_bytes);
  store_le<uint32_t>(at + 12, header.header_bytes);
  put_stream(at + 16, header.stream);
  store_le<uint64_t>(at + 32, header.lsn);
  store_le<uint64_t>(at + 40, header.sequence);
  store_le<uint64_t>(at + 48, header.durable_lsn);
  store_le<uint64_t>(at + 56, header.table_number);
  store_le<uint32_t>(at + 64, static_cast<uint32_t>(header.sub_blocks.size()));
  store_le<uint16_t>(at + 68, header.slot);
  store_le<uint64_t>(at + 72, header.file_sequence);
  store_le<uint64_t>(at + 80, header.file_start_lsn);
  store_le<uint32_t>(at + 88, header.block);
  std::byte* block = at + kFixedCommitBytes;
  for (const SubBlock& sub_block : header.sub_blocks) {
    store_le<uint32_t>(block, sub_block.used_bytes);
    store_le<uint16_t>(block + 4, sub_block.core);
    store_hash128(block + 8, sub_block.hash);
    block += kSubBlockBytes;
  }
  const size_t hashed = header.header_bytes - 16;
  store_hash128(at + hashed, xxh3_128(ByteView(out).first(hashed), seed_of(header.stream, header.lsn)));
}

Result<CommitHeader> peek_commit_header(ByteView bytes, const StreamId& stream) {
  if (bytes.size() < kFixedCommitBytes) return failure(Errc::kTruncated);
  const std::byte* at = bytes.data();
  if (load_le<uint32_t>(at) != kCommitMagic || take_stream(at + 16) != stream) return failure(Errc::kCorrupt);
  const auto lsn = load_le<uint64_t>(at + 32);
  CommitHeader header{.stream = stream, .flags = load_le<uint16_t>(at + 6), .lsn = lsn};
  header.total_bytes = load_le<uint32_t>(at + 8);
  header.header_bytes = load_le<uint32_t>(at + 12);
  const auto count = load_le<uint32_t>(at + 64);
  if (count > reactor::kCoresMax || header.header_bytes < commit_header_bytes(count)) return failure(Errc::kCorrupt);
  if (header.header_bytes > kBlock || header.header_bytes > bytes.size()) return failure(Errc::kCorrupt);
  const size_t hashed = header.header_bytes - 16;
  if (load_hash128(at + hashed) != xxh3_128(bytes.first(hashed), seed_of(stream, lsn))) return failure(Errc::kCorrupt);
  const auto version = load_le<uint16_t>(at + 4);
  if (version == 0 || version > kJournalVersion) return failure(Errc::kUnsupported);
  if (header.total_bytes == 0 || header.total_bytes % kBlock != 0) return failure(Errc::kCorrupt);
  header.sequence = load_le<uint64_t>(at + 40);
  header.durable_lsn = load_le<uint64_t>(at + 48);
  header.table_number = load_le<uint64_t>(at + 56);
  header.slot = load_le<uint16_t>(at + 68);
  header.file_sequence = load_le<uint64_t>(at + 72);
  header.file_start_lsn = load_le<uint64_t>(at + 80);
  header.block = load_le<uint32_t>(at + 88);
  for (uint32_t i = 0; i < count; ++i) {
    const std::byte* block = at + kFixedCommitBytes + i * kSubBlockBytes;
    header.sub_blocks.push_back({.used_bytes = load_le<uint32_t>(block),
                                 .core = load_le<uint16_t>(block + 4),
                                 .hash = load_hash128(block + 8)});
  }
  return header;
}

Result<CommitHeader> decode_commit_header(ByteView bytes, const StreamId& stream, uint64_t lsn) {
  CommitHeader header = TRY(peek_commit_header(bytes, stream));
  if (header.lsn != lsn) return failure(Errc::kCorrupt);
  if (header.total_bytes > bytes.size()) return failure(Errc::kTruncated);
  return header;
}

Result<std::vector<ByteView>> open_sub_blocks(const CommitHeader& header, ByteView commit) {
  if (commit.size() < header.total_bytes) return failure(Errc::kTruncated);
  std::vector<ByteView> opened;
  uint64_t at = header.header_bytes;
  for (const SubBlock& sub_block : header.sub_blocks) {
    if (at + sub_block.used_bytes > header.total_bytes) return failure(Errc::kCorrupt);
    const ByteView used = commit.subspan(at, sub_block.used_bytes);
    if (hash_sub_block(header.stream, sub_block.core, used) != sub_block.hash) return failure(Errc::kCorrupt);
    opened.push_back(used);
    at = align_up(at + sub_block.used_bytes);
  }
  return opened;
}

size_t RecordWriter::padding_for(uint64_t first_position) const {
  const uint64_t payload_at = phase_ + used_ + kRecordHeaderBytes + kDataFieldsBytes;
  return (first_position - payload_at) % kBlock;
}

size_t RecordWriter::aligned_payload_max(uint64_t first_position) const {
  // Copied are the fields, the padding and what lies before the first whole block and behind the last.
  constexpr size_t kCopiedMax = data_record_bytes(3 * kBlock);
  const size_t fixed = kRecordHeaderBytes + kDataFieldsBytes + padding_for(first_position);
  if (room() < kCopiedMax || references_max() == 0) return 0;
  return (bytes_max_ - used_ - fixed) / 8 * 8;
}

namespace {
// By how much the high watermark is below the boundary's offset, plus 1. 0: not known, or too far below.
uint32_t high_watermark_lag(const JournalRecord& fields) {
  if (fields.high_watermark < 0) return 0;
  CHECK(fields.high_watermark <= fields.boundary_offset);
  const int64_t lag = fields.boundary_offset - fields.high_watermark;
  return lag < UINT32_MAX ? static_cast<uint32_t>(lag + 1) : 0;
}
}  // namespace

void RecordWriter::begin_data(const JournalRecord& fields, size_t prefix_bytes, size_t data_bytes, bool aligned) {
  const size_t padding = aligned ? padding_for(fields.position - prefix_bytes) : 0;
  const size_t total = data_record_bytes(padding + prefix_bytes + data_bytes);
  CHECK(record_end_ == used_ && total <= bytes_max_ - used_);
  record_end_ = used_ + total;
  std::byte* at = space_for(kRecordHeaderBytes + kDataFieldsBytes + padding).data();
  put_record_header(at, fields, static_cast<uint32_t>(total));
  std::byte* body = at + kRecordHeaderBytes;
  store_le<int64_t>(body, fields.segment_base);
  store_le<uint32_t>(body + 8, static_cast<uint32_t>(fields.position));
  store_le<uint32_t>(body + 12, static_cast<uint32_t>(prefix_bytes));
  store_le<uint32_t>(body + 16, static_cast<uint32_t>(data_bytes));
  store_le<uint32_t>(body + 20, static_cast<uint32_t>(fields.boundary));
  store_le<int64_t>(body + 24, fields.boundary_offset);
  store_le<uint32_t>(body + 32, static_cast<uint32_t>(padding));
  store_le<uint32_t>(body + 36, high_watermark_lag(fields));
  std::fill_n(body + kDataFieldsBytes, padding, std::byte{0});
}

MutableBytes RecordWriter::space_for(size_t bytes) {
  CHECK(used_ + bytes <= record_end_);
  CHECK(copied_ + bytes <= space_.size());
  const MutableBytes space = space_.subspan(copied_, bytes);
  copied_ += bytes;
  used_ += bytes;
  return space;
}

void RecordWriter::refer(MutableBytes blocks) {
  CHECK(used_ + blocks.size() <= record_end_);
  CHECK((phase_ + used_) % kBlock == 0 && blocks.size() % kBlock == 0, "whole blocks lie at block boundaries");
  close_piece();
  CHECK(pieces_ + 2 <= kPiecesMax, "these blocks, and what is copied behind them");
  list_[pieces_++] = {blocks.data(), blocks.size()};
  used_ += blocks.size();
}

void RecordWriter::end_data() {
  CHECK(record_end_ - used_ < 8, "{} bytes of the record are missing", record_end_ - used_);
  std::ranges::fill(space_for(record_end_ - used_), std::byte{0});
}

void RecordWriter::close_piece() {
  if (copied_ > piece_begin_) list_[pieces_++] = {space_.data() + piece_begin_, copied_ - piece_begin_};
  piece_begin_ = copied_;
}

std::span<const reactor::Slice> RecordWriter::finish() {
  const size_t rest = align_up(phase_ + copied_) - phase_ - copied_;
  std::ranges::fill(space_.subspan(copied_, rest), std::byte{0});
  copied_ += rest;
  close_piece();
  return std::span(list_).first(pieces_);
}

bool RecordWriter::add_encoded(ByteView record) {
  if (record.size() > room()) return false;
  record_end_ = used_ + record.size();
  std::ranges::copy(record, space_for(record.size()).begin());
  return true;
}

Bytes encode_meta_record(const JournalRecord& record) {
  Bytes out(kRecordHeaderBytes);
  LittleWriter writer(out);
  switch (record.type) {
    case RecordType::kCreate:
      writer.put_bytes(record.topic_id);
      writer.put<int32_t>(record.partition);
      writer.put<uint16_t>(record.core);
      writer.put<uint16_t>(static_cast<uint16_t>(record.topic_name.size()));
      writer.put<int64_t>(record.first_offset);
      writer.put_bytes(bytes_of(record.topic_name));
      break;
    case RecordType::kDelete:
      break;
    case RecordType::kRoll:
    case RecordType::kTruncate:
      writer.put<int64_t>(record.segment_base);
      writer.put<uint64_t>(record.position);
      writer.put<int64_t>(record.first_offset);
      break;
    case RecordType::kLogStart:
    case RecordType::kHoles:
    case RecordType::kReset:
      writer.put<int64_t>(record.first_offset);
      break;
    case RecordType::kEpochStart:
      writer.put<int64_t>(record.first_offset);
      writer.put<int32_t>(record.epoch);
      break;
    case RecordType::kDataInline:
      CHECK(false, "data records are written in place");
  }
  out.resize((out.size() + 7) / 8 * 8);
  put_record_header(out.data(), record, static_cast<uint32_t>(out.size()));
  return out;
}

namespace {

bool take_body(LittleReader& reader, JournalRecord& record) {
  switch (record.type) {
    case RecordType::kDataInline: {
      record.segment_base = reader.take<int64_t>();
      record.position = reader.take<uint32_t>();
      const auto prefix_bytes = reader.take<uint32_t>();
      const auto data_bytes = reader.take<uint32_t>();
      record.boundary = reader.take<uint32_t>();
      record.boundary_offset = reader.take<int64_t>();
      const auto padding_bytes = reader.take<uint32_t>();
      const auto lag = reader.take<uint32_t>();
      if (lag > 0) {
        if (record.boundary_offset < int64_t{lag} - 1) return false;
        record.high_watermark = record.boundary_offset - (int64_t{lag} - 1);
      }
      reader.take_bytes(padding_bytes);
      record.prefix = reader.take_bytes(prefix_bytes);
      record.data = reader.take_bytes(data_bytes);
      // A prefix starts at a block boundary and stays within the block.
      const bool prefix_fits = prefix_bytes == 0 || record.position % kBlock == prefix_bytes;
      return prefix_fits && padding_bytes < kBlock && record.boundary <= record.position + data_bytes;
    }
    case RecordType::kCreate: {
      const ByteView id = reader.take_bytes(record.topic_id.size());
      if (reader.failed()) return false;
      std::copy(id.begin(), id.end(), record.topic_id.begin());
      record.partition = reader.take<int32_t>();
      record.core = reader.take<uint16_t>();
      const auto name_bytes = reader.take<uint16_t>();
      record.first_offset = reader.take<int64_t>();
      record.topic_name = text_of(reader.take_bytes(name_bytes));
      return true;
    }
    case RecordType::kDelete:
      return true;
    case RecordType::kRoll:
    case RecordType::kTruncate:
      record.segment_base = reader.take<int64_t>();
      record.position = reader.take<uint64_t>();
      record.first_offset = reader.take<int64_t>();
      return true;
    case RecordType::kLogStart:
      record.first_offset = reader.take<int64_t>();
      return true;
    case RecordType::kHoles:
    case RecordType::kReset:
      record.first_offset = reader.take<int64_t>();
      return record.first_offset >= 0;
    case RecordType::kEpochStart:
      record.first_offset = reader.take<int64_t>();
      record.epoch = reader.take<int32_t>();
      return true;
  }
  return false;
}

bool known_type(uint8_t type) {
  return type == static_cast<uint8_t>(RecordType::kDataInline) ||
         (type >= static_cast<uint8_t>(RecordType::kCreate) && type <= static_cast<uint8_t>(RecordType::kEpochStart)) ||
         type == static_cast<uint8_t>(RecordType::kHoles) || type == static_cast<uint8_t>(RecordType::kReset);
}

}  // namespace

Result<std::optional<JournalRecord>> RecordCursor::next() {
  if (rest_.empty()) return std::optional<JournalRecord>();
  if (rest_.size() < kRecordHeaderBytes) return failure(Errc::kCorrupt);
  const auto type = load_le<uint8_t>(rest_.data());
  const auto total = load_le<uint32_t>(rest_.data() + 4);
  if (total < kRecordHeaderBytes || total % 8 != 0 || total > rest_.size()) return failure(Errc::kCorrupt);
  if (!known_type(type)) return failure(Errc::kUnsupported);
  JournalRecord record{.type = static_cast<RecordType>(type),
                       .uid = load_le<uint64_t>(rest_.data() + 8),
                       .generation = load_le<uint32_t>(rest_.data() + 16)};
  LittleReader reader(rest_.subspan(kRecordHeaderBytes, total - kRecordHeaderBytes));
  if (!take_body(reader, record) || reader.failed()) return failure(Errc::kCorrupt);
  rest_ = rest_.subspan(total);
  return std::optional(record);
}

}  // namespace posthaste::storage
