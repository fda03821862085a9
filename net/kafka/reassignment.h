// ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments: what tools do with the places and the leaders
// of partitions. Struct and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// Preferred: the first of the replicas, if it is in sync. Unclean: any replica, if nobody in sync is there.
enum class ElectionType : int8_t { kPreferred = 0, kUnclean = 1 };

struct ElectLeadersResponse {
  static constexpr ApiKey kKey = ApiKey::kElectLeaders;

  struct Topic {
    struct Partition {
      int32_t partition_id = 0;
      ErrorCode error_code = ErrorCode::kNone;
      NullableString error_message = "";

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_id);
        field(self.error_code);
        field(self.error_message, since(0).nullable());
      }
    };

    std::string_view topic;
    std::vector<Partition> partition_result;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic);
      field(self.partition_result);
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Topic> replica_election_results;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code, since(1));
    field(self.replica_election_results);
  }
};

// Null for all partitions. Version 0 knows preferred leaders alone (KIP-183, KIP-460).
struct ElectLeadersRequest {
  static constexpr ApiKey kKey = ApiKey::kElectLeaders;
  using Response = ElectLeadersResponse;

  struct Topic {
    std::string_view topic;
    std::vector<int32_t> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic);
      field(self.partitions);
    }
  };

  ElectionType election_type = ElectionType::kPreferred;
  std::optional<std::vector<Topic>> topic_partitions = std::vector<Topic>();
  int32_t timeout_ms = 60000;

  static constexpr void fields(auto& self, auto& field) {
    field(self.election_type, since(1));
    field(self.topic_partitions, since(0).nullable());
    field(self.timeout_ms);
  }
};

struct AlterPartitionReassignmentsResponse {
  static constexpr ApiKey kKey = ApiKey::kAlterPartitionReassignments;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      NullableString error_message = "";

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.error_code);
        field(self.error_message, since(0).nullable());
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.partitions);
    }
  };

  int32_t throttle_time_ms = 0;
  bool allow_replication_factor_change = true;
  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message = "";
  std::vector<Topic> responses;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.allow_replication_factor_change, since(1));
    field(self.error_code);
    field(self.error_message, since(0).nullable());
    field(self.responses);
  }
};

// New replicas of each partition, the preferred leader first; null ends a reassignment that goes on (KIP-455).
struct AlterPartitionReassignmentsRequest {
  static constexpr ApiKey kKey = ApiKey::kAlterPartitionReassignments;
  using Response = AlterPartitionReassignmentsResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      std::optional<std::vector<int32_t>> replicas;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.replicas, since(0).nullable());
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.partitions);
    }
  };

  int32_t timeout_ms = 60000;
  bool allow_replication_factor_change = true;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.timeout_ms);
    field(self.allow_replication_factor_change, since(1));
    field(self.topics);
  }
};

struct ListPartitionReassignmentsResponse {
  static constexpr ApiKey kKey = ApiKey::kListPartitionReassignments;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      std::vector<int32_t> replicas;
      std::vector<int32_t> adding_replicas;
      std::vector<int32_t> removing_replicas;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.replicas);
        field(self.adding_replicas);
        field(self.removing_replicas);
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.partitions);
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message = "";
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.error_message, since(0).nullable());
    field(self.topics);
  }
};

// Null for all that goes on.
struct ListPartitionReassignmentsRequest {
  static constexpr ApiKey kKey = ApiKey::kListPartitionReassignments;
  using Response = ListPartitionReassignmentsResponse;

  struct Topic {
    std::string_view name;
    std::vector<int32_t> partition_indexes;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.partition_indexes);
    }
  };

  int32_t timeout_ms = 60000;
  std::optional<std::vector<Topic>> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.timeout_ms);
    field(self.topics, since(0).nullable());
  }
};

}  // namespace posthaste::net::kafka
