#include "reactor/uring/helper_thread.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "reactor/uring/op_state.h"
#include "reactor/uring/signal_block.h"

namespace posthaste::reactor::uring {
namespace {

void finish(Op& op, int returned) {
  if (returned < 0) {
    op.fail(errc_from_errno(errno));
  } else {
    op.result = 0;
  }
}

void list_directory(Op& op) {
  auto& entries = *static_cast<std::vector<DirectoryEntry>*>(op.out);
  entries.clear();
  DIR* directory = ::opendir(op.path);
  if (directory == nullptr) return op.fail(errc_from_errno(errno));
  op.result = 0;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) {
      if (errno != 0) op.fail(errc_from_errno(errno));
      break;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    bool is_directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN) {
      struct stat status{};
      // Gone meanwhile: it was a file as far as anybody can tell.
      is_directory =
          ::fstatat(::dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
    }
    entries.push_back({.name = std::string(name), .is_directory = is_directory});
  }
  ::closedir(directory);
  std::sort(entries.begin(), entries.end());
}

void stat_path(Op& op) {
  struct stat status{};
  finish(op, ::stat(op.path, &status));
  if (op.result < 0) return;
  auto& out = *static_cast<FileStat*>(op.out);
  out.is_directory = S_ISDIR(status.st_mode);
  out.size_bytes = out.is_directory ? 0 : static_cast<uint64_t>(status.st_size);
  out.owner = status.st_uid;
  out.group = status.st_gid;
  out.permissions = static_cast<uint16_t>(status.st_mode & ALLPERMS);
  // Numbers of files are below 2^48 on every file system that is not made of others.
  out.identity = status.st_ino ^ (uint64_t{status.st_dev} << 48);
}

// Without what the file system keeps back for the superuser and for itself.
void stat_space(Op& op) {
  struct statvfs status{};
  finish(op, ::statvfs(op.path, &status));
  if (op.result < 0) return;
  auto& out = *static_cast<SpaceStat*>(op.out);
  out.total_bytes = uint64_t{status.f_blocks} * status.f_frsize;
  out.available_bytes = uint64_t{status.f_bavail} * status.f_frsize;
}

}  // namespace

void HelperThread::execute(Op& op, int fd) {
  switch (op.kind) {
    case OpKind::kListDirectory:
      return list_directory(op);
    case OpKind::kStat:
      return stat_path(op);
    case OpKind::kSpace:
      return stat_space(op);
    case OpKind::kTruncate:
      return finish(op, ::ftruncate(fd, static_cast<off_t>(op.length)));
    default:
      CHECK(false, "operation {} is not for the helper thread", static_cast<int>(op.kind));
  }
}

void HelperThread::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

bool HelperThread::start() {
  const SignalBlock block;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

void HelperThread::submit(Op& op, int fd) {
  state_of(op).fd = fd;
  {
    const std::lock_guard lock(mutex_);
    queued_.push_back(op);
  }
  changed_.notify_one();
}

bool HelperThread::withdraw(Op& op) {
  const std::lock_guard lock(mutex_);
  bool found = false;
  queued_.for_each([&](Op& queued) {
    if (&queued != &op) return;
    queued.unlink();
    found = true;
  });
  return found;
}

void HelperThread::collect(IntrusiveList<Op>& done) {
  const std::lock_guard lock(mutex_);
  done.splice_back(finished_);
}

void HelperThread::prepare(std::span<std::byte> memory) {
  {
    const std::lock_guard lock(mutex_);
    to_prepare_.push_back(memory);
  }
  changed_.notify_one();
}

void HelperThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !queued_.empty() || !to_prepare_.empty(); });
    if (stop_) return;
    if (!queued_.empty()) {
      execute_one(lock);
    } else {
      prepare_one(lock);
    }
  }
}

void HelperThread::execute_one(std::unique_lock<std::mutex>& lock) {
  Op& op = queued_.pop_front();
  lock.unlock();
  execute(op, state_of(op).fd);
  lock.lock();
  finished_.push_back(op);
  if (wakes_.claim(core_)) wakes_.send(core_);
}

// The kernel before 5.14 refuses the advice; the first to touch a page waits for it then. It writes nothing to pages
// that are there, so that the core's thread may use them meanwhile.
void HelperThread::prepare_one(std::unique_lock<std::mutex>& lock) {
  const std::span<std::byte> memory = to_prepare_.front();
  to_prepare_.pop_front();
  lock.unlock();
  ::madvise(memory.data(), memory.size(), MADV_POPULATE_WRITE);
  lock.lock();
}

}  // namespace posthaste::reactor::uring
