#include "tests/differential/link.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace posthaste::differential {
namespace {

constexpr size_t kLengthSize = 4;

int open_socket(const Address& address) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(address.port);
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0 || inet_pton(AF_INET, address.host.c_str(), &to.sin_addr) != 1 ||
      connect(descriptor, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    fmt::print(stderr, "cannot connect to {}:{}\n", address.host, address.port);
    std::_Exit(EXIT_FAILURE);
  }
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // only latency depends on it
  return descriptor;
}

}  // namespace

Link::Link(const Address& address) : descriptor_(open_socket(address)) {}

Link::~Link() { close(descriptor_); }

void Link::send(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return;
    bytes = bytes.subspan(static_cast<size_t>(sent));
  }
}

std::optional<std::vector<std::byte>> Link::take_frame() {
  if (buffered_.size() < kLengthSize) return std::nullopt;
  size_t size = 0;
  for (size_t i = 0; i < kLengthSize; ++i) size = size << 8 | std::to_integer<size_t>(buffered_[i]);
  if (buffered_.size() < kLengthSize + size) return std::nullopt;
  const auto begin = buffered_.begin() + kLengthSize;
  std::vector<std::byte> frame(begin, begin + static_cast<ptrdiff_t>(size));
  buffered_.erase(buffered_.begin(), begin + static_cast<ptrdiff_t>(size));
  return frame;
}

Link::Received Link::receive(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    if (auto frame = take_frame()) return {State::kAnswer, std::move(*frame)};
    if (closed_) return {State::kClosed, {}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    pollfd waiting{.fd = descriptor_, .events = POLLIN, .revents = 0};
    const int ready = poll(&waiting, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (ready == 0) return {};
    if (ready < 0) continue;
    std::array<std::byte, 65536> chunk;
    const ssize_t got = recv(descriptor_, chunk.data(), chunk.size(), 0);
    if (got > 0) buffered_.insert(buffered_.end(), chunk.begin(), chunk.begin() + got);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) closed_ = true;
  }
}

}  // namespace posthaste::differential
