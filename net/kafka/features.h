// UpdateFeatures: raises or lowers the levels of features that all brokers of a cluster keep to (KIP-584, KIP-778).
// Struct and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// An unsafe downgrade may lose metadata.
enum class UpgradeType : int8_t { kUnknown = 0, kUpgrade = 1, kSafeDowngrade = 2, kUnsafeDowngrade = 3 };

// All or nothing from version 2 on: results of single features are there before it.
struct UpdateFeaturesResponse {
  static constexpr ApiKey kKey = ApiKey::kUpdateFeatures;

  struct Result {
    std::string_view feature;
    ErrorCode error_code = ErrorCode::kNone;
    NullableString error_message = "";

    static constexpr void fields(auto& self, auto& field) {
      field(self.feature);
      field(self.error_code);
      field(self.error_message, since(0).nullable());
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message = "";
  std::vector<Result> results;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.error_message, since(0).nullable());
    field(self.results, between(0, 1));
  }
};

// Level 0 takes a feature away. Version 0 says with `allow_downgrade` what `upgrade_type` says since.
struct UpdateFeaturesRequest {
  static constexpr ApiKey kKey = ApiKey::kUpdateFeatures;
  using Response = UpdateFeaturesResponse;

  struct Update {
    std::string_view feature;
    int16_t max_version_level = 0;
    bool allow_downgrade = false;
    UpgradeType upgrade_type = UpgradeType::kUpgrade;

    static constexpr void fields(auto& self, auto& field) {
      field(self.feature);
      field(self.max_version_level);
      field(self.allow_downgrade, between(0, 0));
      field(self.upgrade_type, since(1));
    }
  };

  int32_t timeout_ms = 60000;
  std::vector<Update> feature_updates;
  bool validate_only = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.timeout_ms);
    field(self.feature_updates);
    field(self.validate_only, since(1));
  }
};

}  // namespace posthaste::net::kafka
