// posthaste-micro: the parts that a request's cost is made of, one by one. Takes Google Benchmark's own options:
//   posthaste-micro --benchmark_filter=codec --benchmark_repetitions=5
#include <benchmark/benchmark.h>

#include "tests/tools/allocation_hook.h"

int main(int argc, char** argv) {
  posthaste::testing::allocation_count::start();
  posthaste::testing::allocation_count::count_this_thread();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
