// The names of the engine's entries in a data folder: an entry with any other name belongs to another program and is
// neither renamed nor removed. Pure functions, any core.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/log/log_types.h"

namespace posthaste::storage {

// Partitions of one topic. What is kept by partition number is an array of as many, and a number may be read from a
// damaged table.
inline constexpr int32_t kPartitionsOfTopicMax = int32_t{1} << 20;

// The folder of a partition, "NAME-PARTITION": one to one, and none of the engine's other names ends like that. Every
// topic name that Kafka allows has one for the partitions 0 to 99,999. Empty if there can be no such folder: an empty
// name, characters other than letters, digits, '.', '_' and '-', a number that no partition can have, or more bytes
// than a file system takes.
std::optional<std::string> partition_folder(std::string_view topic, int32_t partition);

// "NAME-PARTITION" as partition_folder() makes it.
bool is_partition_folder(std::string_view name);

// A deleted partition's folder on its way out, by the partition's uid.
std::string deleted_folder(Uid uid);
// The same for what a crash has left under a partition's name: the `number`th one that the recovery of `table` found.
std::string deleted_folder(uint64_t table, uint64_t number);
// One of both.
bool is_deleted_folder(std::string_view name);

// What the engine keeps beside the partitions' folders.
bool is_engine_entry(std::string_view name);

// "BASE.log", "BASE.index", "BASE.snapshot", with the first offset in 20 digits.
std::string segment_file(int64_t base_offset, std::string_view extension);
// The first offset if a segment file is called that.
std::optional<int64_t> segment_file_base(std::string_view name);

// The first few of these names, for a line of the log: quoted, shortened, whatever bytes they hold.
std::string some_of(const std::vector<std::string>& names);

}  // namespace posthaste::storage
