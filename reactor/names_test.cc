// reactor::resolve over the simulated backend: names, unknown names, a resolver that keeps silent, a stop meanwhile.
#include "reactor/names.h"

#include <gtest/gtest.h>

#include <optional>

#include "reactor/simulated/world.h"

namespace posthaste::reactor {
namespace {

using simulated::Host;
using simulated::World;

struct Asked {
  std::optional<Result<std::vector<std::string>>> answer;
  Duration took{};
};

Program asks_for(std::string name, Duration patience, Asked& asked) {
  return [=, &asked](Core& core) -> Task<void> {
    const Instant begin = core.fresh_now();
    asked.answer = co_await resolve(core, name, patience);
    asked.took = core.fresh_now() - begin;
  };
}

TEST(Names, ANameIsAllItsAddresses) {
  World world(1);
  world.names().set("server", {"10.0.0.1", "10.0.0.2"});
  Asked asked;
  Host& host = world.add_host({.cores = 1}, "10.0.0.1", asks_for("server", 5s, asked));
  host.start();
  ASSERT_TRUE(world.run_until([&] { return asked.answer.has_value(); }, 10s));
  EXPECT_EQ(*asked.answer, (std::vector<std::string>{"10.0.0.1", "10.0.0.2"}));
}

TEST(Names, AnUnknownNameIsNotFound) {
  World world(2);
  Asked asked;
  Host& host = world.add_host({.cores = 1}, "10.0.0.1", asks_for("server", 5s, asked));
  host.start();
  ASSERT_TRUE(world.run_until([&] { return asked.answer.has_value(); }, 10s));
  EXPECT_EQ(asked.answer->error(), Errc::kNotFound);
}

TEST(Names, AResolverThatDoesNotAnswerCostsThePatienceAndNoMore) {
  World world(3);
  world.names().silence("server");
  Asked asked;
  Host& host = world.add_host({.cores = 1}, "10.0.0.1", asks_for("server", 5s, asked));
  host.start();
  ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 10s)) << world.log_tail();
  EXPECT_EQ(asked.answer->error(), Errc::kTimedOut);
  EXPECT_GE(asked.took, 5s);
  EXPECT_LT(asked.took, 6s);
}

TEST(Names, AStopDoesNotWaitForTheResolver) {
  World world(4);
  world.names().silence("server");
  Asked asked;
  Host& host = world.add_host({.cores = 1}, "10.0.0.1", asks_for("server", 5s, asked));
  host.start();
  world.run_for(1s);
  EXPECT_FALSE(asked.answer.has_value());
  host.stop();
  ASSERT_TRUE(world.run_until([&] { return !host.running(); }, 1s)) << world.log_tail();
  EXPECT_EQ(asked.answer->error(), Errc::kStopping);
}

}  // namespace
}  // namespace posthaste::reactor
