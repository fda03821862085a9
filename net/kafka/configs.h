// DescribeConfigs, AlterConfigs and IncrementalAlterConfigs. Struct and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// What a configuration belongs to.
enum class ConfigResourceType : int8_t {
  kUnknown = 0,
  kTopic = 2,
  kBroker = 4,  // named by its id; an empty name: the default of all brokers
  kBrokerLogger = 8,
  kClientMetrics = 16,
  kGroup = 32,
};

// Synonyms are every place the value could come from, the one that counts first.
struct DescribeConfigsResponse {
  static constexpr ApiKey kKey = ApiKey::kDescribeConfigs;

  struct Result {
    struct Config {
      struct Synonym {
        std::string_view name;
        NullableString value = "";
        int8_t source = 0;

        static constexpr void fields(auto& self, auto& field) {
          field(self.name, since(1));
          field(self.value, since(1).nullable());
          field(self.source, since(1));
        }
      };

      std::string_view name;
      NullableString value = "";
      bool read_only = false;
      int8_t config_source = -1;
      bool is_sensitive = false;
      std::vector<Synonym> synonyms;
      int8_t config_type = 0;
      NullableString documentation = "";

      static constexpr void fields(auto& self, auto& field) {
        field(self.name);
        field(self.value, since(0).nullable());
        field(self.read_only);
        field(self.config_source, since(1));
        field(self.is_sensitive);
        field(self.synonyms, since(1));
        field(self.config_type, since(3));
        field(self.documentation, since(3).nullable());
      }
    };

    ErrorCode error_code = ErrorCode::kNone;
    NullableString error_message = "";
    ConfigResourceType resource_type = ConfigResourceType::kUnknown;
    std::string_view resource_name;
    std::vector<Config> configs;

    static constexpr void fields(auto& self, auto& field) {
      field(self.error_code);
      field(self.error_message, since(0).nullable());
      field(self.resource_type);
      field(self.resource_name);
      field(self.configs);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Result> results;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.results);
  }
};

// Null keys ask for all.
struct DescribeConfigsRequest {
  static constexpr ApiKey kKey = ApiKey::kDescribeConfigs;
  using Response = DescribeConfigsResponse;

  struct Resource {
    ConfigResourceType resource_type = ConfigResourceType::kUnknown;
    std::string_view resource_name;
    std::optional<std::vector<std::string_view>> configuration_keys = std::vector<std::string_view>{};

    static constexpr void fields(auto& self, auto& field) {
      field(self.resource_type);
      field(self.resource_name);
      field(self.configuration_keys, since(0).nullable());
    }
  };

  std::vector<Resource> resources;
  bool include_synonyms = false;
  bool include_documentation = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.resources);
    field(self.include_synonyms, since(1));
    field(self.include_documentation, since(3));
  }
};

// One resource's result, the same for both ways of altering.
struct AlteredConfigResource {
  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message = "";
  ConfigResourceType resource_type = ConfigResourceType::kUnknown;
  std::string_view resource_name;

  static constexpr void fields(auto& self, auto& field) {
    field(self.error_code);
    field(self.error_message, since(0).nullable());
    field(self.resource_type);
    field(self.resource_name);
  }
};

struct AlterConfigsResponse {
  static constexpr ApiKey kKey = ApiKey::kAlterConfigs;

  int32_t throttle_time_ms = 0;
  std::vector<AlteredConfigResource> responses;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.responses);
  }
};

// Replaces the whole configuration of a resource: what is not named goes back to its default.
struct AlterConfigsRequest {
  static constexpr ApiKey kKey = ApiKey::kAlterConfigs;
  using Response = AlterConfigsResponse;

  struct Resource {
    struct Config {
      std::string_view name;
      NullableString value = "";

      static constexpr void fields(auto& self, auto& field) {
        field(self.name);
        field(self.value, since(0).nullable());
      }
    };

    ConfigResourceType resource_type = ConfigResourceType::kUnknown;
    std::string_view resource_name;
    std::vector<Config> configs;

    static constexpr void fields(auto& self, auto& field) {
      field(self.resource_type);
      field(self.resource_name);
      field(self.configs);
    }
  };

  std::vector<Resource> resources;
  bool validate_only = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.resources);
    field(self.validate_only);
  }
};

struct IncrementalAlterConfigsResponse {
  static constexpr ApiKey kKey = ApiKey::kIncrementalAlterConfigs;

  int32_t throttle_time_ms = 0;
  std::vector<AlteredConfigResource> responses;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.responses);
  }
};

// Changes what it names and nothing else (KIP-339).
struct IncrementalAlterConfigsRequest {
  static constexpr ApiKey kKey = ApiKey::kIncrementalAlterConfigs;
  using Response = IncrementalAlterConfigsResponse;

  enum class Operation : int8_t { kSet = 0, kDelete = 1, kAppend = 2, kSubtract = 3 };

  struct Resource {
    struct Config {
      std::string_view name;
      Operation config_operation = Operation::kSet;
      NullableString value = "";

      static constexpr void fields(auto& self, auto& field) {
        field(self.name);
        field(self.config_operation);
        field(self.value, since(0).nullable());
      }
    };

    ConfigResourceType resource_type = ConfigResourceType::kUnknown;
    std::string_view resource_name;
    std::vector<Config> configs;

    static constexpr void fields(auto& self, auto& field) {
      field(self.resource_type);
      field(self.resource_name);
      field(self.configs);
    }
  };

  std::vector<Resource> resources;
  bool validate_only = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.resources);
    field(self.validate_only);
  }
};

}  // namespace posthaste::net::kafka
