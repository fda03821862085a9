// A short vector against std::vector, on both sides of what fits into the object.
#include "reactor/inline_vector.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace posthaste::reactor {
namespace {

using Short = InlineVector<int32_t, 4>;

static_assert(sizeof(Short) == sizeof(std::vector<int32_t>));
static_assert(sizeof(InlineVector<std::array<char, 16>, 1>) == sizeof(std::vector<char>));

TEST(InlineVector, HoldsWhatAVectorWouldHold) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    Short one;
    std::vector<int32_t> model;
    for (int step = 0; step < 100; ++step) {
      const auto value = static_cast<int32_t>(random());
      switch (random() % 8) {
        case 0:
          if (model.empty()) break;
          one.pop_back();
          model.pop_back();
          break;
        case 1: {
          const size_t size = random() % 9;
          one.resize(size, value);
          model.resize(size, value);
          break;
        }
        case 2: {
          const size_t first = random() % (model.size() + 1);
          const size_t last = first + (random() % (model.size() - first + 1));
          one.erase(one.begin() + first, one.begin() + last);
          model.erase(model.begin() + static_cast<ptrdiff_t>(first), model.begin() + static_cast<ptrdiff_t>(last));
          break;
        }
        case 3: {
          const std::vector<int32_t> other(random() % 9, value);
          one = other;
          model = other;
          break;
        }
        default:
          one.push_back(value);
          model.push_back(value);
      }
      ASSERT_EQ(one, model);
      ASSERT_EQ(one.empty(), model.empty());
    }
  }
}

TEST(InlineVector, ACopyIsApartAndAMovedOneIsEmpty) {
  for (int32_t size = 0; size < 10; ++size) {
    Short one;
    for (int32_t value = 0; value < size; ++value) one.push_back(value);
    const std::vector<int32_t> was(one.begin(), one.end());
    Short copy = one;
    copy.push_back(7);
    EXPECT_EQ(one, was);
    Short moved = std::move(one);
    EXPECT_EQ(moved, was);
    EXPECT_TRUE(one.empty());  // NOLINT(bugprone-use-after-move): that it is empty is what is tested
    one.push_back(5);
    EXPECT_EQ(one, std::vector<int32_t>{5});
    one = std::move(moved);
    EXPECT_EQ(one, was);
    copy = one;
    EXPECT_EQ(copy, one);
  }
}

TEST(InlineVector, ShrunkOnTheHeapItStaysWhole) {
  Short one{1, 2, 3, 4, 5};
  one.pop_back();
  EXPECT_EQ(one, (std::vector<int32_t>{1, 2, 3, 4}));
  const Short copy = one;
  EXPECT_EQ(copy, one);
  EXPECT_EQ(copy.front(), 1);
  EXPECT_EQ(copy.back(), 4);
}

}  // namespace
}  // namespace posthaste::reactor
