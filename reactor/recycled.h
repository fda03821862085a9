// Recycled memory: blocks that a core takes and gives back with every request (frames of coroutines, the arrays of a
// message, nodes of short-lived maps) go to free lists by size and come from there, so that a steady load asks the
// allocator for nothing. The lists belong to the thread: one core's on a real host, in a test those of all simulated
// cores of the thread together, which makes no difference: a block on a list has no owner.
//
// It is a cache, not a limit: its users bound how much is in use (requests in flight, their memory), and
// kRecycledHeldBytesMax bounds what is kept for reuse of each size; blocks above that, and large ones, go to the
// allocator. A block may be given back on another thread than it was taken on; it then stays there. Under
// AddressSanitizer and ThreadSanitizer nothing is recycled, so that they see each use of what was freed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace posthaste::reactor {

// Sizes are rounded up to these steps up to 2 KiB, beyond to a power of two.
inline constexpr size_t kRecycledStepBytes = 64;
inline constexpr size_t kRecycledBlockBytesMax = size_t{32} << 10;
// Kept per size: as much as some hundred requests in flight use at a time. In total 2.25 MiB a core if every size is at
// its peak.
inline constexpr size_t kRecycledHeldBytesMax = size_t{64} << 10;

// Any thread; aligned as by operator new. Never null: without memory the process ends, as with operator new.
void* recycled_allocate(size_t bytes);
// `bytes`: the same as in the allocation.
void recycled_free(void* memory, size_t bytes) noexcept;
// Bytes on the lists of this thread. For tests.
size_t recycled_held_bytes();

// The allocator of a container whose memory is recycled. Stateless: containers of all cores have one type.
template <class T>
struct Recycling {
  using value_type = T;
  Recycling() = default;
  template <class U>
  Recycling(const Recycling<U>& /*other*/) {}  // NOLINT(google-explicit-constructor): as the standard asks
  T* allocate(size_t count) {
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    return static_cast<T*>(recycled_allocate(count * sizeof(T)));
  }
  void deallocate(T* memory, size_t count) noexcept { recycled_free(memory, count * sizeof(T)); }
  template <class U>
  bool operator==(const Recycling<U>& /*other*/) const {
    return true;
  }
};

template <class T>
using RecycledVector = std::vector<T, Recycling<T>>;
template <class T>
using RecycledDeque = std::deque<T, Recycling<T>>;
template <class Key, class Value, class Compare = std::less<Key>>
using RecycledMap = std::map<Key, Value, Compare, Recycling<std::pair<const Key, Value>>>;

// Base of objects and coroutine promises whose memory is recycled.
struct Recycled {
  static void* operator new(size_t bytes) { return recycled_allocate(bytes); }
  static void operator delete(void* memory, size_t bytes) noexcept { recycled_free(memory, bytes); }
};

}  // namespace posthaste::reactor
