// What is done to the bytes of a record batch: looking at its header, and the pass that copies and checks. The plain
// copy and the plain checksum are the floor of the fused pass.
#include <cstring>

#include "bench/micro/measure.h"
#include "reactor/check.h"
#include "storage/batch/record_batch.h"
#include "storage/bytes/crc32c.h"

namespace posthaste::micro {
namespace {

constexpr reactor::WallMillis kNow{1'000};
constexpr size_t kValueBytes = 100;

void batch_parse_produced(benchmark::State& state) {
  const storage::Bytes batch = make_batch(state.range(0), kValueBytes);
  const storage::BatchRules rules;
  measure(state, [&] { CHECK(storage::parse_produced(batch, rules, kNow).has_value()); });
}
BENCHMARK(batch_parse_produced)->ArgName("records")->Arg(1)->Arg(1'000);

void batch_validate_with_crc(benchmark::State& state) {
  const storage::Bytes batch = make_batch(state.range(0), kValueBytes);
  const storage::BatchRules rules;
  measure(state, [&] { CHECK(storage::validate(batch, rules, kNow).has_value()); });
  bytes_per_operation(state, batch.size());
}
BENCHMARK(batch_validate_with_crc)->ArgName("records")->Arg(1)->Arg(1'000);

// Source and target, which the first pass brings into the caches that they fit.
struct TwoBuffers {
  explicit TwoBuffers(const benchmark::State& state)
      : from(static_cast<size_t>(state.range(0)), std::byte{0x5a}), to(from.size()) {}
  storage::Bytes from;
  storage::Bytes to;
};

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("bytes")->Arg(64)->Arg(1 << 10)->Arg(64 << 10)->Arg(1 << 20);
}

void copy_plain(benchmark::State& state) {
  TwoBuffers buffers(state);
  measure(state, [&] {
    std::memcpy(buffers.to.data(), buffers.from.data(), buffers.from.size());
    benchmark::ClobberMemory();
  });
  bytes_per_operation(state, buffers.from.size());
}
BENCHMARK(copy_plain)->Apply(sizes);

void crc32c_plain(benchmark::State& state) {
  const TwoBuffers buffers(state);
  measure(state, [&] { benchmark::DoNotOptimize(storage::crc32c(buffers.from)); });
  bytes_per_operation(state, buffers.from.size());
}
BENCHMARK(crc32c_plain)->Apply(sizes);

void copy_and_crc32c_fused(benchmark::State& state) {
  TwoBuffers buffers(state);
  measure(state, [&] { benchmark::DoNotOptimize(storage::copy_and_crc32c(0, buffers.to, buffers.from)); });
  bytes_per_operation(state, buffers.from.size());
}
BENCHMARK(copy_and_crc32c_fused)->Apply(sizes);

void copy_and_crc32c_apart(benchmark::State& state) {
  TwoBuffers buffers(state);
  measure(state, [&] {
    std::memcpy(buffers.to.data(), buffers.from.data(), buffers.from.size());
    benchmark::DoNotOptimize(storage::crc32c(buffers.from));
  });
  bytes_per_operation(state, buffers.from.size());
}
BENCHMARK(copy_and_crc32c_apart)->Apply(sizes);

}  // namespace
}  // namespace posthaste::micro
