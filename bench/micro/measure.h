// What the micro benchmarks share: a loop that reports, besides time, how often an operation asks the allocator. Every
// *_benchmark.cc here is one subject; docs/performance.md has the commands and the figures.
#pragma once
#include <benchmark/benchmark.h>

#include <vector>

#include "storage/batch/record_batch_builder.h"
#include "tests/tools/allocation_hook.h"

namespace posthaste::micro {

// From its making to its end: allocations per iteration, as the counter "allocs/op". Of all threads that are counted
// (the main thread is).
class AllocationsPerOperation {
 public:
  explicit AllocationsPerOperation(benchmark::State& state)
      : state_(state), before_(testing::allocation_count::total()) {}
  AllocationsPerOperation(const AllocationsPerOperation&) = delete;
  AllocationsPerOperation& operator=(const AllocationsPerOperation&) = delete;
  ~AllocationsPerOperation() {
    const auto count = static_cast<double>(testing::allocation_count::total() - before_);
    state_.counters["allocs/op"] = benchmark::Counter(count, benchmark::Counter::kAvgIterations);
  }

 private:
  benchmark::State& state_;
  uint64_t before_;
};

// Runs `operation` as often as is asked for, once before that to warm up.
template <class Operation>
void measure(benchmark::State& state, Operation&& operation) {
  operation();
  const AllocationsPerOperation count(state);
  for ([[maybe_unused]] auto _ : state) operation();
}

inline void bytes_per_operation(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
}

// A batch of `records` records with `value_bytes` bytes each, as a producer sends it.
inline storage::Bytes make_batch(int64_t records, size_t value_bytes, const storage::BatchToWrite& header = {}) {
  storage::RecordBatchBuilder builder(header);
  const storage::Bytes value(value_bytes, std::byte{'v'});
  for (int64_t i = 0; i < records; ++i) builder.add({.timestamp = 1'000, .value = storage::ByteView(value)});
  return builder.finish();
}

}  // namespace posthaste::micro
