// Counts what a target asks the allocator for: by AddressSanitizer's hook where there is one, else by operator new.
#include <cstdlib>
#include <new>

#include "tests/fuzz/fuzz.h"

#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#endif

namespace posthaste::fuzz {
namespace {
// A fuzz program has one thread; the allocator is the one place where a target cannot pass a parameter.
bool limited = false;
size_t left = 0;

void count(size_t bytes) {
  if (!limited) return;
  if (bytes <= left) {
    left -= bytes;
    return;
  }
  limited = false;
  std::fprintf(stderr, "fuzz target: an allocation of %zu bytes exceeds the budget, %zu are left\n", bytes, left);
  std::abort();
}

#if __has_feature(address_sanitizer)
void install_hook() {
  static const bool installed = [] {
    return __sanitizer_install_malloc_and_free_hooks([](const volatile void*, size_t bytes) { count(bytes); },
                                                     [](const volatile void*) {}) != 0;
  }();
  require(installed, "the allocation hook can be installed");
}
#else
void install_hook() {}

void* allocate(size_t bytes, size_t alignment) {
  count(bytes);
  void* const memory = alignment <= alignof(std::max_align_t)
                           ? std::malloc(bytes == 0 ? 1 : bytes)
                           : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) std::abort();
  return memory;
}
#endif
}  // namespace

AllocationBudget::AllocationBudget(size_t bytes) {
  install_hook();
  left = bytes;
  limited = true;
}
AllocationBudget::~AllocationBudget() { limited = false; }

}  // namespace posthaste::fuzz

#if !__has_feature(address_sanitizer)
void* operator new(size_t bytes) { return posthaste::fuzz::allocate(bytes, 0); }
void* operator new[](size_t bytes) { return posthaste::fuzz::allocate(bytes, 0); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return posthaste::fuzz::allocate(bytes, static_cast<size_t>(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return posthaste::fuzz::allocate(bytes, static_cast<size_t>(alignment));
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
