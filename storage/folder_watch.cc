#include "storage/folder_watch.h"

#include "reactor/file.h"
#include "storage/engine.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::Task;
namespace file_system = reactor::file_system;

namespace {
// What is acknowledged for so long after the folder has gone is lost with it. A look costs a few calls on the helper
// thread.
constexpr reactor::Duration kInterval = std::chrono::milliseconds(200);

[[noreturn]] void lost(const std::string& path) {
  reactor::fatal(
      reactor::FatalReason::kFolderLost,
      fmt::format("{} was removed or replaced while it was served: what was written since then is in no file "
                  "that a start would find. Put the data folder back before the next start",
                  path));
}
}  // namespace

Task<void> FolderWatch::close() {
  closing_ = true;
  wake_.notify_all();
  co_await scope_.join();
}

Task<void> FolderWatch::run(FolderWatch& self) {
  while (!self.closing_) {
    co_await self.look_at_lock();
    for (uint16_t stream = 0; stream < self.host_.options().streams && !self.closing_; ++stream) {
      co_await self.look_at_journal(stream);
    }
    if (!self.closing_) (void)co_await self.wake_.wait_until(self.core_.now() + kInterval);
  }
}

// An error that is not about the name says nothing about the folder.
Task<void> FolderWatch::look_at_lock() {
  const std::string path = host_.options().data_directory + "/.lock";
  const auto found = co_await file_system::stat(core_, path);
  if (!found) {
    if (found.error() == Errc::kNotFound) lost(path);
    co_return;
  }
  if (lock_identity_ == 0) lock_identity_ = found->identity;
  if (found->identity != lock_identity_) lost(path);
}

Task<void> FolderWatch::look_at_journal(uint16_t stream) {
  const std::string folder = host_.stream_directory(stream);
  const auto listed = co_await file_system::list_directory(core_, folder);
  if (!listed) {
    if (listed.error() == Errc::kNotFound) lost(folder);
    co_return;
  }
  std::set<std::string> present;
  for (const auto& entry : *listed) present.insert(fmt::format("{}/{}", folder, entry.name));
  for (auto known = journal_files_.lower_bound(folder + "/"); known != journal_files_.end(); ++known) {
    if (!known->starts_with(folder + "/")) break;
    if (!present.contains(*known)) lost(*known);
  }
  journal_files_.merge(present);
}

}  // namespace posthaste::storage
