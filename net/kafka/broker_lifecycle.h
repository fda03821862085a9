// BrokerRegistration, BrokerHeartbeat, UnregisterBroker, ControllerRegistration: how a controller gets to know who is
// there, and for how long (KIP-631). Struct and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/endpoints.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// What a broker or a controller can do, as a range of levels of a feature.
struct SupportedFeature {
  std::string_view name;
  int16_t min_supported_version = 0;
  int16_t max_supported_version = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.name);
    field(self.min_supported_version);
    field(self.max_supported_version);
  }
};

// The epoch of this registration, by which the broker is known until the next one.
struct BrokerRegistrationResponse {
  static constexpr ApiKey kKey = ApiKey::kBrokerRegistration;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  int64_t broker_epoch = -1;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.broker_epoch);
  }
};

// A broker that starts. The incarnation is drawn at each start; the directories are those of its logs.
struct BrokerRegistrationRequest {
  static constexpr ApiKey kKey = ApiKey::kBrokerRegistration;
  using Response = BrokerRegistrationResponse;

  int32_t broker_id = 0;
  std::string_view cluster_id;
  Uuid incarnation_id;
  std::vector<BrokerListener> listeners;
  std::vector<SupportedFeature> features;
  NullableString rack = "";
  bool is_migrating_zk_broker = false;
  std::vector<Uuid> log_dirs;
  int64_t previous_broker_epoch = -1;

  static constexpr void fields(auto& self, auto& field) {
    field(self.broker_id);
    field(self.cluster_id);
    field(self.incarnation_id);
    field(self.listeners);
    field(self.features);
    field(self.rack, since(0).nullable());
    field(self.is_migrating_zk_broker, since(1));
    field(self.log_dirs, since(2));
    field(self.previous_broker_epoch, since(3));
  }
};

// What the broker is to do: serve, wait or end.
struct BrokerHeartbeatResponse {
  static constexpr ApiKey kKey = ApiKey::kBrokerHeartbeat;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  bool is_caught_up = false;
  bool is_fenced = true;
  bool should_shut_down = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.is_caught_up);
    field(self.is_fenced);
    field(self.should_shut_down);
  }
};

// Says that the broker lives, how much of the metadata it has followed, and what it wants. Directories that are
// cordoned are null when nobody asks for any.
struct BrokerHeartbeatRequest {
  static constexpr ApiKey kKey = ApiKey::kBrokerHeartbeat;
  using Response = BrokerHeartbeatResponse;

  int32_t broker_id = 0;
  int64_t broker_epoch = -1;
  int64_t current_metadata_offset = 0;
  bool want_fence = false;
  bool want_shut_down = false;
  std::vector<Uuid> offline_log_dirs;
  std::optional<std::vector<Uuid>> cordoned_log_dirs;

  static constexpr void fields(auto& self, auto& field) {
    field(self.broker_id);
    field(self.broker_epoch);
    field(self.current_metadata_offset);
    field(self.want_fence);
    field(self.want_shut_down);
    field.tagged(0, self.offline_log_dirs, since(1));
    field.tagged(1, self.cordoned_log_dirs, since(2).nullable());
  }
};

struct UnregisterBrokerResponse {
  static constexpr ApiKey kKey = ApiKey::kUnregisterBroker;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message = "";

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.error_message, since(0).nullable());
  }
};

// Forgets a broker that will not come back.
struct UnregisterBrokerRequest {
  static constexpr ApiKey kKey = ApiKey::kUnregisterBroker;
  using Response = UnregisterBrokerResponse;

  int32_t broker_id = 0;

  static constexpr void fields(auto& self, auto& field) { field(self.broker_id); }
};

struct ControllerRegistrationResponse {
  static constexpr ApiKey kKey = ApiKey::kControllerRegistration;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message = "";

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.error_message, since(0).nullable());
  }
};

// A controller that starts.
struct ControllerRegistrationRequest {
  static constexpr ApiKey kKey = ApiKey::kControllerRegistration;
  using Response = ControllerRegistrationResponse;

  int32_t controller_id = 0;
  Uuid incarnation_id;
  bool zk_migration_ready = false;
  std::vector<BrokerListener> listeners;
  std::vector<SupportedFeature> features;

  static constexpr void fields(auto& self, auto& field) {
    field(self.controller_id);
    field(self.incarnation_id);
    field(self.zk_migration_ready);
    field(self.listeners);
    field(self.features);
  }
};

}  // namespace posthaste::net::kafka
