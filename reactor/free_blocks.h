// Which blocks of a buddy allocator are free, by order. The lists lie beside the memory that they are about: whoever
// splits or joins blocks touches none of it, so that a page that nobody has used stays unused.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "reactor/check.h"

namespace posthaste::reactor {

// Blocks have numbers below `blocks`; a free one of order n stands for itself and the 2^n - 1 behind it. One core.
class FreeBlocks {
 public:
  explicit FreeBlocks(size_t blocks)
      : first_(static_cast<size_t>(std::bit_width(blocks)), kNone),
        order_of_(blocks, kNotFree),
        links_(std::make_unique_for_overwrite<Links[]>(blocks)) {
    CHECK(blocks < kNone);
  }

  size_t orders() const { return first_.size(); }
  bool any(size_t order) const { return first_[order] != kNone; }
  bool is_free(size_t block, uint8_t order) const { return block < order_of_.size() && order_of_[block] == order; }

  // Before all others of its order: what was in use last is taken first.
  void add(size_t block, uint8_t order) {
    CHECK(order_of_[block] == kNotFree, "block {} is free already", block);
    const auto number = static_cast<uint32_t>(block);
    links_[block] = {.previous = kNone, .next = first_[order]};
    if (first_[order] != kNone) links_[first_[order]].previous = number;
    first_[order] = number;
    order_of_[block] = order;
  }
  size_t take(uint8_t order) {
    const size_t block = first_[order];
    remove(block, order);
    return block;
  }
  void remove(size_t block, uint8_t order) {
    CHECK(is_free(block, order), "block {} is not free with order {}", block, order);
    const auto [previous, next] = links_[block];
    (previous == kNone ? first_[order] : links_[previous].next) = next;
    if (next != kNone) links_[next].previous = previous;
    order_of_[block] = kNotFree;
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint8_t kNotFree = 0xff;
  struct Links {
    uint32_t previous;
    uint32_t next;
  };

  std::vector<uint32_t> first_;     // by order
  std::vector<uint8_t> order_of_;   // of the free block that begins here
  std::unique_ptr<Links[]> links_;  // of free ones; not set before use, so that its pages are not touched either
};

}  // namespace posthaste::reactor
