// The copy-on-write map and vector against std::map and std::vector by seed: every copy that was kept stays as it was,
// and one change copies one path.
#include "reactor/cow_map.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <string>

namespace posthaste::reactor {
namespace {

// Counts how often one is copied.
struct Element {
  std::string key;
  int number = 0;
  static inline int copies = 0;
  Element(std::string name, int value) : key(std::move(name)), number(value) {}
  Element(const Element& other) : key(other.key), number(other.number) { ++copies; }
  Element(Element&&) = default;
  Element& operator=(Element&&) = default;
  ~Element() = default;
};

// Looking up counts what it compares.
struct CountedView {
  std::string_view text;
  static inline int compared = 0;
  friend bool operator<(CountedView a, CountedView b) {
    ++compared;
    return a.text < b.text;
  }
  explicit operator std::string() const { return std::string(text); }
};

struct ByKey {
  using View = CountedView;
  using Key = std::string;
  static View view_of(const Element& element) { return {element.key}; }
  static View view_of(const std::string& key) { return {key}; }
};

using Map = CowMap<Element, ByKey>;
using Model = std::map<std::string, int>;

void expect_same(const Map& map, const Model& model) {
  map.check();
  ASSERT_EQ(map.size(), model.size());
  auto at = model.begin();
  map.for_each([&](const Element& element) {
    ASSERT_NE(at, model.end());
    EXPECT_EQ(element.key, at->first);
    EXPECT_EQ(element.number, at->second);
    ++at;
  });
  EXPECT_EQ(at, model.end());
}

// What both say of one key, and from it on.
void expect_same_at(const Map& map, const Model& model, const std::string& key) {
  const Element* found = map.find({key});
  const auto expected = model.find(key);
  ASSERT_EQ(found != nullptr, expected != model.end()) << key;
  if (found != nullptr) EXPECT_EQ(found->number, expected->second);
  auto next = model.lower_bound(key);
  int left = 3;
  map.visit_from({key}, [&](const Element& element) {
    EXPECT_NE(next, model.end());
    EXPECT_EQ(element.key, next->first);
    ++next;
    return --left > 0;
  });
  EXPECT_TRUE(left == 0 || next == model.end());
}

void change(Map& map, Model& model, std::mt19937& random, int keys, int step) {
  const std::string key = std::to_string(random() % static_cast<unsigned>(keys));
  // For a while it mostly grows, then it mostly shrinks.
  const bool grows = step / 1000 % 2 == 0;
  const unsigned dice = random() % 10;
  if (dice < (grows ? 6U : 1U)) {
    EXPECT_EQ(map.insert(Cow(Element(key, step))), model.emplace(key, step).second);
  } else if (dice < 8) {
    EXPECT_EQ(map.erase({key}), model.erase(key) == 1);
  } else {
    Cow<Element>* held = map.find_to_write({key});
    ASSERT_EQ(held != nullptr, model.contains(key));
    if (held == nullptr) return;
    held->write().number = step;
    model[key] = step;
  }
  expect_same_at(map, model, std::to_string(random() % static_cast<unsigned>(keys)));
}

TEST(CowMap, IsAsAModelAndSoIsEachCopy) {
  constexpr int kSteps = 4000;
  for (const int keys : {3, 100, 5000}) {
    for (unsigned seed = 0; seed < 3; ++seed) {
      SCOPED_TRACE(testing::Message() << keys << " keys, seed " << seed);
      std::mt19937 random(seed);
      Map map;
      Model model;
      std::deque<std::pair<Map, Model>> kept;
      for (int step = 0; step < kSteps; ++step) {
        change(map, model, random, keys, step);
        if (step % 100 != 0) continue;
        map.check();
        kept.emplace_back(map, model);
        if (kept.size() < 20) continue;
        expect_same(kept.front().first, kept.front().second);
        kept.pop_front();
      }
      expect_same(map, model);
      for (const auto& [copy, was] : kept) expect_same(copy, was);
      for (const auto& [key, number] : Model(model)) EXPECT_TRUE(map.erase({key}));
      EXPECT_TRUE(map.empty());
      EXPECT_EQ(map.depth(), 0U);
    }
  }
}

// Neighbours come and go together, so that whole nodes fill, empty and join, inner ones too.
TEST(CowMap, IsAsAModelWhenRunsOfKeysComeAndGo) {
  constexpr int kKeys = 30'000;
  for (unsigned seed = 0; seed < 2; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    Map map;
    Model model;
    for (int step = 0; step < 200; ++step) {
      const int first = static_cast<int>(random() % kKeys);
      const int last = first + static_cast<int>(random() % (step % 20 == 0 ? 5'000U : 700U));
      const bool erases = random() % 2 == 0;
      for (int i = first; i < last; ++i) {
        const std::string key = std::to_string(1'000'000 - i);
        if (erases) {
          ASSERT_EQ(map.erase({key}), model.erase(key) == 1);
        } else {
          ASSERT_EQ(map.insert(Cow(Element(key, step))), model.emplace(key, step).second);
        }
      }
      map.check();
      if (step % 50 == 49) expect_same(map, model);
      for (int i = 0; i < 50; ++i) expect_same_at(map, model, std::to_string(1'000'000 - random() % kKeys));
    }
  }
}

Map map_of(int count) {
  Map map;
  for (int i = 0; i < count; ++i) map.insert(Cow(Element(std::to_string(i), i)));
  return map;
}

TEST(CowMap, AChangeOfACopyCopiesOneElement) {
  for (const int count : {1'000, 100'000}) {
    Map map = map_of(count);
    const Map before = map;
    Element::copies = 0;
    CountedView::compared = 0;
    map.find_to_write({"77"})->write().number = -1;
    EXPECT_EQ(Element::copies, 1) << count;
    EXPECT_LE(CountedView::compared, 60) << count;  // two walks down, of six comparisons a node
    EXPECT_EQ(before.find({"77"})->number, 77);
    EXPECT_EQ(map.find({"77"})->number, -1);
    Element::copies = 0;
    map.insert(Cow(Element("new", 1)));
    map.erase({"500"});
    EXPECT_EQ(Element::copies, 0) << count;
    EXPECT_LE(map.depth(), 4U);
  }
}

TEST(CowMap, WhatNobodySharesIsChangedInPlace) {
  Map map = map_of(10'000);
  Element::copies = 0;
  map.find_to_write({"77"})->write().number = -1;
  EXPECT_EQ(Element::copies, 0);
}

TEST(CowVector, CopiesTheChunkThatIsWritten) {
  CowVector<Element, 4> vector;
  for (int i = 0; i < 10; ++i) vector.push_back(Element("", i));
  const CowVector<Element, 4> before = vector;
  Element::copies = 0;
  vector.write(5).number = -5;
  EXPECT_EQ(Element::copies, 4);
  vector.push_back(Element("", 10));
  EXPECT_EQ(Element::copies, 6);  // two were in the last chunk
  EXPECT_EQ(before.size(), 10U);
  EXPECT_EQ(vector.size(), 11U);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(before[i].number, static_cast<int>(i));
    EXPECT_EQ(vector[i].number, i == 5 ? -5 : static_cast<int>(i));
  }
}

TEST(CowVector, IsEqualByItsElements) {
  CowVector<int, 2> a;
  for (int i = 0; i < 5; ++i) a.push_back(i);
  CowVector<int, 2> b = a;
  EXPECT_EQ(a, b);
  b.write(3) = 7;
  EXPECT_NE(a, b);
  b.write(3) = 3;
  EXPECT_EQ(a, b);
  b.push_back(5);
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace posthaste::reactor
