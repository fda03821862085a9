// From the configured listeners to where the broker listens and what it advertises.
#include "app/serve.h"

#include <gtest/gtest.h>

namespace posthaste::app {
namespace {

broker::BrokerOptions options_of(std::string_view text, const ServeOptions& serve = {}) {
  const auto properties = parse_properties(text, "server.properties");
  const auto config = make_broker_config(properties.value(), serve);
  EXPECT_TRUE(config) << config.error().front();
  const MemoryPlan plan = plan_memory(*config, {.memory_bytes = uint64_t{8} << 30, .descriptors = 20'000, .cores = 2});
  return make_broker_options(*config, plan, 2, "machine");
}

std::vector<broker::BrokerListener> listeners(std::string_view text, const ServeOptions& serve = {}) {
  return options_of(text, serve).listeners;
}

TEST(Serve, AHostIsAdvertisedAsItIs) {
  for (const char* host : {"10.0.0.1", "broker-1", "localhost"}) {
    const auto one = listeners("", {.listen = std::string(host) + ":9093"}).at(0);
    EXPECT_EQ(one.host, host);
    EXPECT_EQ(one.port, 9093);
    EXPECT_EQ(one.advertised_host, host);
    EXPECT_FALSE(one.advertise_as_connected || one.advertised_is_given);
  }
}

TEST(Serve, EveryAddressIsAdvertisedAsTheOneThatWasReached) {
  for (const char* listen : {":9093", "0.0.0.0:9093", "[::]:9093"}) {
    const auto one = listeners("", {.listen = listen}).at(0);
    EXPECT_TRUE(one.advertise_as_connected) << listen;
    EXPECT_EQ(one.advertised_host, "machine") << "for the metadata log";
  }
  const auto given = listeners("listeners=PLAINTEXT://:9092\nadvertised.listeners=PLAINTEXT://:19092").at(0);
  EXPECT_TRUE(given.advertise_as_connected && given.advertised_is_given);
  EXPECT_EQ(given.advertised_port, 19092);
}

TEST(Serve, WhatIsGivenIsAdvertised) {
  const auto one =
      listeners("listeners=PLAINTEXT://0.0.0.0:9092\nadvertised.listeners=PLAINTEXT://b.example:19092").at(0);
  EXPECT_EQ(one.host, "0.0.0.0");
  EXPECT_EQ(one.advertised_host, "b.example");
  EXPECT_EQ(one.advertised_port, 19092);
  EXPECT_TRUE(one.advertised_is_given && !one.advertise_as_connected);
}

TEST(Serve, EveryIPv6AddressMeansIPv4TooUnlessAnotherListenerHasThat) {
  EXPECT_EQ(listeners("listeners=PLAINTEXT://[::]:9092").at(0).host, "");
  const auto both =
      listeners("listeners=A://0.0.0.0:9092,B://[::]:9092\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT");
  EXPECT_EQ(both.at(0).host, "0.0.0.0");
  EXPECT_EQ(both.at(1).host, "::");
}

TEST(Serve, TheQuorumGetsItsVotersAndItsListeners) {
  const broker::BrokerOptions options = options_of(
      "node.id=2\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n"
      "advertised.listeners=CONTROLLER://b.example:19093\ncontroller.quorum.voters=1@[::1]:9093,2@b.example:19093");
  ASSERT_EQ(options.quorum.voters.size(), 2U);
  EXPECT_EQ(options.quorum.voters[0].id, 1);
  EXPECT_EQ(options.quorum.voters[0].address, "[::1]:9093");
  EXPECT_EQ(options.quorum.voters[1].address, "b.example:19093");
  ASSERT_EQ(options.quorum.listeners.size(), 1U);
  EXPECT_EQ(options.quorum.listeners[0].name, "CONTROLLER");
  EXPECT_EQ(options.quorum.listeners[0].port, 9093);
  EXPECT_EQ(options.quorum.listeners[0].advertised_host, "b.example");
  EXPECT_EQ(options.quorum.listeners[0].advertised_port, 19093);
  EXPECT_EQ(options.listeners.size(), 1U) << "clients have their own";
}

}  // namespace
}  // namespace posthaste::app
