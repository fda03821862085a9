// One blocking TCP connection with deadlines, for commands that send requests and end. It moves whole frames and knows
// no message. The broker does not use it: its connections are the reactor's.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "app/cli/result.h"

namespace posthaste::app {

class SocketConnection {
 public:
  using Clock = std::chrono::steady_clock;

  // Connects to the first address of `host` that answers before `deadline`. Fails with kUnreachable, naming the
  // address.
  static CliResult<SocketConnection> open(const std::string& host, uint16_t port, Clock::time_point deadline);

  SocketConnection(SocketConnection&& other) noexcept;
  SocketConnection& operator=(SocketConnection&& other) noexcept;
  SocketConnection(const SocketConnection&) = delete;
  SocketConnection& operator=(const SocketConnection&) = delete;
  ~SocketConnection();

  // Sends all bytes. Fails with kUnreachable.
  CliResult<void> send(std::span<const std::byte> bytes, Clock::time_point deadline);

  // Receives one frame, its length prefix taken off. Fails with kUnreachable (time, close) or kRefused (a length that
  // no broker sends: something else listens there).
  CliResult<std::vector<std::byte>> receive_frame(Clock::time_point deadline);

  // "host:port", for messages.
  const std::string& address() const { return address_; }

 private:
  SocketConnection(int descriptor, std::string address) : descriptor_(descriptor), address_(std::move(address)) {}
  CliResult<void> wait(short events, Clock::time_point deadline, const char* purpose) const;
  CliResult<void> receive(std::span<std::byte> into, Clock::time_point deadline);

  int descriptor_ = -1;
  std::string address_;
};

}  // namespace posthaste::app
