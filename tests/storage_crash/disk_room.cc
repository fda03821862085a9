// What a start takes of a disk, and how much more there may be.
#include "tests/storage_crash/disk_room.h"

#include <algorithm>

#include "storage/journal/journal_stream.h"
#include "tests/storage_crash/tiny_store.h"

namespace posthaste::storage_crash {

using reactor::CoreId;
using reactor::simulated::Disk;

namespace {

// A disk that may be filled has room for the journals of a start, and up to so much more.
constexpr uint64_t kJournalRoom = uint64_t{1} << 20;
constexpr uint64_t kRoomMost = uint64_t{256} << 10;
constexpr uint64_t kTablesRoom = uint64_t{256} << 10;

}  // namespace

uint64_t journal_room(const storage::EngineOptions& options) {
  const uint64_t files = options.streams * uint64_t{storage::JournalStream::kFilesAtStart};
  return std::max(kJournalRoom, files * options.journal_file_bytes + kRoomMost);
}

uint64_t draw_capacity(const Disk& disk, uint64_t seed, const storage::EngineOptions& options) {
  std::mt19937_64 random(~seed);
  if (below(random, 4) != 0) return kNeverFull;
  return disk.bytes_used() + journal_room(options) + below(random, kRoomMost);
}

uint64_t small_capacity(const Disk& disk, std::mt19937_64& random, const storage::EngineOptions& options,
                        CoreId cores) {
  constexpr uint64_t kReservePerCore = uint64_t{64} << 10;  // the least that it is (storage/space/space_reserve.cc)
  const uint64_t files = options.streams * uint64_t{options.journal_files};
  const uint64_t start = files * options.journal_file_bytes + cores * kReservePerCore + kTablesRoom;
  return std::max(disk.bytes_used(), start) + below(random, kRoomMost);
}

}  // namespace posthaste::storage_crash
