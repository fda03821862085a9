// OffsetCommit and OffsetFetch: the committed positions of a group. Struct and versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// One error code per partition.
struct OffsetCommitResponse {
  static constexpr ApiKey kKey = ApiKey::kOffsetCommit;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.error_code);
      }
    };

    std::string_view name;
    Uuid topic_id;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name, between(0, 9));
      field(self.topic_id, since(10));
      field(self.partitions);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(3));
    field(self.topics);
  }
};

// Generation -1 with an empty member id commits from outside the group protocol; legal while the group is empty.
struct OffsetCommitRequest {
  static constexpr ApiKey kKey = ApiKey::kOffsetCommit;
  using Response = OffsetCommitResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      int64_t committed_offset = 0;
      int32_t committed_leader_epoch = -1;
      NullableString committed_metadata;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index);
        field(self.committed_offset);
        field(self.committed_leader_epoch, since(6));
        field(self.committed_metadata, since(0).nullable());
      }
    };

    std::string_view name;
    Uuid topic_id;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name, between(0, 9));
      field(self.topic_id, since(10));
      field(self.partitions);
    }
  };

  std::string_view group_id;
  int32_t generation_id_or_member_epoch = -1;
  std::string_view member_id;
  NullableString group_instance_id;
  int64_t retention_time_ms = -1;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.group_id);
    field(self.generation_id_or_member_epoch, since(1));
    field(self.member_id, since(1));
    field(self.group_instance_id, since(7).nullable());
    field(self.retention_time_ms, between(2, 4));
    field(self.topics);
  }
};

// No commit is offset -1, epoch -1, no error.
struct OffsetFetchResponse {
  static constexpr ApiKey kKey = ApiKey::kOffsetFetch;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      int64_t committed_offset = 0;
      int32_t committed_leader_epoch = -1;
      NullableString metadata;
      ErrorCode error_code = ErrorCode::kNone;

      static constexpr void fields(auto& self, auto& field) {
        field(self.partition_index, between(0, 7));
        field(self.committed_offset, between(0, 7));
        field(self.committed_leader_epoch, between(5, 7));
        field(self.metadata, between(0, 7).nullable());
        field(self.error_code, between(0, 7));
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name, between(0, 7));
      field(self.partitions, between(0, 7));
    }
  };

  struct Group {
    struct GroupTopic {
      struct GroupPartition {
        int32_t partition_index = 0;
        int64_t committed_offset = 0;
        int32_t committed_leader_epoch = -1;
        NullableString metadata;
        ErrorCode error_code = ErrorCode::kNone;

        static constexpr void fields(auto& self, auto& field) {
          field(self.partition_index, since(8));
          field(self.committed_offset, since(8));
          field(self.committed_leader_epoch, since(8));
          field(self.metadata, since(8).nullable());
          field(self.error_code, since(8));
        }
      };

      std::string_view name;
      Uuid topic_id;
      std::vector<GroupPartition> partitions;

      static constexpr void fields(auto& self, auto& field) {
        field(self.name, between(8, 9));
        field(self.topic_id, since(10));
        field(self.partitions, since(8));
      }
    };

    std::string_view group_id;
    std::vector<GroupTopic> topics;
    ErrorCode error_code = ErrorCode::kNone;

    static constexpr void fields(auto& self, auto& field) {
      field(self.group_id, since(8));
      field(self.topics, since(8));
      field(self.error_code, since(8));
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Group> groups;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(3));
    field(self.topics, between(0, 7));
    field(self.error_code, between(2, 7));
    field(self.groups, since(8));
  }
};

// Up to version 7 one group at top level, then many (KIP-709). Topics null asks for all of the group.
struct OffsetFetchRequest {
  static constexpr ApiKey kKey = ApiKey::kOffsetFetch;
  using Response = OffsetFetchResponse;

  struct Topic {
    std::string_view name;
    std::vector<int32_t> partition_indexes;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name, between(0, 7));
      field(self.partition_indexes, between(0, 7));
    }
  };

  struct Group {
    struct GroupTopic {
      std::string_view name;
      Uuid topic_id;
      std::vector<int32_t> partition_indexes;

      static constexpr void fields(auto& self, auto& field) {
        field(self.name, between(8, 9));
        field(self.topic_id, since(10));
        field(self.partition_indexes, since(8));
      }
    };

    std::string_view group_id;
    NullableString member_id;
    int32_t member_epoch = -1;
    std::optional<std::vector<GroupTopic>> topics;

    static constexpr void fields(auto& self, auto& field) {
      field(self.group_id, since(8));
      field(self.member_id, since(9).nullable());
      field(self.member_epoch, since(9));
      field(self.topics, since(8).nullable());
    }
  };

  std::string_view group_id;
  std::optional<std::vector<Topic>> topics;
  std::vector<Group> groups;
  bool require_stable = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.group_id, between(0, 7));
    field(self.topics, between(0, 7).nullable(2));
    field(self.groups, since(8));
    field(self.require_stable, since(7));
  }
};

}  // namespace posthaste::net::kafka
