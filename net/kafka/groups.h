// The classic consumer group protocol: coordinator, join, sync, heartbeat, leave. Struct and versions only; bytes are
// the codec's.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// Up to version 3 the fields at top level, then one entry per key.
struct FindCoordinatorResponse {
  static constexpr ApiKey kKey = ApiKey::kFindCoordinator;

  struct Coordinator {
    std::string_view key;
    int32_t node_id = 0;
    std::string_view host;
    int32_t port = 0;
    ErrorCode error_code = ErrorCode::kNone;
    NullableString error_message;

    static constexpr void fields(auto& self, auto& field) {
      field(self.key, since(4));
      field(self.node_id, since(4));
      field(self.host, since(4));
      field(self.port, since(4));
      field(self.error_code, since(4));
      field(self.error_message, since(4).nullable());
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message;
  int32_t node_id = 0;
  std::string_view host;
  int32_t port = 0;
  std::vector<Coordinator> coordinators;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(1));
    field(self.error_code, between(0, 3));
    field(self.error_message, between(1, 3).nullable());
    field(self.node_id, between(0, 3));
    field(self.host, between(0, 3));
    field(self.port, between(0, 3));
    field(self.coordinators, since(4));
  }
};

// Key type 0 asks for a group, 1 for a transactional id. Up to version 3 one key, then many (KIP-699).
struct FindCoordinatorRequest {
  static constexpr ApiKey kKey = ApiKey::kFindCoordinator;
  using Response = FindCoordinatorResponse;

  std::string_view key;
  int8_t key_type = 0;
  std::vector<std::string_view> coordinator_keys;

  static constexpr void fields(auto& self, auto& field) {
    field(self.key, between(0, 3));
    field(self.key_type, since(1));
    field(self.coordinator_keys, since(4));
  }
};

// Members is filled for the leader only.
struct JoinGroupResponse {
  static constexpr ApiKey kKey = ApiKey::kJoinGroup;

  struct Member {
    std::string_view member_id;
    NullableString group_instance_id;
    Bytes metadata;

    static constexpr void fields(auto& self, auto& field) {
      field(self.member_id);
      field(self.group_instance_id, since(5).nullable());
      field(self.metadata);
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  int32_t generation_id = -1;
  NullableString protocol_type;
  NullableString protocol_name;
  std::string_view leader;
  bool skip_assignment = false;
  std::string_view member_id;
  std::vector<Member> members;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(2));
    field(self.error_code);
    field(self.generation_id);
    field(self.protocol_type, since(7).nullable());
    field(self.protocol_name, since(0).nullable(7));
    field(self.leader);
    field(self.skip_assignment, since(9));
    field(self.member_id);
    field(self.members);
  }
};

// Rebalance timeout -1 (version 0): the session timeout stands for it.
struct JoinGroupRequest {
  static constexpr ApiKey kKey = ApiKey::kJoinGroup;
  using Response = JoinGroupResponse;

  struct Protocol {
    std::string_view name;
    Bytes metadata;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.metadata);
    }
  };

  std::string_view group_id;
  int32_t session_timeout_ms = 0;
  int32_t rebalance_timeout_ms = -1;
  std::string_view member_id;
  NullableString group_instance_id;
  std::string_view protocol_type;
  std::vector<Protocol> protocols;
  NullableString reason;

  static constexpr void fields(auto& self, auto& field) {
    field(self.group_id);
    field(self.session_timeout_ms);
    field(self.rebalance_timeout_ms, since(1));
    field(self.member_id);
    field(self.group_instance_id, since(5).nullable());
    field(self.protocol_type);
    field(self.protocols);
    field(self.reason, since(8).nullable());
  }
};

// The assignment of the member that asked.
struct SyncGroupResponse {
  static constexpr ApiKey kKey = ApiKey::kSyncGroup;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  NullableString protocol_type;
  NullableString protocol_name;
  Bytes assignment;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(1));
    field(self.error_code);
    field(self.protocol_type, since(5).nullable());
    field(self.protocol_name, since(5).nullable());
    field(self.assignment);
  }
};

// Assignments come from the leader only.
struct SyncGroupRequest {
  static constexpr ApiKey kKey = ApiKey::kSyncGroup;
  using Response = SyncGroupResponse;

  struct Assignment {
    std::string_view member_id;
    Bytes assignment;

    static constexpr void fields(auto& self, auto& field) {
      field(self.member_id);
      field(self.assignment);
    }
  };

  std::string_view group_id;
  int32_t generation_id = 0;
  std::string_view member_id;
  NullableString group_instance_id;
  NullableString protocol_type;
  NullableString protocol_name;
  std::vector<Assignment> assignments;

  static constexpr void fields(auto& self, auto& field) {
    field(self.group_id);
    field(self.generation_id);
    field(self.member_id);
    field(self.group_instance_id, since(3).nullable());
    field(self.protocol_type, since(5).nullable());
    field(self.protocol_name, since(5).nullable());
    field(self.assignments);
  }
};

// REBALANCE_IN_PROGRESS makes the member join again.
struct HeartbeatResponse {
  static constexpr ApiKey kKey = ApiKey::kHeartbeat;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(1));
    field(self.error_code);
  }
};

// Keeps a member alive and tells it of a rebalance.
struct HeartbeatRequest {
  static constexpr ApiKey kKey = ApiKey::kHeartbeat;
  using Response = HeartbeatResponse;

  std::string_view group_id;
  int32_t generation_id = 0;
  std::string_view member_id;
  NullableString group_instance_id;

  static constexpr void fields(auto& self, auto& field) {
    field(self.group_id);
    field(self.generation_id);
    field(self.member_id);
    field(self.group_instance_id, since(3).nullable());
  }
};

// From version 3 one entry per member.
struct LeaveGroupResponse {
  static constexpr ApiKey kKey = ApiKey::kLeaveGroup;

  struct Member {
    std::string_view member_id;
    NullableString group_instance_id;
    ErrorCode error_code = ErrorCode::kNone;

    static constexpr void fields(auto& self, auto& field) {
      field(self.member_id, since(3));
      field(self.group_instance_id, since(3).nullable());
      field(self.error_code, since(3));
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Member> members;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(1));
    field(self.error_code);
    field(self.members, since(3));
  }
};

// Up to version 2 one member, then many (KIP-345).
struct LeaveGroupRequest {
  static constexpr ApiKey kKey = ApiKey::kLeaveGroup;
  using Response = LeaveGroupResponse;

  struct Member {
    std::string_view member_id;
    NullableString group_instance_id;
    NullableString reason;

    static constexpr void fields(auto& self, auto& field) {
      field(self.member_id, since(3));
      field(self.group_instance_id, since(3).nullable());
      field(self.reason, since(5).nullable());
    }
  };

  std::string_view group_id;
  std::string_view member_id;
  std::vector<Member> members;

  static constexpr void fields(auto& self, auto& field) {
    field(self.group_id);
    field(self.member_id, between(0, 2));
    field(self.members, since(3));
  }
};

}  // namespace posthaste::net::kafka
