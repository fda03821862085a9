// Sees each allocation of a test program: through AddressSanitizer's hook where there is one (that one sees malloc
// too), else by replacing operator new. A program gets it by linking allocation_hook.cc.
#pragma once
#include <cstddef>
#include <cstdint>

namespace posthaste::testing {

// Called on the thread that allocates, before it gets the memory, with the bytes asked for. It must not allocate.
using AllocationHook = void (*)(size_t bytes);

// One for the program; to be set before other threads run.
void set_allocation_hook(AllocationHook hook);

// A hook that counts the allocations of threads that asked for it.
namespace allocation_count {
void start();                            // makes it the program's hook
void count_this_thread(bool on = true);  // from now on, or not any more; any thread
uint64_t total();                        // of all threads that are counted; any thread
}  // namespace allocation_count

}  // namespace posthaste::testing
