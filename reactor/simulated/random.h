// The simulator's randomness and its running trace hash: small, fast, the same on every machine and build. Not for
// cryptography, and nothing outside the simulator and tests may draw from it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

namespace posthaste::reactor::simulated {

// One round of the splitmix64 finalizer: spreads every input bit over the whole word.
constexpr uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

// A stream of random numbers from a seed (splitmix64: one add and one mix per number).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(mix64(seed + 0x9e3779b97f4a7c15U)) {}

  uint64_t next() { return mix64(state_ += 0x9e3779b97f4a7c15U); }
  // 0 .. bound-1; 0 if bound is 0. The bias of the multiply-shift is below 2^-32 for the bounds used here.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
  // least .. most, both included.
  int64_t between(int64_t least, int64_t most) {
    if (most <= least) return least;
    return least + static_cast<int64_t>(below(static_cast<uint64_t>(most - least) + 1));
  }
  // True with the given probability, in parts of a million.
  bool chance(uint32_t per_million) { return per_million != 0 && below(1'000'000) < per_million; }
  // An independent stream; drawing from it does not move this one further.
  Random fork() { return Random(next()); }
  template <class Vector>
  void shuffle(Vector& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  uint64_t state_;
};

// The running hash of everything that happened, in order. Only values that are the same in every run of a seed may go
// in: ids, sizes, results, times, bytes; never addresses.
class TraceHash {
 public:
  void add(uint64_t value) { value_ = mix64(value_ ^ value) + 0x9e3779b97f4a7c15U; }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0x706f737468617374U;
};

}  // namespace posthaste::reactor::simulated
