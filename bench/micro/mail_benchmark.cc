// A call from one core to another and its answer: the work of both ends alone, and between two threads that sleep.
#include <array>
#include <memory>

#include "bench/micro/measure.h"
#include "reactor/check.h"
#include "reactor/mail.h"
#include "reactor/testing/manual_backend.h"
#include "reactor/uring/host.h"

namespace posthaste::micro {
namespace {

using reactor::Core;
using reactor::Task;

// Both cores on this thread, so that no wake-up and no cache line of another core is in the figure.
void mail_call_on_one_thread(benchmark::State& state) {
  std::array<reactor::testing::ManualBackend, 2> backends;
  reactor::Mailroom mailroom(2);
  constexpr size_t kPoolBytes = size_t{1} << 20;
  Core from(0, backends[0], mailroom, kPoolBytes);
  Core to(1, backends[1], mailroom, kPoolBytes);
  const auto calls = state.range(0);
  uint64_t answers = 0;
  const auto ask = [](Core& home, uint64_t& counted) -> Task<void> {
    counted += co_await reactor::on_core(home, 1, [](Core&) { return uint64_t{1}; });
  };
  uint64_t asked = 0;
  measure(state, [&] {
    for (int64_t i = 0; i < calls; ++i) from.scope().spawn(ask(from, answers));
    asked += static_cast<uint64_t>(calls);
    from.turn();
    to.turn();
    from.turn();
    CHECK(answers == asked);
  });
  state.SetItemsProcessed(state.iterations() * calls);
}
BENCHMARK(mail_call_on_one_thread)->ArgName("calls_a_turn")->Arg(1)->Arg(64);

// On real threads, one call at a time: each finds the other core asleep or about to be.
void mail_call_between_threads(benchmark::State& state) {
  const auto ask = [&state](Core& core) -> Task<void> {
    if (core.id() != 0) co_return;
    const auto call = [](Core& there) { return there.id(); };
    CHECK(co_await reactor::on_core(core, 1, call) == 1);
    const AllocationsPerOperation count(state);
    for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(co_await reactor::on_core(core, 1, call));
  };
  const auto counted = [&ask](Core& core) {
    testing::allocation_count::count_this_thread();
    return ask(core);
  };
  const auto run = reactor::uring::run_host({.cores = 2, .pool_bytes_per_core = size_t{1} << 20}, {}, counted);
  CHECK(run.has_value(), "{}", run.error());
}
BENCHMARK(mail_call_between_threads)->UseRealTime();

}  // namespace
}  // namespace posthaste::micro
