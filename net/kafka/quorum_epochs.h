// Vote, BeginQuorumEpoch, EndQuorumEpoch: how the voters of a quorum agree on who leads (KIP-595, KIP-853, KIP-996).
// All three name the partition, because Kafka's form foresees several quorums; there is one. Struct and versions only;
// bytes are the codec's.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/endpoints.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// Who leads as far as the voter knows, and whether it gives its vote.
struct VoteResponse {
  static constexpr ApiKey kKey = ApiKey::kVote;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      int32_t leader_id = 0;
      int32_t leader_epoch = 0;
      bool vote_granted = false;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.error_code);
        field(self.leader_id);
        field(self.leader_epoch);
        field(self.vote_granted);
      }
    };

    std::string_view topic_name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic_name);
      field(self.partitions);
    }
  };

  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Topic> topics;
  std::vector<QuorumNode> node_endpoints;

  static constexpr void fields(auto& self, auto& field) {
    field(self.error_code);
    field(self.topics);
    field.tagged(0, self.node_endpoints, since(1));
  }
};

// A candidate asks for a vote in `replica_epoch`; in a pre-vote, whether it would get one. The voter that is asked
// names itself by id and directory, so that a host with an exchanged disk does not answer for its predecessor.
struct VoteRequest {
  static constexpr ApiKey kKey = ApiKey::kVote;
  using Response = VoteResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      int32_t replica_epoch = 0;
      int32_t replica_id = 0;
      Uuid replica_directory_id;
      Uuid voter_directory_id;
      int32_t last_offset_epoch = 0;
      int64_t last_offset = 0;
      bool pre_vote = false;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.replica_epoch);
        field(self.replica_id);
        field(self.replica_directory_id, since(1));
        field(self.voter_directory_id, since(1));
        field(self.last_offset_epoch);
        field(self.last_offset);
        field(self.pre_vote, since(2));
      }
    };

    std::string_view topic_name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic_name);
      field(self.partitions);
    }
  };

  NullableString cluster_id;
  int32_t voter_id = -1;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.cluster_id, since(0).nullable());
    field(self.voter_id, since(1));
    field(self.topics);
  }
};

// Who leads as far as the voter knows: the answer to the beginning and to the end of an epoch.
template <ApiKey kApi>
struct QuorumEpochResponse {
  static constexpr ApiKey kKey = kApi;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      int32_t leader_id = 0;
      int32_t leader_epoch = 0;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.error_code);
        field(self.leader_id);
        field(self.leader_epoch);
      }
    };

    std::string_view topic_name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic_name);
      field(self.partitions);
    }
  };

  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Topic> topics;
  std::vector<QuorumNode> node_endpoints;

  static constexpr void fields(auto& self, auto& field) {
    field(self.error_code);
    field(self.topics);
    field.tagged(0, self.node_endpoints, since(1));
  }
};
using BeginQuorumEpochResponse = QuorumEpochResponse<ApiKey::kBeginQuorumEpoch>;
using EndQuorumEpochResponse = QuorumEpochResponse<ApiKey::kEndQuorumEpoch>;

// A new leader tells the other voters where it can be fetched from.
struct BeginQuorumEpochRequest {
  static constexpr ApiKey kKey = ApiKey::kBeginQuorumEpoch;
  using Response = BeginQuorumEpochResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      Uuid voter_directory_id;
      int32_t leader_id = 0;
      int32_t leader_epoch = 0;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.voter_directory_id, since(1));
        field(self.leader_id);
        field(self.leader_epoch);
      }
    };

    std::string_view topic_name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic_name);
      field(self.partitions);
    }
  };

  NullableString cluster_id;
  int32_t voter_id = -1;
  std::vector<Topic> topics;
  std::vector<ListenerEndpoint> leader_endpoints;

  static constexpr void fields(auto& self, auto& field) {
    field(self.cluster_id, since(0).nullable());
    field(self.voter_id, since(1));
    field(self.topics);
    field(self.leader_endpoints, since(1));
  }
};

// A leader that resigns names who may follow at once, the best first: by id alone in version 0.
struct EndQuorumEpochRequest {
  static constexpr ApiKey kKey = ApiKey::kEndQuorumEpoch;
  using Response = EndQuorumEpochResponse;

  struct Topic {
    struct Partition {
      struct Candidate {
        int32_t candidate_id = 0;
        Uuid candidate_directory_id;

        static constexpr void fields(auto& self, auto& field) {
          field(self.candidate_id, since(1));
          field(self.candidate_directory_id, since(1));
        }
      };

      int32_t partition_index = 0;
      int32_t leader_id = 0;
      int32_t leader_epoch = 0;
      std::vector<int32_t> preferred_successors;
      std::vector<Candidate> preferred_candidates;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.leader_id);
        field(self.leader_epoch);
        field(self.preferred_successors, between(0, 0));
        field(self.preferred_candidates, since(1));
      }
    };

    std::string_view topic_name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.topic_name);
      field(self.partitions);
    }
  };

  NullableString cluster_id;
  std::vector<Topic> topics;
  std::vector<ListenerEndpoint> leader_endpoints;

  static constexpr void fields(auto& self, auto& field) {
    field(self.cluster_id, since(0).nullable());
    field(self.topics);
    field(self.leader_endpoints, since(1));
  }
};

}  // namespace posthaste::net::kafka
