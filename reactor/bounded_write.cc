#include "reactor/bounded_write.h"

#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace posthaste::reactor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kTerminalPieceBytes = 256;  // a terminal that is writable has room for this much
constexpr int kPauseMilliseconds = 10;       // for a descriptor that says it is writable and takes nothing

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT_MAX));
}

// A file has no reader. It is always writable, and does not take RWF_NOWAIT everywhere.
bool has_reader(const struct stat& status) { return !S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode); }

// RWF_NOWAIT also holds when another process fills the room first that poll() has seen. Where it is not known (pipes
// before Linux 6.5, terminals), a piece of this size fits into what poll() promises.
ssize_t write_piece(int fd, std::string_view piece) {
  const iovec part{const_cast<char*>(piece.data()), piece.size()};  // NOLINT: only read
  const ssize_t written = ::pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
  if (written >= 0 || (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS)) return written;
  return ::write(fd, piece.data(), piece.size());
}

// Waits for room and uses it; what write() would return. EAGAIN: no room.
ssize_t write_to_reader(int fd, std::string_view piece, Clock::time_point deadline) {
  pollfd wanted{.fd = fd, .events = POLLOUT, .revents = 0};
  const int ready = ::poll(&wanted, 1, milliseconds_until(deadline));
  if (ready < 0) return -1;
  if (ready == 0) {
    errno = EAGAIN;
    return -1;
  }
  const ssize_t written = write_piece(fd, piece);
  if (written >= 0 || errno != EAGAIN) return written;
  ::poll(nullptr, 0, std::min(kPauseMilliseconds, milliseconds_until(deadline)));
  errno = EAGAIN;
  return -1;
}

}  // namespace

bool write_until(int fd, std::string_view& rest, Clock::time_point deadline) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return false;
  const bool waits = has_reader(status);
  const size_t most = S_ISCHR(status.st_mode) ? kTerminalPieceBytes : PIPE_BUF;
  while (!rest.empty()) {
    const std::string_view piece = waits ? rest.substr(0, most) : rest;
    const ssize_t written = waits ? write_to_reader(fd, piece, deadline) : ::write(fd, piece.data(), piece.size());
    if (written > 0) {
      rest.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (written == 0 || (errno != EAGAIN && errno != EINTR)) return false;
    if (Clock::now() >= deadline) break;
  }
  return true;
}

void say_last_words(std::string_view words) noexcept {
  write_until(STDERR_FILENO, words, Clock::now() + kLastWordsWait);
}

}  // namespace posthaste::reactor
