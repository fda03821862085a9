// Where partitions begin and end, from each partition's leader; topic and group commands show it.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "app/cli/admin_client.h"
#include "app/cli/result.h"

namespace posthaste::app {

struct TopicPartition {
  std::string topic;
  int32_t partition = 0;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

enum class OffsetKind : int64_t { kEnd = -1, kStart = -2 };  // the special timestamps of ListOffsets

// Offsets of the partitions (each with its leader's node id). A partition that has none or whose leader answers with an
// error is left out.
CliResult<std::map<TopicPartition, int64_t>> list_offsets(AdminClient& client,
                                                          const std::map<TopicPartition, int32_t>& leaders,
                                                          OffsetKind kind);

// Leaders of all partitions of the named topics; unknown topics are left out.
CliResult<std::map<TopicPartition, int32_t>> find_leaders(AdminClient& client, const std::vector<std::string>& topics);

}  // namespace posthaste::app
