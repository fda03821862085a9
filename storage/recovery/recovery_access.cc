// Recovery: whether this process may use the files of each partition. A folder that was once served by another user
// (usually root) holds some that it may not: to serve the rest would answer errors for ever, and what is written later
// would find no place. So such a start is refused before anything is changed.
#include "storage/recovery/recovery.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::FileStat;
using reactor::Result;
using reactor::Task;
namespace file_system = reactor::file_system;

namespace {
std::string belongs_to(const std::string& path, const FileStat& found) {
  return fmt::format("{} (of user {}, group {}, mode {:04o})", path, found.owner, found.group, found.permissions);
}
}  // namespace

// The file that is appended to is opened as it will be later: that needs the way through the folder and the file. One
// open a partition, and a stat only if that fails. A file that is missing and a device that fails are errors of the
// code that needs them.
Task<Result<void>> Recovery::check_access() {
  progress_.begin("opening the partitions", "partitions", partitions_.size());
  for (const auto& [uid, replay] : partitions_) {
    if (core_.stopping()) co_return failure(Errc::kStopping);
    ++progress_.done;
    const TableEntry& entry = replay.entry;
    if (entry.deleted || !entry.directory_created) continue;
    const std::string segment = segment_of(entry, entry.segments.back().base_offset, "log");
    auto file = co_await File::open(core_, segment, reactor::kOpenWrite);
    if (file) {
      (void)co_await file->close();
    } else if (file.error() == Errc::kPermission) {
      co_return co_await refuse_access(directory_of(entry), segment);
    }
  }
  co_return Result<void>();
}

// Names the folder and the cause: the file, or the folder itself if it cannot be read.
Task<Result<void>> Recovery::refuse_access(std::string folder, std::string file) {
  std::string blamed = folder;
  auto found = file.empty() ? Result<FileStat>(failure(Errc::kNotFound)) : co_await file_system::stat(core_, file);
  if (found) {
    blamed = belongs_to(file, *found);
  } else if (found = co_await file_system::stat(core_, folder); found) {
    blamed = belongs_to(folder, *found);
  }
  host_.error_text_ = fmt::format(
      "the partition folder {} cannot be used: {} must be readable and writable for the user that the broker runs as, "
      "and a start by another user may have made it. Nothing was changed",
      folder, blamed);
  co_return failure(Errc::kPermission);
}

}  // namespace posthaste::storage
