#include "reactor/recycled.h"

#include <array>
#include <bit>
#include <new>
#include <utility>

namespace posthaste::reactor {

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)

void* recycled_allocate(size_t bytes) { return ::operator new(bytes); }
void recycled_free(void* memory, size_t /*bytes*/) noexcept { ::operator delete(memory); }
size_t recycled_held_bytes() { return 0; }

#else

namespace {

constexpr size_t kStepsEnd = 2048;
constexpr size_t kSteps = kStepsEnd / kRecycledStepBytes;
constexpr size_t kSizes = kSteps + std::countr_zero(kRecycledBlockBytesMax / kStepsEnd);

constexpr size_t block_bytes(size_t size) {
  return size < kSteps ? (size + 1) * kRecycledStepBytes : kStepsEnd << (size - kSteps + 1);
}
constexpr size_t size_of_block(size_t bytes) {
  if (bytes <= kStepsEnd) return bytes == 0 ? 0 : (bytes - 1) / kRecycledStepBytes;
  return kSteps + static_cast<size_t>(std::bit_width((bytes - 1) / kStepsEnd)) - 1;
}
static_assert(block_bytes(kSizes - 1) == kRecycledBlockBytesMax);
static_assert(size_of_block(kStepsEnd) == kSteps - 1 && size_of_block(kStepsEnd + 1) == kSteps);
static_assert(size_of_block(kRecycledBlockBytesMax) == kSizes - 1);

struct FreeBlock {
  FreeBlock* next;
};

// Constant-initialized and never destroyed, so that using it needs no guard; Sweeper ends it.
struct FreeLists {
  std::array<FreeBlock*, kSizes> first{};
  std::array<size_t, kSizes> held{};  // bytes
  enum class State : uint8_t { kNew, kOpen, kClosed } state = State::kNew;
};
constinit thread_local FreeLists lists;

// Gives everything back when the thread ends; what is freed after that goes to the allocator.
struct Sweeper {
  Sweeper() { lists.state = FreeLists::State::kOpen; }
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;
  ~Sweeper() {
    lists.state = FreeLists::State::kClosed;
    for (FreeBlock*& first : lists.first) {
      while (first != nullptr) ::operator delete(std::exchange(first, first->next));
    }
    lists.held = {};
  }
};

bool is_open() {
  if (lists.state == FreeLists::State::kOpen) [[likely]]
    return true;
  if (lists.state == FreeLists::State::kClosed) return false;
  thread_local const Sweeper sweeper;
  return true;
}

}  // namespace

void* recycled_allocate(size_t bytes) {
  if (bytes > kRecycledBlockBytesMax) return ::operator new(bytes);
  const size_t size = size_of_block(bytes);
  FreeBlock* block = lists.first[size];
  if (block == nullptr) return ::operator new(block_bytes(size));
  lists.first[size] = block->next;
  lists.held[size] -= block_bytes(size);
  return block;
}

void recycled_free(void* memory, size_t bytes) noexcept {
  if (memory == nullptr) return;
  if (bytes > kRecycledBlockBytesMax) return ::operator delete(memory);
  const size_t size = size_of_block(bytes);
  if (lists.held[size] + block_bytes(size) > kRecycledHeldBytesMax || !is_open()) return ::operator delete(memory);
  lists.held[size] += block_bytes(size);
  lists.first[size] = new (memory) FreeBlock{lists.first[size]};
}

size_t recycled_held_bytes() {
  size_t bytes = 0;
  for (const size_t held : lists.held) bytes += held;
  return bytes;
}

#endif

}  // namespace posthaste::reactor
