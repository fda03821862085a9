// Records one by one and the builder: against Kafka's own bytes, round trips by seed, and every way to be malformed.
#include "storage/batch/record_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "storage/batch/record_batch_builder.h"
#include "storage/bytes/crc32c.h"
#include "storage/bytes/varint.h"
#include "storage/testdata/batch_vectors.h"

namespace posthaste::storage {
namespace {

using reactor::Errc;
using testdata::batch_vector;
using testdata::BatchVector;
using testdata::load_batch_vectors;
using testdata::OptionalBytes;
using testdata::VectorRecord;

OptionalBytes copy_of(const NullableBytes& bytes) {
  return bytes ? OptionalBytes(Bytes(bytes->begin(), bytes->end())) : std::nullopt;
}

NullableBytes view_of(const OptionalBytes& bytes) { return bytes ? NullableBytes(*bytes) : std::nullopt; }

void expect_same(const RecordView& record, const VectorRecord& expected) {
  EXPECT_EQ(record.offset, expected.offset);
  EXPECT_EQ(record.timestamp, expected.timestamp);
  EXPECT_EQ(copy_of(record.key), expected.key);
  EXPECT_EQ(copy_of(record.value), expected.value);
  ASSERT_EQ(record.header_count, static_cast<int32_t>(expected.headers.size()));
  RecordHeaderReader headers(record);
  for (const auto& [key, value] : expected.headers) {
    const auto header = headers.next();
    ASSERT_TRUE(header);
    EXPECT_EQ(copy_of(header->key), key);
    EXPECT_EQ(copy_of(header->value), value);
  }
  EXPECT_FALSE(headers.next());
}

TEST(RecordReader, ReadsKafkasRecords) {
  for (const BatchVector& v : load_batch_vectors()) {
    if (v.legacy_magic >= 0 || (v.attributes & kAttributeCompressionMask) != 0) continue;
    SCOPED_TRACE(v.name);
    size_t seen = 0;
    const auto walked = walk_records(*RecordBatchView::parse(v.bytes), [&](const RecordView& record) {
      ASSERT_LT(seen, v.records.size());
      expect_same(record, v.records[seen++]);
    });
    EXPECT_TRUE(walked);
    EXPECT_EQ(seen, v.records.size());
    EXPECT_GT(seen, 0U);
  }
}

TEST(RecordReader, RefusesCompressedBatches) {
  for (const char* name : {"gzip", "snappy", "lz4", "zstd"}) {
    const BatchVector v = batch_vector(name);
    EXPECT_EQ(walk_records(*RecordBatchView::parse(v.bytes), [](const RecordView&) {}).error(), Errc::kUnsupported);
  }
}

// Rebuilds a batch from what the reader saw.
Bytes rebuilt(const BatchVector& v) {
  const bool append_time = (v.attributes & kAttributeLogAppendTime) != 0;
  RecordBatchBuilder builder(
      {.base_offset = v.base_offset,
       .leader_epoch = v.leader_epoch,
       .timestamp_type = append_time ? TimestampType::kLogAppendTime : TimestampType::kCreateTime,
       .log_append_time = v.max_timestamp,
       .producer_id = v.producer_id,
       .producer_epoch = v.producer_epoch,
       .base_sequence = v.base_sequence,
       .transactional = (v.attributes & kAttributeTransactional) != 0,
       .control = (v.attributes & kAttributeControl) != 0});
  for (const VectorRecord& record : v.records) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : record.headers) keys.emplace_back(text_of(*key));
    std::vector<HeaderToWrite> headers;
    for (size_t i = 0; i < keys.size(); ++i) headers.push_back({keys[i], view_of(record.headers[i].second)});
    builder.add({record.timestamp, view_of(record.key), view_of(record.value), headers});
  }
  return builder.finish();
}

TEST(RecordBatchBuilder, MakesTheBytesThatKafkaMakes) {
  int compared = 0;
  for (const BatchVector& v : load_batch_vectors()) {
    if (v.legacy_magic >= 0 || (v.attributes & kAttributeCompressionMask) != 0) continue;
    // With LogAppendTime the records' own stamps are not visible in the batch: nothing to rebuild from.
    if ((v.attributes & kAttributeLogAppendTime) != 0) continue;
    SCOPED_TRACE(v.name);
    EXPECT_EQ(rebuilt(v), v.bytes);
    ++compared;
  }
  EXPECT_EQ(compared, 10);
}

TEST(RecordBatchBuilder, AppendTimeIsTheStampOfEveryRecord) {
  RecordBatchBuilder builder(
      {.base_offset = 9, .timestamp_type = TimestampType::kLogAppendTime, .log_append_time = 1234});
  builder.add({.timestamp = 5, .value = bytes_of("a")});
  builder.add({.timestamp = 7, .value = bytes_of("b")});
  const Bytes bytes = builder.finish();
  const auto batch = *RecordBatchView::parse(bytes);
  EXPECT_EQ(batch.max_timestamp(), 1234);
  EXPECT_TRUE(walk_records(batch, [](const RecordView& record) { EXPECT_EQ(record.timestamp, 1234); }));
}

OptionalBytes random_bytes(std::mt19937_64& random, size_t limit) {
  if (random() % 5 == 0) return std::nullopt;
  Bytes bytes(random() % limit);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST(RecordBatchBuilder, WhatWasAddedIsWhatIsRead) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    BatchVector v;
    v.base_offset = static_cast<int64_t>(random() >> 2);
    v.producer_id = kNoProducerId;
    v.producer_epoch = kNoProducerEpoch;
    v.base_sequence = kNoSequence;
    const size_t count = 1 + random() % 40;
    for (size_t i = 0; i < count; ++i) {
      VectorRecord& record = v.records.emplace_back();
      record.offset = v.base_offset + static_cast<int64_t>(i);
      record.timestamp = static_cast<int64_t>(random() >> (2 + random() % 60));
      record.key = random_bytes(random, 200);
      record.value = random_bytes(random, 3000);
      for (size_t h = random() % 4; h > 0; --h) {
        record.headers.emplace_back(random_bytes(random, 20).value_or(Bytes()), random_bytes(random, 100));
      }
    }
    const Bytes bytes = rebuilt(v);
    const auto batch = RecordBatchView::parse(bytes);
    ASSERT_TRUE(batch);
    EXPECT_TRUE(batch->crc_matches());
    EXPECT_TRUE(validate_structure(*batch));
    size_t seen = 0;
    EXPECT_TRUE(walk_records(*batch, [&](const RecordView& record) { expect_same(record, v.records[seen++]); }));
    EXPECT_EQ(seen, count);
  }
}

// A batch with these bytes as its records, count and last delta as given.
Bytes batch_with(const Bytes& records, int32_t count, int32_t last_delta) {
  RecordBatchBuilder builder;
  builder.add({});
  Bytes bytes = builder.finish();
  bytes.resize(kBatchHeaderBytes);
  bytes.insert(bytes.end(), records.begin(), records.end());
  store_be<int32_t>(bytes.data() + 8, static_cast<int32_t>(bytes.size() - kBatchLengthFieldEnd));
  store_be<int32_t>(bytes.data() + 23, last_delta);
  store_be<int32_t>(bytes.data() + 57, count);
  return bytes;
}

// length, attributes, timestamp delta, offset delta, null key, null value, no headers
Bytes record_bytes(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

bool walks(const Bytes& batch) {
  return walk_records(*RecordBatchView::parse(batch), [](const RecordView&) {}).has_value();
}

TEST(RecordReader, EachWayToBeMalformedIsFound) {
  const Bytes good = record_bytes({12, 0, 0, 0, 1, 1, 0});
  const Bytes second = record_bytes({12, 0, 0, 2, 1, 1, 0});
  const auto joined = [](Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  EXPECT_TRUE(walks(batch_with(good, 1, 0)));
  EXPECT_TRUE(walks(batch_with(joined(good, second), 2, 1)));
  EXPECT_TRUE(walks(batch_with(joined(good, second), 2, 9))) << "compaction leaves gaps";
  EXPECT_FALSE(walks(batch_with(good, 2, 1))) << "one record missing";
  EXPECT_FALSE(walks(batch_with(joined(good, second), 1, 1))) << "bytes behind the last record";
  EXPECT_FALSE(walks(batch_with(joined(good, good), 2, 1))) << "the same offset twice";
  EXPECT_FALSE(walks(batch_with(joined(good, second), 2, 0))) << "offset past the last delta";
  EXPECT_FALSE(walks(batch_with(joined(second, good), 2, 1))) << "offsets descend";
  EXPECT_FALSE(walks(batch_with(record_bytes({12, 0, 0, 1, 1, 1, 0}), 1, 0))) << "negative offset delta";
  EXPECT_FALSE(walks(batch_with(record_bytes({14, 0, 0, 0, 1, 1, 0}), 1, 0))) << "record longer than the batch";
  EXPECT_FALSE(walks(batch_with(record_bytes({14, 0, 0, 0, 1, 1, 0, 0}), 1, 0))) << "record longer than its fields";
  EXPECT_FALSE(walks(batch_with(record_bytes({10, 0, 0, 0, 1, 1, 0}), 1, 0))) << "record shorter than its fields";
  EXPECT_FALSE(walks(batch_with(record_bytes({11, 0, 0, 0, 1, 1, 0}), 1, 0))) << "negative record length";
  EXPECT_FALSE(walks(batch_with(record_bytes({12, 0, 0, 0, 2, 1, 0}), 1, 0))) << "key takes the value's length";
  EXPECT_FALSE(walks(batch_with(record_bytes({12, 0, 0, 0, 3, 1, 0}), 1, 0))) << "key length -2";
  EXPECT_FALSE(walks(batch_with(record_bytes({12, 0, 0, 0, 1, 3, 0}), 1, 0))) << "value length -2";
  EXPECT_FALSE(walks(batch_with(record_bytes({12, 0, 0, 0, 1, 1, 1}), 1, 0))) << "header count -1";
  EXPECT_FALSE(walks(batch_with(record_bytes({12, 0, 0, 0, 1, 1, 2}), 1, 0))) << "a header that is not there";
  EXPECT_FALSE(walks(batch_with(record_bytes({16, 0, 0, 0, 1, 1, 2, 1, 1}), 1, 0))) << "header with a null key";
  EXPECT_TRUE(walks(batch_with(record_bytes({16, 0, 0, 0, 1, 1, 2, 0, 1}), 1, 0))) << "header with an empty key";
}

TEST(RecordReader, FindsTheFirstRecordOfATime) {
  RecordBatchBuilder builder({.base_offset = 100});
  for (const int64_t timestamp : {50, 40, 70, 60}) builder.add({.timestamp = timestamp});
  const Bytes bytes = builder.finish();
  const auto batch = *RecordBatchView::parse(bytes);
  const auto offset_at = [&](int64_t timestamp) {
    const auto record = first_record_at_or_after(batch, timestamp);
    return *record ? (**record).offset : -1;
  };
  EXPECT_EQ(offset_at(0), 100);
  EXPECT_EQ(offset_at(50), 100);
  EXPECT_EQ(offset_at(51), 102);
  EXPECT_EQ(offset_at(70), 102);
  EXPECT_EQ(offset_at(71), -1);
}

TEST(Varint, AllWidthsRoundTripAndOverlongOnesAreRefused) {
  std::mt19937_64 random(5);
  std::vector<int64_t> values{0, 1, -1, 63, 64, -64, -65, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
  for (int i = 0; i < 1000; ++i) values.push_back(static_cast<int64_t>(random()) >> (random() % 64));
  for (const int64_t value : values) {
    Bytes bytes;
    append_varint(bytes, value);
    EXPECT_EQ(bytes.size(), varint_size(value));
    ByteView rest(bytes);
    int64_t back = 0;
    ASSERT_TRUE(take_varlong(rest, back));
    EXPECT_EQ(back, value);
    EXPECT_TRUE(rest.empty());
    ByteView narrow(bytes);
    int32_t small = 0;
    const bool fits = value >= INT32_MIN && value <= INT32_MAX;
    EXPECT_EQ(take_varint(narrow, small), fits);
    if (fits) EXPECT_EQ(small, value);
    ByteView cut = ByteView(bytes).first(bytes.size() - 1);
    EXPECT_FALSE(take_varlong(cut, back));
    EXPECT_EQ(cut.size(), bytes.size() - 1);
  }
  const Bytes endless(11, std::byte{0x80});
  ByteView rest(endless);
  int64_t value = 0;
  EXPECT_FALSE(take_varlong(rest, value));
}

}  // namespace
}  // namespace posthaste::storage
