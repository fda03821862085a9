#include "tests/differential/batch.h"

#include "storage/batch/record_batch.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/bytes/crc32c.h"
#include "storage/bytes/endian.h"

namespace posthaste::differential {
namespace {

using storage::store_be;

// Where a batch's fields lie (storage/batch/record_batch.h).
constexpr size_t kLengthAt = 8;
constexpr size_t kMagicAt = 16;
constexpr size_t kChecksumAt = 17;
constexpr size_t kAttributesAt = 21;
constexpr size_t kLastDeltaAt = 23;
constexpr size_t kMaxTimestampAt = 35;
constexpr size_t kCountAt = 57;

void add_attribute(std::vector<std::byte>& batch, int16_t bit) {
  const auto now = storage::load_be<int16_t>(batch.data() + kAttributesAt);
  store_be<int16_t>(batch.data() + kAttributesAt, static_cast<int16_t>(now | bit));
}

void set_checksum(std::vector<std::byte>& batch) {
  const auto covered = std::span<const std::byte>(batch).subspan(storage::kBatchCrcCoverageStart);
  store_be<uint32_t>(batch.data() + kChecksumAt, storage::crc32c(covered));
}

std::vector<std::byte> whole_batch(const BatchRecipe& recipe, const Bindings& bindings) {
  storage::BatchToWrite header;
  if (recipe.producer) {
    header.producer_id = bindings.producer_id(*recipe.producer);
    header.producer_epoch = recipe.producer_epoch;
    header.base_sequence = recipe.flaw == Flaw::kProducerNoSequence ? -1 : recipe.base_sequence;
  }
  storage::RecordBatchBuilder builder(header);
  for (int i = 0; i < recipe.records; ++i) {
    const std::string key = fmt::format("key-{}", i);
    const std::string value(static_cast<size_t>(recipe.value_bytes), static_cast<char>('a' + i % 26));
    storage::RecordToWrite record{.timestamp = recipe.first_time + i * recipe.time_step};
    if (recipe.with_keys) record.key = std::as_bytes(std::span(key));
    record.value = std::as_bytes(std::span(value));
    builder.add(record);
  }
  return builder.finish();
}

// Flaws that the checksum covers.
void spoil_inside(std::vector<std::byte>& batch, const BatchRecipe& recipe) {
  const auto put = [&](size_t at, auto value) { store_be<decltype(value)>(batch.data() + at, value); };
  switch (recipe.flaw) {
    case Flaw::kCountTooLarge:
      return put(kCountAt, int32_t{recipe.records + 1});
    case Flaw::kCountTooSmall:
      return put(kCountAt, int32_t{recipe.records - 1});
    case Flaw::kCountNegative:
      return put(kCountAt, int32_t{-1});
    case Flaw::kLastDeltaTooLarge:
      return put(kLastDeltaAt, int32_t{recipe.records + 5});
    case Flaw::kLastDeltaNegative:
      return put(kLastDeltaAt, int32_t{-1});
    case Flaw::kControl:
      return add_attribute(batch, storage::kAttributeControl);
    case Flaw::kTransactional:
      return add_attribute(batch, storage::kAttributeTransactional);
    case Flaw::kLogAppendTime:
      return add_attribute(batch, storage::kAttributeLogAppendTime);
    case Flaw::kUnknownCodec:
      return add_attribute(batch, 7);
    case Flaw::kNotGzip:
      return add_attribute(batch, static_cast<int16_t>(storage::Compression::kGzip));
    case Flaw::kMaxTimestampLow:
      return put(kMaxTimestampAt, int64_t{recipe.first_time - 1000});
    case Flaw::kRecordLength:
      batch[storage::kBatchHeaderBytes] = std::byte{0x01};  // the length of the first record becomes -1
      return;
    case Flaw::kCountZero:
      batch.resize(storage::kBatchHeaderBytes);
      put(kCountAt, int32_t{0});
      put(kLastDeltaAt, int32_t{-1});
      return put(kLengthAt, static_cast<int32_t>(storage::kBatchHeaderBytes - storage::kBatchLengthFieldEnd));
    default:
      return;
  }
}

// Flaws outside of the checksum, or of it.
void spoil_outside(std::vector<std::byte>& batch, Flaw flaw) {
  const auto length = storage::load_be<int32_t>(batch.data() + kLengthAt);
  const auto put = [&](size_t at, auto value) { store_be<decltype(value)>(batch.data() + at, value); };
  switch (flaw) {
    case Flaw::kChecksum:
      batch[kChecksumAt] ^= std::byte{0x10};
      return;
    case Flaw::kMagic0:
      batch[kMagicAt] = std::byte{0};
      return;
    case Flaw::kMagic3:
      batch[kMagicAt] = std::byte{3};
      return;
    case Flaw::kLengthShort:
      return put(kLengthAt, length - 5);
    case Flaw::kLengthLong:
      return put(kLengthAt, length + 5);
    case Flaw::kLengthNegative:
      return put(kLengthAt, int32_t{-1});
    case Flaw::kCut:
      return batch.resize(batch.size() - 3);
    case Flaw::kTrailingBytes:
      return batch.resize(batch.size() + 7);
    case Flaw::kTwoBatches: {
      const std::vector<std::byte> copy = batch;
      batch.insert(batch.end(), copy.begin(), copy.end());
      return;
    }
    case Flaw::kBaseOffset:
      return put(0, int64_t{77});
    case Flaw::kNoBytes:
      return batch.clear();
    default:
      return;
  }
}

}  // namespace

std::string_view to_string(Flaw flaw) {
  static constexpr std::string_view kNames[] = {
      "none",
      "no bytes",
      "null",
      "wrong checksum",
      "magic 0",
      "magic 3",
      "length too short",
      "length too long",
      "negative length",
      "cut",
      "trailing bytes",
      "two batches",
      "record count too large",
      "record count too small",
      "negative record count",
      "no records",
      "gap in offset deltas",
      "negative last offset delta",
      "control batch",
      "transactional batch",
      "claims LogAppendTime",
      "unknown codec",
      "not gzip",
      "largest time too small",
      "far future",
      "wrong record length",
      "base offset set",
      "producer id without sequence",
  };
  static_assert(std::size(kNames) == static_cast<size_t>(kLastFlaw) + 1);
  return kNames[static_cast<size_t>(flaw)];
}

std::vector<std::byte> make_batch(const BatchRecipe& recipe, const Bindings& bindings) {
  std::vector<std::byte> batch = whole_batch(recipe, bindings);
  spoil_inside(batch, recipe);
  set_checksum(batch);
  spoil_outside(batch, recipe.flaw);
  return batch;
}

std::string printed(const BatchRecipe& recipe) {
  std::string text = fmt::format("batch({} records of {} bytes, time {} step {}", recipe.records, recipe.value_bytes,
                                 recipe.first_time, recipe.time_step);
  if (!recipe.with_keys) text += ", no keys";
  if (recipe.producer) {
    text += fmt::format(", producer $p{} epoch {} sequence {}", *recipe.producer, recipe.producer_epoch,
                        recipe.base_sequence);
  }
  if (recipe.flaw != Flaw::kNone) text += fmt::format(", {}", to_string(recipe.flaw));
  return text + ")";
}

}  // namespace posthaste::differential
