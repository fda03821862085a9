// AlterPartition, AssignReplicasToDirs, AllocateProducerIds, Envelope: what a broker asks its controller for. Struct
// and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// Whether a leader holds all that was committed. One that was elected out of the in-sync set does not, until it has
// recovered (KIP-704).
enum class LeaderRecoveryState : int8_t { kRecovered = 0, kRecovering = 1 };

// The partition as the controller has it.
struct AlterPartitionResponse {
  static constexpr ApiKey kKey = ApiKey::kAlterPartition;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      int32_t leader_id = 0;
      int32_t leader_epoch = 0;
      std::vector<int32_t> isr;
      LeaderRecoveryState leader_recovery_state = LeaderRecoveryState::kRecovered;
      int32_t partition_epoch = 0;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.error_code);
        field(self.leader_id);
        field(self.leader_epoch);
        field(self.isr);
        field(self.leader_recovery_state, since(1));
        field(self.partition_epoch);
      }
    };

    Uuid topic_id;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic_id, since(2));
      field(self.partitions);
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.topics);
  }
};

// A leader asks for another set of in-sync replicas. It holds if the partition is still as the leader knows it:
// `partition_epoch` and `leader_epoch` are compared.
struct AlterPartitionRequest {
  static constexpr ApiKey kKey = ApiKey::kAlterPartition;
  using Response = AlterPartitionResponse;

  struct Topic {
    struct Partition {
      struct BrokerState {
        int32_t broker_id = 0;
        int64_t broker_epoch = -1;

        static constexpr void fields(auto& self, auto& field) {
          field(self.broker_id, since(3));
          field(self.broker_epoch, since(3));
        }
      };

      int32_t partition_index = 0;
      int32_t leader_epoch = 0;
      std::vector<int32_t> new_isr;
      std::vector<BrokerState> new_isr_with_epochs;
      LeaderRecoveryState leader_recovery_state = LeaderRecoveryState::kRecovered;
      int32_t partition_epoch = 0;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.leader_epoch);
        field(self.new_isr, between(0, 2));
        field(self.new_isr_with_epochs, since(3));
        field(self.leader_recovery_state, since(1));
        field(self.partition_epoch);
      }
    };

    Uuid topic_id;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic_id, since(2));
      field(self.partitions);
    }
  };

  int32_t broker_id = 0;
  int64_t broker_epoch = -1;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.broker_id);
    field(self.broker_epoch);
    field(self.topics);
  }
};

struct AssignReplicasToDirsResponse {
  static constexpr ApiKey kKey = ApiKey::kAssignReplicasToDirs;

  struct Directory {
    struct Topic {
      struct Partition {
        int32_t partition_index = 0;
        ErrorCode error_code = ErrorCode::kNone;

        static constexpr void fields(auto& self, auto& field) {
          field(self.partition_index);
          field(self.error_code);
        }
      };

      Uuid topic_id;
      std::vector<Partition> partitions;

      static constexpr void fields(auto& self, auto& field) {
        field(self.topic_id);
        field(self.partitions);
      }
    };

    Uuid id;
    std::vector<Topic> topics;

    static constexpr void fields(auto& self, auto& field) {
      field(self.id);
      field(self.topics);
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Directory> directories;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.directories);
  }
};

// Says in which of its directories a broker keeps which partitions (KIP-858).
struct AssignReplicasToDirsRequest {
  static constexpr ApiKey kKey = ApiKey::kAssignReplicasToDirs;
  using Response = AssignReplicasToDirsResponse;

  struct Directory {
    struct Topic {
      struct Partition {
        int32_t partition_index = 0;

        static constexpr void fields(auto& self, auto& field) { field(self.partition_index); }
      };

      Uuid topic_id;
      std::vector<Partition> partitions;

      static constexpr void fields(auto& self, auto& field) {
        field(self.topic_id);
        field(self.partitions);
      }
    };

    Uuid id;
    std::vector<Topic> topics;

    static constexpr void fields(auto& self, auto& field) {
      field(self.id);
      field(self.topics);
    }
  };

  int32_t broker_id = 0;
  int64_t broker_epoch = -1;
  std::vector<Directory> directories;

  static constexpr void fields(auto& self, auto& field) {
    field(self.broker_id);
    field(self.broker_epoch);
    field(self.directories);
  }
};

struct AllocateProducerIdsResponse {
  static constexpr ApiKey kKey = ApiKey::kAllocateProducerIds;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  int64_t producer_id_start = 0;
  int32_t producer_id_len = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.producer_id_start);
    field(self.producer_id_len);
  }
};

// Asks for a block of producer ids that nobody else has.
struct AllocateProducerIdsRequest {
  static constexpr ApiKey kKey = ApiKey::kAllocateProducerIds;
  using Response = AllocateProducerIdsResponse;

  int32_t broker_id = 0;
  int64_t broker_epoch = -1;

  static constexpr void fields(auto& self, auto& field) {
    field(self.broker_id);
    field(self.broker_epoch);
  }
};

struct EnvelopeResponse {
  static constexpr ApiKey kKey = ApiKey::kEnvelope;

  std::optional<Bytes> response_data;
  ErrorCode error_code = ErrorCode::kNone;

  static constexpr void fields(auto& self, auto& field) {
    field(self.response_data, since(0).nullable());
    field(self.error_code);
  }
};

// A client's request, passed on with who asked and from where, and the controller's answer (KIP-590). Both as they lie
// in their frames, header included.
struct EnvelopeRequest {
  static constexpr ApiKey kKey = ApiKey::kEnvelope;
  using Response = EnvelopeResponse;

  Bytes request_data;
  std::optional<Bytes> request_principal = Bytes();
  Bytes client_host_address;

  static constexpr void fields(auto& self, auto& field) {
    field(self.request_data);
    field(self.request_principal, since(0).nullable());
    field(self.client_host_address);
  }
};

}  // namespace posthaste::net::kafka
