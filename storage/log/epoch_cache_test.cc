// Leader epochs: Kafka's answers to OffsetForLeaderEpoch, truncation against a per-offset model, file image.
#include "storage/log/epoch_cache.h"

#include <gtest/gtest.h>

#include <random>

#include "storage/bytes/codec.h"

namespace posthaste::storage {
namespace {

using reactor::Errc;

EpochCache make_cache(std::initializer_list<EpochEntry> entries) {
  EpochCache cache;
  for (const EpochEntry& entry : entries) EXPECT_TRUE(cache.assign(entry.epoch, entry.start_offset));
  return cache;
}

TEST(EpochCache, AnswersAsKafkaDoes) {
  const EpochCache cache = make_cache({{2, 10}, {3, 20}, {7, 50}});
  EXPECT_EQ(cache.end_offset_for(7, 90), (EpochEnd{7, 90}));
  EXPECT_EQ(cache.end_offset_for(3, 90), (EpochEnd{3, 50}));
  EXPECT_EQ(cache.end_offset_for(2, 90), (EpochEnd{2, 20}));
  EXPECT_EQ(cache.end_offset_for(5, 90), (EpochEnd{3, 50})) << "an epoch that wrote nothing: the one below it";
  EXPECT_EQ(cache.end_offset_for(1, 90), (EpochEnd{1, 10})) << "older than all known: where the known begins";
  EXPECT_EQ(cache.end_offset_for(8, 90), EpochEnd{}) << "newer than all known";
  EXPECT_EQ(cache.end_offset_for(kNoLeaderEpoch, 90), EpochEnd{});
  EXPECT_EQ(cache.end_offset_for(-2, 90), (EpochEnd{-2, 10})) << "no epoch, but older than all known";
  EXPECT_EQ(EpochCache().end_offset_for(0, 90), EpochEnd{});
}

TEST(EpochCache, OnlyNewerEpochsAreNews) {
  EpochCache cache = make_cache({{2, 10}});
  EXPECT_FALSE(cache.assign(2, 15));
  EXPECT_FALSE(cache.assign(1, 15));
  EXPECT_FALSE(cache.assign(-1, 15));
  EXPECT_FALSE(cache.assign(3, -1));
  EXPECT_EQ(cache.entries(), (std::vector<EpochEntry>{{2, 10}}));
  EXPECT_EQ(cache.latest(), (EpochEntry{2, 10}));
  EXPECT_EQ(EpochCache().latest(), std::nullopt);
}

TEST(EpochCache, ALaterEpochReplacesThoseThatWroteNothing) {
  EpochCache cache = make_cache({{2, 10}, {3, 20}, {4, 30}});
  EXPECT_TRUE(cache.assign(6, 20));
  EXPECT_EQ(cache.entries(), (std::vector<EpochEntry>{{2, 10}, {6, 20}}));
}

// Model: the epoch of every single offset in [start, end).
struct Model {
  int64_t start = 0;
  std::vector<int32_t> epochs;
  int64_t end() const { return start + static_cast<int64_t>(epochs.size()); }
};

void expect_agreement(const EpochCache& cache, const Model& model) {
  for (int64_t offset = model.start; offset < model.end(); ++offset) {
    ASSERT_EQ(cache.epoch_for(offset), model.epochs[static_cast<size_t>(offset - model.start)]) << offset;
  }
  for (size_t i = 0; i < cache.entries().size(); ++i) {
    const EpochEntry& entry = cache.entries()[i];
    if (i > 0) {
      ASSERT_GT(entry.epoch, cache.entries()[i - 1].epoch);
      ASSERT_GT(entry.start_offset, cache.entries()[i - 1].start_offset);
    }
    // Where an epoch ends is the first offset with a larger one.
    int64_t expected = model.end();
    for (int64_t offset = model.end() - 1; offset >= std::max(model.start, entry.start_offset); --offset) {
      if (model.epochs[static_cast<size_t>(offset - model.start)] > entry.epoch) expected = offset;
    }
    if (entry.start_offset < model.end())
      ASSERT_EQ(cache.end_offset_for(entry.epoch, model.end()).end_offset, expected);
  }
}

TEST(EpochCache, AgreesWithAListOfOffsetsUnderAppendsAndTruncations) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    EpochCache cache;
    Model model;
    int32_t epoch = 0;
    for (int step = 0; step < 60; ++step) {
      const uint64_t size = model.epochs.size();
      switch (random() % 4) {
        case 0:
          epoch += 1 + static_cast<int32_t>(random() % 3);
          cache.assign(epoch, model.end());
          [[fallthrough]];
        case 1:
          if (cache.entries().empty()) cache.assign(epoch, model.end());
          // After a cut the leader writes under its own epoch, which is at least the latest known.
          if (cache.latest()->epoch < epoch) cache.assign(epoch, model.end());
          model.epochs.insert(model.epochs.end(), 1 + random() % 5, epoch);
          break;
        case 2: {
          const uint64_t keep = size - random() % (std::min<uint64_t>(size, 6) + 1);
          model.epochs.resize(keep);
          cache.truncate_from_end(model.end());
          break;
        }
        default: {
          const uint64_t drop = random() % (std::min<uint64_t>(size, 4) + 1);
          model.epochs.erase(model.epochs.begin(), model.epochs.begin() + static_cast<std::ptrdiff_t>(drop));
          model.start += static_cast<int64_t>(drop);
          cache.truncate_from_start(model.start);
          break;
        }
      }
      expect_agreement(cache, model);
      if (HasFatalFailure()) return;
      const auto decoded = EpochCache::decode(cache.encode());
      ASSERT_TRUE(decoded);
      ASSERT_EQ(*decoded, cache);
    }
  }
}

TEST(EpochCache, TruncationKeepsTheEpochThatHoldsTheCut) {
  EpochCache cache = make_cache({{2, 10}, {3, 20}, {7, 50}});
  cache.truncate_from_start(35);
  EXPECT_EQ(cache.entries(), (std::vector<EpochEntry>{{3, 20}, {7, 50}}));
  cache.truncate_from_start(50);
  EXPECT_EQ(cache.entries(), (std::vector<EpochEntry>{{3, 20}, {7, 50}})) << "the one that ends there stays";
  cache.truncate_from_start(51);
  EXPECT_EQ(cache.entries(), (std::vector<EpochEntry>{{7, 50}}));
  cache = make_cache({{2, 10}, {3, 20}});
  cache.truncate_from_start(5);
  EXPECT_EQ(cache.entries().front(), (EpochEntry{2, 10}));
  cache.truncate_from_end(20);
  EXPECT_EQ(cache.entries(), (std::vector<EpochEntry>{{2, 10}}));
  EXPECT_EQ(cache.epoch_for(9), kNoLeaderEpoch);
}

// Storage seed 426647: the life before truncated the start first, recovery did so last, and they disagreed.
TEST(EpochCache, TheOrderOfTruncationsDoesNotMatter) {
  for (int64_t start = 0; start <= 60; ++start) {
    for (int64_t end = start; end <= 60; ++end) {
      EpochCache one = make_cache({{2, 10}, {3, 20}, {7, 50}});
      EpochCache other = one;
      one.truncate_from_start(start);
      one.truncate_from_end(end);
      other.truncate_from_end(end);
      other.truncate_from_start(start);
      ASSERT_EQ(one, other) << start << " " << end;
      if (end > 10) ASSERT_TRUE(one.latest().has_value()) << start << " " << end;
    }
  }
}

// A follower with epochs 1 from 0, 3 from 20 and 5 from 30, which ends at 40.
TEST(EpochCache, AFollowerCutsWhereItsLogPartsFromTheLeaders) {
  const EpochCache own = make_cache({{1, 0}, {3, 20}, {5, 30}});
  EXPECT_EQ(truncation_step(own, 40, {5, 50}), (TruncationStep{40, true})) << "the leader has more of it";
  EXPECT_EQ(truncation_step(own, 40, {5, 35}), (TruncationStep{35, true})) << "and less";
  EXPECT_EQ(truncation_step(own, 40, {3, 28}), (TruncationStep{28, true})) << "nothing of 5, and less of 3";
  EXPECT_EQ(truncation_step(own, 40, {3, 33}), (TruncationStep{30, true})) << "nothing of 5, and more of 3";
  EXPECT_EQ(truncation_step(own, 40, {4, 36}), (TruncationStep{30, false})) << "of 4 the follower has nothing";
  EXPECT_EQ(truncation_step(own, 40, {2, 26}), (TruncationStep{20, false})) << "the next question is about 1";
  EXPECT_EQ(truncation_step(own, 30, {1, 60}), (TruncationStep{20, true}));
}

TEST(EpochCache, RotIsFound) {
  const Bytes file = make_cache({{2, 10}, {3, 20}, {7, 50}}).encode();
  for (size_t at = 0; at < file.size(); ++at) {
    Bytes rotten = file;
    rotten[at] ^= std::byte{0x10};
    EXPECT_FALSE(EpochCache::decode(rotten)) << at;
    EXPECT_FALSE(EpochCache::decode(ByteView(file).first(at))) << at;
  }
  // Sealed well, but epochs or offsets do not ascend.
  const uint32_t magic = load_le<uint32_t>(file.data());
  const OpenedFrame frame = *open_frame(file, magic, 1);
  for (const size_t at : std::initializer_list<size_t>{0, 4 + 12, 8 + 12}) {
    Bytes payload(frame.payload.begin(), frame.payload.end());
    payload[at] = std::byte{1};
    EXPECT_EQ(EpochCache::decode(make_frame(magic, 1, payload)).error(), Errc::kCorrupt) << at;
  }
}

}  // namespace
}  // namespace posthaste::storage
