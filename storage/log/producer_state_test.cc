// Idempotent producers: each rule of Kafka, a model by seed, bounds, expiry, snapshots, and truncation by replay.
#include "storage/log/producer_state.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <vector>

#include "storage/batch/record_batch_builder.h"
#include "storage/bytes/codec.h"

namespace posthaste::storage {
namespace {

using reactor::Errc;
using reactor::WallMillis;
using Kind = ProducerVerdict::Kind;

struct Spec {
  int64_t id = 1;
  int16_t epoch = 0;
  int32_t sequence = 0;
  int count = 1;
  int64_t offset = 0;
  bool control = false;
};

// A batch that owns its bytes.
class Batch {
 public:
  explicit Batch(const Spec& spec) {
    RecordBatchBuilder builder({.base_offset = spec.offset,
                                .producer_id = spec.id,
                                .producer_epoch = spec.epoch,
                                .base_sequence = spec.control ? kNoSequence : spec.sequence,
                                .control = spec.control});
    for (int i = 0; i < spec.count; ++i) builder.add({.timestamp = 7000 + spec.offset});
    bytes_ = builder.finish();
  }
  RecordBatchView view() const { return *RecordBatchView::parse(bytes_); }

 private:
  Bytes bytes_;
};

Kind kind_of(const ProducerState& state, const Spec& spec) { return state.check(Batch(spec).view()).kind; }

void append(ProducerState& state, const Spec& spec, int64_t now = 0) {
  state.append(Batch(spec).view(), WallMillis{now});
}

TEST(ProducerState, BatchesWithoutAProducerIdPassAndLeaveNoTrace) {
  ProducerState state;
  const Spec plain{.id = kNoProducerId, .epoch = kNoProducerEpoch, .sequence = kNoSequence};
  EXPECT_EQ(kind_of(state, plain), Kind::kAccepted);
  append(state, plain);
  EXPECT_EQ(state.size(), 0U);
}

TEST(ProducerState, SequencesContinueAndGapsAreRefused) {
  ProducerState state;
  append(state, {.sequence = 0, .count = 3, .offset = 100});
  EXPECT_EQ(kind_of(state, {.sequence = 3}), Kind::kAccepted);
  EXPECT_EQ(kind_of(state, {.sequence = 4}), Kind::kOutOfOrder);
  EXPECT_EQ(kind_of(state, {.sequence = 2}), Kind::kOutOfOrder);
  EXPECT_EQ(kind_of(state, {.id = 2, .sequence = 0}), Kind::kAccepted) << "producers do not disturb each other";
}

TEST(ProducerState, AnUnknownProducerMayStartAnywhere) {
  const ProducerState state;
  EXPECT_EQ(kind_of(state, {.sequence = 0}), Kind::kAccepted);
  EXPECT_EQ(kind_of(state, {.epoch = 9, .sequence = 12345}), Kind::kAccepted);
}

TEST(ProducerState, NothingOvertakesTheRefusedBatchOfAnUnknownProducer) {
  ProducerState state;
  state.refused(Batch({.epoch = 1, .sequence = 7, .count = 3}).view(), WallMillis{0});
  EXPECT_EQ(kind_of(state, {.epoch = 1, .sequence = 10}), Kind::kOutOfOrder);
  EXPECT_EQ(kind_of(state, {.epoch = 1, .sequence = 0}), Kind::kOutOfOrder);
  EXPECT_EQ(kind_of(state, {.epoch = 1, .sequence = 7, .count = 3}), Kind::kAccepted);
  EXPECT_EQ(kind_of(state, {.epoch = 2, .sequence = 0}), Kind::kAccepted) << "a client that gave up begins an epoch";
  state.refused(Batch({.epoch = 1, .sequence = 10}).view(), WallMillis{0});
  EXPECT_EQ(kind_of(state, {.epoch = 1, .sequence = 7, .count = 3}), Kind::kAccepted) << "the first one refused counts";
  append(state, {.epoch = 1, .sequence = 7, .count = 3, .offset = 50});
  EXPECT_EQ(kind_of(state, {.epoch = 1, .sequence = 10}), Kind::kAccepted);
  state.refused(Batch({.epoch = 1, .sequence = 12}).view(), WallMillis{0});
  EXPECT_EQ(kind_of(state, {.epoch = 1, .sequence = 10}), Kind::kAccepted) << "a known producer goes on as before";
}

TEST(ProducerState, ARefusedBatchIsInNoSnapshotAndInNoDescription) {
  ProducerState state;
  append(state, {.id = 3, .sequence = 0});
  const Bytes before = state.encode(1);
  state.refused(Batch({.id = 4, .sequence = 0}).view(), WallMillis{0});
  EXPECT_EQ(state.encode(1), before);
  EXPECT_EQ(state.describe().size(), 1U);
  append(state, {.id = 4, .sequence = 0, .offset = 1});
  EXPECT_EQ(state.describe().size(), 2U);
}

TEST(ProducerState, ADuplicateGetsItsOldOffsets) {
  ProducerState state;
  for (int i = 0; i < 7; ++i) append(state, {.sequence = 2 * i, .count = 2, .offset = 100 + 10 * i});
  for (int i = 2; i < 7; ++i) {
    const ProducerVerdict verdict = state.check(Batch({.sequence = 2 * i, .count = 2, .offset = 999}).view());
    EXPECT_EQ(verdict, (ProducerVerdict{Kind::kDuplicate, 100 + 10 * i, 101 + 10 * i, 7100 + 10 * i})) << i;
  }
  EXPECT_EQ(kind_of(state, {.sequence = 2, .count = 2}), Kind::kOutOfOrder) << "older than the five remembered";
  EXPECT_EQ(kind_of(state, {.sequence = 12, .count = 1}), Kind::kOutOfOrder) << "half a batch is not a duplicate";
  EXPECT_EQ(kind_of(state, {.sequence = 12, .count = 3}), Kind::kOutOfOrder);
}

TEST(ProducerState, SequencesWrapAfterInt32Max) {
  ProducerState state;
  append(state, {.sequence = INT32_MAX - 1, .count = 2, .offset = 10});
  EXPECT_EQ(kind_of(state, {.sequence = 0}), Kind::kAccepted);
  EXPECT_EQ(kind_of(state, {.sequence = 1}), Kind::kOutOfOrder);
  ProducerState across;
  append(across, {.sequence = INT32_MAX - 1, .count = 4, .offset = 10});  // ends with sequence 1
  EXPECT_EQ(kind_of(across, {.sequence = 2}), Kind::kAccepted);
  EXPECT_EQ(across.check(Batch({.sequence = INT32_MAX - 1, .count = 4}).view()).base_offset, 10);
}

TEST(ProducerState, EpochsFenceAndRestartTheSequence) {
  ProducerState state;
  append(state, {.epoch = 3, .sequence = 0, .count = 5, .offset = 10});
  EXPECT_EQ(kind_of(state, {.epoch = 2, .sequence = 5}), Kind::kFenced);
  EXPECT_EQ(kind_of(state, {.epoch = 2, .sequence = 0, .count = 5}), Kind::kFenced)
      << "also for what would be a duplicate";
  EXPECT_EQ(kind_of(state, {.epoch = 4, .sequence = 5}), Kind::kOutOfOrder);
  EXPECT_EQ(kind_of(state, {.epoch = 4, .sequence = 0}), Kind::kAccepted);
  append(state, {.epoch = 4, .sequence = 0, .count = 1, .offset = 15});
  EXPECT_EQ(kind_of(state, {.epoch = 3, .sequence = 5}), Kind::kFenced);
  EXPECT_EQ(kind_of(state, {.epoch = 4, .sequence = 0, .count = 5}), Kind::kOutOfOrder)
      << "the old epoch's batch is no duplicate";
  EXPECT_EQ(kind_of(state, {.epoch = 4, .sequence = 1}), Kind::kAccepted);
}

TEST(ProducerState, MarkersMoveTheEpochAndAfterThemTheSequenceRestarts) {
  ProducerState state;
  append(state, {.epoch = 1, .sequence = 0, .count = 5, .offset = 10});
  append(state, {.epoch = 1, .offset = 15, .control = true});
  EXPECT_EQ(kind_of(state, {.epoch = 1, .sequence = 5}), Kind::kAccepted) << "same epoch: the count goes on";
  append(state, {.epoch = 2, .offset = 16, .control = true});
  EXPECT_EQ(kind_of(state, {.epoch = 1, .sequence = 5}), Kind::kFenced);
  EXPECT_EQ(kind_of(state, {.epoch = 2, .sequence = 5}), Kind::kOutOfOrder);
  EXPECT_EQ(kind_of(state, {.epoch = 2, .sequence = 0}), Kind::kAccepted);
  EXPECT_EQ(kind_of(state, {.epoch = 1, .control = true}), Kind::kFenced);
  EXPECT_EQ(kind_of(state, {.epoch = 2, .control = true}), Kind::kAccepted);
}

TEST(ProducerState, AnOlderEpochInReplayedBytesDoesNotLowerTheFence) {
  ProducerState state;
  append(state, {.epoch = 5, .sequence = 0, .offset = 10});
  append(state, {.epoch = 4, .sequence = 7, .offset = 11});
  EXPECT_EQ(kind_of(state, {.epoch = 4, .sequence = 8}), Kind::kFenced);
  EXPECT_EQ(kind_of(state, {.epoch = 5, .sequence = 1}), Kind::kAccepted);
}

TEST(ProducerState, SilentProducersExpire) {
  ProducerState state({.expiration_ms = 1000});
  append(state, {.id = 1}, 0);
  append(state, {.id = 2}, 500);
  append(state, {.id = 3}, 600);
  append(state, {.id = 1, .sequence = 1}, 900);
  EXPECT_EQ(state.expire(WallMillis{1499}), 0U);
  EXPECT_EQ(state.expire(WallMillis{1500}), 1U);
  EXPECT_EQ(kind_of(state, {.id = 2, .sequence = 77}), Kind::kAccepted) << "forgotten: may start anywhere";
  EXPECT_EQ(kind_of(state, {.id = 3, .sequence = 77}), Kind::kOutOfOrder);
  EXPECT_EQ(state.expire(WallMillis{5000}), 2U);
  EXPECT_EQ(state.size(), 0U);
  EXPECT_EQ(state.expire(WallMillis{9000}), 0U);
}

TEST(ProducerState, AClockThatJumpsBackKeepsTheOrderOfSilence) {
  ProducerState state({.expiration_ms = 1000});
  append(state, {.id = 1}, 5000);
  append(state, {.id = 2}, 100);
  append(state, {.id = 1, .sequence = 1, .offset = 1}, 5100);
  EXPECT_EQ(state.expire(WallMillis{5500}), 0U) << "producer 2 spoke after 5000, whatever the clock said";
  EXPECT_TRUE(ProducerState::decode(state.encode(50), {}));
  EXPECT_EQ(state.expire(WallMillis{6000}), 1U);
}

// Each run of a client is a new producer: a full table that refused them would lock all clients out.
TEST(ProducerState, AFullTableForgetsTheLongestSilentForANewProducer) {
  ProducerState state({.max_producers = 2});
  append(state, {.id = 1}, 0);
  append(state, {.id = 2}, 0);
  append(state, {.id = 1, .sequence = 1, .offset = 1}, 0);
  EXPECT_EQ(state.pushed_out(), 0U);
  EXPECT_EQ(kind_of(state, {.id = 3}), Kind::kAccepted);
  append(state, {.id = 3}, 0);
  EXPECT_EQ(state.size(), 2U);
  EXPECT_EQ(state.pushed_out(), 1U);
  EXPECT_EQ(kind_of(state, {.id = 1, .sequence = 9}), Kind::kOutOfOrder) << "it spoke later";
  EXPECT_EQ(kind_of(state, {.id = 2, .sequence = 1}), Kind::kAccepted) << "forgotten, and goes on";
  append(state, {.id = 2, .sequence = 1}, 0);
  EXPECT_EQ(kind_of(state, {.id = 2, .sequence = 1}), Kind::kDuplicate);
  EXPECT_EQ(state.pushed_out(), 2U);
  ProducerState moved = std::move(state);
  EXPECT_EQ(moved.pushed_out(), 2U);
}

TEST(ProducerState, KnowsWhetherATruncationReachesIt) {
  ProducerState state;
  EXPECT_FALSE(state.reaches(0));
  append(state, {.id = 1, .count = 5, .offset = 10});
  append(state, {.id = 2, .count = 1, .offset = 3});
  EXPECT_TRUE(state.reaches(14));
  EXPECT_FALSE(state.reaches(15));
}

TEST(ProducerState, MovingKeepsTheStateAndEmptiesTheSource) {
  ProducerState state;
  append(state, {.id = 1}, 10);
  append(state, {.id = 2}, 20);
  const Bytes image = state.encode(50);
  ProducerState moved(std::move(state));
  EXPECT_EQ(moved.encode(50), image);
  EXPECT_EQ(state.size(), 0U);  // NOLINT(bugprone-use-after-move): this is what is tested
  append(state, {.id = 3}, 30);
  EXPECT_EQ(state.size(), 1U);
  state = std::move(moved);
  EXPECT_EQ(state.encode(50), image);
  state.clear();
  EXPECT_EQ(state.expire(WallMillis{INT64_MAX}), 0U);
}

TEST(ProducerState, NewestSnapshotAtOrBelowTheCut) {
  const std::vector<int64_t> offsets{10, 20, 30};
  EXPECT_EQ(newest_snapshot_at_or_below(offsets, 9), -1);
  EXPECT_EQ(newest_snapshot_at_or_below(offsets, 10), 0);
  EXPECT_EQ(newest_snapshot_at_or_below(offsets, 29), 1);
  EXPECT_EQ(newest_snapshot_at_or_below(offsets, 99), 2);
  EXPECT_EQ(newest_snapshot_at_or_below({}, 99), -1);
}

// What the rules say, written as directly as possible: all batches of a producer kept in a list.
class Model {
 public:
  ProducerVerdict check(const Spec& spec) const {
    const auto found = producers_.find(spec.id);
    if (found == producers_.end()) return {};
    const Known& known = found->second;
    if (spec.epoch < known.epoch) return {.kind = Kind::kFenced};
    if (spec.epoch > known.epoch) return {.kind = spec.sequence == 0 ? Kind::kAccepted : Kind::kOutOfOrder};
    for (const Spec& old : known.batches) {
      if (old.sequence == spec.sequence && old.count == spec.count) {
        return {Kind::kDuplicate, old.offset, old.offset + old.count - 1, 7000 + old.offset};
      }
    }
    const int64_t next = (int64_t{known.batches.back().sequence} + known.batches.back().count) % (int64_t{1} << 31);
    return {.kind = spec.sequence == next ? Kind::kAccepted : Kind::kOutOfOrder};
  }
  void append(const Spec& spec) {
    Known& known = producers_[spec.id];
    if (spec.epoch > known.epoch) known.batches.clear();
    known.epoch = spec.epoch;
    known.batches.push_back(spec);
    if (known.batches.size() > 5) known.batches.pop_front();
  }
  const Spec* last_of(int64_t id) const {
    const auto found = producers_.find(id);
    return found == producers_.end() ? nullptr : &found->second.batches.back();
  }

 private:
  struct Known {
    int16_t epoch = -1;
    std::deque<Spec> batches;
  };
  std::map<int64_t, Known> producers_;
};

Spec random_spec(std::mt19937_64& random, const Model& model, int64_t offset) {
  Spec spec{.id = static_cast<int64_t>(random() % 6), .count = 1 + static_cast<int>(random() % 4), .offset = offset};
  const Spec* last = model.last_of(spec.id);
  if (last == nullptr) {
    spec.sequence = random() % 2 == 0 ? 0 : INT32_MAX - static_cast<int32_t>(random() % 20);
    return spec;
  }
  spec.epoch = last->epoch;
  const int64_t next = (int64_t{last->sequence} + last->count) % (int64_t{1} << 31);
  switch (random() % 8) {
    case 0:  // something near, with luck a duplicate
      spec.sequence = static_cast<int32_t>(std::max<int64_t>(0, next - static_cast<int64_t>(random() % 24)));
      break;
    case 1:
      spec = *last;
      spec.offset = offset;
      break;
    case 2:
      spec.epoch = static_cast<int16_t>(std::max(0, last->epoch + static_cast<int>(random() % 3) - 1));
      spec.sequence = random() % 2 == 0 ? 0 : 3;
      break;
    default:
      spec.sequence = static_cast<int32_t>(next);
  }
  return spec;
}

TEST(ProducerState, AgreesWithTheModelAcrossSnapshotsAndTruncations) {
  int duplicates = 0, refused = 0, fenced = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ProducerState state;
    Model model;
    std::vector<Spec> log;
    std::vector<Bytes> snapshots;
    std::vector<int64_t> snapshot_offsets;
    int64_t end = 0;
    for (int step = 0; step < 200; ++step) {
      const Spec spec = random_spec(random, model, end);
      const Batch batch(spec);
      const ProducerVerdict verdict = state.check(batch.view());
      ASSERT_EQ(verdict, model.check(spec)) << step;
      duplicates += verdict.kind == Kind::kDuplicate;
      refused += verdict.kind == Kind::kOutOfOrder;
      fenced += verdict.kind == Kind::kFenced;
      if (verdict.kind == Kind::kAccepted) {
        state.append(batch.view(), WallMillis{step});
        model.append(spec);
        log.push_back(spec);
        end += spec.count;
      }
      if (random() % 20 == 0) {
        snapshots.push_back(state.encode(end));
        snapshot_offsets.push_back(end);
      }
      if (random() % 40 == 0 && !log.empty()) {
        // Cut the log, go back to a snapshot at or below the cut, replay headers up to it.
        log.resize(log.size() - random() % std::min<size_t>(log.size(), 12));
        end = log.back().offset + log.back().count;
        while (!snapshot_offsets.empty() && snapshot_offsets.back() > end) {
          snapshot_offsets.pop_back();
          snapshots.pop_back();
        }
        const int64_t chosen = newest_snapshot_at_or_below(snapshot_offsets, end);
        int64_t from = 0;
        state.clear();
        if (chosen >= 0) {
          auto snapshot = ProducerState::decode(snapshots[static_cast<size_t>(chosen)], {});
          ASSERT_TRUE(snapshot);
          ASSERT_EQ(snapshot->state.encode(snapshot->offset), snapshots[static_cast<size_t>(chosen)]);
          from = snapshot->offset;
          state = std::move(snapshot->state);
        }
        model = Model();
        for (const Spec& kept : log) {
          if (kept.offset >= from) state.append(Batch(kept).view(), WallMillis{step});
          model.append(kept);
        }
      }
    }
  }
  // The seeds reach every answer often enough to mean something.
  EXPECT_GT(duplicates, 500);
  EXPECT_GT(refused, 500);
  EXPECT_GT(fenced, 100);
}

Bytes some_snapshot() {
  ProducerState state;
  for (int i = 0; i < 7; ++i) append(state, {.id = 1, .sequence = i, .offset = i}, i);
  append(state, {.id = 2, .epoch = 4, .offset = 8, .control = true}, 9);
  append(state, {.id = 3, .sequence = 0, .count = 2, .offset = 9}, 10);
  return state.encode(11);
}

TEST(ProducerSnapshot, RotAndTruncationAreFound) {
  const Bytes image = some_snapshot();
  EXPECT_EQ(ProducerState::decode(image, {})->offset, 11);
  for (size_t at = 0; at < image.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes rotten = image;
      rotten[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(ProducerState::decode(rotten, {})) << at;
    }
    EXPECT_FALSE(ProducerState::decode(ByteView(image).first(at), {})) << at;
  }
}

TEST(ProducerSnapshot, WellSealedNonsenseIsCorrupt) {
  const Bytes image = some_snapshot();
  const uint32_t magic = load_le<uint32_t>(image.data());
  const OpenedFrame frame = *open_frame(image, magic, 1);
  const auto decode_with = [&](size_t at, std::initializer_list<int> bytes) {
    Bytes payload(frame.payload.begin(), frame.payload.end());
    for (const int byte : bytes) payload[at++] = static_cast<std::byte>(byte);
    const auto decoded = ProducerState::decode(make_frame(magic, 1, payload), {});
    return decoded ? std::nullopt : std::optional(decoded.error());
  };
  constexpr size_t kFirst = 16;  // id, last seen, epoch, batch count, then batches of 32 bytes
  constexpr size_t kFirstBatch = kFirst + 24;
  constexpr size_t kSecond = kFirstBatch + 5 * 32;
  EXPECT_EQ(decode_with(0, {11}), std::nullopt) << "unchanged";
  EXPECT_EQ(decode_with(7, {0x80}), Errc::kCorrupt) << "negative offset";
  EXPECT_EQ(decode_with(0, {10}), Errc::kCorrupt) << "a batch behind the snapshot's own offset";
  EXPECT_EQ(decode_with(8, {4}), Errc::kCorrupt) << "more producers than bytes";
  EXPECT_EQ(decode_with(8, {2}), Errc::kCorrupt) << "bytes behind the last producer";
  EXPECT_EQ(decode_with(11, {0xff}), Errc::kCorrupt) << "absurd count";
  EXPECT_EQ(decode_with(kFirst + 7, {0x80}), Errc::kCorrupt) << "negative id";
  EXPECT_EQ(decode_with(kFirst + 16 + 1, {0x80}), Errc::kCorrupt) << "negative epoch";
  EXPECT_EQ(decode_with(kFirst + 18, {6}), Errc::kCorrupt) << "six batches";
  EXPECT_EQ(decode_with(kFirstBatch + 3, {0x80}), Errc::kCorrupt) << "negative sequence";
  EXPECT_EQ(decode_with(kFirstBatch + 7, {0x80}), Errc::kCorrupt) << "negative last sequence";
  EXPECT_EQ(decode_with(kFirstBatch + 16, {1}), Errc::kCorrupt) << "ends before it begins";
  EXPECT_EQ(decode_with(kFirstBatch + 32 + 8, {2}), Errc::kCorrupt) << "batches overlap";
  EXPECT_EQ(decode_with(kSecond, {1}), Errc::kCorrupt) << "one producer twice";
  EXPECT_EQ(decode_with(kSecond + 8, {1}), Errc::kCorrupt) << "times descend";
}

// All partitions of a core share one count. Beyond it each forgets its own longest silent, but always keeps a few.
TEST(ProducerCount, PartitionsOfOneCoreShareALimit) {
  auto count = std::make_shared<ProducerCount>(ProducerCount{.max = 10});
  ProducerState busy({}, count);
  ProducerState late({}, count);
  for (int64_t id = 1; id <= 10; ++id) append(busy, {.id = id, .offset = id});
  EXPECT_EQ(count->held, 10U);
  for (int64_t id = 1; id <= 8; ++id) append(late, {.id = id, .offset = id});
  EXPECT_EQ(late.size(), kProducersAlways);
  EXPECT_EQ(late.pushed_out(), 4U);
  append(busy, {.id = 11, .offset = 11});
  EXPECT_EQ(busy.size(), 10U) << "one in, one out";
  EXPECT_EQ(count->held, busy.size() + late.size());
  late.clear();
  EXPECT_EQ(count->held, busy.size());
}

TEST(ProducerCount, WhatMovesCountsOnce) {
  auto count = std::make_shared<ProducerCount>();
  {
    ProducerState state({}, count);
    append(state, {.id = 1, .offset = 1});
    ProducerState loaded;
    for (int64_t id = 1; id <= 3; ++id) append(loaded, {.id = id, .offset = id});
    EXPECT_EQ(count->held, 1U);
    state = std::move(loaded);
    EXPECT_EQ(count->held, 3U);
    ProducerState moved(std::move(state));
    EXPECT_EQ(count->held, 3U);
    EXPECT_EQ(moved.expire({int64_t{1} << 40}), 3U);
    EXPECT_EQ(count->held, 0U);
    append(moved, {.id = 1, .offset = 1});
  }
  EXPECT_EQ(count->held, 0U);
}

TEST(ProducerSnapshot, ASmallerTableKeepsThoseThatSpokeLast) {
  const auto decoded = ProducerState::decode(some_snapshot(), {.max_producers = 1});
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->state.size(), 1U);
  EXPECT_EQ(kind_of(decoded->state, {.id = 3, .sequence = 2}), Kind::kAccepted);
  EXPECT_EQ(kind_of(decoded->state, {.id = 3, .sequence = 3}), Kind::kOutOfOrder);
}

}  // namespace
}  // namespace posthaste::storage
