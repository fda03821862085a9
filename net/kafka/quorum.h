// DescribeQuorum and FetchSnapshot: what a quorum's leader tells of its replicas, and a snapshot of its log in pieces.
// Struct and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/endpoints.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// The state that a snapshot holds: of all records before `end_offset`, the last of which is of `epoch`.
struct SnapshotId {
  int64_t end_offset = 0;
  int32_t epoch = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.end_offset);
    field(self.epoch);
  }
};

// The leader's view of each voter and observer. Times are -1 where the leader does not know them.
struct DescribeQuorumResponse {
  static constexpr ApiKey kKey = ApiKey::kDescribeQuorum;

  struct Topic {
    struct Partition {
      struct Replica {
        int32_t replica_id = 0;
        Uuid replica_directory_id;
        int64_t log_end_offset = 0;
        int64_t last_fetch_timestamp = -1;
        int64_t last_caught_up_timestamp = -1;

        static constexpr void fields(auto& self, auto& field) {
          field(self.replica_id);
          field(self.replica_directory_id, since(2));
          field(self.log_end_offset);
          field(self.last_fetch_timestamp, since(1));
          field(self.last_caught_up_timestamp, since(1));
        }
      };

      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      NullableString error_message = "";
      int32_t leader_id = 0;
      int32_t leader_epoch = 0;
      int64_t high_watermark = 0;
      std::vector<Replica> current_voters;
      std::vector<Replica> observers;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.error_code);
        field(self.error_message, since(2).nullable());
        field(self.leader_id);
        field(self.leader_epoch);
        field(self.high_watermark);
        field(self.current_voters);
        field(self.observers);
      }
    };

    std::string_view topic_name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic_name);
      field(self.partitions);
    }
  };

  struct Node {
    int32_t node_id = 0;
    std::vector<ListenerEndpoint> listeners;

    static constexpr void fields(auto& self, auto& field) {
      field(self.node_id, since(2));
      field(self.listeners, since(2));
    }
  };

  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message = "";
  std::vector<Topic> topics;
  std::vector<Node> nodes;

  static constexpr void fields(auto& self, auto& field) {
    field(self.error_code);
    field(self.error_message, since(2).nullable());
    field(self.topics);
    field(self.nodes, since(2));
  }
};

// Asks about the partition of the metadata log.
struct DescribeQuorumRequest {
  static constexpr ApiKey kKey = ApiKey::kDescribeQuorum;
  using Response = DescribeQuorumResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;

      static constexpr void fields(auto& self, auto& field) { field(self.partition_index); }
    };

    std::string_view topic_name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic_name);
      field(self.partitions);
    }
  };

  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) { field(self.topics); }
};

// A piece of a snapshot as it stands in its file: it may begin and end in the middle of a batch.
struct FetchSnapshotResponse {
  static constexpr ApiKey kKey = ApiKey::kFetchSnapshot;

  struct Topic {
    struct Partition {
      struct LeaderIdAndEpoch {
        int32_t leader_id = 0;
        int32_t leader_epoch = 0;

        friend bool operator==(const LeaderIdAndEpoch&, const LeaderIdAndEpoch&) = default;

        static constexpr void fields(auto& self, auto& field) {
          field(self.leader_id);
          field(self.leader_epoch);
        }
      };

      int32_t index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      SnapshotId snapshot_id;
      LeaderIdAndEpoch current_leader;
      int64_t size = 0;
      int64_t position = 0;
      Records unaligned_records;

      static constexpr void fields(auto& self, auto& field) {
        field(self.index);
        field(self.error_code);
        field(self.snapshot_id);
        field.tagged(0, self.current_leader, since(0));
        field(self.size);
        field(self.position);
        field(self.unaligned_records);
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
  std::vector<Topic> topics;
  std::vector<QuorumNode> node_endpoints;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.topics);
    field.tagged(0, self.node_endpoints, since(1));
  }
};

// Asks for a snapshot from byte `position` on. The directory is of the replica that asks.
struct FetchSnapshotRequest {
  static constexpr ApiKey kKey = ApiKey::kFetchSnapshot;
  using Response = FetchSnapshotResponse;

  struct Topic {
    struct Partition {
      int32_t partition = 0;
      int32_t current_leader_epoch = 0;
      SnapshotId snapshot_id;
      int64_t position = 0;
      Uuid replica_directory_id;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition);
        field(self.current_leader_epoch);
        field(self.snapshot_id);
        field(self.position);
        field.tagged(0, self.replica_directory_id, since(1));
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.partitions);
    }
  };

  NullableString cluster_id;
  int32_t replica_id = -1;
  int32_t max_bytes = INT32_MAX;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field.tagged(0, self.cluster_id, since(0).nullable());
    field(self.replica_id);
    field(self.max_bytes);
    field(self.topics);
  }
};

}  // namespace posthaste::net::kafka
