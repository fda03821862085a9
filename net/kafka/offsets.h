// ListOffsets and OffsetForLeaderEpoch: where a partition begins, ends, reaches a time or left an epoch. Struct and
// versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// Not found is offset -1 and timestamp -1 without an error.
struct ListOffsetsResponse {
  static constexpr ApiKey kKey = ApiKey::kListOffsets;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      int64_t timestamp = -1;
      int64_t offset = -1;
      int32_t leader_epoch = -1;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.error_code);
        field(self.timestamp, since(1));
        field(self.offset, since(1));
        field(self.leader_epoch, since(4));
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
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(2));
    field(self.topics);
  }
};

// Timestamp -1 asks for the latest offset, -2 for the earliest; others for the first record at or after it.
struct ListOffsetsRequest {
  static constexpr ApiKey kKey = ApiKey::kListOffsets;
  using Response = ListOffsetsResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      int32_t current_leader_epoch = -1;
      int64_t timestamp = 0;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.current_leader_epoch, since(4));
        field(self.timestamp);
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.partitions);
    }
  };

  int32_t replica_id = 0;
  int8_t isolation_level = 0;
  std::vector<Topic> topics;
  int32_t timeout_ms = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.replica_id);
    field(self.isolation_level, since(2));
    field(self.topics);
    field(self.timeout_ms, since(10));
  }
};

// End offset of the largest epoch not above the one asked for; -1 and -1 when unknown.
struct OffsetForLeaderEpochResponse {
  static constexpr ApiKey kKey = ApiKey::kOffsetForLeaderEpoch;

  struct Topic {
    struct EpochEndOffset {
      ErrorCode error_code = ErrorCode::kNone;
      int32_t partition = 0;
      int32_t leader_epoch = -1;
      int64_t end_offset = -1;

      static constexpr void fields(auto& self, auto& field) {
        field(self.error_code);
        field(self.partition);
        field(self.leader_epoch, since(1));
        field(self.end_offset);
      }
    };

    std::string_view topic;
    std::vector<EpochEndOffset> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic);
      field(self.partitions);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(2));
    field(self.topics);
  }
};

// Asks where epochs ended, to find where logs diverge (KIP-320).
struct OffsetForLeaderEpochRequest {
  static constexpr ApiKey kKey = ApiKey::kOffsetForLeaderEpoch;
  using Response = OffsetForLeaderEpochResponse;

  struct Topic {
    struct Partition {
      int32_t partition = 0;
      int32_t current_leader_epoch = -1;
      int32_t leader_epoch = 0;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition);
        field(self.current_leader_epoch, since(2));
        field(self.leader_epoch);
      }
    };

    std::string_view topic;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic);
      field(self.partitions);
    }
  };

  int32_t replica_id = -2;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.replica_id, since(3));
    field(self.topics);
  }
};

}  // namespace posthaste::net::kafka
