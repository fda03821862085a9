// Addresses as text, both families.
#include "net/address.h"

#include <gtest/gtest.h>

namespace posthaste::net {
namespace {

TEST(Address, TakenApartAndPutTogether) {
  EXPECT_EQ(ip_of("10.0.0.1:5000"), "10.0.0.1");
  EXPECT_EQ(ip_of("[fe80::1]:5000"), "fe80::1");
  EXPECT_EQ(ip_of("[::ffff:10.0.0.1]:5000"), "10.0.0.1");
  EXPECT_EQ(ip_of(""), "");
  EXPECT_EQ(port_of("[::1]:5000"), 5000);
  EXPECT_EQ(port_of("::1]"), 1) << "whatever stands behind the last colon";
  EXPECT_EQ(port_of("name"), 0);
  EXPECT_EQ(join_address("::1", 9092), "[::1]:9092");
  EXPECT_EQ(join_address("10.0.0.1", 9092), "10.0.0.1:9092");
}

TEST(Address, Kinds) {
  EXPECT_TRUE(is_ip("10.0.0.1") && is_ip("::1") && !is_ip("broker-1") && !is_ip("") && !is_ip("10.example"));
  EXPECT_TRUE(is_loopback("127.0.0.1") && is_loopback("localhost") && is_loopback("::1"));
  EXPECT_FALSE(is_loopback("10.0.0.1") || is_loopback("127.example"));
  EXPECT_TRUE(is_every_address("0.0.0.0") && is_every_address("::") && !is_every_address("0.0.0.1"));
}

}  // namespace
}  // namespace posthaste::net
