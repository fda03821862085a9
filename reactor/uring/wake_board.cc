#include "reactor/uring/wake_board.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace posthaste::reactor::uring {

std::expected<std::unique_ptr<WakeBoard>, std::string> WakeBoard::create(CoreId cores) {
  CHECK(cores >= 1 && cores <= kCoresMax, "{} cores", cores);
  std::unique_ptr<WakeBoard> board(new WakeBoard(cores));
  for (CoreId core = 0; core < cores; ++core) {
    board->rows_[core].event_fd = ::eventfd(0, EFD_CLOEXEC);
    if (board->rows_[core].event_fd < 0) {
      return std::unexpected(
          fmt::format("cannot make an eventfd for core {}: {}; raise the limit of open files "
                      "(ulimit -n, or LimitNOFILE= of the systemd unit)",
                      core, std::strerror(errno)));
    }
  }
  return board;
}

WakeBoard::~WakeBoard() {
  for (Row& row : rows_) {
    if (row.event_fd >= 0) ::close(row.event_fd);
  }
}

void WakeBoard::send(CoreId core) {
  const uint64_t one = 1;
  // EAGAIN would need 2^64-2 unread wake-ups; EINTR cannot happen to an eventfd that does not block.
  const ssize_t written = ::write(rows_[core].event_fd, &one, sizeof one);
  CHECK(written == sizeof one, "eventfd of core {}: {}", core, std::strerror(errno));
}

}  // namespace posthaste::reactor::uring
