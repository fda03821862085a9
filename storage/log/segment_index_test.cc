// The index against a plain list of batches: lookups by offset and time, hashes, truncation, file image, rot.
#include "storage/log/segment_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "storage/batch/record_batch_builder.h"
#include "storage/bytes/codec.h"

namespace posthaste::storage {
namespace {

using reactor::Errc;

struct Placed {
  int64_t base_offset;
  int64_t last_offset;
  int64_t max_timestamp;
  uint32_t position;
  uint32_t size;
};

// A segment made by seed: bytes, what lies where, and its index.
struct Segment {
  Bytes bytes;
  std::vector<Placed> batches;
  SegmentIndexBuilder builder{0};
};

Bytes make_batch(int64_t base_offset, int count, int64_t timestamp, size_t value_size) {
  const Bytes value(value_size, std::byte{'v'});
  RecordBatchBuilder builder({.base_offset = base_offset, .leader_epoch = 4});
  for (int i = 0; i < count; ++i) builder.add({.timestamp = timestamp, .value = ByteView(value)});
  return builder.finish();
}

Segment make_segment(uint64_t seed, size_t batches, size_t largest_value, bool holes) {
  std::mt19937_64 random(seed);
  Segment segment;
  int64_t next = 1000;
  segment.builder = SegmentIndexBuilder(next);
  int64_t clock = 1'000'000;
  for (size_t i = 0; i < batches; ++i) {
    if (holes && random() % 3 == 0) next += static_cast<int64_t>(random() % 50);
    clock += static_cast<int64_t>(random() % 200) - 60;
    const int64_t timestamp = random() % 10 == 0 ? kNoTimestamp : clock;
    const Bytes batch = make_batch(next, 1 + static_cast<int>(random() % 5), timestamp, random() % largest_value);
    const auto view = *RecordBatchView::parse(batch);
    segment.batches.push_back({view.base_offset(), view.last_offset(), view.max_timestamp(),
                               static_cast<uint32_t>(segment.bytes.size()), static_cast<uint32_t>(batch.size())});
    segment.bytes.insert(segment.bytes.end(), batch.begin(), batch.end());
    EXPECT_TRUE(segment.builder.add_batch(view));
    next = view.next_offset();
  }
  return segment;
}

ByteView slice(const Segment& segment, IndexRange range) {
  return ByteView(segment.bytes).subspan(range.position, range.end - range.position);
}

TEST(SegmentIndex, EveryOffsetLeadsToItsBatch) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    const bool holes = seed % 2 == 1;
    const Segment segment = make_segment(seed, 400, 4000, holes);
    const SegmentIndex& index = segment.builder.index();
    ASSERT_GT(index.entries().size(), 3U);
    EXPECT_EQ(index.size_bytes(), segment.bytes.size());
    for (int64_t offset = segment.batches.front().base_offset; offset < index.next_offset(); ++offset) {
      const auto expected =
          std::ranges::find_if(segment.batches, [&](const Placed& p) { return p.last_offset >= offset; });
      const auto range = index.find_offset(offset);
      ASSERT_TRUE(range) << offset;
      const BatchScan scan = find_batch_with_offset(slice(segment, *range), offset);
      ASSERT_EQ(scan.outcome, BatchScan::Outcome::kFound) << offset;
      ASSERT_EQ(range->position + scan.position, expected->position) << offset;
      ASSERT_EQ(scan.size, expected->size);
    }
    EXPECT_FALSE(index.find_offset(segment.batches.front().base_offset - 1));
    EXPECT_FALSE(index.find_offset(index.next_offset()));
  }
}

TEST(SegmentIndex, EveryTimeLeadsToTheFirstBatchThatReachesIt) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(seed);
    const Segment segment = make_segment(seed, 300, 4000, false);
    const SegmentIndex& index = segment.builder.index();
    for (int64_t time = 999'000; time <= index.max_timestamp() + 2; time += 7) {
      const auto expected =
          std::ranges::find_if(segment.batches, [&](const Placed& p) { return p.max_timestamp >= time; });
      const auto range = index.find_timestamp(time);
      ASSERT_EQ(range.has_value(), expected != segment.batches.end()) << time;
      if (!range) continue;
      const BatchScan scan = find_batch_with_timestamp(slice(segment, *range), time);
      ASSERT_EQ(scan.outcome, BatchScan::Outcome::kFound);
      ASSERT_EQ(range->position + scan.position, expected->position) << time;
    }
    const auto largest = std::ranges::max_element(segment.batches, {}, &Placed::max_timestamp);
    EXPECT_EQ(index.max_timestamp(), largest->max_timestamp);
    EXPECT_EQ(index.max_timestamp_offset(), largest->last_offset);
  }
}

TEST(SegmentIndex, RunsAreAbout64KiBAndTheirHashesVouchForEveryHeaderByte) {
  const Segment segment = make_segment(3, 200, 4000, false);
  const SegmentIndex& index = segment.builder.index();
  for (size_t i = 0; i < index.entries().size(); ++i) {
    const IndexRange range = index.range_of(i);
    if (i + 1 < index.entries().size()) {
      EXPECT_GE(range.end - range.position, kIndexRunBytes);
      EXPECT_LT(range.end - range.position, kIndexRunBytes + 5 * 4100);
    }
    EXPECT_EQ(hash_of_run(slice(segment, range)), index.entries()[i].header_hash);
  }
  // What Kafka's CRC does not cover: any bit of it changes the run's hash, or the run cannot be walked.
  const IndexRange range = index.range_of(1);
  const ByteView run = slice(segment, range);
  for (size_t at = 0; at < kBatchHeaderBytes; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes rotten(run.begin(), run.end());
      rotten[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_NE(hash_of_run(rotten), index.entries()[1].header_hash) << at << " " << bit;
    }
  }
  // Whole batches that trade places have the same headers, but not the same hash.
  const auto first = *RecordBatchView::parse(run);
  const auto second = *RecordBatchView::parse(run.subspan(first.size_bytes()));
  Bytes swapped(second.bytes().begin(), second.bytes().end());
  swapped.insert(swapped.end(), first.bytes().begin(), first.bytes().end());
  const ByteView rest = run.subspan(swapped.size());
  swapped.insert(swapped.end(), rest.begin(), rest.end());
  EXPECT_NE(hash_of_run(swapped), index.entries()[1].header_hash);
}

TEST(SegmentIndex, HashOfARunNeedsWholeBatches) {
  const Bytes batch = make_batch(5, 2, 100, 50);
  EXPECT_EQ(hash_of_run(ByteView(batch).first(batch.size() - 1)).error(), Errc::kTruncated);
  Bytes padded = batch;
  padded.resize(padded.size() + 100, std::byte{0xff});
  EXPECT_EQ(hash_of_run(padded).error(), Errc::kCorrupt);
}

TEST(SegmentIndex, TruncatedAndReplayedIsAsIfNeverWritten) {
  std::mt19937_64 random(11);
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    Segment segment = make_segment(seed, 300, 3000, seed % 2 == 1);
    const size_t keep = random() % (segment.batches.size() + 1);
    const uint32_t cut =
        keep == segment.batches.size() ? static_cast<uint32_t>(segment.bytes.size()) : segment.batches[keep].position;
    const uint32_t from = segment.builder.truncate(cut);
    ASSERT_LE(from, cut);
    for (size_t i = 0; i < keep; ++i) {
      if (segment.batches[i].position < from) continue;
      ASSERT_TRUE(segment.builder.add_batch(
          *RecordBatchView::parse(ByteView(segment.bytes).subspan(segment.batches[i].position))));
    }
    SegmentIndexBuilder fresh(1000);
    for (size_t i = 0; i < keep; ++i) {
      ASSERT_TRUE(
          fresh.add_batch(*RecordBatchView::parse(ByteView(segment.bytes).subspan(segment.batches[i].position))));
    }
    EXPECT_EQ(segment.builder.index(), fresh.index());
  }
}

TEST(SegmentIndex, FileImageRoundTripsWithPaddingAndGoesOn) {
  Segment segment = make_segment(5, 150, 4000, true);
  Bytes file = segment.builder.index().encode();
  const auto exact = SegmentIndex::decode(file);
  ASSERT_TRUE(exact);
  EXPECT_EQ(*exact, segment.builder.index());
  file.resize((file.size() + 4095) / 4096 * 4096, std::byte{0x5a});
  const auto padded = SegmentIndex::decode(file);
  ASSERT_TRUE(padded);
  EXPECT_EQ(*padded, segment.builder.index());

  SegmentIndexBuilder resumed(*padded);
  const Bytes more = make_batch(padded->next_offset(), 3, 5'000'000, 100);
  EXPECT_TRUE(resumed.add_batch(*RecordBatchView::parse(more)));
  EXPECT_TRUE(segment.builder.add_batch(*RecordBatchView::parse(more)));
  EXPECT_EQ(resumed.index(), segment.builder.index());

  EXPECT_EQ(*SegmentIndex::decode(SegmentIndex(77).encode()), SegmentIndex(77));
}

TEST(SegmentIndex, EveryFlippedBitAndEveryPrefixOfTheFileIsFound) {
  const Bytes file = make_segment(6, 60, 8000, false).builder.index().encode();
  for (size_t at = 0; at < file.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes rotten = file;
      rotten[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(SegmentIndex::decode(rotten)) << at;
    }
    EXPECT_EQ(SegmentIndex::decode(ByteView(file).first(at)).error(), Errc::kTruncated) << at;
  }
}

// A file whose checksum is right may still say what no index says: a bug or malice, never believed.
TEST(SegmentIndex, WellSealedNonsenseIsCorrupt) {
  const Bytes file = make_segment(6, 60, 8000, false).builder.index().encode();
  const uint32_t magic = load_le<uint32_t>(file.data());
  const auto decode_changed = [&](size_t at, int64_t value, size_t width) {
    const OpenedFrame frame = *open_frame(file, magic, 1);
    Bytes payload(frame.payload.begin(), frame.payload.end());
    width == 8 ? store_le<int64_t>(payload.data() + at, value)
               : store_le<int32_t>(payload.data() + at, static_cast<int32_t>(value));
    return SegmentIndex::decode(make_frame(magic, 1, payload));
  };
  EXPECT_TRUE(decode_changed(24, 1, 4)) << "the run size is only a hint";
  EXPECT_EQ(decode_changed(8, 0, 8).error(), Errc::kCorrupt) << "next offset below the entries";
  EXPECT_EQ(decode_changed(16, 10, 8).error(), Errc::kCorrupt) << "segment shorter than its runs";
  EXPECT_EQ(decode_changed(16, int64_t{1} << 40, 8).error(), Errc::kCorrupt) << "segment longer than can be";
  EXPECT_EQ(decode_changed(28, 1'000'000'000, 4).error(), Errc::kCorrupt) << "more entries than bytes";
  EXPECT_EQ(decode_changed(40 + 8, 7, 4).error(), Errc::kCorrupt) << "first run not at the start";
  EXPECT_EQ(decode_changed(80, 0, 8).error(), Errc::kCorrupt) << "below the segment";
  EXPECT_EQ(decode_changed(80, 1000, 8).error(), Errc::kCorrupt) << "offsets do not ascend";
  EXPECT_EQ(decode_changed(80 + 8, 0, 4).error(), Errc::kCorrupt) << "positions descend";
  EXPECT_EQ(decode_changed(80 + 16, -1, 8).error(), Errc::kCorrupt) << "maxima descend";
  const OpenedFrame frame = *open_frame(file, magic, 1);
  EXPECT_EQ(SegmentIndex::decode(make_frame(magic, 2, frame.payload)).error(), Errc::kUnsupported);
  EXPECT_EQ(SegmentIndex::decode(make_frame(magic + 1, 1, frame.payload)).error(), Errc::kCorrupt);
}

TEST(SegmentIndex, OfEqualTimesTheFirstCounts) {
  SegmentIndexBuilder builder(0);
  for (int64_t offset = 0; offset < 3; ++offset) {
    ASSERT_TRUE(builder.add_batch(*RecordBatchView::parse(make_batch(offset, 1, offset == 0 ? 5 : 9, 1))));
  }
  EXPECT_EQ(builder.index().max_timestamp(), 9);
  EXPECT_EQ(builder.index().max_timestamp_offset(), 1);
}

TEST(SegmentIndex, BatchesMustAscend) {
  SegmentIndexBuilder builder(10);
  const Bytes below = make_batch(9, 1, 1, 1);
  const Bytes here = make_batch(10, 2, 1, 1);
  EXPECT_EQ(builder.add_batch(*RecordBatchView::parse(below)).error(), Errc::kOutOfOrder);
  EXPECT_TRUE(builder.add_batch(*RecordBatchView::parse(here)));
  EXPECT_EQ(builder.add_batch(*RecordBatchView::parse(here)).error(), Errc::kOutOfOrder);
  EXPECT_EQ(builder.index().size_bytes(), here.size());
  // A batch up to the largest offset leaves no number for what follows. Found by fuzzing.
  Bytes last = make_batch(10, 2, 1, 1);
  patch_offset_and_epoch(last, INT64_MAX - 1, 0);
  EXPECT_EQ(builder.add_batch(*RecordBatchView::parse(last)).error(), Errc::kOutOfOrder);
  patch_offset_and_epoch(last, INT64_MAX - 2, 0);
  EXPECT_TRUE(builder.add_batch(*RecordBatchView::parse(last)));
  EXPECT_EQ(SegmentIndex::decode(builder.index().encode()), builder.index());
}

TEST(BatchScan, SaysWhatIsMissing) {
  Bytes bytes = make_batch(0, 3, 100, 200);
  const size_t first = bytes.size();
  const Bytes second = make_batch(3, 1, 50, 500);
  bytes.insert(bytes.end(), second.begin(), second.end());

  EXPECT_EQ(find_batch_with_offset(bytes, 2).position, 0U);
  EXPECT_EQ(find_batch_with_offset(bytes, 3).position, first);
  const BatchScan past = find_batch_with_offset(bytes, 4);
  EXPECT_EQ(past.outcome, BatchScan::Outcome::kNotFound);
  EXPECT_EQ(past.position, bytes.size());
  EXPECT_EQ(find_batch_with_timestamp(bytes, 101).outcome, BatchScan::Outcome::kNotFound);
  EXPECT_EQ(find_batch_with_timestamp(bytes, 60).position, 0U);

  const BatchScan cut = find_batch_with_offset(ByteView(bytes).first(first + kBatchHeaderBytes), 3);
  EXPECT_EQ(cut.outcome, BatchScan::Outcome::kNeedMore);
  EXPECT_EQ(cut.position, first);
  EXPECT_EQ(cut.size, second.size());
  const BatchScan no_header = find_batch_with_offset(ByteView(bytes).first(first + 5), 3);
  EXPECT_EQ(no_header.outcome, BatchScan::Outcome::kNeedMore);
  EXPECT_EQ(no_header.size, 0U);

  bytes[first + 16] = std::byte{9};
  EXPECT_EQ(find_batch_with_offset(bytes, 3).outcome, BatchScan::Outcome::kCorrupt);
}

}  // namespace
}  // namespace posthaste::storage
