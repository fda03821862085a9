// The bytes of a journal: file header, commit header, records (docs/storage-format.md, version 3). All little-endian,
// in blocks of 4 KiB. A commit is one write: header, then one sub-block per core that had something to write. Every
// hash is seeded with the stream's id and the place, so neither an earlier life's commit nor a misplaced one passes.
// Pure functions: they check bytes from disk against what remains, then checksum, then meaning, and never CHECK them.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "reactor/backend.h"
#include "reactor/core.h"
#include "storage/bytes/bytes.h"
#include "storage/bytes/xxh3.h"
#include "storage/log/log_types.h"
#include "storage/recovery/table.h"

namespace posthaste::storage {

using StreamId = std::array<std::byte, 16>;

// 3: files are used in pairs, in turn, and every commit says where it lies. 2: a data record may have padding before
// its prefix; version 1 had zeroes there. Both are read (journal_scan_v2.h), neither is written.
inline constexpr uint16_t kJournalVersion = 3;
inline constexpr size_t kBlock = reactor::kBlockBytes;

constexpr uint64_t align_down(uint64_t value) { return value / kBlock * kBlock; }
constexpr uint64_t align_up(uint64_t value) { return (value + kBlock - 1) / kBlock * kBlock; }

// First block of a journal file. Written when the file is made, and durably again in both files of a pair, the even one
// first, before the first commit of a pair that is taken into use. A file without one was damaged.
struct JournalFileHeader {
  uint16_t version = kJournalVersion;  // as found
  uint16_t slot = 0;                   // the number that the file has in its folder; 2n and 2n + 1 are a pair
  StreamId stream{};
  uint64_t sequence = 0;   // grows by one with each pair taken into use; 0: this one never was
  uint64_t start_lsn = 0;  // of the first commit in this pair, which lies at byte kBlock of the even file
  uint64_t file_bytes = 0;
};
void encode_file_header(const JournalFileHeader& header, MutableBytes block);
reactor::Result<JournalFileHeader> decode_file_header(ByteView block);

inline constexpr uint16_t kCommitFrontier = 1;  // proves that the commit before it was complete; has no sub-blocks

struct SubBlock {
  uint32_t used_bytes = 0;
  reactor::CoreId core = 0;
  Hash128 hash;
};

struct CommitHeader {
  StreamId stream{};
  uint16_t flags = 0;
  uint32_t total_bytes = 0;   // a multiple of kBlock
  uint32_t header_bytes = 0;  // the first sub-block starts here, the others at the next block boundaries
  uint64_t lsn = 0;           // own address: all bytes of commits before it; grows for ever
  uint64_t sequence = 0;      // dense
  uint64_t durable_lsn = 0;   // every commit below was complete when this one was built
  uint64_t table_number = 0;  // newest durable table then
  // Where it lies (version 3): what a file whose own header is lost can still say of itself.
  uint16_t slot = 0;
  uint32_t block = 0;           // of the file
  uint64_t file_sequence = 0;   // as in the headers of the pair
  uint64_t file_start_lsn = 0;  // likewise
  reactor::RecycledVector<SubBlock> sub_blocks;
};

// Bytes that a header for `sub_blocks` sub-blocks takes.
constexpr uint32_t commit_header_bytes(size_t sub_blocks) { return static_cast<uint32_t>(96 + 32 * sub_blocks + 16); }

Hash128 hash_sub_block(const StreamId& stream, uint64_t salt, ByteView used);
// The same of the first `used` bytes of `pieces`.
Hash128 hash_sub_block(const StreamId& stream, uint64_t salt, std::span<const reactor::Slice> pieces, size_t used);
// Writes `header` to the start of `out` (header.header_bytes of it).
void encode_commit_header(const CommitHeader& header, MutableBytes out);
// Checks the header alone, whatever its address; what it says of total bytes may be more than there are.
reactor::Result<CommitHeader> peek_commit_header(ByteView bytes, const StreamId& stream);
// The same; `bytes` starts at the commit and may be longer. kCorrupt: not a commit of this stream at this address.
// kTruncated: plausible, but it claims more than `bytes`.
reactor::Result<CommitHeader> decode_commit_header(ByteView bytes, const StreamId& stream, uint64_t lsn);
// The sub-blocks' record bytes; kCorrupt if one fails its hash, kTruncated if `commit` is shorter than the header says.
reactor::Result<std::vector<ByteView>> open_sub_blocks(const CommitHeader& header, ByteView commit);

// Numbers on disk: never reuse one. EXTERNAL, SWAP, RELEASE and ADOPT have theirs reserved in docs/storage-format.md.
enum class RecordType : uint8_t {
  kDataInline = 1,
  kCreate = 4,
  kDelete = 5,
  kRoll = 6,
  kTruncate = 7,
  kLogStart = 8,
  kEpochStart = 9,
  kHoles = 13,
  kReset = 14,
};

inline constexpr uint32_t kRecordHeaderBytes = 24;
inline constexpr uint32_t kDataFieldsBytes = 40;

// A record as found in a journal; the views point into the commit.
struct JournalRecord {
  RecordType type = RecordType::kDataInline;
  Uid uid = 0;
  uint32_t generation = 0;
  // kDataInline: bytes [position, position + data.size()) of the segment; `prefix` holds those of the same block just
  // before. A batch boundary lies at `boundary` (<= the range's end) with `boundary_offset` being the next offset.
  int64_t segment_base = 0;
  uint64_t position = 0;
  ByteView prefix;
  ByteView data;
  uint64_t boundary = 0;
  int64_t boundary_offset = 0;
  int64_t high_watermark = -1;  // when the record was built, at or below boundary_offset; -1: not known
  // kCreate
  TopicId topic_id{};
  std::string_view topic_name;
  int32_t partition = 0;
  reactor::CoreId core = 0;
  int64_t first_offset = 0;
  // kRoll: segment_base, `position` = its final size, first_offset = base of the new one.
  // kTruncate: the log ends at (segment_base, position) with next offset first_offset; `generation` is the new one.
  // kLogStart: first_offset. kEpochStart: epoch, first_offset. kHoles: first_offset, where the first hole begins.
  // kReset: the log is empty at first_offset; `generation` is the new one.
  int32_t epoch = 0;
};

// Writes the records of one sub-block. META records and small data are copied into a fixed space; of larger data, whole
// blocks stay where they are and are referred to: then what is written is a list of pieces. Such blocks must not change
// until the sub-block is durable.
class RecordWriter {
 public:
  // Pieces of one sub-block. A commit gathers those of several, and one write takes 1024 (UIO_MAXIOV).
  static constexpr size_t kPiecesMax = 64;

  RecordWriter() = default;
  // `space` begins `phase` bytes behind a block boundary, in memory and in the commit, and ends at one. The sub-block
  // may have `bytes_max` bytes, which end at a block boundary too.
  RecordWriter(MutableBytes space, size_t phase, size_t bytes_max)
      : space_(space), phase_(phase), bytes_max_(bytes_max) {}

  // Bytes of the sub-block so far.
  size_t used() const { return used_; }
  // How many more can be copied into it.
  size_t room() const { return std::min(bytes_max_ - used_, space_.size() - copied_); }

  // What a data record takes whose `payload` (prefix and data) is copied.
  static constexpr size_t data_record_bytes(size_t payload) {
    return (kRecordHeaderBytes + kDataFieldsBytes + payload + 7) / 8 * 8;
  }
  // How much payload the next data record may have if its whole blocks are referred to; 0 if there is no room for the
  // parts that are copied all the same. `first_position`: of the payload, in the segment.
  size_t aligned_payload_max(uint64_t first_position) const;
  // How many runs of blocks that record may refer to.
  size_t references_max() const { return kPiecesMax - std::min(kPiecesMax, pieces_ + 2); }

  // Begins a data record. The caller hands over its prefix and data, one behind the other, by space_for() and refer(),
  // then ends it. `aligned`: padding brings every byte to the place within a block that it has in the segment.
  void begin_data(const JournalRecord& fields, size_t prefix_bytes, size_t data_bytes, bool aligned);
  // The next bytes of the record, for the caller to fill.
  MutableBytes space_for(size_t bytes);
  // The next bytes of the record are whole blocks that begin at a block boundary of the segment. Aligned records only.
  void refer(MutableBytes blocks);
  void end_data();

  // False, and nothing is written, if it does not fit.
  bool add_encoded(ByteView record);

  // Ends the sub-block with zeroes up to the next block boundary. All of it in order: each piece but the first begins
  // at a block boundary, and each ends at one.
  std::span<const reactor::Slice> finish();

 private:
  size_t padding_for(uint64_t first_position) const;
  void close_piece();

  MutableBytes space_;
  size_t phase_ = 0;
  size_t bytes_max_ = 0;
  size_t used_ = 0;
  size_t copied_ = 0;       // of used_, bytes in space_
  size_t piece_begin_ = 0;  // in space_, of the piece that grows
  size_t record_end_ = 0;   // of the record that is open, in used_ bytes
  std::array<reactor::Slice, kPiecesMax> list_{};
  size_t pieces_ = 0;
};

// Any record but data.
Bytes encode_meta_record(const JournalRecord& record);

// Walks the records of one sub-block.
class RecordCursor {
 public:
  explicit RecordCursor(ByteView bytes) : rest_(bytes) {}
  // The next record; an empty optional at the end. kCorrupt: the bytes passed their hash but make no sense;
  // kUnsupported: a record type of a newer version.
  reactor::Result<std::optional<JournalRecord>> next();

 private:
  ByteView rest_;
};

}  // namespace posthaste::storage
