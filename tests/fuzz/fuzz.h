// What every fuzz target is made of: one function over untrusted bytes. libFuzzer calls it with what it invents (preset
// fuzz), tests/fuzz/replay_main.cc with the seeds and with inputs that once broke something (every preset). A target
// ends the process when something is wrong; it has no other result.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

namespace posthaste::fuzz {

using Bytes = std::span<const std::byte>;

// The target of this program; defined once in each *_fuzz.cc.
void run_one(Bytes input);

// Ends the process with a line that says what was expected. Not CHECK: the finding is the target's, not the product's.
inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "fuzz target: not so: %s\n", what);
  std::abort();
}

// Bytes that operator new may hand out while one of these lives; more ends the process. Counts what is requested, freed
// or not. One at a time.
class AllocationBudget {
 public:
  explicit AllocationBudget(size_t bytes);
  ~AllocationBudget();
  AllocationBudget(const AllocationBudget&) = delete;
  AllocationBudget& operator=(const AllocationBudget&) = delete;
};

// A copy in a heap block of exactly its size, so that AddressSanitizer sees a read beyond it.
class ExactCopy {
 public:
  explicit ExactCopy(Bytes bytes) : bytes_(bytes.begin(), bytes.end()) { bytes_.shrink_to_fit(); }
  Bytes view() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// Takes small numbers off the front of an input, for targets that choose what to do by it. Zero when it is used up.
class Choices {
 public:
  explicit Choices(Bytes input) : rest_(input) {}

  uint64_t number(size_t bytes) {
    uint64_t value = 0;
    for (; bytes > 0 && !rest_.empty(); --bytes, rest_ = rest_.subspan(1)) {
      value = value << 8 | std::to_integer<uint64_t>(rest_.front());
    }
    return value;
  }
  // 0 to limit - 1.
  uint64_t below(uint64_t limit) { return limit == 0 ? 0 : number(limit > 256 ? 4 : 1) % limit; }
  bool coin() { return below(2) == 1; }
  Bytes take(size_t bytes) {
    const Bytes taken = rest_.first(bytes < rest_.size() ? bytes : rest_.size());
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  Bytes rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

 private:
  Bytes rest_;
};

}  // namespace posthaste::fuzz
