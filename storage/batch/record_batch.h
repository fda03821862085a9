// Kafka's record batch, format v2 (KIP-98): a 61-byte big-endian header and opaque records behind it. This header
// reads, checks and patches batches; the broker never re-encodes one that a client made (design, law 3). It does not
// decompress, does not look inside records (record_reader.h does, where demanded) and knows no offsets beyond what it
// is told.
//
//   base offset i64 | length i32 | leader epoch i32 | magic i8 | crc u32 | attributes i16 | last offset delta i32 |
//   base timestamp i64 | max timestamp i64 | producer id i64 | producer epoch i16 | base sequence i32 | count i32 |
//   records
//
// "length" counts from the leader epoch on; the CRC32C covers attributes to end, so offset and epoch can be patched.
// All functions are pure and may run on any core.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>

#include "reactor/result.h"
#include "reactor/time.h"
#include "storage/bytes/bytes.h"
#include "storage/bytes/endian.h"

namespace posthaste::storage {

inline constexpr size_t kBatchHeaderBytes = 61;
inline constexpr size_t kBatchLengthFieldEnd = 12;    // base offset and length: what the length field does not count
inline constexpr size_t kBatchCrcCoverageStart = 21;  // attributes; everything before may change without a new CRC
inline constexpr int8_t kBatchMagic = 2;
inline constexpr int64_t kNoProducerId = -1;
inline constexpr int16_t kNoProducerEpoch = -1;
inline constexpr int32_t kNoSequence = -1;
inline constexpr int64_t kNoTimestamp = -1;

enum class Compression : uint8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };
enum class TimestampType : uint8_t { kCreateTime = 0, kLogAppendTime = 1 };

// The attribute bits; the rest are unused by Kafka and kept as they are.
inline constexpr int16_t kAttributeCompressionMask = 0x07;
inline constexpr int16_t kAttributeLogAppendTime = 0x08;
inline constexpr int16_t kAttributeTransactional = 0x10;
inline constexpr int16_t kAttributeControl = 0x20;
inline constexpr int16_t kAttributeDeleteHorizon = 0x40;

// A batch inside bytes that someone else keeps alive. Made by parse(), so at least the header and all bytes that the
// length field claims are there; nothing more is known until validate_*() has accepted it.
class RecordBatchView {
 public:
  // The first batch in `bytes`; more may follow. kTruncated: ends before the header or the claimed length does.
  // kUnsupported: magic 0 or 1 (message sets of Kafka before 0.11). kCorrupt: another magic, or a length that cannot
  // be.
  static reactor::Result<RecordBatchView> parse(ByteView bytes);

  ByteView bytes() const { return bytes_; }
  size_t size_bytes() const { return bytes_.size(); }
  ByteView records() const { return bytes_.subspan(kBatchHeaderBytes); }

  int64_t base_offset() const { return load_be<int64_t>(at(0)); }
  int32_t length() const { return load_be<int32_t>(at(8)); }
  int32_t leader_epoch() const { return load_be<int32_t>(at(12)); }
  int8_t magic() const { return load_be<int8_t>(at(16)); }
  uint32_t crc() const { return load_be<uint32_t>(at(17)); }
  int16_t attributes() const { return load_be<int16_t>(at(21)); }
  int32_t last_offset_delta() const { return load_be<int32_t>(at(23)); }
  int64_t base_timestamp() const { return load_be<int64_t>(at(27)); }
  int64_t max_timestamp() const { return load_be<int64_t>(at(35)); }
  int64_t producer_id() const { return load_be<int64_t>(at(43)); }
  int16_t producer_epoch() const { return load_be<int16_t>(at(51)); }
  int32_t base_sequence() const { return load_be<int32_t>(at(53)); }
  int32_t record_count() const { return load_be<int32_t>(at(57)); }

  // Computed unsigned: rotten bytes may hold any base offset, and must not be undefined behaviour before they are found
  // out.
  int64_t last_offset() const {
    return static_cast<int64_t>(static_cast<uint64_t>(base_offset()) + static_cast<uint64_t>(last_offset_delta()));
  }
  int64_t next_offset() const { return static_cast<int64_t>(static_cast<uint64_t>(last_offset()) + 1); }
  // Sequence number of the last record; wraps from INT32_MAX to 0. kNoSequence for a batch without a producer id.
  int32_t last_sequence() const;
  // The raw codec number, 0 to 7; only 0 to 4 exist.
  uint8_t compression_bits() const { return static_cast<uint8_t>(attributes() & kAttributeCompressionMask); }
  Compression compression() const { return static_cast<Compression>(compression_bits()); }
  TimestampType timestamp_type() const {
    return has(kAttributeLogAppendTime) ? TimestampType::kLogAppendTime : TimestampType::kCreateTime;
  }
  bool is_transactional() const { return has(kAttributeTransactional); }
  bool is_control() const { return has(kAttributeControl); }
  bool has_delete_horizon() const { return has(kAttributeDeleteHorizon); }
  bool has_producer_id() const { return producer_id() != kNoProducerId; }

  // Reads all covered bytes once. The append path does not call it: there the copy computes the CRC (crc32c.h).
  bool crc_matches() const;

 private:
  explicit RecordBatchView(ByteView bytes) : bytes_(bytes) {}
  const std::byte* at(size_t offset) const { return bytes_.data() + offset; }
  bool has(int16_t bit) const { return (attributes() & bit) != 0; }

  ByteView bytes_;
};

// Walks several batches that lie one behind the other, as in a Fetch response or a segment.
//   for (BatchCursor cursor(bytes); auto batch = cursor.next();) { ... }   -- then look at cursor.error()
class BatchCursor {
 public:
  explicit BatchCursor(ByteView bytes) : bytes_(bytes) {}

  // The next batch, or nothing at the end and at the first bytes that are not a whole batch.
  std::optional<RecordBatchView> next();
  // Where the next batch starts: bytes consumed so far.
  size_t position() const { return position_; }
  // Why next() stopped before the end of the bytes; nothing if it reached the end exactly.
  std::optional<reactor::Errc> error() const { return error_; }

 private:
  ByteView bytes_;
  size_t position_ = 0;
  std::optional<reactor::Errc> error_;
};

// What a topic demands of a batch that a client sends. The defaults are Kafka's.
struct BatchRules {
  int32_t max_message_bytes = 1'048'588;  // max.message.bytes: size of the whole batch with its 12 leading bytes
  TimestampType timestamp_type = TimestampType::kCreateTime;
  int64_t timestamp_before_max_ms = std::numeric_limits<int64_t>::max();
  int64_t timestamp_after_max_ms = 3'600'000;
  friend bool operator==(const BatchRules&, const BatchRules&) = default;
};

// Structure only, any origin (client, replica, our own internal topics, disk): codec number known, counts and deltas
// positive and in agreement with the size, producer fields consistent. kMalformed names a broken rule.
reactor::Result<void> validate_structure(const RecordBatchView& batch);

// The header of a batch from a client against everything but its CRC, so that the CRC can be computed by the copy:
// structure; no control batch, no delete horizon; count == last offset delta + 1; size; timestamps against `now`
// (CreateTime topics only, as the broker's clock replaces them otherwise).
// kMalformed, kTimeOutOfRange, kTooLarge. Bodies of records are not looked at (record_reader.h does).
reactor::Result<void> validate_header(const RecordBatchView& batch, const BatchRules& rules, reactor::WallMillis now);

// The bytes of one partition in a Produce request (version 3 and newer): exactly one batch and nothing behind it, valid
// by validate_header(). Bytes that end early are kCorrupt here, since the frame around them was whole.
// The CRC is not checked: compare copy_and_crc32c() over bytes from kBatchCrcCoverageStart on with batch.crc().
reactor::Result<RecordBatchView> parse_produced(ByteView records, const BatchRules& rules, reactor::WallMillis now);

// parse_produced() and the CRC (kCorrupt). For callers that do not copy.
reactor::Result<RecordBatchView> validate(ByteView records, const BatchRules& rules, reactor::WallMillis now);

// Writes offset and leader epoch into a batch in place. `batch` holds at least the header. The CRC stays valid.
void patch_offset_and_epoch(MutableBytes batch, int64_t base_offset, int32_t leader_epoch);

// Turns a CreateTime batch into a LogAppendTime one: attribute bit, max timestamp, and a CRC corrected by arithmetic
// over the header alone. A batch whose CRC was wrong before stays wrong by the same difference, so the check after it
// still holds. `batch` is the whole batch.
void patch_log_append_time(MutableBytes batch, reactor::WallMillis now);

// `sequence` moved on by `by` records (by >= 0), wrapping from INT32_MAX to 0 as producers do.
// Defined for any values, since bytes from outside may hold any.
int32_t sequence_after(int32_t sequence, int32_t by);

}  // namespace posthaste::storage
