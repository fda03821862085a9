// What a client may do with a resource while there are no ACLs: everything that its kind knows, as the bits that
// responses carry, each the number of an operation (KIP-430).
#pragma once
#include <cstdint>

namespace posthaste::broker {

namespace operation {
inline constexpr int32_t kRead = 1 << 3;
inline constexpr int32_t kWrite = 1 << 4;
inline constexpr int32_t kCreate = 1 << 5;
inline constexpr int32_t kDelete = 1 << 6;
inline constexpr int32_t kAlter = 1 << 7;
inline constexpr int32_t kDescribe = 1 << 8;
inline constexpr int32_t kClusterAction = 1 << 9;
inline constexpr int32_t kDescribeConfigs = 1 << 10;
inline constexpr int32_t kAlterConfigs = 1 << 11;
inline constexpr int32_t kIdempotentWrite = 1 << 12;
}  // namespace operation

inline constexpr int32_t kAllTopicOperations = operation::kRead | operation::kWrite | operation::kCreate |
                                               operation::kDelete | operation::kAlter | operation::kDescribe |
                                               operation::kDescribeConfigs | operation::kAlterConfigs;
inline constexpr int32_t kAllClusterOperations = operation::kCreate | operation::kAlter | operation::kDescribe |
                                                 operation::kClusterAction | operation::kDescribeConfigs |
                                                 operation::kAlterConfigs | operation::kIdempotentWrite;
inline constexpr int32_t kAllGroupOperations = operation::kRead | operation::kDelete | operation::kDescribe |
                                               operation::kDescribeConfigs | operation::kAlterConfigs;

}  // namespace posthaste::broker
