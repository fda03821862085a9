#include "storage/space/folder_watch.h"

#include "reactor/file.h"
#include "storage/engine.h"
#include "storage/journal/journal_files.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::Task;

namespace {
// What is acknowledged for so long after the folder has gone is lost with it. Folders are looked at each time, of the
// journal files one.
constexpr reactor::Duration kInterval = std::chrono::milliseconds(200);

[[noreturn]] void lost(const std::string& path) {
  reactor::fatal(
      reactor::FatalReason::kFolderLost,
      fmt::format("{} was removed or replaced while it was served: what was written since then is in no file "
                  "that a start would find. Put the data folder back before the next start",
                  path));
}
}  // namespace

FolderWatch::FolderWatch(const EngineHost& host, reactor::Core& core) : core_(core), wake_(core), scope_(core) {
  const EngineOptions& options = host.options();
  folders_.push_back({.path = options.data_directory + "/.lock"});
  for (uint16_t stream = 0; stream < options.streams; ++stream) {
    const std::string folder = host.stream_directory(stream);
    folders_.push_back({.path = folder});
    for (uint16_t slot = 0; slot < options.journal_files; ++slot) {
      files_.push_back({.path = journal_file_path(folder, slot)});
    }
  }
}

Task<void> FolderWatch::close() {
  closing_ = true;
  wake_.notify_all();
  co_await scope_.join();
}

// One coroutine from begin to close: a look takes no frame of its own.
Task<void> FolderWatch::run(FolderWatch& self) {
  for (size_t at = 0;; at = (at + 1) % (self.folders_.size() + 1)) {
    const bool is_file = at == self.folders_.size();
    Watched& watched = is_file ? self.files_[self.next_file_] : self.folders_[at];
    reactor::FileStat found;
    reactor::OperationAwaiter op(self.core_, reactor::OpKind::kStat, reactor::IoClass::kFileSystem);
    op.path = watched.path.c_str();
    op.out = &found;
    const reactor::Result<uint64_t> done = co_await op;
    if (self.closing_) co_return;
    check(watched, done, found);
    if (!is_file) continue;
    self.next_file_ = (self.next_file_ + 1) % self.files_.size();
    if (co_await self.wake_.wait_until(self.core_.now() + kInterval) || self.closing_) co_return;
  }
}

// An error that is not about the name says nothing about the file.
void FolderWatch::check(Watched& watched, const reactor::Result<uint64_t>& done, const reactor::FileStat& found) {
  if (!done && done.error() == Errc::kNotFound && watched.identity != 0) lost(watched.path);
  if (!done) return;
  if (watched.identity == 0) watched.identity = found.identity;
  if (watched.identity != found.identity) lost(watched.path);
}

}  // namespace posthaste::storage
