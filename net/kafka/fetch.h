// Fetch: read record batches. A response's records go out by reference (see Records). Struct and versions only; bytes
// are the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// Session id 0 declines the session. Aborted transactions are null unless read_committed was asked for.
struct FetchResponse {
  static constexpr ApiKey kKey = ApiKey::kFetch;

  struct Topic {
    struct Partition {
      struct EpochEndOffset {
        int32_t epoch = -1;
        int64_t end_offset = -1;

        friend bool operator==(const EpochEndOffset&, const EpochEndOffset&) = default;

        static constexpr void fields(auto& self, auto& field) {
          field(self.epoch, since(12));
          field(self.end_offset, since(12));
        }
      };

      struct LeaderIdAndEpoch {
        int32_t leader_id = -1;
        int32_t leader_epoch = -1;

        friend bool operator==(const LeaderIdAndEpoch&, const LeaderIdAndEpoch&) = default;

        static constexpr void fields(auto& self, auto& field) {
          field(self.leader_id, since(12));
          field(self.leader_epoch, since(12));
        }
      };

      struct SnapshotId {
        int64_t end_offset = -1;
        int32_t epoch = -1;

        friend bool operator==(const SnapshotId&, const SnapshotId&) = default;

        static constexpr void fields(auto& self, auto& field) {
          field(self.end_offset);
          field(self.epoch);
        }
      };

      struct AbortedTransaction {
        int64_t producer_id = 0;
        int64_t first_offset = 0;

        static constexpr void fields(auto& self, auto& field) {
          field(self.producer_id, since(4));
          field(self.first_offset, since(4));
        }
      };

      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      int64_t high_watermark = 0;
      int64_t last_stable_offset = -1;
      int64_t log_start_offset = -1;
      EpochEndOffset diverging_epoch;
      LeaderIdAndEpoch current_leader;
      SnapshotId snapshot_id;
      std::optional<Array<AbortedTransaction>> aborted_transactions;
      int32_t preferred_read_replica = -1;
      Records records;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.error_code);
        field(self.high_watermark);
        field(self.last_stable_offset, since(4));
        field(self.log_start_offset, since(5));
        field.tagged(0, self.diverging_epoch, since(12));
        field.tagged(1, self.current_leader, since(12));
        field.tagged(2, self.snapshot_id, since(12));
        field(self.aborted_transactions, since(4).nullable());
        field(self.preferred_read_replica, since(11));
        field(self.records, since(0).nullable());
      }
    };

    std::string_view topic;
    Uuid topic_id;
    Array<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic, between(0, 12));
      field(self.topic_id, since(13));
      field(self.partitions);
    }
  };

  struct NodeEndpoint {
    int32_t node_id = 0;
    std::string_view host;
    int32_t port = 0;
    NullableString rack;

    static constexpr void fields(auto& self, auto& field) {
      field(self.node_id, since(16));
      field(self.host, since(16));
      field(self.port, since(16));
      field(self.rack, since(16).nullable());
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  int32_t session_id = 0;
  Array<Topic> responses;
  Array<NodeEndpoint> node_endpoints;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(1));
    field(self.error_code, since(7));
    field(self.session_id, since(7));
    field(self.responses);
    field.tagged(0, self.node_endpoints, since(16));
  }
};

// Session id and epoch as in KIP-227; (0, -1) is a full fetch without a session.
struct FetchRequest {
  static constexpr ApiKey kKey = ApiKey::kFetch;
  using Response = FetchResponse;

  struct ReplicaState {
    int32_t replica_id = -1;
    int64_t replica_epoch = -1;

    friend bool operator==(const ReplicaState&, const ReplicaState&) = default;

    static constexpr void fields(auto& self, auto& field) {
      field(self.replica_id, since(15));
      field(self.replica_epoch, since(15));
    }
  };

  struct Topic {
    struct Partition {
      int32_t partition = 0;
      int32_t current_leader_epoch = -1;
      int64_t fetch_offset = 0;
      int32_t last_fetched_epoch = -1;
      int64_t log_start_offset = -1;
      int32_t partition_max_bytes = 0;
      Uuid replica_directory_id;
      int64_t high_watermark = INT64_MAX;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition);
        field(self.current_leader_epoch, since(9));
        field(self.fetch_offset);
        field(self.last_fetched_epoch, since(12));
        field(self.log_start_offset, since(5));
        field(self.partition_max_bytes);
        field.tagged(0, self.replica_directory_id, since(17));
        field.tagged(1, self.high_watermark, since(18), /*absent=*/INT64_MAX);
      }
    };

    std::string_view topic;
    Uuid topic_id;
    Array<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic, between(0, 12));
      field(self.topic_id, since(13));
      field(self.partitions);
    }
  };

  struct ForgottenTopic {
    std::string_view topic;
    Uuid topic_id;
    Array<int32_t> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic, between(7, 12));
      field(self.topic_id, since(13));
      field(self.partitions, since(7));
    }
  };

  NullableString cluster_id;
  int32_t replica_id = -1;
  ReplicaState replica_state;
  int32_t max_wait_ms = 0;
  int32_t min_bytes = 0;
  int32_t max_bytes = INT32_MAX;
  int8_t isolation_level = 0;
  int32_t session_id = 0;
  int32_t session_epoch = -1;
  Array<Topic> topics;
  Array<ForgottenTopic> forgotten_topics_data;
  std::string_view rack_id;

  static constexpr void fields(auto& self, auto& field) {
    field.tagged(0, self.cluster_id, since(12).nullable());
    field(self.replica_id, between(0, 14));
    field.tagged(1, self.replica_state, since(15));
    field(self.max_wait_ms);
    field(self.min_bytes);
    field(self.max_bytes, since(3));
    field(self.isolation_level, since(4));
    field(self.session_id, since(7));
    field(self.session_epoch, since(7));
    field(self.topics);
    field(self.forgotten_topics_data, since(7));
    field(self.rack_id, since(11));
  }
};

}  // namespace posthaste::net::kafka
