// Connections in the simulator: how many are allowed, on which cores, and that core 0 learns of their end.
#include "net/testing/connection_test_base.h"

namespace posthaste::net {
namespace {

TEST_F(ConnectionTest, ConnectionsAreLimitedInTotalAndPerAddress) {
  accept_limits_.connections_max = 3;
  accept_limits_.connections_per_address_max = 2;
  start_server();
  const auto open = [&](size_t count, std::vector<bool>& ended) {
    return [&, count](Core& core) -> Task<void> {
      std::vector<std::unique_ptr<ClientConnection>> clients;
      for (size_t i = 0; i < count; ++i) {
        clients.push_back(std::make_unique<ClientConnection>(core, "client"));
        EXPECT_TRUE((co_await clients.back()->connect(kServerAddress)).has_value());
        co_await core.sleep(10ms);
      }
      co_await core.sleep(1s);
      for (auto& client : clients) ended.push_back(client->ended());
      co_await core.sleep(20s);  // the next host's clients come while these are here
      for (auto& client : clients) co_await client->close();
    };
  };
  std::vector<bool> first;
  std::vector<bool> second;
  Host& one = world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{1} << 20}, "10.0.2.1", open(3, first));
  one.start();
  world_.run_for(5s);
  Host& two = world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{1} << 20}, "10.0.2.2", open(2, second));
  two.start();
  world_.run_for(60s);
  EXPECT_EQ(first, (std::vector<bool>{false, false, true}));
  EXPECT_EQ(second, (std::vector<bool>{false, true}));
  EXPECT_EQ(acceptor_->stats().closed_for(CloseReason::kTooManyConnectionsFromAddress), 1U);
  EXPECT_EQ(acceptor_->stats().closed_for(CloseReason::kTooManyConnections), 1U);
  EXPECT_EQ(acceptor_->open_on(0), 0U);
}

TEST_F(ConnectionTest, LimitsChangeWhileConnectionsAreOpen) {
  start_server();
  run_client([&](Core& core) -> Task<void> {
    std::vector<std::unique_ptr<ClientConnection>> clients;
    const auto is_refused = [&]() -> Task<bool> {
      clients.push_back(std::make_unique<ClientConnection>(core, "client"));
      EXPECT_TRUE((co_await clients.back()->connect(kServerAddress)).has_value());
      co_return co_await clients.back()->wait_ended(core.now() + 1s);
    };
    EXPECT_FALSE(co_await is_refused());
    EXPECT_FALSE(co_await is_refused());
    acceptor_->set_limits({.connections_per_address_max = 1});
    EXPECT_TRUE(co_await is_refused());
    EXPECT_FALSE(clients[0]->ended()) << "what is open stays";
    acceptor_->set_limits({.connections_per_address_max = 1, .per_address_overrides = {{"10.0.1.1", 3}}});
    EXPECT_FALSE(co_await is_refused());
    EXPECT_TRUE(co_await is_refused());
    acceptor_->set_limits({.per_address_overrides = {{"10.0.1.1", 0}}});
    EXPECT_TRUE(co_await is_refused());
    acceptor_->set_limits({.connections_max = 3, .per_address_overrides = {{"10.0.1.9", 0}}});
    EXPECT_TRUE(co_await is_refused());
    acceptor_->set_limits({});
    EXPECT_FALSE(co_await is_refused());
    for (auto& client : clients) co_await client->close();
  });
  world_.run_for(1s);
  EXPECT_EQ(acceptor_->stats().closed_for(CloseReason::kTooManyConnectionsFromAddress), 3U);
  EXPECT_EQ(acceptor_->stats().closed_for(CloseReason::kTooManyConnections), 1U);
  EXPECT_EQ(acceptor_->stats().accepted, 8U);
  EXPECT_EQ(acceptor_->stats().open, 0U);
}

TEST(NetStats, SaysWhatIsNotZero) {
  NetStats stats{.accepted = 7, .open = 2, .requests = 3};
  stats.closed[static_cast<size_t>(CloseReason::kPeerClosed)] = 1;
  EXPECT_EQ(stats.cut_off(), 0U);
  stats.closed[static_cast<size_t>(CloseReason::kSlowReader)] = 4;
  EXPECT_EQ(stats.cut_off(), 4U);
  EXPECT_EQ(stats.describe(), "accepted=7 open=2 requests=3 closed_peer_closed=1 closed_slow_reader=4");
}

TEST_F(ConnectionTest, ConnectionsAreSpreadEvenlyOverCores) {
  constexpr CoreId kCores = 3;
  start_server(kCores);
  run_client([&](Core& core) -> Task<void> {
    std::vector<std::unique_ptr<ClientConnection>> clients;
    for (int i = 0; i < 9; ++i) {
      clients.push_back(std::make_unique<ClientConnection>(core, "client"));
      EXPECT_TRUE((co_await clients.back()->connect(kServerAddress)).has_value());
      EXPECT_TRUE((co_await clients.back()->call(MetadataRequest{}, kMetadataVersion)).has_value());
    }
    for (CoreId i = 0; i < kCores; ++i) EXPECT_EQ(server_cores_[i].connections->stats().open, 3U);
    for (auto& client : clients) co_await client->close();
    co_await core.sleep(1s);
    for (CoreId i = 0; i < kCores; ++i) EXPECT_EQ(acceptor_->open_on(i), 0U);
  });
}

// Connects and disconnects again, sometimes with a request, until the server does not answer any more.
Task<void> come_and_go(Core& core, bool& over) {
  while (!over) {
    ClientConnection client(core, "churn");
    if ((co_await client.connect(kServerAddress)).has_value()) {
      if (core.random() % 2 == 0) (void)co_await client.call(MetadataRequest{}, kMetadataVersion);
      (void)co_await client.wait_ended(core.now() + Duration(core.random() % 50'000'000));
      co_await client.close();
    }
    co_await core.sleep(Duration(core.random() % 300'000));
  }
}

// The end of a connection is reported to core 0 by mail, and connections are passed to other cores by mail. Whatever is
// in a ring when the stop begins, its receiver must still live when it arrives.
TEST(Acceptor, IsThereUntilItHasHeardOfTheEndOfEachConnection) {
  constexpr int kClients = 800;  // more on each core than it has credits for calls to core 0
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    World world(seed, reactor::simulated::WorldOptions::swarm(seed));
    bool over = false;
    bool acceptor_stopped = false;
    std::array<ConnectionSet*, 4> sets{};
    const auto server_program = [&](Core& core) -> Task<void> {
      TestHandler handler(core);
      const ConnectionLimits limits;
      ConnectionSet connections(core, handler, limits);
      sets.at(core.id()) = &connections;
      if (core.id() != 0) {
        while (!acceptor_stopped) co_await core.sleep(1ms);
        EXPECT_EQ(connections.stats().open, 0U);
        co_return;
      }
      Acceptor acceptor(core, {}, [&sets](Core& on) -> ConnectionSet& { return *sets.at(on.id()); });
      EXPECT_TRUE((co_await acceptor.listen({.address = kServerAddress})).has_value());
      acceptor.begin();
      co_await core.until_stopping();
      co_await acceptor.stop();
      for (size_t on = 0; on < core.core_count(); ++on) EXPECT_EQ(acceptor.open_on(static_cast<CoreId>(on)), 0U);
      acceptor_stopped = true;
    };
    Host& server = world.add_host({.cores = 4, .pool_bytes_per_core = size_t{8} << 20}, kServerIp, server_program);
    Host& clients = world.add_host({.cores = 1, .pool_bytes_per_core = size_t{64} << 20}, "10.0.1.1",
                                   [&over](Core& core) -> Task<void> {
                                     reactor::TaskScope scope(core);
                                     for (int i = 0; i < kClients; ++i) scope.spawn(come_and_go(core, over));
                                     co_await scope.join();
                                   });
    server.start();
    clients.start();
    world.run_for(Duration(20'000'000 + world.random().below(50'000'000)));
    server.stop();
    ASSERT_TRUE(world.run_until([&] { return !server.running(); }, 60s)) << "seed " << seed << world.log_tail();
    ASSERT_EQ(server.state(), HostState::kStopped) << "seed " << seed;
    over = true;
    ASSERT_TRUE(world.run_until([&] { return !clients.running(); }, 120s)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace posthaste::net
