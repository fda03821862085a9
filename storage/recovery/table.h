// The table: what the engine knows about every partition apart from record bytes, as a snapshot on disk. Two slots
// (DATA/table-0.snap, table-1.snap) are written in turn, so one whole snapshot is always there; the journal keeps what
// either of them needs (low_water). Format: docs/storage-format.md. Pure values and their encoding; no I/O.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "reactor/core.h"
#include "storage/log/epoch_cache.h"
#include "storage/log/log_types.h"

namespace posthaste::storage {

// A byte position within one segment.
struct SegmentPosition {
  int64_t base_offset = 0;  // the segment
  uint64_t position = 0;    // bytes
  friend auto operator<=>(const SegmentPosition&, const SegmentPosition&) = default;
};

struct SegmentEntry {
  int64_t base_offset = 0;
  uint64_t size_bytes = 0;  // of a sealed segment; of the active one up to the entry's end
  int64_t max_timestamp = kNoTimestamp;
  reactor::WallMillis last_append;
  friend bool operator==(const SegmentEntry&, const SegmentEntry&) = default;
};

// One partition, as of journal record `last_meta_lsn` (records of its own that lie before or at it are contained).
struct TableEntry {
  Uid uid = 0;
  TopicId topic_id{};
  std::string topic_name;
  int32_t partition = 0;
  reactor::CoreId core = 0;
  uint32_t generation = 0;
  uint64_t last_meta_lsn = 0;
  bool deleted = false;            // only its directory is left, to be removed
  bool directory_created = false;  // false: nothing on disk under its name is its own
  int64_t log_start = 0;
  std::vector<SegmentEntry> segments;  // never empty; the last is the active one
  SegmentPosition flushed;  // in the segment files up to here; may lie behind `end`, inside the batch that begins there
  SegmentPosition released;  // at or before flushed: journal records that end at or before this are not needed
  SegmentPosition end;       // durable, a batch boundary
  int64_t end_offset = 0;
  int64_t high_watermark = 0;  // the last one known when the entry was made; at or below end_offset
  EpochCache epochs;
  int64_t holes_from = kNoHoles;  // where the first hole in the offsets begins; below the end
  // ProducerState::encode() as of a batch boundary at or before the end; -1: none, the headers tell.
  Bytes producers;
  SegmentPosition producers_at;
  int64_t producers_offset = -1;
  Damage damage;
};

// A journal stream that the snapshot belongs to.
struct TableStream {
  std::array<std::byte, 16> id{};  // new at every recovery: a commit of another life is not mistaken for ours
  uint64_t low_water_lsn = 0;      // recovery from this snapshot starts here; always the start of a journal file
  uint64_t next_file_sequence = 0;
  // Files that the journal had when the table was made: a pair is two files, slots 2n and 2n + 1. Each of them is
  // there, of this size and with a header, whether it was ever used or not; one that is not was lost.
  uint64_t file_bytes = 0;
  std::vector<uint16_t> pairs;
  bool in_use = false;  // one of them starts at the low water
};

// 4: the high watermark, which was the log's end before, and where holes begin. 3: names the journal's files and the
// owner; versions before go with journals of versions before 3. 2: `flushed` and `released` may lie behind `end`. What
// version 1 says is read as before.
inline constexpr uint16_t kTableVersion = 4;
inline constexpr uint32_t kTableMagic = 0x54535048;  // "HPST"

struct TableSnapshot {
  uint16_t version = kTableVersion;  // as found
  uint64_t number = 0;               // grows with every snapshot
  uint16_t cores = 1;
  uint64_t next_uid = 1;
  std::vector<TableStream> streams;
  std::string owner;  // EngineOptions::owner
  std::vector<TableEntry> entries;
};

// One entry's encoding, so that each core can make those of its own partitions.
void encode_table_entry(const TableEntry& entry, Bytes& out);
// What stands before the `count` entries in the frame's payload; snapshot.entries is not looked at.
Bytes encode_table_begin(const TableSnapshot& snapshot, uint64_t count);
// kTruncated, kCorrupt: not a whole snapshot; kUnsupported: made by a newer Posthaste.
reactor::Result<TableSnapshot> decode_table(ByteView file);

}  // namespace posthaste::storage
