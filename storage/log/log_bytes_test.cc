// The bytes of a log by themselves: where segments, chunks and the tail are after each thing that can happen to them.
#include "storage/log/log_bytes.h"

#include <gtest/gtest.h>

#include "storage/journal/journal_format.h"
#include "storage/testing/log_parts.h"

namespace posthaste::storage {
namespace {

using reactor::Errc;
using testing::batch_of;
using testing::kPartsNow;

class LogBytesTest : public testing::LogPartsTest {
 protected:
  // Segments with the offsets 0..1, 2..3 and 4, of 100 bytes an offset.
  void make_three_segments() {
    make();
    for (int64_t offset = 0; offset < 5; ++offset) {
      append(batch_of(offset, 100));
      if (offset % 2 == 1) bytes_->roll();
    }
  }
  std::vector<int64_t> bases() const {
    std::vector<int64_t> list;
    for (const auto& segment : bytes_->segments()) list.push_back(segment->base_offset());
    return list;
  }
  uint64_t chunks() const {
    uint64_t count = 0;
    for (const auto& segment : bytes_->segments()) count += segment->chunks().size();
    return count;
  }
};

TEST_F(LogBytesTest, PlacesAndOffsetsLeadToTheirSegments) {
  make_three_segments();
  EXPECT_EQ(bases(), (std::vector<int64_t>{0, 2, 4}));
  EXPECT_EQ(bytes_->end().linear, 500U);
  EXPECT_EQ(bytes_->end().offset, 5);
  EXPECT_EQ(bytes_->segment_of(199)->base_offset(), 0);
  EXPECT_EQ(bytes_->segment_of(200)->base_offset(), 2) << "where two touch it is the later one";
  EXPECT_EQ(bytes_->segment_with(3)->base_offset(), 2);
  EXPECT_EQ(bytes_->segment_with(99)->base_offset(), 4);
  EXPECT_EQ(bytes_->position_of(250), (SegmentPosition{2, 50}));
  EXPECT_EQ(bytes_->offset_behind(*bytes_->segments()[0]), 2);
  EXPECT_EQ(bytes_->offset_behind(bytes_->active()), 5);
  EXPECT_EQ(bytes_->next_of(*bytes_->segments()[1]), &bytes_->active());
  EXPECT_EQ(bytes_->next_of(bytes_->active()), nullptr);
  EXPECT_EQ(bytes_->count_behind(*bytes_->segments()[0]), 2U);
  const Boundary second = bytes_->batch_end_at({200, 2});
  EXPECT_EQ(second.linear, 300U);
  EXPECT_EQ(second.offset, 3);
}

// Of the segment itself only what lies behind the run of its index, and the one behind that
// (SegmentIndex::find_offset).
TEST_F(LogBytesTest, WhatLiesBehindAnOffsetIsToldAsFarAsIndexesTell) {
  make_three_segments();
  EXPECT_EQ(bytes_->bytes_from(0), 300U);
  EXPECT_EQ(bytes_->bytes_from(3), 100U);
  EXPECT_EQ(bytes_->bytes_from(4), 0U);
  EXPECT_EQ(bytes_->bytes_from(5), 0U) << "the end";
  EXPECT_EQ(bytes_->bytes_from(-1), 300U) << "before all";
  append(batch_of(5, kIndexRunBytes));
  append(batch_of(6, kIndexRunBytes));
  append(batch_of(7, 100));
  EXPECT_EQ(bytes_->bytes_from(4), 100U);
  bytes_->active().index_whole = false;
  EXPECT_EQ(bytes_->bytes_from(4), 0U) << "an index that was not read tells nothing";
}

// A batch lies in as many chunks as it takes, and they become larger while the tail is busy.
TEST_F(LogBytesTest, WhatIsAppendedIsThereByteForByteOverAllChunks) {
  make();
  append(batch_of(0, 3000));
  append(batch_of(1, 40'000));
  append(batch_of(2, 100));
  EXPECT_GT(chunks(), 1U);
  EXPECT_EQ(copy_of(bytes_->active(), 0, written_.size()), written_);
  EXPECT_EQ(bytes_->active().first_missing(0, written_.size()), written_.size());
  for (const auto& [position, chunk] : bytes_->active().chunks()) {
    EXPECT_TRUE(chunk->dirty);
    EXPECT_EQ(chunk->verified_begin, 0U) << "what came from memory needs no check";
    EXPECT_EQ(chunk->verified_end, chunk->end);
  }
}

TEST_F(LogBytesTest, ATailThatIsBusyTakesLargerChunksAndBeginsSmallAgain) {
  make();
  for (int64_t offset = 0; offset < 40; ++offset) append(batch_of(offset, 3000));
  EXPECT_LT(chunks(), 10U);
  const uint64_t end = bytes_->end().linear;
  bytes_->clean(0, end);
  flushed_ = end;
  bytes_->active().drop_chunks();
  append(batch_of(40, 100));
  EXPECT_EQ(cache_->dirty_bytes(), ChunkCache::kChunkBytesMin);
}

TEST_F(LogBytesTest, AWrongChecksumIsSeenAndNothingIsTheLogs) {
  make();
  append(batch_of(0, 200));
  Bytes wrong = batch_of(1, 9000);
  wrong.back() ^= std::byte{1};
  const uint64_t before = cache_->dirty_bytes();
  ASSERT_TRUE(reserve(wrong.size()).has_value());
  EXPECT_FALSE(bytes_->copy_to_tail(bytes_->active().size, wrong));
  bytes_->trim_tail(flushed_);
  EXPECT_EQ(cache_->dirty_bytes(), before) << "what was reserved for it is given back";
  EXPECT_EQ(bytes_->end().offset, 1);
  EXPECT_EQ(bytes_->size_bytes(), 200U);
  append(batch_of(1, 300));
  EXPECT_EQ(copy_of(bytes_->active(), 0, 500), written_);
}

TEST_F(LogBytesTest, ATailWithoutRoomStaysAsItIs) {
  cache_ = std::make_shared<ChunkCache>(core_.pool(), 8192, 0);
  make();
  append(batch_of(0, 4000));
  const uint64_t before = cache_->dirty_bytes();
  EXPECT_EQ(reserve(9000).error(), Errc::kNoMemory);
  EXPECT_EQ(cache_->dirty_bytes(), before);
  EXPECT_EQ(chunks(), 1U);
  append(batch_of(1, 3000));
  EXPECT_EQ(copy_of(bytes_->active(), 0, 7000), written_);
}

// All of the large chunk is in the file, so that no write-back frees it: with it there would never be room.
TEST_F(LogBytesTest, WhereALargeChunkWouldFillTheLimitTheLastBlockMoves) {
  cache_ = std::make_shared<ChunkCache>(core_.pool(), 64 << 10, 64 << 10);
  make();
  append(batch_of(0, 60'000));
  flushed_ = bytes_->end().linear;
  bytes_->clean(0, flushed_);
  append(batch_of(1, 20'000));
  const Chunk& first = *bytes_->active().chunks().begin()->second;
  EXPECT_EQ(first.position, align_down(60'000));
  EXPECT_EQ(copy_of(bytes_->active(), align_down(60'000), 80'000),
            Bytes(written_.begin() + static_cast<ptrdiff_t>(align_down(60'000)), written_.end()));
}

// Memory may keep what is in the file, but for the chunk to which the next batch is added.
TEST_F(LogBytesTest, WhatIsInTheFileMayLeaveMemoryButTheChunkThatGrows) {
  make();
  append(batch_of(0, 4096));
  append(batch_of(1, 100));
  append(batch_of(2, 100));
  const Chunk& full = *bytes_->active().chunk_at(0);
  const Chunk& grows = *bytes_->active().chunk_at(4096);
  ASSERT_NE(&full, &grows);
  bytes_->clean(0, 4196);
  EXPECT_FALSE(full.dirty);
  EXPECT_TRUE(grows.dirty);
  bytes_->clean(4196, 4296);
  EXPECT_FALSE(grows.dirty) << "nothing is added to it: all is in the file";
  EXPECT_EQ(cache_->dirty_bytes(), 0U);
  append(batch_of(3, 100));
  EXPECT_TRUE(grows.dirty) << "the tail goes on in it";
}

// A reader has brought in the last block as the file has it; what it has not got would be missing in the middle.
TEST_F(LogBytesTest, TheTailDoesNotGoOnInAChunkThatEndsBeforeTheLog) {
  make({{.base_offset = 0, .size_bytes = 300}}, 3);
  auto chunk = cache_->allocate(4096, 0, false, bytes_->active());
  ASSERT_TRUE(chunk.has_value());
  (*chunk)->end = 200;
  bytes_->active().insert(std::move(*chunk));
  append(batch_of(3, 100));
  EXPECT_EQ(bytes_->active().chunk_at(300)->begin, 300U) << "the block's beginning is in the file alone";
  EXPECT_EQ(copy_of(bytes_->active(), 300, 400), written_);
}

TEST_F(LogBytesTest, ARollSealsAndTheNextSegmentBeginsWhereItEnds) {
  make();
  append(batch_of(0, 500, 7));
  append(batch_of(9, 500, 6));
  bytes_->roll();
  const Segment& old = *bytes_->segments().front();
  EXPECT_TRUE(old.sealed);
  EXPECT_EQ(old.max_timestamp, 7);
  EXPECT_EQ(bytes_->active().base_offset(), 10);
  EXPECT_EQ(bytes_->active().linear_start(), 1000U);
  EXPECT_FALSE(bytes_->active().sealed);
  EXPECT_DEATH(bytes_->roll(), "an empty segment is not sealed");
  const auto summaries = bytes_->summaries();
  ASSERT_EQ(summaries.size(), 2U);
  EXPECT_EQ(summaries[0].next_offset, 10);
  EXPECT_EQ(summaries[0].size_bytes, 1000U);
  EXPECT_EQ(summaries[0].last_append.value, kPartsNow.value);
}

TEST_F(LogBytesTest, ACutAtABoundaryKeepsWhatIsBeforeAndOpensTheSegmentAgain) {
  make_three_segments();
  const std::shared_ptr<Segment> last = bytes_->segments().back();
  Segment::Extras& extras = bytes_->segments()[1]->make_extras();
  extras.refused = {50, 100, 150};
  extras.producer_snapshot = Bytes(5);
  const auto gone = bytes_->cut_to({300, 3});
  EXPECT_EQ(bases(), (std::vector<int64_t>{0, 2}));
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_TRUE(gone[0] == last && last->removed && last->chunks().empty());
  const Segment& active = bytes_->active();
  EXPECT_EQ(active.size, 100U);
  EXPECT_FALSE(active.sealed || active.index_whole || active.headers_known);
  EXPECT_EQ(active.extras()->refused, (std::vector<uint64_t>{50}));
  EXPECT_TRUE(active.extras()->producer_snapshot.empty());
  EXPECT_EQ(bytes_->end().offset, 3);
  EXPECT_EQ(bytes_->size_bytes(), 300U);
}

// Two segments touch there: the first one ends the log, as if the other had never been opened, unless the end lies
// behind the other's name.
TEST_F(LogBytesTest, ACutBetweenTwoSegmentsLeavesTheOneThatTheEndBelongsTo) {
  make({{.base_offset = 0, .size_bytes = 300}, {.base_offset = 10, .size_bytes = 0}}, 10);
  EXPECT_EQ(bytes_->last_segment_up_to({300, 9})->base_offset(), 0);
  EXPECT_EQ(bytes_->last_segment_up_to({300, 10})->base_offset(), 10);
  (void)bytes_->cut_to({300, 7});
  EXPECT_EQ(bases(), (std::vector<int64_t>{0}));
  EXPECT_EQ(bytes_->end().offset, 7);
}

TEST_F(LogBytesTest, WhoReadsWhatIsCutKeepsItsBytes) {
  make();
  append(batch_of(0, 100));
  const Bytes before = written_;
  const ChunkLease lease(bytes_->active().chunk_at(0));
  (void)bytes_->cut_to({0, 0});
  written_.clear();
  append(batch_of(0, 200));
  const ByteView kept = lease->bytes(0, 100);
  EXPECT_EQ(Bytes(kept.begin(), kept.end()), before);
  EXPECT_EQ(copy_of(bytes_->active(), 0, 200), written_);
}

TEST_F(LogBytesTest, SegmentsBelowTheLogStartGoButNotTheLastThatIsKept) {
  make_three_segments();
  EXPECT_TRUE(bytes_->drop_below(1, bytes_->active()).empty()) << "its end is above";
  const Segment& second = *bytes_->segments()[1];
  const auto gone = bytes_->drop_below(5, second);
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_TRUE(gone[0]->removed);
  EXPECT_EQ(bases(), (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(bytes_->size_bytes(), 300U);
  EXPECT_EQ(bytes_->position_of(50), (SegmentPosition{2, 0})) << "what is gone counts as the start of what is left";
  EXPECT_EQ(bytes_->offset_behind(*gone[0]), 5) << "a reader may ask for one that is gone";
}

TEST_F(LogBytesTest, ALogThatBeginsAnewIsEmptyAndCountsOn) {
  make_three_segments();
  const auto gone = bytes_->begin_anew({400, 77});
  EXPECT_EQ(gone.size(), 3U);
  EXPECT_EQ(cache_->dirty_bytes(), 0U);
  EXPECT_EQ(bases(), (std::vector<int64_t>{77}));
  EXPECT_EQ(bytes_->end().linear, 400U);
  EXPECT_EQ(bytes_->size_bytes(), 0U);
  written_.clear();
  append(batch_of(77, 100));
  EXPECT_EQ(bytes_->end().offset, 78);
}

TEST_F(LogBytesTest, AProofOfTheEndLetsTheHeadersBeHashedOn) {
  make();
  append(batch_of(0, 100));
  append(batch_of(1, 100));
  const uint64_t whole = bytes_->active().headers_hash;
  const HeaderProof proof{.segment_base = 0, .position = 200, .hash = whole};
  make({{.base_offset = 0, .size_bytes = 200}}, 2);
  EXPECT_FALSE(bytes_->active().headers_known);
  EXPECT_FALSE(bytes_->adopt_proof({.segment_base = 5, .position = 200, .hash = whole}));
  EXPECT_FALSE(bytes_->adopt_proof({.segment_base = 0, .position = 201, .hash = whole}));
  EXPECT_FALSE(bytes_->active().headers_known);
  EXPECT_TRUE(bytes_->adopt_proof(proof));
  EXPECT_TRUE(bytes_->active().headers_known);
  EXPECT_EQ(bytes_->active().headers_hash, whole);
  // A proof of a place before the end holds up to there only.
  make({{.base_offset = 0, .size_bytes = 200}}, 2);
  EXPECT_TRUE(bytes_->adopt_proof({.segment_base = 0, .position = 100, .hash = 1}));
  EXPECT_FALSE(bytes_->active().headers_known);
}

}  // namespace
}  // namespace posthaste::storage
