// CreatePartitions and DescribeTopicPartitions. Struct and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

struct CreatePartitionsResponse {
  static constexpr ApiKey kKey = ApiKey::kCreatePartitions;

  struct Topic {
    std::string_view name;
    ErrorCode error_code = ErrorCode::kNone;
    NullableString error_message;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.error_code);
      field(self.error_message, since(0).nullable());
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Topic> results;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.results);
  }
};

// `count` is the number of partitions that the topic is to have. Assignments name the replicas of the new ones only.
struct CreatePartitionsRequest {
  static constexpr ApiKey kKey = ApiKey::kCreatePartitions;
  using Response = CreatePartitionsResponse;

  struct Topic {
    struct Assignment {
      std::vector<int32_t> broker_ids;

      static constexpr void fields(auto& self, auto& field) { field(self.broker_ids); }
    };

    std::string_view name;
    int32_t count = 0;
    std::optional<std::vector<Assignment>> assignments = std::vector<Assignment>{};

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.count);
      field(self.assignments, since(0).nullable());
    }
  };

  std::vector<Topic> topics;
  int32_t timeout_ms = 0;
  bool validate_only = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.topics);
    field(self.timeout_ms);
    field(self.validate_only);
  }
};

// Where a page of DescribeTopicPartitions begins. Null on the wire is a byte -1, else 1 before the fields.
struct TopicPartitionCursor {
  std::string_view topic_name;
  int32_t partition_index = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.topic_name);
    field(self.partition_index);
  }
};

// One page (KIP-966). The eligible and last known leaders are null where the cluster does not keep them.
struct DescribeTopicPartitionsResponse {
  static constexpr ApiKey kKey = ApiKey::kDescribeTopicPartitions;

  struct Topic {
    struct Partition {
      ErrorCode error_code = ErrorCode::kNone;
      int32_t partition_index = 0;
      int32_t leader_id = 0;
      int32_t leader_epoch = -1;
      std::vector<int32_t> replica_nodes;
      std::vector<int32_t> isr_nodes;
      std::optional<std::vector<int32_t>> eligible_leader_replicas;
      std::optional<std::vector<int32_t>> last_known_elr;
      std::vector<int32_t> offline_replicas;

      static constexpr void fields(auto& self, auto& field) {
        field(self.error_code);
        field(self.partition_index);
        field(self.leader_id);
        field(self.leader_epoch);
        field(self.replica_nodes);
        field(self.isr_nodes);
        field(self.eligible_leader_replicas, since(0).nullable());
        field(self.last_known_elr, since(0).nullable());
        field(self.offline_replicas);
      }
    };

    ErrorCode error_code = ErrorCode::kNone;
    NullableString name = "";
    Uuid topic_id;
    bool is_internal = false;
    std::vector<Partition> partitions;
    int32_t topic_authorized_operations = kOperationsNotAsked;

    static constexpr void fields(auto& self, auto& field) {
      field(self.error_code);
      field(self.name, since(0).nullable());
      field(self.topic_id);
      field(self.is_internal);
      field(self.partitions);
      field(self.topic_authorized_operations);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  std::optional<TopicPartitionCursor> next_cursor;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.topics);
    field(self.next_cursor, since(0).nullable());
  }
};

struct DescribeTopicPartitionsRequest {
  static constexpr ApiKey kKey = ApiKey::kDescribeTopicPartitions;
  using Response = DescribeTopicPartitionsResponse;

  struct Topic {
    std::string_view name;

    static constexpr void fields(auto& self, auto& field) { field(self.name); }
  };

  std::vector<Topic> topics;
  int32_t response_partition_limit = 2000;
  std::optional<TopicPartitionCursor> cursor;

  static constexpr void fields(auto& self, auto& field) {
    field(self.topics);
    field(self.response_partition_limit);
    field(self.cursor, since(0).nullable());
  }
};

}  // namespace posthaste::net::kafka
