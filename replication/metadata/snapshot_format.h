// A metadata snapshot as bytes: what the image was at one offset of the metadata log, and who voted there, in pieces,
// so that neither who writes it nor who reads it holds all of it (docs/storage-format.md). Header, pieces, trailer,
// each in the common frame with a checksum of its own; each names the snapshot that it is of, so pieces of two do not
// mix. Pure functions; no file.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "replication/metadata/records.h"
#include "replication/quorum/types.h"
#include "storage/bytes/bytes.h"
#include "storage/bytes/xxh3.h"

namespace posthaste::replication {

// Everything below its offset of the metadata log, whose newest leader epoch was its epoch.
using quorum::SnapshotId;

// "00000000000000012345-0000000000.snapshot". Nothing for a name that is not exactly such a one.
std::string snapshot_file(const SnapshotId& id);
std::optional<SnapshotId> snapshot_of_file(std::string_view name);

// Records of a piece, encoded: a piece is closed once it holds as much. What one record may add to it bounds a piece.
inline constexpr size_t kSnapshotPieceBytes = size_t{256} << 10;
inline constexpr size_t kSnapshotPieceBytesMax = size_t{16} << 20;

// Makes the frames of one snapshot in their order: begin(), piece() any number of times, finish().
class SnapshotEncoder {
 public:
  explicit SnapshotEncoder(const SnapshotId& id) : id_(id) {}

  // `voters` are in force at its end; CHECKs that there are some.
  storage::Bytes begin(const quorum::VoterSet& voters);
  // Takes records off the front until the piece is full; CHECKs that there is one.
  storage::Bytes piece(std::span<const MetadataRecord>& records);
  storage::Bytes finish();

 private:
  storage::Bytes sealed(uint32_t magic, uint16_t version, const storage::Bytes& payload);

  SnapshotId id_;
  uint32_t pieces_ = 0;
  uint64_t records_ = 0;
  storage::Xxh3Stream all_;
};

// Takes the frames of a file in their order. Errors of its calls: kTruncated, kCorrupt: it is not what was written;
// kUnsupported: whole, and made by a newer program; and what the records say when they are applied.
class SnapshotDecoder {
 public:
  // The file's name says which snapshot it must be.
  explicit SnapshotDecoder(const SnapshotId& id) : id_(id) {}

  // Bytes of the frame that begins with these, the first kSnapshotFrameHead of it.
  static constexpr size_t kFrameHead = 16;
  static reactor::Result<size_t> frame_bytes(storage::ByteView head);

  // One whole frame. Calls apply(record) for each record of a piece; its error ends it.
  template <class Apply>
  reactor::Result<void> take(storage::ByteView frame, const Apply& apply) {
    std::vector<MetadataRecord> records = TRY(take_frame(frame));
    for (const MetadataRecord& record : records) TRY(apply(record));
    return {};
  }
  // The trailer was the last frame: the snapshot is whole if nothing follows.
  bool finished() const { return finished_; }
  // Once the header was taken. Empty: of a program that knew no voters; its broker was the only one.
  const quorum::VoterSet& voters() const { return voters_; }

 private:
  reactor::Result<std::vector<MetadataRecord>> take_frame(storage::ByteView frame);
  reactor::Result<void> take_header(uint16_t version, storage::ByteView payload);
  reactor::Result<std::vector<MetadataRecord>> take_piece(storage::ByteView payload);
  reactor::Result<void> take_trailer(storage::ByteView payload);

  SnapshotId id_;
  quorum::VoterSet voters_;
  bool begun_ = false;
  bool finished_ = false;
  uint32_t pieces_ = 0;
  uint64_t records_ = 0;
  storage::Xxh3Stream all_;
};

}  // namespace posthaste::replication
