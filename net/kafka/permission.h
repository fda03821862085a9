// What an authorizer checks: an operation on a kind of resource, each by its number on Kafka's wire. What each
// API needs is a column of api_table.h. It does not hold who may do what: there are no ACLs yet.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>

namespace posthaste::net::kafka {

enum class Operation : int8_t {
  kRead = 3,
  kWrite = 4,
  kCreate = 5,
  kDelete = 6,
  kAlter = 7,
  kDescribe = 8,
  kClusterAction = 9,
  kDescribeConfigs = 10,
  kAlterConfigs = 11,
  kIdempotentWrite = 12,
};

enum class ResourceType : int8_t {
  kTopic = 2,
  kGroup = 3,
  kCluster = 4,
  kTransactionalId = 5,
};

struct Permission {
  Operation operation{};
  ResourceType resource{};

  friend constexpr bool operator==(const Permission&, const Permission&) = default;
};

// What one API may need. Which of it, and of which resources, depends on the request.
class Permissions {
 public:
  constexpr Permissions() = default;
  constexpr Permissions(std::initializer_list<Permission> each) : count_(each.size()) {
    std::ranges::copy(each, all_.begin());
  }

  constexpr const Permission* begin() const { return all_.data(); }
  constexpr const Permission* end() const { return all_.data() + count_; }

 private:
  static constexpr size_t kCountMax = 3;  // Kafka's longest rows
  std::array<Permission, kCountMax> all_{};
  size_t count_ = 0;
};

}  // namespace posthaste::net::kafka
