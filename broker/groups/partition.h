// Which partition of __consumer_offsets holds a group: every broker and client tool must always agree on it.
#pragma once
#include <cstdint>
#include <string_view>

namespace posthaste::broker {

// Java's String.hashCode of `group_id` (UTF-8 here, hashed as the UTF-16 code units Java would see; malformed bytes
// count as U+FFFD), its absolute value (0 for the least int, which has none), modulo `partitions`, which is
// offsets.topic.num.partitions and at least 1. Any core.
int32_t partition_of_group(std::string_view group_id, int32_t partitions);

}  // namespace posthaste::broker
