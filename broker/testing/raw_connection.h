// A client's socket that sends bytes as they are and shows answers as they came: for what no client of ours would send,
// and for what a codec would hide. Test code only.
#pragma once
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <optional>
#include <vector>

#include "broker/testing/simulated_broker.h"
#include "reactor/file.h"

namespace posthaste::broker::testing {

// A scalar of the wire at `at`; zero beyond the end.
template <class Number>
Number number_at(kafka::Bytes bytes, size_t at) {
  Number number{};
  if (at + sizeof(number) <= bytes.size()) std::memcpy(&number, bytes.data() + at, sizeof(number));
  return std::byteswap(number);
}

// A frame of these bytes, its length before them.
inline std::vector<std::byte> frame_of(std::initializer_list<int> content) {
  std::vector<std::byte> frame(kafka::kFrameLengthSize);
  frame.back() = static_cast<std::byte>(content.size());
  for (const int byte : content) frame.push_back(static_cast<std::byte>(byte));
  return frame;
}

// A request header without a client id, and no body: an empty section of tags, which is a byte of the body in versions
// that have none.
inline std::vector<std::byte> bare_request(kafka::ApiKey api, int version, int correlation_id = 7) {
  const auto key = static_cast<int>(api);
  return frame_of({key >> 8, key, version >> 8, version, 0, 0, 0, correlation_id, 0xff, 0xff, 0});
}

class RawConnection {
 public:
  explicit RawConnection(Core& core) : core_(core) {}
  Task<void> connect() {
    auto socket = co_await reactor::Socket::connect(core_, kBrokerAddress);
    EXPECT_TRUE(socket.has_value());
    if (socket) socket_ = *socket;
  }
  Task<void> send(std::vector<std::byte> bytes) {
    const reactor::Slice slice{bytes.data(), bytes.size()};
    EXPECT_TRUE((co_await socket_.send({&slice, 1})).has_value());
  }
  // The next frame without its length; nothing once the other side has closed.
  Task<std::optional<std::vector<std::byte>>> receive() {
    std::vector<std::byte> length(kafka::kFrameLengthSize);
    if (!co_await socket_.receive_all(length)) co_return std::nullopt;
    std::vector<std::byte> frame(number_at<uint32_t>(length, 0));
    if (!co_await socket_.receive_all(frame)) co_return std::nullopt;
    co_return frame;
  }
  // How many bytes come before the other side closes.
  Task<size_t> bytes_until_closed() {
    size_t count = 0;
    std::vector<std::byte> some(64);
    for (;;) {
      const auto got = co_await socket_.receive(some);
      if (!got || *got == 0) co_return count;
      count += *got;
    }
  }
  Task<void> close() { co_await socket_.close(); }

 private:
  Core& core_;
  reactor::Socket socket_;
};

}  // namespace posthaste::broker::testing
