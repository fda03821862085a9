// A broker's listeners: names and every-address hosts are bound, the advertised address works for clients and is the
// same in every answer, and a start that cannot listen says why.
#include <gtest/gtest.h>

#include "broker/testing/simulated_broker.h"
#include "net/kafka/groups.h"
#include "net/kafka/metadata.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
namespace kafka = net::kafka;
using reactor::simulated::HostState;

class ListeningTest : public BrokerTest {
 protected:
  void listen_at(BrokerListener listener) {
    options_.listeners.push_back(std::move(listener));
    start();
  }
  // The address that a client which connects to `address` gets in every answer that names a broker; empty if they
  // differ.
  std::string told(const std::string& address) {
    std::string answer;
    run([&](Client& client) -> Task<void> {
      net::ClientConnection connection(client.core(), "asks");
      EXPECT_TRUE((co_await connection.connect(address)).has_value()) << address;
      const auto metadata = co_await connection.call(kafka::MetadataRequest{}, 9);
      answer = fmt::format("{}:{}", metadata->message.brokers.at(0).host, metadata->message.brokers.at(0).port);
      const auto cluster = co_await connection.call(kafka::DescribeClusterRequest{}, 0);
      const auto& broker = cluster->message.brokers.at(0);
      if (fmt::format("{}:{}", broker.host, broker.port) != answer) answer.clear();
      const auto coordinator = co_await connection.call(kafka::FindCoordinatorRequest{.key = "g"}, 3);
      if (fmt::format("{}:{}", coordinator->message.host, coordinator->message.port) != answer) answer.clear();
      co_await connection.close();
    });
    return answer;
  }
  // Also on the broker's own machine.
  bool failed_with(std::string_view words) {
    return !ready_ && broker_->state() == HostState::kStopped && shared_->failure().find(words) != std::string::npos;
  }
};

TEST_F(ListeningTest, WithoutAHostEachClientIsToldTheAddressThatItReached) {
  listen_at({.name = "ANY", .port = 9094, .advertised_host = "name-of-the-machine", .advertise_as_connected = true});
  ASSERT_TRUE(ready_) << shared_->failure();
  EXPECT_EQ(told("10.0.0.1:9094"), "10.0.0.1:9094");
  EXPECT_EQ(told("10.0.0.1:9092"), "10.0.0.1:9092") << "each listener has its own";
  EXPECT_NE(report_.listeners.at(1).find("as the address that each client connects to, port 9094"), std::string::npos)
      << report_.listeners.at(1);
}

TEST_F(ListeningTest, APortOfItsOwnMayBeAdvertisedWithoutAHost) {
  listen_at(
      {.name = "ANY", .port = 9094, .advertised_host = "x", .advertised_port = 19094, .advertise_as_connected = true});
  EXPECT_EQ(told("10.0.0.1:9094"), "10.0.0.1:19094");
}

TEST_F(ListeningTest, AKindOfAddressesThatIsMissingIsLeftOut) {
  // These machines have no IPv6: of "every address" the IPv4 ones stay.
  listen_at({.name = "ANY", .port = 9094});
  ASSERT_TRUE(ready_) << shared_->failure();
  EXPECT_TRUE(report_.listeners.at(1).starts_with("ANY://0.0.0.0:9094 advertised")) << report_.listeners.at(1);
  EXPECT_NE(world_.log_tail(400).find("listener_left_out listener=ANY://:9094 address=[::]:9094"), std::string::npos);
}

TEST_F(ListeningTest, AnIpThatIsMissingIsRefused) {
  listen_at({.name = "V6", .host = "::1", .port = 9094});
  EXPECT_TRUE(failed_with("[::1]:9094 (V6://[::1]:9094): no interface")) << shared_->failure();
}

TEST_F(ListeningTest, ANameIsBoundAtAllItsAddresses) {
  world_.names().set("broker-1", {"10.0.0.1", "127.0.0.1", "10.9.9.9"});
  listen_at({.name = "NAMED", .host = "broker-1", .port = 9094, .advertised_host = "broker-1"});
  ASSERT_TRUE(ready_) << shared_->failure();
  EXPECT_EQ(told("10.0.0.1:9094"), "broker-1:9094");
  EXPECT_TRUE(report_.listeners.at(1).starts_with("NAMED://10.0.0.1:9094,127.0.0.1:9094 advertised as broker-1:9094"))
      << report_.listeners.at(1);
  EXPECT_NE(world_.log_tail(400).find("address=10.9.9.9:9094"), std::string::npos) << "the one that is not ours";
}

TEST_F(ListeningTest, ANameWithPortZeroHasOnePort) {
  world_.names().set("broker-1", {"10.0.0.1", "127.0.0.1"});
  listen_at({.name = "NAMED", .host = "broker-1", .advertised_host = "broker-1"});
  ASSERT_TRUE(ready_) << shared_->failure();
  const std::string& line = report_.listeners.at(1);
  const std::string port = line.substr(line.rfind(':') + 1, 5);
  EXPECT_TRUE(line.starts_with(fmt::format("NAMED://10.0.0.1:{},127.0.0.1:{} advertised", port, port))) << line;
}

TEST_F(ListeningTest, AnUnknownNameEndsTheStart) {
  listen_at({.name = "NAMED", .host = "broker-1", .port = 9094});
  EXPECT_TRUE(failed_with("no address is known for broker-1 (not found): correct the name")) << shared_->failure();
}

TEST_F(ListeningTest, ANameOfAnotherMachineEndsTheStart) {
  world_.names().set("broker-1", {"10.9.9.9"});
  listen_at({.name = "NAMED", .host = "broker-1", .port = 9094});
  EXPECT_TRUE(failed_with("10.9.9.9:9094 (NAMED://broker-1:9094): no interface")) << shared_->failure();
}

TEST_F(ListeningTest, AResolverThatKeepsSilentEndsTheStartInSeconds) {
  world_.names().silence("broker-1");
  const auto begin = world_.elapsed();
  listen_at({.name = "NAMED", .host = "broker-1", .port = 9094});
  EXPECT_TRUE(failed_with("no answer for broker-1 within 5 s")) << shared_->failure();
  EXPECT_LT(world_.elapsed() - begin, 10s);
}

TEST_F(ListeningTest, AStopWhileANameIsLookedUpIsAStop) {
  world_.names().silence("broker-1");
  options_.listeners.push_back({.name = "NAMED", .host = "broker-1", .port = 9094});
  world_.after(3s, [this] { broker_->stop(); });
  const auto begin = world_.elapsed();
  start();
  EXPECT_FALSE(ready_);
  EXPECT_EQ(broker_->state(), HostState::kStopped);
  EXPECT_EQ(shared_->failure(), "") << "what was asked for is no failure";
  EXPECT_LT(world_.elapsed() - begin, 4s);
}

TEST_F(ListeningTest, AdvertisingLoopbackBeyondTheMachineIsPointedOut) {
  listen_at({.name = "ANY", .port = 9094, .advertised_host = "localhost", .advertised_is_given = true});
  ASSERT_TRUE(ready_) << shared_->failure();
  EXPECT_NE(report_.listeners.at(1).find("localhost:9094 (advertised.listeners; only clients on this machine"),
            std::string::npos)
      << report_.listeners.at(1);
}

}  // namespace
}  // namespace posthaste::broker::testing
