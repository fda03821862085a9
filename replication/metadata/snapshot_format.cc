#include "replication/metadata/snapshot_format.h"

#include <fmt/format.h>

#include <charconv>

#include "reactor/check.h"
#include "storage/bytes/codec.h"

namespace posthaste::replication {
namespace {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using storage::Bytes;
using storage::ByteView;
using storage::LittleReader;
using storage::LittleWriter;

constexpr uint32_t kHeaderMagic = 0x484D5350;   // "PSMH"
constexpr uint32_t kPieceMagic = 0x504D5350;    // "PSMP"
constexpr uint32_t kTrailerMagic = 0x544D5350;  // "PSMT"
constexpr uint16_t kVersion = 1;
// With voters. Without, as version 1: of a broker that was alone.
constexpr uint16_t kHeaderVersion = 2;

constexpr int kOffsetDigits = 20;
constexpr int kEpochDigits = 10;
constexpr std::string_view kExtension = ".snapshot";

void put_id(LittleWriter& writer, const SnapshotId& id) {
  writer.put<int64_t>(id.offset);
  writer.put<int32_t>(id.epoch);
}

bool takes_id(LittleReader& reader, const SnapshotId& id) {
  const auto offset = reader.take<int64_t>();
  const auto epoch = reader.take<int32_t>();
  return !reader.failed() && SnapshotId{offset, epoch} == id;
}

void put_voters(LittleWriter& writer, const quorum::VoterSet& voters) {
  writer.put<uint32_t>(static_cast<uint32_t>(voters.size()));
  for (const quorum::ReplicaKey& voter : voters) {
    writer.put<int32_t>(voter.id);
    writer.put<uint64_t>(voter.directory.high);
    writer.put<uint64_t>(voter.directory.low);
  }
}

// Ascending, each node once, at least one: as a VoterSet can be, and as put_voters() writes it.
Result<quorum::VoterSet> take_voters(LittleReader& reader) {
  const auto count = reader.take<uint32_t>();
  if (count == 0 || count > quorum::kVotersMax) return failure(Errc::kCorrupt);
  std::vector<quorum::ReplicaKey> voters;
  for (uint32_t i = 0; i < count; ++i) {
    const auto id = reader.take<int32_t>();
    const auto high = reader.take<uint64_t>();
    const auto low = reader.take<uint64_t>();
    if (reader.failed() || id < 0 || (!voters.empty() && voters.back().id >= id)) return failure(Errc::kCorrupt);
    voters.push_back({.id = id, .directory = {.high = high, .low = low}});
  }
  return quorum::VoterSet(std::move(voters));
}

template <class T>
std::optional<T> whole_number(std::string_view digits) {
  T value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

std::string snapshot_file(const SnapshotId& id) {
  return fmt::format("{:0{}}-{:0{}}{}", id.offset, kOffsetDigits, id.epoch, kEpochDigits, kExtension);
}

std::optional<SnapshotId> snapshot_of_file(std::string_view name) {
  constexpr size_t kSize = kOffsetDigits + 1 + kEpochDigits + kExtension.size();
  if (name.size() != kSize || name[kOffsetDigits] != '-' || !name.ends_with(kExtension)) return std::nullopt;
  const auto offset = whole_number<int64_t>(name.substr(0, kOffsetDigits));
  const auto epoch = whole_number<int32_t>(name.substr(kOffsetDigits + 1, kEpochDigits));
  if (!offset || !epoch) return std::nullopt;
  return SnapshotId{*offset, *epoch};
}

// --- Writing ---------------------------------------------------------------------------------------------------------

Bytes SnapshotEncoder::sealed(uint32_t magic, uint16_t version, const Bytes& payload) {
  Bytes frame = storage::make_frame(magic, version, payload);
  all_.update(frame);
  return frame;
}

Bytes SnapshotEncoder::begin(const quorum::VoterSet& voters) {
  CHECK(!voters.empty() && voters.size() <= quorum::kVotersMax, "a snapshot of {} voters", voters.size());
  Bytes payload;
  LittleWriter writer(payload);
  put_id(writer, id_);
  put_voters(writer, voters);
  return sealed(kHeaderMagic, kHeaderVersion, payload);
}

Bytes SnapshotEncoder::piece(std::span<const MetadataRecord>& records) {
  CHECK(!records.empty(), "a piece of no record");
  Bytes encoded;
  LittleWriter writer(encoded);
  uint32_t count = 0;
  while (!records.empty() && encoded.size() < kSnapshotPieceBytes) {
    const std::string record = encode(records.front());
    writer.put<uint32_t>(static_cast<uint32_t>(record.size()));
    writer.put_bytes(storage::bytes_of(record));
    records = records.subspan(1);
    ++count;
  }
  Bytes payload;
  LittleWriter head(payload);
  put_id(head, id_);
  head.put<uint32_t>(pieces_++);
  head.put<uint32_t>(count);
  head.put_bytes(encoded);
  CHECK(payload.size() < kSnapshotPieceBytesMax, "a record of {} bytes", payload.size());
  records_ += count;
  return sealed(kPieceMagic, kVersion, payload);
}

Bytes SnapshotEncoder::finish() {
  Bytes payload;
  LittleWriter writer(payload);
  put_id(writer, id_);
  writer.put<uint32_t>(pieces_);
  writer.put<uint64_t>(records_);
  writer.put<uint64_t>(all_.digest_64());
  return sealed(kTrailerMagic, kVersion, payload);
}

// --- Reading ---------------------------------------------------------------------------------------------------------

Result<size_t> SnapshotDecoder::frame_bytes(ByteView head) {
  if (head.size() < kFrameHead) return failure(Errc::kTruncated);
  const size_t total = storage::load_le<uint32_t>(head.data() + 8);
  if (total < storage::kFrameOverheadBytes || total > kSnapshotPieceBytesMax) return failure(Errc::kCorrupt);
  return total;
}

Result<std::vector<MetadataRecord>> SnapshotDecoder::take_frame(ByteView frame) {
  if (finished_ || frame.size() < kFrameHead) return failure(Errc::kCorrupt);
  const auto magic = storage::load_le<uint32_t>(frame.data());
  const uint16_t newest = magic == kHeaderMagic ? kHeaderVersion : kVersion;
  const storage::OpenedFrame opened = TRY(storage::open_frame(frame, magic, newest));
  if (opened.total_bytes != frame.size()) return failure(Errc::kCorrupt);
  std::vector<MetadataRecord> records;
  if (!begun_) {
    if (magic != kHeaderMagic) return failure(Errc::kCorrupt);
    TRY(take_header(opened.version, opened.payload));
  } else if (magic == kPieceMagic) {
    records = TRY(take_piece(opened.payload));
  } else if (magic == kTrailerMagic) {
    TRY(take_trailer(opened.payload));
  } else {
    return failure(Errc::kCorrupt);
  }
  all_.update(frame);
  return records;
}

Result<void> SnapshotDecoder::take_header(uint16_t version, ByteView payload) {
  LittleReader reader(payload);
  if (!takes_id(reader, id_)) return failure(Errc::kCorrupt);
  if (version >= kHeaderVersion) voters_ = TRY(take_voters(reader));
  if (reader.remaining() != 0) return failure(Errc::kCorrupt);
  begun_ = true;
  return {};
}

Result<std::vector<MetadataRecord>> SnapshotDecoder::take_piece(ByteView payload) {
  LittleReader reader(payload);
  if (!takes_id(reader, id_) || reader.take<uint32_t>() != pieces_) return failure(Errc::kCorrupt);
  const auto count = reader.take<uint32_t>();
  if (count == 0 || count > reader.remaining() / sizeof(uint32_t)) return failure(Errc::kCorrupt);
  std::vector<MetadataRecord> records;
  records.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    const ByteView record = reader.take_bytes(reader.take<uint32_t>());
    if (reader.failed()) return failure(Errc::kCorrupt);
    records.push_back(TRY(decode_metadata_record(storage::text_of(record))));
  }
  if (reader.remaining() != 0) return failure(Errc::kCorrupt);
  ++pieces_;
  records_ += count;
  return records;
}

Result<void> SnapshotDecoder::take_trailer(ByteView payload) {
  LittleReader reader(payload);
  if (!takes_id(reader, id_)) return failure(Errc::kCorrupt);
  const bool same = reader.take<uint32_t>() == pieces_ && reader.take<uint64_t>() == records_ &&
                    reader.take<uint64_t>() == all_.digest_64();
  if (!same || reader.failed() || reader.remaining() != 0) return failure(Errc::kCorrupt);
  finished_ = true;
  return {};
}

}  // namespace posthaste::replication
