#include "storage/journal/journal_files.h"

#include <algorithm>

#include "reactor/file.h"
#include "storage/journal/journal_scan.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::Result;
using reactor::Task;

namespace {
// Zeroes go to new files in writes of this size: large enough to be quick, small enough not to delay a commit for long.
constexpr size_t kZeroWriteBytes = 1024 * 1024;
}  // namespace

std::string journal_file_path(const std::string& directory, size_t slot) {
  return fmt::format("{}/{:02}.wal", directory, slot);
}

Task<Result<bool>> journal_file_is_ready(reactor::Core& core, std::string directory, uint16_t slot, uint64_t bytes) {
  const std::string path = journal_file_path(directory, slot);
  auto found = co_await reactor::file_system::stat(core, path);
  if (!found) co_return found.error() == Errc::kNotFound ? Result<bool>(false) : failure(found.error());
  if (found->size_bytes != bytes) co_return false;
  auto start = co_await read_journal_start(core, path);
  if (!start) co_return failure(start.error());
  const auto header = decode_file_header(*start);
  if (!header && header.error() == Errc::kUnsupported) co_return failure(Errc::kUnsupported);
  co_return header && header->version == kJournalVersion && header->slot == slot && header->file_bytes == bytes;
}

Task<Result<void>> make_journal_file(reactor::Core& core, std::string directory, uint16_t slot, uint64_t bytes,
                                     FreeSpace* space) {
  const std::string path = journal_file_path(directory, slot);
  // Until the file has its space.
  std::optional<FreeSpace::Use> use;
  if (space != nullptr) {
    if (!space->may_be_taken()) co_return failure(Errc::kNoSpace);
    use.emplace(*space);
  }
  auto file = co_await File::open(core, path, reactor::kOpenWrite | reactor::kOpenCreate | reactor::kOpenDirect);
  if (!file) co_return failure(file.error());
  const auto fill = [&]() -> Task<Result<void>> {
    if (auto emptied = co_await file->truncate(0); !emptied) co_return emptied;
    if (auto allocated = co_await file->allocate(0, bytes); !allocated) {
      // A file system may have given a part of it, which others can use.
      (void)co_await file->truncate(0);
      co_return allocated;
    }
    use.reset();
    const size_t piece = std::min<size_t>(kZeroWriteBytes, bytes);
    auto zeroes = co_await core.pool().allocate_waiting(piece);
    if (!zeroes) co_return failure(zeroes.error());
    std::fill_n(zeroes->data(), piece, std::byte{0});
    for (uint64_t at = 0; at < bytes; at += piece) {
      // A large file takes long. The next start makes it again.
      if (at > 0 && core.stopping()) {
        (void)co_await file->truncate(0);
        co_return failure(Errc::kStopping);
      }
      const size_t part = std::min<uint64_t>(piece, bytes - at);
      auto done = co_await file->write(at, zeroes->bytes().first(part), 0, reactor::IoClass::kWriteBack);
      if (!done) co_return failure(done.error());
    }
    // The header last: a file that has one was filled.
    encode_file_header({.slot = slot, .file_bytes = bytes}, zeroes->bytes());
    auto headed = co_await file->write(0, zeroes->bytes().first(kBlock), 0, reactor::IoClass::kWriteBack);
    if (!headed) co_return failure(headed.error());
    co_return co_await file->sync();
  };
  Result<void> filled = co_await fill();
  Result<void> closed = co_await file->close();
  co_return filled ? closed : filled;
}

Task<Result<void>> write_journal_header(reactor::Core& core, std::string directory, JournalFileHeader header) {
  Bytes block(kBlock);
  encode_file_header(header, block);
  auto file = co_await File::open(core, journal_file_path(directory, header.slot), reactor::kOpenWrite);
  if (!file) co_return failure(file.error());
  auto written = co_await file->write(0, block, reactor::kWriteDurable, reactor::IoClass::kJournal);
  Result<void> closed = co_await file->close();
  if (!written) co_return failure(written.error());
  co_return closed;
}

}  // namespace posthaste::storage
