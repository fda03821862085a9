// Draws of their own, and values derived from those: seeds keep their meaning when a size is added.
#include "tests/storage_crash/tiny_store.h"

#include <algorithm>

namespace posthaste::storage_crash {

using reactor::CoreId;

uint64_t least_journal_file_bytes(const storage::EngineOptions& options, CoreId cores) {
  const uint64_t cores_of_stream = (cores + options.streams - uint64_t{1}) / options.streams;
  return 4096 * (1 + 3 * cores_of_stream);
}

storage::EngineOptions tiny_options(std::mt19937_64& random, CoreId cores) {
  storage::EngineOptions options;
  options.data_directory = "/data";
  options.streams = static_cast<uint16_t>(1 + below(random, cores));
  options.journal_file_bytes = 4096 * (8 + below(random, 9));
  options.journal_files = static_cast<uint16_t>(4 + below(random, 3));
  options.commit_bytes_max = static_cast<uint32_t>(4096 * (4 + below(random, 3)));
  // In half of the runs most data is referred to by commits, in the other half all of it is copied into them. Not a
  // draw of its own: seeds keep their meaning.
  options.gather_bytes_min = options.journal_file_bytes / 4096 % 2 == 0 ? 4096 : 1 << 20;
  options.journal_file_bytes = std::max(options.journal_file_bytes, least_journal_file_bytes(options, cores));
  options.staging_bytes = 4 * 4096;
  options.tail_bytes_max = kTailBytes;
  options.cache_bytes_max = 128 << 10;
  options.read_ahead_bytes = static_cast<uint32_t>(4096 << below(random, 4));
  return options;
}

std::optional<LargeBatches> LargeBatches::draw(uint64_t life_seed) {
  LargeBatches large{std::mt19937_64(life_seed ^ 0x6c61726765)};
  if (below(large.random, 4) > 0) return std::nullopt;
  return large;
}

void LargeBatches::change(storage::EngineOptions& options, CoreId cores) {
  const uint64_t least_blocks = least_journal_file_bytes(options, cores) / 4096;
  options.journal_files = static_cast<uint16_t>(2 * (2 + below(random, 2)));
  const bool large_commits = below(random, 3) == 0;
  const uint64_t blocks = large_commits ? 32 + below(random, 16) : least_blocks + below(random, 4);
  const uint64_t commit = large_commits ? 10 + below(random, 20) : 2 + below(random, blocks - 3);
  options.journal_file_bytes = 4096 * blocks;
  options.commit_bytes_max = static_cast<uint32_t>(4096 * commit);
  options.staging_bytes = static_cast<uint32_t>(4096 * (2 + below(random, 8)));
  options.gather_bytes_min = below(random, 2) == 0 ? 4096 : 1 << 20;
}

}  // namespace posthaste::storage_crash
