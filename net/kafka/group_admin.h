// DescribeGroups, ListGroups, DeleteGroups, OffsetDelete: what tools do with consumer groups. Struct and versions only;
// bytes are the codec's.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// A group that does not exist is in state Dead (up to version 5).
struct DescribeGroupsResponse {
  static constexpr ApiKey kKey = ApiKey::kDescribeGroups;

  struct Group {
    struct Member {
      std::string_view member_id;
      NullableString group_instance_id;
      std::string_view client_id;
      std::string_view client_host;
      Bytes member_metadata;
      Bytes member_assignment;

      static constexpr void fields(auto& self, auto& field) {
        field(self.member_id);
        field(self.group_instance_id, since(4).nullable());
        field(self.client_id);
        field(self.client_host);
        field(self.member_metadata);
        field(self.member_assignment);
      }
    };

    ErrorCode error_code = ErrorCode::kNone;
    NullableString error_message;
    std::string_view group_id;
    std::string_view group_state;
    std::string_view protocol_type;
    std::string_view protocol_data;
    std::vector<Member> members;
    int32_t authorized_operations = kOperationsNotAsked;

    static constexpr void fields(auto& self, auto& field) {
      field(self.error_code);
      field(self.error_message, since(6).nullable());
      field(self.group_id);
      field(self.group_state);
      field(self.protocol_type);
      field(self.protocol_data);
      field(self.members);
      field(self.authorized_operations, since(3));
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Group> groups;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(1));
    field(self.groups);
  }
};

// Asks for state and members of groups.
struct DescribeGroupsRequest {
  static constexpr ApiKey kKey = ApiKey::kDescribeGroups;
  using Response = DescribeGroupsResponse;

  std::vector<std::string_view> groups;
  bool include_authorized_operations = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.groups);
    field(self.include_authorized_operations, since(3));
  }
};

// All groups this broker coordinates.
struct ListGroupsResponse {
  static constexpr ApiKey kKey = ApiKey::kListGroups;

  struct Group {
    std::string_view group_id;
    std::string_view protocol_type;
    std::string_view group_state;
    std::string_view group_type;

    static constexpr void fields(auto& self, auto& field) {
      field(self.group_id);
      field(self.protocol_type);
      field(self.group_state, since(4));
      field(self.group_type, since(5));
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Group> groups;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms, since(1));
    field(self.error_code);
    field(self.groups);
  }
};

// Empty filters list everything.
struct ListGroupsRequest {
  static constexpr ApiKey kKey = ApiKey::kListGroups;
  using Response = ListGroupsResponse;

  std::vector<std::string_view> states_filter;
  std::vector<std::string_view> types_filter;

  static constexpr void fields(auto& self, auto& field) {
    field(self.states_filter, since(4));
    field(self.types_filter, since(5));
  }
};

struct DeleteGroupsResponse {
  static constexpr ApiKey kKey = ApiKey::kDeleteGroups;

  struct Group {
    std::string_view group_id;
    ErrorCode error_code = ErrorCode::kNone;

    static constexpr void fields(auto& self, auto& field) {
      field(self.group_id);
      field(self.error_code);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Group> results;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.results);
  }
};

struct DeleteGroupsRequest {
  static constexpr ApiKey kKey = ApiKey::kDeleteGroups;
  using Response = DeleteGroupsResponse;

  std::vector<std::string_view> groups_names;

  static constexpr void fields(auto& self, auto& field) { field(self.groups_names); }
};

// Never flexible (KIP-496).
struct OffsetDeleteResponse {
  static constexpr ApiKey kKey = ApiKey::kOffsetDelete;

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
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.partitions);
    }
  };

  ErrorCode error_code = ErrorCode::kNone;
  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.error_code);
    field(self.throttle_time_ms);
    field(self.topics);
  }
};

struct OffsetDeleteRequest {
  static constexpr ApiKey kKey = ApiKey::kOffsetDelete;
  using Response = OffsetDeleteResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;

      static constexpr void fields(auto& self, auto& field) { field(self.partition_index); }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static constexpr void fields(auto& self, auto& field) {
      field(self.name);
      field(self.partitions);
    }
  };

  std::string_view group_id;
  std::vector<Topic> topics;

  static constexpr void fields(auto& self, auto& field) {
    field(self.group_id);
    field(self.topics);
  }
};

}  // namespace posthaste::net::kafka
