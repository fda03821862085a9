// ApiVersions: the first request of a client, and the only one that may be of a version we do not know. Struct
// and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// The advertised ranges (ServedApis) and features. Features with minimum 0 go only into version 4.
struct ApiVersionsResponse {
  static constexpr ApiKey kKey = ApiKey::kApiVersions;

  struct ApiVersion {
    ApiKey api_key{};
    int16_t min_version = 0;
    int16_t max_version = 0;

    static constexpr void fields(auto& self, auto& field) {
      field(self.api_key);
      field(self.min_version);
      field(self.max_version);
    }
  };

  struct SupportedFeature {
    std::string_view name;
    int16_t min_version = 0;
    int16_t max_version = 0;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name, since(3));
      field(self.min_version, since(3));
      field(self.max_version, since(3));
    }
  };

  struct FinalizedFeature {
    std::string_view name;
    int16_t max_version_level = 0;
    int16_t min_version_level = 0;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name, since(3));
      field(self.max_version_level, since(3));
      field(self.min_version_level, since(3));
    }
  };

  ErrorCode error_code = ErrorCode::kNone;
  std::vector<ApiVersion> api_keys;
  int32_t throttle_time_ms = 0;
  std::vector<SupportedFeature> supported_features;
  int64_t finalized_features_epoch = -1;
  std::vector<FinalizedFeature> finalized_features;
  bool zk_migration_ready = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.error_code);
    field(self.api_keys);
    field(self.throttle_time_ms, since(1));
    field.tagged(0, self.supported_features, since(3));
    field.tagged(1, self.finalized_features_epoch, since(3), /*absent=*/-1);
    field.tagged(2, self.finalized_features, since(3));
    field.tagged(3, self.zk_migration_ready, since(3));
  }
};

// Asks what the broker serves. A version above ours is answered with body and header version 0 and
// UNSUPPORTED_VERSION (KIP-511).
struct ApiVersionsRequest {
  static constexpr ApiKey kKey = ApiKey::kApiVersions;
  using Response = ApiVersionsResponse;

  std::string_view client_software_name;
  std::string_view client_software_version;

  static constexpr void fields(auto& self, auto& field) {
    field(self.client_software_name, since(3));
    field(self.client_software_version, since(3));
  }
};

}  // namespace posthaste::net::kafka
