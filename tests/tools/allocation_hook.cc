#include "tests/tools/allocation_hook.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#endif

namespace posthaste::testing {
namespace {
// The allocator is the one place where a test cannot pass a parameter.
AllocationHook installed = nullptr;
std::atomic<uint64_t> counted = 0;
thread_local bool counts = false;

void tell(size_t bytes) {
  if (installed != nullptr) installed(bytes);
}

#if __has_feature(address_sanitizer)
void install() {
  static const bool done =
      __sanitizer_install_malloc_and_free_hooks([](const volatile void*, size_t bytes) { tell(bytes); },
                                                [](const volatile void*) {}) != 0;
  if (done) return;
  std::fputs("the allocation hook cannot be installed\n", stderr);
  std::abort();
}
#else
void install() {}

void* allocate(size_t bytes, size_t alignment) {
  tell(bytes);
  void* const memory = alignment <= alignof(std::max_align_t)
                           ? std::malloc(bytes == 0 ? 1 : bytes)
                           : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) std::abort();
  return memory;
}
#endif
}  // namespace

void set_allocation_hook(AllocationHook hook) {
  install();
  installed = hook;
}

namespace allocation_count {
void start() {
  set_allocation_hook([](size_t) {
    if (counts) counted.fetch_add(1, std::memory_order_relaxed);
  });
}
void count_this_thread(bool on) { counts = on; }
uint64_t total() { return counted.load(std::memory_order_relaxed); }
}  // namespace allocation_count

}  // namespace posthaste::testing

#if !__has_feature(address_sanitizer)
void* operator new(size_t bytes) { return posthaste::testing::allocate(bytes, 0); }
void* operator new[](size_t bytes) { return posthaste::testing::allocate(bytes, 0); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return posthaste::testing::allocate(bytes, static_cast<size_t>(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return posthaste::testing::allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
#endif
