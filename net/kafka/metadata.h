// Metadata and DescribeCluster: which brokers and topics there are, and who leads what. Struct and versions only;
// bytes are the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// What the broker that answers believes. Name is null only for an id that is unknown.
struct MetadataResponse {
  static constexpr ApiKey kKey = ApiKey::kMetadata;

  struct Broker {
    int32_t node_id = 0;
    std::string_view host;
    int32_t port = 0;
    NullableString rack;

    static constexpr void fields(auto& self, auto& field) {
      field(self.node_id);
      field(self.host);
      field(self.port);
      field(self.rack, since(1).nullable());
    }
  };

  struct Topic {
    struct Partition {
      ErrorCode error_code = ErrorCode::kNone;
      int32_t partition_index = 0;
      int32_t leader_id = 0;
      int32_t leader_epoch = -1;
      std::vector<int32_t> replica_nodes;
      std::vector<int32_t> isr_nodes;
      std::vector<int32_t> offline_replicas;

      static constexpr void fields(auto& self, auto& field) {
        field(self.error_code);
        field(self.partition_index);
        field(self.leader_id);
        field(self.leader_epoch, since(7));
        field(self.replica_nodes);
        field(self.isr_nodes);
        field(self.offline_replicas, since(5));
      }
    };

    ErrorCode error_code = ErrorCode::kNone;
    NullableString name;
    Uuid topic_id;
    bool is_internal = false;
    std::vector<Partition> partitions;
    int32_t topic_authorized_operations = kOperationsNotAsked;

    static constexpr void fields(auto& self, auto& field) {
      field(self.error_code);
      field(self.name, since(0).nullable(12));
      field(self.topic_id, since(10));
      field(self.is_internal, since(1));
      field(self.partitions);
      field(self.topic_authorized_operations, since(8));
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Broker> brokers;
  NullableString cluster_id;
  int32_t controller_id = -1;
  std::vector<Topic> topics;
  int32_t cluster_authorized_operations = kOperationsNotAsked;
  ErrorCode error_code = ErrorCode::kNone;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(3));
    field(self.brokers);
    field(self.cluster_id, since(2).nullable());
    field(self.controller_id, since(1));
    field(self.topics);
    field(self.cluster_authorized_operations, between(8, 10));
    field(self.error_code, since(13));
  }
};

// Topics null means all (version 0: empty means all), empty means none. Names may be null from version 10, where the
// id then stands.
struct MetadataRequest {
  static constexpr ApiKey kKey = ApiKey::kMetadata;
  using Response = MetadataResponse;

  struct Topic {
    Uuid topic_id;
    NullableString name;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic_id, since(10));
      field(self.name, since(0).nullable(10));
    }
  };

  std::optional<std::vector<Topic>> topics;
  bool allow_auto_topic_creation = true;
  bool include_cluster_authorized_operations = false;
  bool include_topic_authorized_operations = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.topics, since(0).nullable(1));
    field(self.allow_auto_topic_creation, since(4));
    field(self.include_cluster_authorized_operations, between(8, 10));
    field(self.include_topic_authorized_operations, since(8));
  }
};

// KIP-919: what DescribeCluster asks for.
inline constexpr int8_t kBrokerEndpoints = 1;
inline constexpr int8_t kControllerEndpoints = 2;

// The cluster as the broker that answers sees it.
struct DescribeClusterResponse {
  static constexpr ApiKey kKey = ApiKey::kDescribeCluster;

  struct Broker {
    int32_t broker_id = 0;
    std::string_view host;
    int32_t port = 0;
    NullableString rack;
    bool is_fenced = false;

    static constexpr void fields(auto& self, auto& field) {
      field(self.broker_id);
      field(self.host);
      field(self.port);
      field(self.rack, since(0).nullable());
      field(self.is_fenced, since(2));
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message;
  int8_t endpoint_type = 1;
  std::string_view cluster_id;
  int32_t controller_id = -1;
  std::vector<Broker> brokers;
  int32_t cluster_authorized_operations = kOperationsNotAsked;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.error_message, since(0).nullable());
    field(self.endpoint_type, since(1));
    field(self.cluster_id);
    field(self.controller_id);
    field(self.brokers);
    field(self.cluster_authorized_operations);
  }
};

// Asks for brokers and controller without topics (KIP-700).
struct DescribeClusterRequest {
  static constexpr ApiKey kKey = ApiKey::kDescribeCluster;
  using Response = DescribeClusterResponse;

  bool include_cluster_authorized_operations = false;
  int8_t endpoint_type = 1;
  bool include_fenced_brokers = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.include_cluster_authorized_operations);
    field(self.endpoint_type, since(1));
    field(self.include_fenced_brokers, since(2));
  }
};

}  // namespace posthaste::net::kafka
