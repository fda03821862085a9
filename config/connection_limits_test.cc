// Kafka's keys for limits on connections: what is accepted, what is refused with which words, and what it means.
#include "config/connection_limits.h"

#include <gtest/gtest.h>

namespace posthaste::config {
namespace {

TEST(ConnectionLimits, WithoutSettingsOnlyTheProcessLimits) {
  const net::AcceptLimits limits = accept_limits({}, 16'000);
  EXPECT_EQ(limits.connections_max, 16'000U);
  EXPECT_EQ(limits.connections_per_address_max, static_cast<uint32_t>(INT32_MAX));
  EXPECT_TRUE(limits.per_address_overrides.empty());
}

TEST(ConnectionLimits, TheLowerOfWhatIsAskedAndWhatIsPossibleCounts) {
  EXPECT_EQ(accept_limits({{"max.connections", "500"}}, 16'000).connections_max, 500U);
  EXPECT_EQ(accept_limits({{"max.connections", "50000"}}, 16'000).connections_max, 16'000U);
  EXPECT_EQ(accept_limits({{"max.connections", "0"}}, 16'000).connections_max, 0U);
}

TEST(ConnectionLimits, OverridesAreByAddressInTheFormOfThePeer) {
  const net::AcceptLimits limits =
      accept_limits({{"max.connections.per.ip", "7"},
                     {"max.connections.per.ip.overrides", "127.0.0.1:200, 10.0.0.9 : 0,2001:DB8:0:0:0:0:0:1:3,::1:4,"}},
                    100);
  EXPECT_EQ(limits.connections_per_address_max, 7U);
  const std::map<std::string, uint32_t, std::less<>> wanted = {
      {"127.0.0.1", 200}, {"10.0.0.9", 0}, {"2001:db8::1", 3}, {"::1", 4}};
  EXPECT_EQ(limits.per_address_overrides, wanted);
}

TEST(ConnectionLimits, MistakesAreNamed) {
  EXPECT_EQ(connection_limit_problem("max.connections", "-1"),
            "Invalid value -1 for max.connections: must be an integer from 0 to 2147483647");
  EXPECT_EQ(connection_limit_problem("max.connections.per.ip", "many"),
            "Invalid value many for max.connections.per.ip: must be an integer from 0 to 2147483647");
  EXPECT_EQ(connection_limit_problem("max.connections.per.ip", "2147483648"),
            "Invalid value 2147483648 for max.connections.per.ip: must be an integer from 0 to 2147483647");
  EXPECT_EQ(connection_limit_problem("max.connections.per.ip.overrides", "127.0.0.1"),
            "Invalid value 127.0.0.1 for max.connections.per.ip.overrides: '127.0.0.1' is not of the form "
            "ADDRESS:COUNT");
  EXPECT_EQ(connection_limit_problem("max.connections.per.ip.overrides", "10.0.0.1:5,client.example:3"),
            "Invalid value 10.0.0.1:5,client.example:3 for max.connections.per.ip.overrides: 'client.example' is no IP "
            "address, and host names are not looked up");
  EXPECT_EQ(connection_limit_problem("max.connections.per.ip.overrides", ""), std::nullopt);
  EXPECT_EQ(connection_limit_problem("max.connections.per.ip.overrides", "10.0.0.1:5"), std::nullopt);
}

TEST(ConnectionLimits, NobodyLocksEverybodyOut) {
  EXPECT_EQ(connection_limit_conflict({}), std::nullopt);
  EXPECT_EQ(
      connection_limit_conflict({{"max.connections.per.ip", "0"}}),
      "max.connections.per.ip can be 0 only if max.connections.per.ip.overrides names an address that may connect");
  EXPECT_EQ(
      connection_limit_conflict({{"max.connections.per.ip", "0"}, {"max.connections.per.ip.overrides", "127.0.0.1:1"}}),
      std::nullopt);
}

}  // namespace
}  // namespace posthaste::config
