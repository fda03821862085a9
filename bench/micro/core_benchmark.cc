// What all code on a core uses: timers, memory, tasks.
#include <memory>
#include <random>

#include "bench/micro/measure.h"
#include "reactor/buffer.h"
#include "reactor/check.h"
#include "reactor/mail.h"
#include "reactor/recycled.h"
#include "reactor/testing/manual_backend.h"

namespace posthaste::micro {
namespace {

using reactor::Core;
using reactor::Task;

struct OneCore {
  reactor::testing::ManualBackend backend;
  reactor::Mailroom mailroom{1};
  Core core{0, backend, mailroom, size_t{16} << 20};
};

void timer_arm_and_cancel(benchmark::State& state) {
  OneCore one;
  std::minstd_rand random{1};
  const auto soon = [&] { return one.core.now() + reactor::Duration(static_cast<int64_t>(random())); };
  std::vector<std::unique_ptr<reactor::Timer>> others;
  for (int64_t i = 0; i < state.range(0); ++i) {
    others.push_back(std::make_unique<reactor::Timer>(one.core));
    others.back()->arm(soon(), [](reactor::Timer&) {});
  }
  reactor::Timer timer(one.core);
  measure(state, [&] {
    timer.arm(soon(), [](reactor::Timer&) {});
    timer.cancel();
  });
}
BENCHMARK(timer_arm_and_cancel)->ArgName("others")->Arg(0)->Arg(10'000);

void pool_allocate_and_free(benchmark::State& state) {
  OneCore one;
  measure(state, [&] {
    auto buffer = one.core.pool().allocate(static_cast<size_t>(state.range(0)));
    CHECK(buffer.has_value());
    benchmark::DoNotOptimize(buffer->data());
  });
}
BENCHMARK(pool_allocate_and_free)->ArgName("bytes")->Arg(4 << 10)->Arg(1 << 20);

// Two at a time, as requests under way have.
void recycled_allocate_and_free(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  measure(state, [&] {
    void* first = reactor::recycled_allocate(bytes);
    void* second = reactor::recycled_allocate(bytes);
    benchmark::DoNotOptimize(first);
    benchmark::DoNotOptimize(second);
    reactor::recycled_free(first, bytes);
    reactor::recycled_free(second, bytes);
  });
}
BENCHMARK(recycled_allocate_and_free)->ArgName("bytes")->Arg(200)->Arg(2'000);

void operator_new_and_delete(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  measure(state, [&] {
    void* first = ::operator new(bytes);
    void* second = ::operator new(bytes);
    benchmark::DoNotOptimize(first);
    benchmark::DoNotOptimize(second);
    ::operator delete(first);
    ::operator delete(second);
  });
}
BENCHMARK(operator_new_and_delete)->ArgName("bytes")->Arg(200)->Arg(2'000);

Task<void> nothing() { co_return; }

// Spawned, run by a turn of the loop, gone.
void task_spawn_and_run(benchmark::State& state) {
  OneCore one;
  measure(state, [&] {
    one.core.scope().spawn(nothing());
    one.core.turn();
  });
}
BENCHMARK(task_spawn_and_run);

}  // namespace
}  // namespace posthaste::micro
