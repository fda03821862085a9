// Looks for records without a key, which a compacted topic does not take. The one place where the broker looks into the
// records of a producer; what they hold it skips.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "broker/decompressor.h"
#include "storage/batch/record_batch.h"

namespace posthaste::broker {

class KeyWalk {
 public:
  // Of these at most are listed: an answer must not outgrow its request.
  static constexpr size_t kListedMax = 100;
  // A batch that unpacks to more is not searched: it would keep the core from other work.
  static constexpr uint64_t kUnpackedBytesMax = uint64_t{128} << 20;

  // `batch` has a structure that was checked (validate_structure), and outlives the walk.
  explicit KeyWalk(const storage::RecordBatchView& batch);

  // Goes over the next piece of the records (kUnpackedPieceBytesMax, or all of a batch that is not compressed). True
  // while there is more.
  bool step();

  // Afterwards: the first records that have no key, by their place in the batch.
  const std::vector<int32_t>& without_key() const { return without_key_; }
  // Or: the records are not what the header says, or too many bytes.
  bool is_unreadable() const { return unreadable_; }

 private:
  enum class Field : uint8_t { kLength, kAttributes, kTimestampDelta, kOffsetDelta, kKeyLength, kRest };

  void take(storage::ByteView piece);
  void take_byte(std::byte byte);
  void end_number();
  void end_record();

  std::unique_ptr<Decompressor> source_;
  int32_t count_;
  int32_t index_ = 0;
  Field field_ = Field::kLength;
  uint64_t left_ = 0;    // of the record, behind its length
  uint64_t number_ = 0;  // a varint of which not all bytes came yet
  int shift_ = 0;
  uint64_t unpacked_bytes_ = 0;
  bool unreadable_ = false;
  std::vector<int32_t> without_key_;
};

}  // namespace posthaste::broker
