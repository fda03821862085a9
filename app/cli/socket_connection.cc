#include "app/cli/socket_connection.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace posthaste::app {
namespace {

// Largest answer that is believed. Metadata of 100,000 partitions takes some 10 MB.
constexpr uint32_t kFrameLimit = 128U << 20;
constexpr size_t kPrefixSize = 4;

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

int milliseconds_until(SocketConnection::Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SocketConnection::Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, INT32_MAX));
}

std::string error_text(int error) { return std::strerror(error); }  // NOLINT: a command has one thread

// Starts a non-blocking connect and waits for its end. Returns 0 or an errno.
int finish_connect(int descriptor, const addrinfo& address, SocketConnection::Clock::time_point deadline) {
  if (connect(descriptor, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd waiting{.fd = descriptor, .events = POLLOUT, .revents = 0};
  const int ready = poll(&waiting, 1, milliseconds_until(deadline));
  if (ready < 0) return errno;
  if (ready == 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

}  // namespace

CliResult<SocketConnection> SocketConnection::open(const std::string& host, uint16_t port, Clock::time_point deadline) {
  const std::string address = fmt::format("{}:{}", host, port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (const int error = getaddrinfo(host.c_str(), fmt::format("{}", port).c_str(), &hints, &raw); error != 0) {
    return cli_error(ExitCode::kUnreachable, fmt::format("cannot resolve {}: {}", host, gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, AddressListDeleter> list(raw);
  int error = EHOSTUNREACH;
  for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
    const int descriptor = socket(one->ai_family, one->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, one->ai_protocol);
    if (descriptor < 0) {
      error = errno;
      continue;
    }
    SocketConnection connection(descriptor, address);
    error = finish_connect(descriptor, *one, deadline);
    if (error != 0) continue;
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // only latency depends on it
    return connection;
  }
  return cli_error(ExitCode::kUnreachable,
                   fmt::format("cannot connect to {}: {}; is the broker running? (--bootstrap-server HOST:PORT)",
                               address, error_text(error)));
}

SocketConnection::SocketConnection(SocketConnection&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), address_(std::move(other.address_)) {}

SocketConnection& SocketConnection::operator=(SocketConnection&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(address_, other.address_);
  return *this;
}

SocketConnection::~SocketConnection() {
  if (descriptor_ >= 0) close(descriptor_);
}

CliResult<void> SocketConnection::wait(short events, Clock::time_point deadline, const char* purpose) const {
  pollfd waiting{.fd = descriptor_, .events = events, .revents = 0};
  while (true) {
    const int ready = poll(&waiting, 1, milliseconds_until(deadline));
    if (ready > 0) return {};
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return cli_error(ExitCode::kUnreachable, fmt::format("{}: {}", address_, error_text(errno)));
    return cli_error(ExitCode::kUnreachable,
                     fmt::format("{} did not {} in time (--timeout SECONDS)", address_, purpose));
  }
}

CliResult<void> SocketConnection::send(std::span<const std::byte> bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    if (CliResult<void> ready = wait(POLLOUT, deadline, "take the request"); !ready) return ready;
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      return cli_error(ExitCode::kUnreachable,
                       fmt::format("{} closed the connection: {}", address_, error_text(errno)));
    }
    if (sent > 0) bytes = bytes.subspan(static_cast<size_t>(sent));
  }
  return {};
}

CliResult<void> SocketConnection::receive(std::span<std::byte> into, Clock::time_point deadline) {
  while (!into.empty()) {
    if (CliResult<void> ready = wait(POLLIN, deadline, "answer"); !ready) return ready;
    const ssize_t got = recv(descriptor_, into.data(), into.size(), 0);
    if (got == 0)
      return cli_error(ExitCode::kUnreachable, fmt::format("{} closed the connection instead of answering", address_));
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
      return cli_error(ExitCode::kUnreachable, fmt::format("{}: {}", address_, error_text(errno)));
    }
    if (got > 0) into = into.subspan(static_cast<size_t>(got));
  }
  return {};
}

CliResult<std::vector<std::byte>> SocketConnection::receive_frame(Clock::time_point deadline) {
  std::array<std::byte, kPrefixSize> prefix{};
  if (CliResult<void> got = receive(prefix, deadline); !got) return std::unexpected(got.error());
  uint32_t size = 0;
  for (const std::byte byte : prefix) size = size << 8 | std::to_integer<uint32_t>(byte);
  if (size > kFrameLimit) {
    return cli_error(ExitCode::kRefused, fmt::format("{} does not speak the Kafka protocol (or wants TLS)", address_));
  }
  std::vector<std::byte> frame(size);
  if (CliResult<void> got = receive(frame, deadline); !got) return std::unexpected(got.error());
  return frame;
}

}  // namespace posthaste::app
