// One life of a store of one core on the simulated disk, from recovery to an orderly close: what the fixtures of
// storage/'s unit tests share. What a test does in a life, and how it may end, the fixtures say.
#pragma once
#include <gtest/gtest.h>

#include <functional>

#include "reactor/simulated/world.h"
#include "storage/engine.h"

namespace posthaste::storage::testing {

using EngineWork = std::function<reactor::Task<void>(reactor::Core&, Engine&)>;

// Recovers and opens the store, does `work` and closes. The test fails if the store does not start or does not close in
// order; `report` gets what recovery found. The host may die inside `work`.
inline reactor::Task<void> one_life(reactor::Core& core, EngineOptions options, EngineWork work,
                                    RecoveryReport* report = nullptr) {
  EngineHost store(std::move(options), 1);
  const auto recovered = co_await store.recover(core);
  if (!recovered) co_return ADD_FAILURE() << to_string(recovered.error()) << " " << store.error_text();
  if (report != nullptr) *report = *recovered;
  const auto engine = co_await store.open(core);
  if (!engine) co_return ADD_FAILURE() << to_string(engine.error());
  co_await work(core, **engine);
  co_await (*engine)->close();
  EXPECT_TRUE((co_await store.close(core)).has_value());
}

// Starts `program` on `host` and runs the world until the host is down, which must be so in the state `end`. The test
// ends here if it is not.
inline void run_until_down(reactor::simulated::World& world, reactor::simulated::Host& host,
                           std::function<reactor::Task<void>(reactor::Core&)> program,
                           reactor::simulated::HostState end, reactor::Duration patience = std::chrono::seconds(60)) {
  host.set_program(std::move(program));
  host.start();
  ASSERT_TRUE(world.run_until([&] { return !host.running(); }, patience)) << world.log_tail();
  ASSERT_EQ(host.state(), end) << world.log_tail();
}

}  // namespace posthaste::storage::testing
