// Record batch headers: batches of Kafka's own library, every byte tampered with, every rule broken once.
#include "storage/batch/record_batch.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "storage/batch/record_reader.h"
#include "storage/bytes/crc32c.h"
#include "storage/testdata/batch_vectors.h"

namespace posthaste::storage {
namespace {

using reactor::Errc;
using reactor::WallMillis;
using testdata::batch_vector;
using testdata::BatchVector;
using testdata::load_batch_vectors;

constexpr WallMillis kNow{1'700'000'000'000};

void reseal(Bytes& batch) {
  store_be<uint32_t>(batch.data() + 17, crc32c(ByteView(batch).subspan(kBatchCrcCoverageStart)));
}

Bytes changed(std::string_view name, const std::function<void(std::byte*)>& change) {
  Bytes bytes = batch_vector(name).bytes;
  change(bytes.data());
  reseal(bytes);
  return bytes;
}

std::optional<Errc> error_of(ByteView bytes, const BatchRules& rules = {}) {
  const auto batch = validate(bytes, rules, kNow);
  return batch ? std::nullopt : std::optional(batch.error());
}

TEST(RecordBatch, ReadsEveryHeaderFieldOfKafkasBatches) {
  int seen = 0;
  for (const BatchVector& v : load_batch_vectors()) {
    if (v.legacy_magic >= 0) continue;
    SCOPED_TRACE(v.name);
    const auto batch = RecordBatchView::parse(v.bytes);
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->size_bytes(), v.bytes.size());
    EXPECT_EQ(batch->base_offset(), v.base_offset);
    EXPECT_EQ(batch->leader_epoch(), v.leader_epoch);
    EXPECT_EQ(batch->crc(), v.crc);
    EXPECT_EQ(batch->attributes(), v.attributes);
    EXPECT_EQ(batch->last_offset(), v.last_offset);
    EXPECT_EQ(batch->next_offset(), v.last_offset + 1);
    EXPECT_EQ(batch->last_sequence(), v.last_sequence);
    EXPECT_EQ(batch->base_timestamp(), v.base_timestamp);
    EXPECT_EQ(batch->max_timestamp(), v.max_timestamp);
    EXPECT_EQ(batch->producer_id(), v.producer_id);
    EXPECT_EQ(batch->producer_epoch(), v.producer_epoch);
    EXPECT_EQ(batch->base_sequence(), v.base_sequence);
    EXPECT_EQ(batch->record_count(), v.count);
    EXPECT_TRUE(batch->crc_matches());
    EXPECT_TRUE(validate_structure(*batch));
    ++seen;
  }
  EXPECT_EQ(seen, 17);
}

TEST(RecordBatch, AttributesByName) {
  const auto attributes_of = [](std::string_view name) {
    static std::vector<BatchVector> kept;
    return *RecordBatchView::parse(kept.emplace_back(batch_vector(name)).bytes);
  };
  EXPECT_EQ(attributes_of("none").compression(), Compression::kNone);
  EXPECT_EQ(attributes_of("gzip").compression(), Compression::kGzip);
  EXPECT_EQ(attributes_of("snappy").compression(), Compression::kSnappy);
  EXPECT_EQ(attributes_of("lz4").compression(), Compression::kLz4);
  EXPECT_EQ(attributes_of("zstd").compression(), Compression::kZstd);
  EXPECT_EQ(attributes_of("append-time").timestamp_type(), TimestampType::kLogAppendTime);
  EXPECT_EQ(attributes_of("none").timestamp_type(), TimestampType::kCreateTime);
  EXPECT_TRUE(attributes_of("transactional").is_transactional());
  EXPECT_FALSE(attributes_of("idempotent").is_transactional());
  EXPECT_TRUE(attributes_of("commit-marker").is_control());
  EXPECT_TRUE(attributes_of("leader-change").is_control());
  EXPECT_FALSE(attributes_of("transactional").is_control());
  EXPECT_TRUE(attributes_of("idempotent").has_producer_id());
  EXPECT_FALSE(attributes_of("none").has_producer_id());
}

TEST(RecordBatch, ClientBatchesOfKafkaAreAcceptedAndControlBatchesAreNot) {
  for (const BatchVector& v : load_batch_vectors()) {
    SCOPED_TRACE(v.name);
    const auto error = error_of(v.bytes, {.timestamp_after_max_ms = 400LL * 86'400'000});
    if (v.legacy_magic >= 0) {
      EXPECT_EQ(error, Errc::kUnsupported);
    } else if ((v.attributes & kAttributeControl) != 0) {
      EXPECT_EQ(error, Errc::kMalformed);
    } else if ((v.attributes & kAttributeLogAppendTime) != 0) {
      EXPECT_EQ(error, Errc::kTimeOutOfRange);
    } else {
      EXPECT_EQ(error, std::nullopt);
    }
  }
}

TEST(RecordBatch, EveryFlippedBitOfTheCoveredBytesIsFound) {
  for (const BatchVector& v : load_batch_vectors()) {
    if (v.legacy_magic >= 0) continue;
    for (size_t at = 17; at < v.bytes.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes bytes = v.bytes;
        bytes[at] ^= static_cast<std::byte>(1 << bit);
        ASSERT_FALSE(RecordBatchView::parse(bytes)->crc_matches()) << v.name << " " << at;
        ASSERT_FALSE(validate(bytes, {}, kNow)) << v.name << " " << at;
      }
    }
  }
}

TEST(RecordBatch, AFlippedBitInLengthOrMagicIsRefused) {
  const Bytes whole = batch_vector("none").bytes;
  for (const size_t at : std::initializer_list<size_t>{8, 9, 10, 11, 16}) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes bytes = whole;
      bytes[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(validate(bytes, {}, kNow)) << at << " " << bit;
    }
  }
}

TEST(RecordBatch, EveryPrefixIsTruncated) {
  const Bytes whole = batch_vector("nulls-and-headers").bytes;
  for (size_t size = 0; size < whole.size(); ++size) {
    // A copy of exactly that size, so that the address sanitizer sees a read past it.
    const Bytes prefix(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(RecordBatchView::parse(prefix).error(), Errc::kTruncated) << size;
    EXPECT_EQ(error_of(prefix), size == 0 ? Errc::kMalformed : Errc::kCorrupt) << size;
  }
}

TEST(RecordBatch, ImpossibleLengthsAreCorruptNotRead) {
  for (const int32_t length : {0, -1, 48, std::numeric_limits<int32_t>::min()}) {
    Bytes bytes = batch_vector("none").bytes;
    store_be<int32_t>(bytes.data() + 8, length);
    EXPECT_EQ(RecordBatchView::parse(bytes).error(), Errc::kCorrupt) << length;
  }
  Bytes bytes = batch_vector("none").bytes;
  store_be<int32_t>(bytes.data() + 8, std::numeric_limits<int32_t>::max());
  EXPECT_EQ(RecordBatchView::parse(bytes).error(), Errc::kTruncated);
}

TEST(RecordBatch, UnknownMagicIsCorruptOldMagicIsUnsupported) {
  for (int magic = -128; magic < 128; ++magic) {
    Bytes bytes = batch_vector("none").bytes;
    store_be<int8_t>(bytes.data() + 16, static_cast<int8_t>(magic));
    const auto batch = RecordBatchView::parse(bytes);
    if (magic == 2) {
      EXPECT_TRUE(batch);
    } else {
      EXPECT_EQ(batch.error(), magic == 0 || magic == 1 ? Errc::kUnsupported : Errc::kCorrupt) << magic;
    }
  }
}

TEST(RecordBatch, EachBrokenRuleOfTheHeaderHasItsError) {
  struct Case {
    std::string_view what;
    std::string_view vector;
    std::function<void(std::byte*)> change;
    std::optional<Errc> error;
  };
  const Case cases[] = {
      {"unchanged", "idempotent", [](std::byte*) {}, std::nullopt},
      {"codec 5", "none", [](std::byte* b) { store_be<int16_t>(b + 21, 5); }, Errc::kMalformed},
      {"codec 7", "none", [](std::byte* b) { store_be<int16_t>(b + 21, 7); }, Errc::kMalformed},
      {"unused attribute bit", "none", [](std::byte* b) { store_be<int16_t>(b + 21, 0x100); }, std::nullopt},
      {"control", "idempotent", [](std::byte* b) { store_be<int16_t>(b + 21, 0x20); }, Errc::kMalformed},
      {"delete horizon", "none", [](std::byte* b) { store_be<int16_t>(b + 21, 0x40); }, Errc::kMalformed},
      {"transaction, no id", "none", [](std::byte* b) { store_be<int16_t>(b + 21, 0x10); }, Errc::kMalformed},
      {"broker's clock", "none", [](std::byte* b) { store_be<int16_t>(b + 21, 8); }, Errc::kTimeOutOfRange},
      {"delta too large", "none", [](std::byte* b) { store_be<int32_t>(b + 23, 12); }, Errc::kMalformed},
      {"delta too small", "none", [](std::byte* b) { store_be<int32_t>(b + 23, 10); }, Errc::kMalformed},
      {"delta negative", "none", [](std::byte* b) { store_be<int32_t>(b + 23, -1); }, Errc::kMalformed},
      {"count 0 and delta -1", "none",
       [](std::byte* b) { store_be<int32_t>(b + 57, 0), store_be<int32_t>(b + 23, -1); }, Errc::kMalformed},
      {"count negative", "none", [](std::byte* b) { store_be<int32_t>(b + 57, -12); }, Errc::kMalformed},
      {"count above what fits", "none",
       [](std::byte* b) { store_be<int32_t>(b + 57, 1000), store_be<int32_t>(b + 23, 999); }, Errc::kMalformed},
      {"count at its limit", "gzip",
       [](std::byte* b) { store_be<int32_t>(b + 57, INT32_MIN), store_be<int32_t>(b + 23, INT32_MAX); },
       Errc::kMalformed},
      {"producer id -2", "idempotent", [](std::byte* b) { store_be<int64_t>(b + 43, -2); }, Errc::kMalformed},
      {"producer epoch -1", "idempotent", [](std::byte* b) { store_be<int16_t>(b + 51, -1); }, Errc::kMalformed},
      {"sequence -1", "idempotent", [](std::byte* b) { store_be<int32_t>(b + 53, -1); }, Errc::kMalformed},
      {"sequence -2", "idempotent", [](std::byte* b) { store_be<int32_t>(b + 53, -2); }, Errc::kMalformed},
      {"sequence without id", "none", [](std::byte* b) { store_be<int32_t>(b + 53, 7); }, std::nullopt},
      {"base timestamp -2", "none", [](std::byte* b) { store_be<int64_t>(b + 27, -2); }, Errc::kTimeOutOfRange},
      {"max timestamp -2", "none", [](std::byte* b) { store_be<int64_t>(b + 35, -2); }, Errc::kTimeOutOfRange},
      {"max below base", "none", [](std::byte* b) { store_be<int64_t>(b + 35, 5); }, Errc::kTimeOutOfRange},
      {"max unset", "none", [](std::byte* b) { store_be<int64_t>(b + 35, -1); }, std::nullopt},
      {"any base offset", "none", [](std::byte* b) { store_be<int64_t>(b, INT64_MAX); }, std::nullopt},
  };
  for (const Case& c : cases) EXPECT_EQ(error_of(changed(c.vector, c.change)), c.error) << c.what;
}

TEST(RecordBatch, TimestampLimitsAreInclusive) {
  const auto error_at = [](int64_t first, int64_t largest, const BatchRules& rules) {
    return error_of(
        changed("none", [&](std::byte* b) { store_be<int64_t>(b + 27, first), store_be<int64_t>(b + 35, largest); }),
        rules);
  };
  const int64_t now = kNow.value;
  const BatchRules rules{.timestamp_before_max_ms = 1000, .timestamp_after_max_ms = 50};
  EXPECT_EQ(error_at(now - 1000, now + 50, rules), std::nullopt);
  EXPECT_EQ(error_at(now - 1001, now, rules), Errc::kTimeOutOfRange);
  EXPECT_EQ(error_at(now, now + 51, rules), Errc::kTimeOutOfRange);
  // The first record alone decides where the maximum is unset.
  EXPECT_EQ(error_at(now + 51, -1, rules), Errc::kTimeOutOfRange);
  // No timestamp at all is fine, as in Kafka.
  EXPECT_EQ(error_at(-1, -1, rules), std::nullopt);
  // Nothing overflows at the ends of the range.
  EXPECT_EQ(error_at(0, INT64_MAX, {.timestamp_after_max_ms = INT64_MAX}), std::nullopt);
  EXPECT_EQ(error_at(0, INT64_MAX, {}), Errc::kTimeOutOfRange);
  // With LogAppendTime the broker's clock replaces them: anything goes.
  BatchRules append_time = rules;
  append_time.timestamp_type = TimestampType::kLogAppendTime;
  EXPECT_EQ(error_at(0, now + 1'000'000, append_time), std::nullopt);
}

TEST(RecordBatch, SizeLimitIsInclusive) {
  const Bytes bytes = batch_vector("none").bytes;
  const auto size = static_cast<int32_t>(bytes.size());
  EXPECT_EQ(error_of(bytes, {.max_message_bytes = size}), std::nullopt);
  EXPECT_EQ(error_of(bytes, {.max_message_bytes = size - 1}), Errc::kTooLarge);
}

TEST(RecordBatch, ProducedBytesHoldExactlyOneBatch) {
  const Bytes one = batch_vector("none").bytes;
  Bytes two = one;
  two.insert(two.end(), one.begin(), one.end());
  EXPECT_EQ(error_of(two), Errc::kMalformed);
  Bytes tail = one;
  tail.push_back(std::byte{0});
  EXPECT_EQ(error_of(tail), Errc::kMalformed);
}

TEST(RecordBatch, CursorWalksAllBatchesAndSaysWhyItStopped) {
  Bytes all;
  size_t count = 0;
  for (const BatchVector& v : load_batch_vectors()) {
    if (v.legacy_magic >= 0) continue;
    all.insert(all.end(), v.bytes.begin(), v.bytes.end());
    ++count;
  }
  BatchCursor cursor(all);
  size_t seen = 0;
  while (cursor.next()) ++seen;
  EXPECT_EQ(seen, count);
  EXPECT_EQ(cursor.position(), all.size());
  EXPECT_EQ(cursor.error(), std::nullopt);

  BatchCursor cut(ByteView(all).first(all.size() - 1));
  seen = 0;
  while (cut.next()) ++seen;
  EXPECT_EQ(seen, count - 1);
  EXPECT_EQ(cut.error(), Errc::kTruncated);
  EXPECT_FALSE(cut.next());

  all.resize(all.size() + 64);
  BatchCursor padded(all);
  while (padded.next()) {
  }
  EXPECT_EQ(padded.position(), all.size() - 64);
  EXPECT_EQ(padded.error(), Errc::kUnsupported);  // zeroes look like magic 0
}

TEST(RecordBatch, PatchingOffsetAndEpochKeepsTheCrc) {
  Bytes bytes = batch_vector("zstd").bytes;
  patch_offset_and_epoch(bytes, 0x0102030405060708, 0x11223344);
  const auto batch = *RecordBatchView::parse(bytes);
  EXPECT_EQ(batch.base_offset(), 0x0102030405060708);
  EXPECT_EQ(batch.leader_epoch(), 0x11223344);
  EXPECT_TRUE(batch.crc_matches());
  EXPECT_EQ(Bytes(bytes.begin() + 16, bytes.end()), [] {
    const Bytes before = batch_vector("zstd").bytes;
    return Bytes(before.begin() + 16, before.end());
  }());
}

TEST(RecordBatch, AppendTimePatchKeepsTheCrcRightAndKeepsAWrongOneWrong) {
  for (const BatchVector& v : load_batch_vectors()) {
    if (v.legacy_magic >= 0) continue;
    SCOPED_TRACE(v.name);
    Bytes bytes = v.bytes;
    patch_log_append_time(bytes, WallMillis{1'712'345'678'901});
    const auto batch = *RecordBatchView::parse(bytes);
    EXPECT_EQ(batch.timestamp_type(), TimestampType::kLogAppendTime);
    EXPECT_EQ(batch.max_timestamp(), 1'712'345'678'901);
    EXPECT_EQ(batch.base_timestamp(), v.base_timestamp);
    EXPECT_TRUE(batch.crc_matches());

    Bytes rotten = v.bytes;
    rotten.back() ^= std::byte{4};
    patch_log_append_time(rotten, WallMillis{1'712'345'678'901});
    EXPECT_FALSE(RecordBatchView::parse(rotten)->crc_matches());
  }
}

TEST(RecordBatch, SequencesWrap) {
  EXPECT_EQ(sequence_after(0, 0), 0);
  EXPECT_EQ(sequence_after(5, 3), 8);
  EXPECT_EQ(sequence_after(INT32_MAX, 1), 0);
  EXPECT_EQ(sequence_after(INT32_MAX - 1, 3), 1);
  EXPECT_EQ(sequence_after(INT32_MAX, INT32_MAX), INT32_MAX - 1);
}

// Any mutation of real batches: no crash, no read out of bounds, and whatever validate() accepts is a whole batch.
TEST(RecordBatch, RandomMutationsNeverGetThroughOrHurt) {
  const std::vector<BatchVector> vectors = load_batch_vectors();
  std::mt19937_64 random(7);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = vectors[random() % vectors.size()].bytes;
    const size_t changes = 1 + random() % 4;
    for (size_t i = 0; i < changes; ++i) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    if (bytes.size() >= kBatchHeaderBytes && random() % 2 == 0) reseal(bytes);
    const auto batch = validate(bytes, {}, kNow);
    if (batch) {
      ++accepted;
      EXPECT_EQ(batch->size_bytes(), bytes.size());
      EXPECT_EQ(batch->record_count(), batch->last_offset_delta() + 1);
    }
    if (const auto view = RecordBatchView::parse(bytes)) {
      (void)validate_structure(*view);
      (void)view->last_sequence();
      (void)view->next_offset();
      (void)walk_records(*view, [](const RecordView& record) {
        RecordHeaderReader headers(record);
        while (headers.next()) {
        }
      });
    }
  }
  EXPECT_GT(accepted, 1000);  // resealed changes of record bytes
}

}  // namespace
}  // namespace posthaste::storage
