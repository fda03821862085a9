// The nearest known key: distances by hand, ties, and the refusal to guess.
#include "config/nearest.h"

#include <gtest/gtest.h>

#include <array>

namespace posthaste::config {
namespace {

TEST(EditDistance, CountsEachKindOfMistake) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("retention.ms", "retention.ms"), 0U);
  EXPECT_EQ(edit_distance("retentin.ms", "retention.ms"), 1U);
  EXPECT_EQ(edit_distance("retentiion.ms", "retention.ms"), 1U);
  EXPECT_EQ(edit_distance("retentoin.ms", "retention.ms"), 1U);  // neighbours swapped count once
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

TEST(EditDistance, IgnoresCase) { EXPECT_EQ(edit_distance("Retention.MS", "retention.ms"), 0U); }

TEST(Nearest, NamesTheClosestAndTheFirstOfEquals) {
  constexpr std::array<std::string_view, 4> known = {"retention.ms", "retention.bytes", "segment.ms", "segment.bytes"};
  EXPECT_EQ(nearest("retention.m", known), "retention.ms");
  EXPECT_EQ(nearest("segment.byte", known), "segment.bytes");
  constexpr std::array<std::string_view, 2> tie = {"ab", "ac"};
  EXPECT_EQ(nearest("ad", tie), "ab");
}

TEST(Nearest, DoesNotGuessWildly) {
  constexpr std::array<std::string_view, 2> known = {"retention.ms", "segment.ms"};
  EXPECT_EQ(nearest("zzz", known), std::nullopt);
  EXPECT_EQ(nearest("anything", {}), std::nullopt);
}

}  // namespace
}  // namespace posthaste::config
