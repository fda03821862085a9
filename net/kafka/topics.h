// CreateTopics and DeleteTopics. Struct and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// From version 5 what was created, configs included (KIP-525).
struct CreateTopicsResponse {
  static constexpr ApiKey kKey = ApiKey::kCreateTopics;

  struct Topic {
    struct Config {
      std::string_view name;
      NullableString value;
      bool read_only = false;
      int8_t config_source = -1;
      bool is_sensitive = false;

      static constexpr void fields(auto& self, auto& field) {
        field(self.name, since(5));
        field(self.value, since(5).nullable());
        field(self.read_only, since(5));
        field(self.config_source, since(5));
        field(self.is_sensitive, since(5));
      }
    };

    std::string_view name;
    Uuid topic_id;
    ErrorCode error_code = ErrorCode::kNone;
    NullableString error_message;
    ErrorCode topic_config_error_code = ErrorCode::kNone;
    int32_t num_partitions = -1;
    int16_t replication_factor = -1;
    std::optional<std::vector<Config>> configs;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.topic_id, since(7));
      field(self.error_code);
      field(self.error_message, since(1).nullable());
      field.tagged(0, self.topic_config_error_code, since(5));
      field(self.num_partitions, since(5));
      field(self.replication_factor, since(5));
      field(self.configs, since(5).nullable());
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(2));
    field(self.topics);
  }
};

// Partitions and replication factor -1 take the broker's default (KIP-464), and stand where assignments are given.
struct CreateTopicsRequest {
  static constexpr ApiKey kKey = ApiKey::kCreateTopics;
  using Response = CreateTopicsResponse;

  struct Topic {
    struct Assignment {
      int32_t partition_index = 0;
      std::vector<int32_t> broker_ids;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.broker_ids);
      }
    };

    struct Config {
      std::string_view name;
      NullableString value;

      static constexpr void fields(auto& self, auto& field) {
        field(self.name);
        field(self.value, since(0).nullable());
      }
    };

    std::string_view name;
    int32_t num_partitions = 0;
    int16_t replication_factor = 0;
    std::vector<Assignment> assignments;
    std::vector<Config> configs;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.num_partitions);
      field(self.replication_factor);
      field(self.assignments);
      field(self.configs);
    }
  };

  std::vector<Topic> topics;
  int32_t timeout_ms = 60000;
  bool validate_only = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.topics);
    field(self.timeout_ms);
    field(self.validate_only, since(1));
  }
};

// One entry per topic asked for.
struct DeleteTopicsResponse {
  static constexpr ApiKey kKey = ApiKey::kDeleteTopics;

  struct Topic {
    NullableString name;
    Uuid topic_id;
    ErrorCode error_code = ErrorCode::kNone;
    NullableString error_message;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name, since(0).nullable(6));
      field(self.topic_id, since(6));
      field(self.error_code);
      field(self.error_message, since(5).nullable());
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Topic> responses;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(1));
    field(self.responses);
  }
};

// Up to version 5 by name, then by name or id.
struct DeleteTopicsRequest {
  static constexpr ApiKey kKey = ApiKey::kDeleteTopics;
  using Response = DeleteTopicsResponse;

  struct Topic {
    NullableString name;
    Uuid topic_id;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name, since(6).nullable());
      field(self.topic_id, since(6));
    }
  };

  std::vector<Topic> topics;
  std::vector<std::string_view> topic_names;
  int32_t timeout_ms = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.topics, since(6));
    field(self.topic_names, between(0, 5));
    field(self.timeout_ms);
  }
};

}  // namespace posthaste::net::kafka
