// What administrators ask about logs: DeleteRecords, DescribeLogDirs, DescribeProducers. Struct and versions only;
// bytes are the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// The low watermark is the log start afterwards, -1 on error.
struct DeleteRecordsResponse {
  static constexpr ApiKey kKey = ApiKey::kDeleteRecords;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      int64_t low_watermark = 0;
      ErrorCode error_code = ErrorCode::kNone;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.low_watermark);
        field(self.error_code);
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
    field(self.throttle_time_ms);
    field(self.topics);
  }
};

// Everything below `offset` goes; -1 means the high watermark.
struct DeleteRecordsRequest {
  static constexpr ApiKey kKey = ApiKey::kDeleteRecords;
  using Response = DeleteRecordsResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      int64_t offset = 0;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.offset);
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.partitions);
    }
  };

  std::vector<Topic> topics;
  int32_t timeout_ms = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.topics);
    field(self.timeout_ms);
  }
};

struct DescribeLogDirsResponse {
  static constexpr ApiKey kKey = ApiKey::kDescribeLogDirs;

  struct Result {
    struct Topic {
      struct Partition {
        int32_t partition_index = 0;
        int64_t partition_size = 0;
        int64_t offset_lag = 0;
        bool is_future_key = false;

        static constexpr void fields(auto& self, auto& field) {
          field(self.partition_index);
          field(self.partition_size);
          field(self.offset_lag);
          field(self.is_future_key);
        }
      };

      std::string_view name;
      std::vector<Partition> partitions;

      static constexpr void fields(auto& self, auto& field) {
        field(self.name);
        field(self.partitions);
      }
    };

    ErrorCode error_code = ErrorCode::kNone;
    std::string_view log_dir;
    std::vector<Topic> topics;
    int64_t total_bytes = -1;
    int64_t usable_bytes = -1;
    bool is_cordoned = false;

    static constexpr void fields(auto& self, auto& field) {
      field(self.error_code);
      field(self.log_dir);
      field(self.topics);
      field(self.total_bytes, since(4));
      field(self.usable_bytes, since(4));
      field(self.is_cordoned, since(5));
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Result> results;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code, since(3));
    field(self.results);
  }
};

// Null topics ask for all.
struct DescribeLogDirsRequest {
  static constexpr ApiKey kKey = ApiKey::kDescribeLogDirs;
  using Response = DescribeLogDirsResponse;

  struct Topic {
    std::string_view topic;
    std::vector<int32_t> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic);
      field(self.partitions);
    }
  };

  std::optional<std::vector<Topic>> topics = std::vector<Topic>{};

  static constexpr void fields(auto& self, auto& field) { field(self.topics, since(0).nullable()); }
};

struct DescribeProducersResponse {
  static constexpr ApiKey kKey = ApiKey::kDescribeProducers;

  struct Topic {
    struct Partition {
      struct Producer {
        int64_t producer_id = 0;
        int32_t producer_epoch = 0;
        int32_t last_sequence = -1;
        int64_t last_timestamp = -1;
        int32_t coordinator_epoch = 0;
        int64_t current_txn_start_offset = -1;

        static constexpr void fields(auto& self, auto& field) {
          field(self.producer_id);
          field(self.producer_epoch);
          field(self.last_sequence);
          field(self.last_timestamp);
          field(self.coordinator_epoch);
          field(self.current_txn_start_offset);
        }
      };

      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      NullableString error_message;
      std::vector<Producer> active_producers;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.error_code);
        field(self.error_message, since(0).nullable());
        field(self.active_producers);
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
    field(self.throttle_time_ms);
    field(self.topics);
  }
};

struct DescribeProducersRequest {
  static constexpr ApiKey kKey = ApiKey::kDescribeProducers;
  using Response = DescribeProducersResponse;

  struct Topic {
    std::string_view name;
    std::vector<int32_t> partition_indexes;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.partition_indexes);
    }
  };

  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) { field(self.topics); }
};

}  // namespace posthaste::net::kafka
