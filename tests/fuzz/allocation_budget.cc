// Counts what a target asks the allocator for.
#include "tests/fuzz/fuzz.h"
#include "tests/tools/allocation_hook.h"

namespace posthaste::fuzz {
namespace {
// A fuzz program has one thread.
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
}  // namespace

AllocationBudget::AllocationBudget(size_t bytes) {
  testing::set_allocation_hook(count);
  left = bytes;
  limited = true;
}
AllocationBudget::~AllocationBudget() { limited = false; }

}  // namespace posthaste::fuzz
