// Decodes the two tables of a folder, and takes from the newest what the next start may keep.
#include "tests/storage_crash/found_store.h"

#include <algorithm>
#include <random>

#include "storage/recovery/table.h"
#include "tests/storage_crash/tiny_store.h"

namespace posthaste::storage_crash {

using reactor::CoreId;
using reactor::simulated::Disk;

std::vector<std::pair<uint64_t, std::string>> whole_tables(const Disk& disk) {
  std::vector<std::pair<uint64_t, std::string>> tables;
  for (const char* path : {"/data/table-0.snap", "/data/table-1.snap"}) {
    const auto bytes = disk.read_file(path);
    if (!bytes) continue;
    const auto table = storage::decode_table(*bytes);
    if (table) tables.emplace_back(table->number, path);
  }
  return tables;
}

void keep_journal_size(storage::EngineOptions& options, CoreId cores, const Disk& disk, uint64_t seed, bool always) {
  std::mt19937_64 random(seed ^ 0x6b65707473697a65);
  const auto tables = whole_tables(disk);
  if ((!always && below(random, 2) == 0) || tables.empty()) return;
  const auto table = storage::decode_table(*disk.read_file(std::ranges::max(tables).second));
  const uint64_t bytes = table->streams.front().file_bytes;
  if (bytes < least_journal_file_bytes(options, cores)) return;
  options.journal_file_bytes = bytes;
  options.commit_bytes_max = static_cast<uint32_t>(std::min<uint64_t>(options.commit_bytes_max, bytes - 2 * 4096));
}

}  // namespace posthaste::storage_crash
