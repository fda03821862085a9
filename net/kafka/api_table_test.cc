// The table of APIs: look-up, and each row's permissions against Kafka's (testdata/operations.txt).
#include "net/kafka/api_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "net/kafka/broker_apis.h"
#include "net/kafka/unserved_apis.h"

namespace posthaste::net::kafka {
namespace {

TEST(ApiTableTest, EachRowIsFoundByItsKeyAndNoOther) {
  for (int number = INT16_MIN; number <= INT16_MAX; ++number) {
    const auto key = static_cast<ApiKey>(number);
    const auto* const row = std::ranges::find(kApis, key, &ApiInfo::key);
    EXPECT_EQ(find_api(key), row == kApis.end() ? nullptr : row) << number;
  }
  for (const ApiInfo& info : kApis) EXPECT_NE(to_string(info.key), "Unknown") << static_cast<int>(info.key);
  EXPECT_EQ(to_string(static_cast<ApiKey>(999)), "Unknown");
  EXPECT_EQ(find_api(ApiKey::kProduce)->advertised_min, 0);  // librdkafka's compression depends on it
}

TEST(ApiTableTest, WhatNobodyServesHasVersionsAndNoRow) {
  for (const ApiInfo& api : kUnservedApis) {
    EXPECT_EQ(find_api(api.key), nullptr) << to_string(api.key);
    EXPECT_EQ(find_messages(api.key), &api) << to_string(api.key);
    EXPECT_NE(to_string(api.key), "Unknown") << static_cast<int>(api.key);
  }
  EXPECT_EQ(find_messages(ApiKey::kFetch), find_api(ApiKey::kFetch));
  EXPECT_EQ(find_messages(static_cast<ApiKey>(-1)), nullptr);
  EXPECT_EQ(find_messages(ApiKey::kLeaderAndIsr), nullptr);
}

TEST(ApiTableTest, BrokersServeEachOtherTheHandshakeAndTheQuorumInOneVersion) {
  std::vector<ApiKey> keys;
  for (int number = INT16_MIN; number <= INT16_MAX; ++number) {
    const auto key = static_cast<ApiKey>(number);
    if (kServedToBrokers.find(key) != nullptr) keys.push_back(key);
  }
  EXPECT_EQ(keys, (std::vector{ApiKey::kFetch, ApiKey::kApiVersions, ApiKey::kVote, ApiKey::kBeginQuorumEpoch,
                               ApiKey::kEndQuorumEpoch, ApiKey::kFetchSnapshot, ApiKey::kDescribeCluster}));
  for (const ApiInfo& info : kServedToBrokers.rows) {
    EXPECT_EQ(kServedToBrokers.find(info.key), &info);
    const bool is_handshake = info.key == ApiKey::kApiVersions || info.key == ApiKey::kDescribeCluster;
    EXPECT_TRUE(is_handshake || info.advertised_min == info.advertised_max) << to_string(info.key);
    EXPECT_EQ(info.order == Order::kBarrier, is_handshake) << to_string(info.key);
  }
  EXPECT_EQ(version_between_brokers(ApiKey::kVote), 2);
}

// Operation and resource as Kafka's documentation writes them.
std::string text_of(const Permission& permission) {
  static const std::map<Operation, std::string> kOperations = {
      {Operation::kRead, "Read"},
      {Operation::kWrite, "Write"},
      {Operation::kCreate, "Create"},
      {Operation::kDelete, "Delete"},
      {Operation::kAlter, "Alter"},
      {Operation::kDescribe, "Describe"},
      {Operation::kClusterAction, "ClusterAction"},
      {Operation::kDescribeConfigs, "DescribeConfigs"},
      {Operation::kAlterConfigs, "AlterConfigs"},
      {Operation::kIdempotentWrite, "IdempotentWrite"},
  };
  static const std::map<ResourceType, std::string> kResources = {
      {ResourceType::kTopic, "Topic"},
      {ResourceType::kGroup, "Group"},
      {ResourceType::kCluster, "Cluster"},
      {ResourceType::kTransactionalId, "TransactionalId"},
  };
  return kOperations.at(permission.operation) + " " + kResources.at(permission.resource);
}

// By key: "Name: Operation Resource, Operation Resource".
std::map<int, std::string> kafkas_permissions() {
  std::map<int, std::string> permissions;
  std::ifstream file(POSTHASTE_KAFKA_OPERATIONS);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    const size_t space = line.find(' ');
    permissions.emplace(std::stoi(line.substr(0, space)), line.substr(space + 1));
  }
  return permissions;
}

TEST(ApiTableTest, PermissionsAreKafkas) {
  const std::map<int, std::string> expected = kafkas_permissions();
  for (const ApiInfo& info : kApis) {
    std::string row = std::string(to_string(info.key)) + ":";
    for (const Permission& permission : info.permissions) {
      if (!row.ends_with(':')) row += ",";
      row += " " + text_of(permission);
    }
    EXPECT_EQ(row, expected.at(static_cast<int>(info.key)));
  }
}

}  // namespace
}  // namespace posthaste::net::kafka
