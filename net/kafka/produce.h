// Produce: append record batches. The batches are views of the frame; nothing here looks into them. Struct and
// versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <string_view>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// One entry per partition asked for. Base offset and log append time are -1 with an error.
struct ProduceResponse {
  static constexpr ApiKey kKey = ApiKey::kProduce;

  struct Topic {
    struct Partition {
      struct RecordError {
        int32_t batch_index = 0;
        NullableString batch_index_error_message;

        static constexpr void fields(auto& self, auto& field) {
          field(self.batch_index, since(8));
          field(self.batch_index_error_message, since(8).nullable());
        }
      };

      struct LeaderIdAndEpoch {
        int32_t leader_id = -1;
        int32_t leader_epoch = -1;

        friend bool operator==(const LeaderIdAndEpoch&, const LeaderIdAndEpoch&) = default;

        static constexpr void fields(auto& self, auto& field) {
          field(self.leader_id, since(10));
          field(self.leader_epoch, since(10));
        }
      };

      int32_t index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      int64_t base_offset = 0;
      int64_t log_append_time_ms = -1;
      int64_t log_start_offset = -1;
      Array<RecordError> record_errors;
      NullableString error_message;
      LeaderIdAndEpoch current_leader;

      static constexpr void fields(auto& self, auto& field) {
        field(self.index);
        field(self.error_code);
        field(self.base_offset);
        field(self.log_append_time_ms, since(2));
        field(self.log_start_offset, since(5));
        field(self.record_errors, since(8));
        field(self.error_message, since(8).nullable());
        field.tagged(0, self.current_leader, since(10));
      }
    };

    std::string_view name;
    Uuid topic_id;
    Array<Partition> partition_responses;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name, between(0, 12));
      field(self.topic_id, since(13));
      field(self.partition_responses);
    }
  };

  struct NodeEndpoint {
    int32_t node_id = 0;
    std::string_view host;
    int32_t port = 0;
    NullableString rack;

    static constexpr void fields(auto& self, auto& field) {
      field(self.node_id, since(10));
      field(self.host, since(10));
      field(self.port, since(10));
      field(self.rack, since(10).nullable());
    }
  };

  Array<Topic> responses;
  int32_t throttle_time_ms = 0;
  Array<NodeEndpoint> node_endpoints;

  static constexpr void fields(auto& self, auto& field) {
    field(self.responses);
    field(self.throttle_time_ms, since(1));
    field.tagged(0, self.node_endpoints, since(10));
  }
};

// Acks: 0, 1 or -1 (all). Up to version 2 records are of the old message formats, which are refused per partition.
struct ProduceRequest {
  static constexpr ApiKey kKey = ApiKey::kProduce;
  using Response = ProduceResponse;

  struct Topic {
    struct Partition {
      int32_t index = 0;
      Records records;

      static constexpr void fields(auto& self, auto& field) {
        field(self.index);
        field(self.records, since(0).nullable());
      }
    };

    std::string_view name;
    Uuid topic_id;
    Array<Partition> partition_data;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name, between(0, 12));
      field(self.topic_id, since(13));
      field(self.partition_data);
    }
  };

  NullableString transactional_id;
  int16_t acks = 0;
  int32_t timeout_ms = 0;
  Array<Topic> topic_data;

  static constexpr void fields(auto& self, auto& field) {
    field(self.transactional_id, since(3).nullable());
    field(self.acks);
    field(self.timeout_ms);
    field(self.topic_data);
  }
};

}  // namespace posthaste::net::kafka
