// What the journal gets of a log, and what is not needed any more: the records are decoded again, the test is the
// device.
#include "storage/log/commit_state.h"

#include <gtest/gtest.h>

#include "storage/testing/log_parts.h"

namespace posthaste::storage {
namespace {

using testing::batch_of;

class CommitStateTest : public testing::LogPartsTest {
 protected:
  struct Taken {
    CommitState::Submitted submitted;
    std::vector<JournalRecord> records;
    Bytes bytes;  // that the records point into
  };

  void begin(std::vector<SegmentEntry> segments = {SegmentEntry{}}, int64_t end_offset = 0) {
    make(std::move(segments), end_offset);
    commit_ = std::make_unique<CommitState>(*bytes_, bytes_->end(), 7, std::nullopt);
    flushed_ = commit_->flushed_linear();
  }
  // One sub-block of at most `bytes_max` bytes.
  Taken take(size_t bytes_max = 64 << 10, size_t gather_bytes_min = SIZE_MAX) {
    Bytes space(bytes_max);
    RecordWriter writer(space, 0, bytes_max);
    std::vector<ChunkLease> referred;
    Taken taken;
    taken.submitted = commit_->submit(
        {.uid = 3, .generation = 2, .high_watermark = commit_->durable().offset, .gather_bytes_min = gather_bytes_min},
        writer, referred);
    const size_t used = writer.used();
    for (const reactor::Slice& piece : writer.finish()) {
      taken.bytes.insert(taken.bytes.end(), piece.data, piece.data + piece.size);
    }
    taken.bytes.resize(used);
    RecordCursor cursor(taken.bytes);
    for (;;) {
      const auto record = cursor.next();
      EXPECT_TRUE(record.has_value());
      if (!record || !*record) return taken;
      taken.records.push_back(**record);
    }
  }
  void durable(const Taken& taken, uint64_t file_start_lsn = 4096) {
    (void)commit_->made_durable(taken.submitted, {.lsn = file_start_lsn + 10, .file_start_lsn = file_start_lsn});
  }
  void append_durable(const Bytes& batch, uint64_t file_start_lsn = 4096) {
    append(batch);
    durable(take(), file_start_lsn);
  }
  // As write-back does.
  void flush(uint64_t linear) {
    const uint64_t before = commit_->flushed_linear();
    commit_->flushed_to(linear);
    bytes_->clean(before, linear);
    flushed_ = linear;
  }
  static Bytes copy(ByteView bytes) { return {bytes.begin(), bytes.end()}; }
  Bytes of_log(uint64_t from, uint64_t to) const {
    return {written_.begin() + static_cast<ptrdiff_t>(from), written_.begin() + static_cast<ptrdiff_t>(to)};
  }

  std::unique_ptr<CommitState> commit_;
};

TEST_F(CommitStateTest, ARecordHoldsWhatWasAppendedAndItBecomesDurableAsAWhole) {
  begin();
  append(batch_of(0, 300));
  append(batch_of(1, 200));
  const Taken taken = take();
  ASSERT_EQ(taken.records.size(), 1U);
  const JournalRecord& record = taken.records[0];
  EXPECT_EQ(record.uid, 3U);
  EXPECT_EQ(record.position, 0U);
  EXPECT_TRUE(record.prefix.empty());
  EXPECT_EQ(copy(record.data), written_);
  EXPECT_EQ(record.boundary, 500U);
  EXPECT_EQ(record.boundary_offset, 2);
  EXPECT_EQ(record.high_watermark, 0);
  EXPECT_EQ(commit_->durable().offset, 0) << "the commit is under way";
  EXPECT_FALSE(commit_->is_all_durable());
  EXPECT_FALSE(take().submitted.any) << "nothing is taken twice";
  durable(taken);
  EXPECT_EQ(commit_->durable().offset, 2);
  EXPECT_EQ(commit_->durable_linear(), 500U);
  EXPECT_TRUE(commit_->is_all_durable());
  EXPECT_EQ(commit_->flushed_linear(), 0U);
}

// A batch that one commit cannot hold: what is durable of it counts for write-back, and no waiter wakes before its end.
TEST_F(CommitStateTest, ABatchThatNoCommitHoldsIsDurableWithItsLastPart) {
  begin();
  append(batch_of(0, 300));
  append(batch_of(1, 20'000));
  append(batch_of(2, 300));
  const Taken first = take(12 << 10);
  EXPECT_TRUE(first.submitted.more);
  ASSERT_EQ(first.records.size(), 1U);
  EXPECT_EQ(first.records[0].boundary, 300U) << "the last batch that is whole";
  EXPECT_EQ(first.records[0].boundary_offset, 1);
  EXPECT_TRUE(commit_->is_in_batch());
  durable(first);
  EXPECT_EQ(commit_->durable().offset, 1);
  EXPECT_EQ(commit_->durable_linear(), commit_->submitted_linear());
  EXPECT_GT(commit_->durable_linear(), 300U);
  // Its rest alone, however much room there is: then other partitions have their turn.
  const Taken second = take();
  EXPECT_EQ(commit_->submitted_linear(), 20'300U);
  EXPECT_TRUE(second.submitted.more);
  EXPECT_FALSE(commit_->is_in_batch());
  EXPECT_EQ(commit_->durable().offset, 1);
  durable(second);
  EXPECT_EQ(commit_->durable().offset, 2);
  const Taken third = take();
  EXPECT_FALSE(third.submitted.more);
  durable(third);
  EXPECT_EQ(commit_->durable().offset, 3);
  Bytes all = copy(first.records[0].data);
  for (const Taken* taken : {&second, &third}) {
    for (const JournalRecord& record : taken->records) all.insert(all.end(), record.data.begin(), record.data.end());
  }
  EXPECT_EQ(all, written_);
}

TEST_F(CommitStateTest, OfThreeCommitsInABatchNoneButTheLastMovesTheBoundary) {
  begin();
  append(batch_of(0, 30'000));
  for (int i = 0; i < 2; ++i) {
    const Taken taken = take(12 << 10);
    const CommitState::Advance advance = commit_->made_durable(taken.submitted, {.lsn = 5000, .file_start_lsn = 4096});
    EXPECT_TRUE(advance.bytes);
    EXPECT_FALSE(advance.boundary);
    EXPECT_EQ(commit_->durable().linear, 0U);
  }
  const Taken last = take(12 << 10);
  EXPECT_TRUE(commit_->made_durable(last.submitted, {.lsn = 5000, .file_start_lsn = 4096}).boundary);
  EXPECT_EQ(commit_->durable().offset, 1);
}

// Write-back goes by bytes, so that the batch's header may have left memory before the journal has got its rest.
TEST_F(CommitStateTest, ABatchGoesOnWhenItsHeaderHasLeftMemory) {
  begin();
  append(batch_of(0, 4000));  // its chunk holds the next one's header too
  append(batch_of(1, 60'000));
  durable(take(20 << 10));
  const uint64_t written = align_down(commit_->durable_linear());
  flush(written);
  Chunk& first = *bytes_->active().chunk_at(0);
  ASSERT_LE(first.segment_end(), written);
  ASSERT_FALSE(first.dirty);
  bytes_->active().remove(first);
  while (commit_->submitted_linear() < 64'000) durable(take(20 << 10));
  EXPECT_EQ(commit_->durable().offset, 2);
  EXPECT_EQ(commit_->durable_linear(), 64'000U);
}

// The full-page rule: write-back has written a block whose rest is not there yet. It is written again with more in it,
// and may be torn then: so the record of what is added has the block's earlier bytes too, once.
TEST_F(CommitStateTest, TheFirstRecordIntoABlockThatWasWrittenCarriesTheBlocksBeginning) {
  begin();
  append_durable(batch_of(0, 5000));
  EXPECT_FALSE(commit_->is_prefix_due()) << "the block was not written";
  flush(5000);
  EXPECT_TRUE(commit_->is_prefix_due());
  append(batch_of(1, 100));
  const Taken taken = take();
  ASSERT_EQ(taken.records.size(), 1U);
  EXPECT_EQ(taken.records[0].position, 5000U);
  EXPECT_EQ(copy(taken.records[0].prefix), of_log(4096, 5000));
  EXPECT_EQ(copy(taken.records[0].data), of_log(5000, 5100));
  EXPECT_FALSE(commit_->is_prefix_due());
  durable(taken);
  append(batch_of(2, 100));
  const Taken next = take();
  ASSERT_EQ(next.records.size(), 1U);
  EXPECT_TRUE(next.records[0].prefix.empty()) << "the record before has it";
}

TEST_F(CommitStateTest, ABlockThatWasWrittenFullNeedsNoBeginning) {
  begin();
  append_durable(batch_of(0, 4096));
  flush(4096);
  EXPECT_FALSE(commit_->is_prefix_due());
  append(batch_of(1, 100));
  EXPECT_TRUE(take().records[0].prefix.empty());
}

// After a start the last block is in the file alone: nothing of the log is journaled before its beginning was read.
TEST_F(CommitStateTest, NothingIsTakenBeforeTheBlocksBeginningIsInMemory) {
  begin({{.base_offset = 0, .size_bytes = 300}}, 3);
  EXPECT_TRUE(commit_->is_prefix_due());
  append(batch_of(3, 100));
  const Taken nothing = take();
  EXPECT_TRUE(nothing.submitted.needs_prefix);
  EXPECT_FALSE(nothing.submitted.any);
  EXPECT_EQ(commit_->submitted_linear(), 300U);
  Chunk& chunk = *bytes_->active().chunk_at(0);
  std::fill_n(chunk.buffer.data(), 300, std::byte{'p'});
  chunk.begin = 0;
  const Taken taken = take();
  ASSERT_EQ(taken.records.size(), 1U);
  EXPECT_EQ(copy(taken.records[0].prefix), Bytes(300, std::byte{'p'}));
  EXPECT_EQ(copy(taken.records[0].data), written_);
}

// Records are not needed any more when what they hold is in the file; in the block of the flushed end only if the next
// record brings the block along.
TEST_F(CommitStateTest, AFileOfTheJournalIsNeededUntilWhatItHoldsIsInItsPlace) {
  begin();
  append_durable(batch_of(0, 4096), 4096);
  append_durable(batch_of(1, 1000), 8192);
  EXPECT_EQ(commit_->oldest_needed_lsn(99'999), 4096U);
  EXPECT_EQ(commit_->oldest_needed_lsn(100), 100U);
  append(batch_of(2, 1000));
  const Taken under_way = take();
  flush(4096);
  EXPECT_EQ(commit_->oldest_needed_lsn(99'999), 8192U);
  // The record under way shares the block and has no beginning of it: the block's older record stays.
  flush(5096);
  EXPECT_FALSE(commit_->is_prefix_due());
  EXPECT_EQ(commit_->released_linear(), 4096U);
  EXPECT_EQ(commit_->oldest_needed_lsn(99'999), 8192U);
  durable(under_way, 12'288);
  EXPECT_EQ(commit_->oldest_live_lsn(), 8192U);
  flush(6096);
  EXPECT_TRUE(commit_->is_prefix_due());
  EXPECT_EQ(commit_->released_linear(), 6096U);
  EXPECT_EQ(commit_->oldest_needed_lsn(99'999), 99'999U);
  EXPECT_EQ(commit_->oldest_live_lsn(), std::nullopt);
}

TEST_F(CommitStateTest, ARollIsJournaledBehindTheSegmentsLastBytes) {
  begin();
  append(batch_of(0, 200));
  bytes_->roll();
  commit_->meta_queued();
  append(batch_of(1, 100));
  EXPECT_EQ(commit_->rolls_to_submit(), 1U);
  const Taken taken = take();
  ASSERT_EQ(taken.records.size(), 3U);
  EXPECT_EQ(taken.records[0].segment_base, 0);
  EXPECT_EQ(taken.records[1].type, RecordType::kRoll);
  EXPECT_EQ(taken.records[1].position, 200U);
  EXPECT_EQ(taken.records[1].first_offset, 1);
  EXPECT_EQ(taken.records[1].generation, 2U);
  EXPECT_EQ(taken.records[2].segment_base, 1);
  EXPECT_EQ(taken.records[2].position, 0U);
  EXPECT_EQ(commit_->rolls_to_submit(), 0U);
  EXPECT_EQ(commit_->metas_pending(), 1U);
  // A table that is made meanwhile does not know the new segment.
  EXPECT_EQ(commit_->durable_position_of(0), (SegmentPosition{0, 0}));
  EXPECT_EQ(commit_->durable_segment().base_offset(), 0);
  durable(taken);
  EXPECT_EQ(commit_->metas_pending(), 0U);
  EXPECT_EQ(commit_->last_meta_lsn(), 4106U);
  EXPECT_EQ(commit_->durable_segment().base_offset(), 1);
  EXPECT_EQ(commit_->durable_position_of(200), (SegmentPosition{1, 0}));
}

// Where two segments touch, a place is in the earlier one until the name of the later one is durable.
TEST_F(CommitStateTest, AnEndBetweenTwoSegmentsIsOfTheOneThatIsDurable) {
  begin();
  append_durable(batch_of(0, 200));
  bytes_->roll();
  commit_->meta_queued();
  EXPECT_EQ(commit_->durable_position_of(200), (SegmentPosition{0, 200}));
  EXPECT_FALSE(commit_->is_all_durable()) << "a roll is not";
  durable(take());
  EXPECT_EQ(commit_->durable_position_of(200), (SegmentPosition{1, 0}));
  EXPECT_TRUE(commit_->is_all_durable());
}

TEST_F(CommitStateTest, LongRangesAreReferredToAndSayTheSame) {
  begin();
  append(batch_of(0, 50'000));
  const Taken taken = take(128 << 10, 32 << 10);
  Bytes all;
  for (const JournalRecord& record : taken.records) all.insert(all.end(), record.data.begin(), record.data.end());
  EXPECT_EQ(all, written_);
  EXPECT_EQ(commit_->submitted().offset, 1);
}

TEST_F(CommitStateTest, ALogThatGoesOnAfterACutOwesNothing) {
  begin();
  append_durable(batch_of(0, 5000));
  append_durable(batch_of(1, 1000));
  flush(6000);
  bytes_->roll();
  commit_->meta_queued();
  commit_->before_cut();
  EXPECT_EQ(commit_->metas_pending(), 0U) << "its roll is never journaled";
  (void)bytes_->cut_to({5000, 1});
  commit_->go_on_from({5000, 1});
  EXPECT_EQ(commit_->durable().offset, 1);
  EXPECT_EQ(commit_->flushed_linear(), 5000U);
  EXPECT_TRUE(commit_->is_all_durable() && commit_->is_all_flushed());
  EXPECT_TRUE(commit_->is_prefix_due()) << "the last block is in the file";
  EXPECT_EQ(commit_->oldest_needed_lsn(99'999), 99'999U);
  EXPECT_FALSE(commit_->durable_proof().has_value());
}

TEST_F(CommitStateTest, ACutWhileACommitIsUnderWayIsABug) {
  begin();
  append(batch_of(0, 100));
  (void)take();
  EXPECT_DEATH(commit_->before_cut(), "under way");
}

TEST_F(CommitStateTest, WhatRetentionDropsNeedsNoJournal) {
  begin();
  append_durable(batch_of(0, 5000), 4096);
  bytes_->roll();
  commit_->meta_queued();
  append_durable(batch_of(1, 100), 8192);
  ASSERT_EQ(bytes_->drop_below(1, commit_->durable_segment()).size(), 1U);
  commit_->dropped_below(5000);
  EXPECT_EQ(commit_->flushed_linear(), 5000U);
  EXPECT_EQ(commit_->oldest_needed_lsn(99'999), 8192U);
  EXPECT_FALSE(commit_->is_prefix_due());
}

// The proof of the headers is that of the durable end, never of one that a commit under way holds.
TEST_F(CommitStateTest, TheProofFollowsTheDurableEnd) {
  begin();
  append(batch_of(0, 100));
  const uint64_t first = bytes_->active().headers_hash;
  const Taken one = take();
  append(batch_of(1, 100));
  const Taken two = take();
  EXPECT_FALSE(commit_->durable_proof().has_value());
  durable(one);
  ASSERT_TRUE(commit_->durable_proof().has_value());
  EXPECT_EQ(*commit_->durable_proof(), (HeaderProof{.segment_base = 0, .position = 100, .hash = first}));
  durable(two);
  EXPECT_EQ(commit_->durable_proof()->position, 200U);
  EXPECT_EQ(commit_->durable_proof()->hash, bytes_->active().headers_hash);
}

TEST_F(CommitStateTest, MetaRecordsCountUntilMemoryFollows) {
  begin();
  commit_->meta_queued();
  commit_->meta_queued();
  commit_->meta_durable(50, true);
  commit_->meta_durable(60, false);
  EXPECT_EQ(commit_->metas_pending(), 0U);
  EXPECT_EQ(commit_->metas_unapplied(), 1U);
  EXPECT_EQ(commit_->last_meta_lsn(), 60U);
  commit_->meta_applied();
  EXPECT_EQ(commit_->metas_unapplied(), 0U);
  EXPECT_DEATH(commit_->meta_applied(), "metas_unapplied_ > 0");
  EXPECT_DEATH(commit_->meta_durable(70, false), "metas_pending_ > 0");
}

}  // namespace
}  // namespace posthaste::storage
