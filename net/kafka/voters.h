// AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter: who has a vote in a quorum, changed one at a time (KIP-853). Struct
// and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/endpoints.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// The lowest and the highest version of the quorum's protocol that a voter understands.
struct KraftVersionRange {
  int16_t min_supported_version = 0;
  int16_t max_supported_version = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.min_supported_version);
    field(self.max_supported_version);
  }
};

struct AddRaftVoterResponse {
  static constexpr ApiKey kKey = ApiKey::kAddRaftVoter;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message = "";

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.error_message, since(0).nullable());
  }
};

// A voter is an id with the directory of its log: an exchanged disk is another voter. With `ack_when_committed` the
// answer comes when the new set of voters is committed, else when it is in the leader's log.
struct AddRaftVoterRequest {
  static constexpr ApiKey kKey = ApiKey::kAddRaftVoter;
  using Response = AddRaftVoterResponse;

  NullableString cluster_id = "";
  int32_t timeout_ms = 0;
  int32_t voter_id = 0;
  Uuid voter_directory_id;
  std::vector<ListenerEndpoint> listeners;
  bool ack_when_committed = true;

  static constexpr void fields(auto& self, auto& field) {
    field(self.cluster_id, since(0).nullable());
    field(self.timeout_ms);
    field(self.voter_id);
    field(self.voter_directory_id);
    field(self.listeners);
    field(self.ack_when_committed, since(1));
  }
};

struct RemoveRaftVoterResponse {
  static constexpr ApiKey kKey = ApiKey::kRemoveRaftVoter;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  NullableString error_message = "";

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.error_message, since(0).nullable());
  }
};

// Takes a voter out. It has to be named with its directory.
struct RemoveRaftVoterRequest {
  static constexpr ApiKey kKey = ApiKey::kRemoveRaftVoter;
  using Response = RemoveRaftVoterResponse;

  NullableString cluster_id = "";
  int32_t voter_id = 0;
  Uuid voter_directory_id;

  static constexpr void fields(auto& self, auto& field) {
    field(self.cluster_id, since(0).nullable());
    field(self.voter_id);
    field(self.voter_directory_id);
  }
};

// Who leads and where, if another one does.
struct UpdateRaftVoterResponse {
  static constexpr ApiKey kKey = ApiKey::kUpdateRaftVoter;

  struct CurrentLeader {
    int32_t leader_id = -1;
    int32_t leader_epoch = -1;
    std::string_view host;
    int32_t port = 0;

    friend bool operator==(const CurrentLeader&, const CurrentLeader&) = default;

    static constexpr void fields(auto& self, auto& field) {
      field(self.leader_id);
      field(self.leader_epoch);
      field(self.host);
      field(self.port);
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  CurrentLeader current_leader;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field.tagged(0, self.current_leader, since(0));
  }
};

// A voter tells the leader where it can be reached now and what it understands.
struct UpdateRaftVoterRequest {
  static constexpr ApiKey kKey = ApiKey::kUpdateRaftVoter;
  using Response = UpdateRaftVoterResponse;

  NullableString cluster_id = "";
  int32_t current_leader_epoch = 0;
  int32_t voter_id = 0;
  Uuid voter_directory_id;
  std::vector<ListenerEndpoint> listeners;
  KraftVersionRange kraft_version_feature;

  static constexpr void fields(auto& self, auto& field) {
    field(self.cluster_id, since(0).nullable());
    field(self.current_leader_epoch);
    field(self.voter_id);
    field(self.voter_directory_id);
    field(self.listeners);
    field(self.kraft_version_feature);
  }
};

}  // namespace posthaste::net::kafka
