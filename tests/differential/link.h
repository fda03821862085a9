// One blocking connection to a broker that can tell apart what a test must: an answer, a close, and no answer yet. It
// moves whole frames and knows no message.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace posthaste::differential {

struct Address {
  std::string host;
  uint16_t port = 0;
};

class Link {
 public:
  enum class State : uint8_t { kAnswer, kNothingYet, kClosed };
  struct Received {
    State state = State::kNothingYet;
    std::vector<std::byte> frame;  // without its length
  };

  // Fatal for the program when the broker does not take the connection.
  explicit Link(const Address& address);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link();

  // A peer that has closed is no error here: the next receive() reports it.
  void send(std::span<const std::byte> bytes);
  // Waits until a whole frame or the end of the connection is there, or `limit` has passed.
  Received receive(std::chrono::milliseconds limit);
  bool closed() const { return closed_; }

 private:
  std::optional<std::vector<std::byte>> take_frame();

  int descriptor_ = -1;
  bool closed_ = false;
  std::vector<std::byte> buffered_;
};

}  // namespace posthaste::differential
