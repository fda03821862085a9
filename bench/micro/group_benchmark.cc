// The heartbeat of a member, which is most of what a group asks for.
#include "bench/micro/measure.h"
#include "broker/groups/testing/coordinator_driver.h"

namespace posthaste::micro {
namespace {

using broker::GroupTestDriver;
using broker::JoinResponse;

// A stable group; the member ids.
std::vector<std::string> form_group(GroupTestDriver& driver, int64_t members, int32_t& generation) {
  std::vector<broker::RequestToken> tokens;
  tokens.reserve(static_cast<size_t>(members));
  for (int64_t i = 0; i < members; ++i) {
    tokens.push_back(driver.join({.group_id = "group",
                                  .client_id = "client",
                                  .client_host = "/10.0.0.1",
                                  .protocol_type = "consumer",
                                  .protocols = {{"range", "subscription"}},
                                  .session_timeout_ms = 45'000,
                                  .rebalance_timeout_ms = 60'000}));
  }
  while (!driver.answered(tokens.back())) driver.advance(1'000);
  std::vector<std::string> ids;
  ids.reserve(tokens.size());
  for (const auto token : tokens) {
    const JoinResponse joined = driver.answer<JoinResponse>(token);
    generation = joined.generation_id;
    ids.push_back(joined.member_id);
    driver.sync({.group_id = "group", .generation_id = generation, .member_id = joined.member_id});
  }
  return ids;
}

void group_heartbeat(benchmark::State& state) {
  GroupTestDriver driver;
  int32_t generation = 0;
  const std::vector<std::string> members = form_group(driver, state.range(0), generation);
  std::vector<broker::HeartbeatRequest> beats;
  beats.reserve(members.size());
  for (const std::string& member : members) {
    beats.push_back({.group_id = "group", .generation_id = generation, .member_id = member});
  }
  size_t turn = 0;
  broker::RequestToken token = driver.next_token;
  measure(state, [&] {
    driver.now.monotonic = driver.now.monotonic + std::chrono::microseconds(1);
    broker::GroupOutput out;
    driver.coordinator.heartbeat(++token, beats[turn++ % beats.size()], driver.now, out);
    CHECK(std::get<broker::HeartbeatResponse>(out.messages.at(0).response).error == net::kafka::ErrorCode::kNone);
  });
}
BENCHMARK(group_heartbeat)->ArgName("members")->Arg(1)->Arg(100);

}  // namespace
}  // namespace posthaste::micro
