// Two brokers whose configurations name each other: they find each other by name, at the listeners of controllers.
#include "broker/quorum_peers.h"

#include <gtest/gtest.h>

#include <memory>

#include "reactor/simulated/world.h"
#include "replication/quorum/record_batches.h"

namespace posthaste::broker {
namespace {

using namespace std::chrono_literals;
namespace quorum = replication::quorum;
using reactor::Core;
using reactor::Task;
using reactor::simulated::Host;
using reactor::simulated::World;

struct NotingMember final : replication::peers::QuorumMember {
  void received(quorum::NodeId from, quorum::PeerMessage message) override {
    senders.push_back(from);
    messages.push_back(std::move(message.message));
  }
  void connection_lost(quorum::NodeId /*peer*/, bool /*is_refused*/) override { ++losses; }
  std::vector<quorum::NodeId> senders;
  std::vector<quorum::Message> messages;
  size_t losses = 0;
};

class QuorumPeersTest : public ::testing::Test {
 protected:
  struct Broker {
    BrokerOptions options;
    NodeIdentity identity;
    NotingMember member;
    Host* host = nullptr;
    QuorumPeers* peers = nullptr;  // while it runs
    std::string why;               // it does not
  };

  QuorumPeersTest() {
    for (int32_t id = 1; id <= 2; ++id) {
      Broker& broker = brokers_.at(static_cast<size_t>(id) - 1);
      broker.identity = {.cluster_id = "c", .node_id = id, .directory_id = {.bytes = {std::byte(id)}}};
      broker.options.quorum.voters = {{.id = 1, .address = "broker-1:9093"}, {.id = 2, .address = "broker-2:9193"}};
      broker.options.quorum.listeners = {{.name = "CONTROLLER",
                                          .host = fmt::format("broker-{}", id),
                                          .port = static_cast<uint16_t>(id == 1 ? 9093 : 9193)}};
      const std::string ip = fmt::format("10.0.0.{}", id);
      world_.names().set(fmt::format("broker-{}", id), {ip});
      broker.host = &world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{4} << 20}, ip,
                                     [&broker](Core& core) { return run(broker, core); });
    }
  }
  bool until(const std::function<bool()>& done, reactor::Duration limit = 10s) { return world_.run_until(done, limit); }
  // Broker 1 asks broker 2 for its vote.
  void ask() {
    brokers_[0].host->wake(0);
    const auto key = [](const Broker& broker) -> quorum::ReplicaKey {
      return {.id = broker.identity.node_id, .directory = quorum::directory_of(broker.identity.directory_id)};
    };
    vote_ = {.epoch = 5, .candidate = key(brokers_[0]), .voter = key(brokers_[1]), .end = {10, 4}};
  }

  World world_{5};
  std::array<Broker, 2> brokers_;
  static inline std::optional<quorum::VoteRequest> vote_;

 private:
  static Task<void> run(Broker& broker, Core& core) {
    QuorumPeers peers(core, broker.options, broker.identity, broker.member);
    const auto lines = co_await peers.listen();
    if (lines) {
      EXPECT_EQ(lines->size(), 1U);
      peers.start();
      broker.peers = &peers;
    } else {
      broker.why = lines.error();
    }
    while (lines && !core.stopping()) {
      if (broker.identity.node_id == 1 && vote_) peers.transport().send(2, {*std::exchange(vote_, std::nullopt), {}});
      co_await core.sleep(1ms);
    }
    broker.peers = nullptr;
    co_await peers.stop();
  }
};

TEST_F(QuorumPeersTest, BrokersThatNameEachOtherReachEachOther) {
  for (Broker& broker : brokers_) broker.host->start();
  ASSERT_TRUE(until([this] {
    return brokers_[0].peers != nullptr && brokers_[1].peers != nullptr &&
           brokers_[0].peers->connections().is_connected(2) && brokers_[1].peers->connections().is_connected(1);
  })) << world_.log_tail();
  EXPECT_EQ(brokers_[0].peers->known_voters(), (std::vector<quorum::NodeId>{1, 2}));
  ask();
  ASSERT_TRUE(until([this] { return !brokers_[1].member.messages.empty(); }));
  EXPECT_EQ(brokers_[1].member.senders.front(), 1);
  EXPECT_EQ(std::get<quorum::VoteRequest>(brokers_[1].member.messages.front()).epoch, 5);
  for (Broker& broker : brokers_) broker.host->stop();
  EXPECT_TRUE(until([this] { return !brokers_[0].host->running() && !brokers_[1].host->running(); }, 100ms));
  EXPECT_EQ(world_.network().open_endpoints(), 0U);
}

// Each attempt asks again what the name means.
TEST_F(QuorumPeersTest, ANameMayBecomeKnownOrMove) {
  world_.names().remove("broker-2");
  brokers_[1].options.quorum.listeners[0].host = "";
  for (Broker& broker : brokers_) broker.host->start();
  EXPECT_FALSE(
      until([this] { return brokers_[0].peers != nullptr && brokers_[0].peers->connections().is_connected(2); }, 3s));
  world_.names().set("broker-2", {"10.0.0.9"});
  world_.run_for(2s);
  world_.names().set("broker-2", {"10.0.0.2"});
  EXPECT_TRUE(until([this] { return brokers_[0].peers->connections().is_connected(2); }, 5s)) << world_.log_tail();
}

TEST_F(QuorumPeersTest, AListenerThatCannotBeBoundIsNamed) {
  brokers_[0].options.quorum.listeners[0].host = "10.0.0.2";
  brokers_[0].host->start();
  ASSERT_TRUE(until([this] { return !brokers_[0].host->running(); }));
  EXPECT_NE(brokers_[0].why.find("CONTROLLER://10.0.0.2:9093"), std::string::npos) << brokers_[0].why;
}

TEST_F(QuorumPeersTest, ABrokerOfAnotherClusterIsRefusedWithALine) {
  brokers_[1].identity.cluster_id = "d";
  for (Broker& broker : brokers_) broker.host->start();
  world_.run_for(3s);
  EXPECT_FALSE(brokers_[0].peers->connections().is_connected(2));
  EXPECT_NE(
      world_.log_tail().find("broker=2 address=broker-2:9193 reason=\"other cluster\" detail=\"it is of cluster d, "
                             "this broker of c; check its address and the data folders of both\""),
      std::string::npos)
      << world_.log_tail();
}

}  // namespace
}  // namespace posthaste::broker
