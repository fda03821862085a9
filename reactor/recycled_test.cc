// Recycled memory: blocks come back for their size, no more is kept than the limit, containers and frames use it.
#include "reactor/recycled.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "reactor/task.h"

namespace posthaste::reactor {
namespace {

// On a thread of its own, whose lists begin empty.
void on_new_thread(void (*body)()) { std::thread(body).join(); }

TEST(Recycled, EverySizeHoldsWhatWasAskedFor) {
  on_new_thread([] {
    for (size_t bytes :
         {0UL, 1UL, 63UL, 64UL, 65UL, 2047UL, 2048UL, 2049UL, 4096UL, 4097UL, 32768UL, 32769UL, 100000UL}) {
      for (int round = 0; round < 2; ++round) {
        void* block = recycled_allocate(bytes);
        ASSERT_NE(block, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % __STDCPP_DEFAULT_NEW_ALIGNMENT__, 0U);
        std::memset(block, 0x5a, bytes);
        recycled_free(block, bytes);
      }
    }
    recycled_free(nullptr, 64);
  });
}

TEST(Recycled, ABlockMayEndOnAnotherThread) {
  on_new_thread([] {
    RecycledVector<int> taken(100, 7);
    std::thread([moved = std::move(taken)]() mutable {
      EXPECT_EQ(moved.at(99), 7);
      moved = {};
    }).join();
  });
}

TEST(Recycled, ContainersUseIt) {
  on_new_thread([] {
    RecycledMap<int, int> map;
    RecycledDeque<int> deque;
    for (int i = 0; i < 1'000; ++i) {
      map.emplace(i, -i);
      deque.push_back(i);
    }
    EXPECT_EQ(map.at(999), -999);
    EXPECT_EQ(deque.at(999), 999);
  });
}

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)

TEST(Recycled, NothingUnderASanitizer) {
  on_new_thread([] {
    recycled_free(recycled_allocate(65), 65);
    EXPECT_EQ(recycled_held_bytes(), 0U);
  });
}

#else

TEST(Recycled, ABlockOfTheSameStepComesBack) {
  on_new_thread([] {
    void* first = recycled_allocate(65);
    recycled_free(first, 65);
    EXPECT_EQ(recycled_held_bytes(), 128U);
    void* second = recycled_allocate(128);
    EXPECT_EQ(second, first);
    void* third = recycled_allocate(128);
    EXPECT_NE(third, first);
    void* other_step = recycled_allocate(129);
    recycled_free(second, 128);
    recycled_free(third, 128);
    recycled_free(other_step, 129);
    EXPECT_EQ(recycled_held_bytes(), 128U + 128 + 192);
  });
}

TEST(Recycled, KeepsNoMoreThanItsLimit) {
  on_new_thread([] {
    for (const size_t bytes : {size_t{64}, size_t{1024}, size_t{32768}}) {
      std::vector<void*> blocks;
      for (size_t i = 0; i < 3 * kRecycledHeldBytesMax / bytes; ++i) blocks.push_back(recycled_allocate(bytes));
      const size_t before = recycled_held_bytes();
      for (void* block : blocks) recycled_free(block, bytes);
      EXPECT_EQ(recycled_held_bytes() - before, kRecycledHeldBytesMax) << bytes;
    }
    void* large = recycled_allocate(kRecycledBlockBytesMax + 1);
    const size_t before = recycled_held_bytes();
    recycled_free(large, kRecycledBlockBytesMax + 1);
    EXPECT_EQ(recycled_held_bytes(), before);
  });
}

TEST(Recycled, FramesOfTasksAreRecycled) {
  on_new_thread([] {
    const auto nothing = []() -> Task<void> { co_return; };
    {
      const Task<void> first = nothing();
    }
    const size_t held = recycled_held_bytes();
    EXPECT_GT(held, 0U);
    {
      const Task<void> second = nothing();
      EXPECT_EQ(recycled_held_bytes() + kRecycledStepBytes, held);
    }
    EXPECT_EQ(recycled_held_bytes(), held);
  });
}

#endif

}  // namespace
}  // namespace posthaste::reactor
