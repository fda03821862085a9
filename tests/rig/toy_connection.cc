#include "tests/rig/toy_connection.h"

#include <array>
#include <cstring>

namespace posthaste::rig {

using reactor::Slice;
using reactor::Task;

namespace {

constexpr size_t kNumbersMax = 4096;  // beyond any message of the toy

struct Head {
  uint32_t kind = 0;
  uint32_t count = 0;
};

}  // namespace

ToyConnection::ToyConnection(reactor::Core& core, reactor::Socket socket, reactor::Duration patience)
    : core_(core), socket_(socket), patience_(patience), heard_at_(core.now()), over_(core), watcher_(core) {
  watcher_.spawn(watch());
}

Task<void> ToyConnection::watch() {
  while (!over_.is_set()) {
    if (co_await over_.wait_until(heard_at_ + patience_)) co_return;
    if (core_.now() >= heard_at_ + patience_) break;
  }
  co_await cut();
}

Task<bool> ToyConnection::send(ToyMessage message) {
  if (cut_) co_return false;
  CHECK(message.numbers.size() <= kNumbersMax);
  Head head{static_cast<uint32_t>(message.kind), static_cast<uint32_t>(message.numbers.size())};
  std::vector<std::byte> bytes(sizeof head + message.numbers.size() * sizeof(uint64_t));
  std::memcpy(bytes.data(), &head, sizeof head);
  if (!message.numbers.empty()) {
    std::memcpy(bytes.data() + sizeof head, message.numbers.data(), bytes.size() - sizeof head);
  }
  const Slice slice{bytes.data(), bytes.size()};
  const auto sent = co_await socket_.send({&slice, 1});
  co_return sent.has_value();
}

Task<std::optional<ToyMessage>> ToyConnection::receive() {
  std::array<std::byte, sizeof(Head)> bytes{};
  const auto got = co_await socket_.receive_all(bytes);
  if (!got) co_return std::nullopt;
  Head head;
  std::memcpy(&head, bytes.data(), sizeof head);
  CHECK(head.count <= kNumbersMax, "a message of {} numbers", head.count);
  ToyMessage message{static_cast<ToyKind>(head.kind), std::vector<uint64_t>(head.count)};
  if (head.count > 0) {
    const auto rest = co_await socket_.receive_all(std::as_writable_bytes(std::span(message.numbers)));
    if (!rest) co_return std::nullopt;
  }
  heard_at_ = core_.now();
  co_return message;
}

Task<void> ToyConnection::cut() {
  if (std::exchange(cut_, true)) co_return;
  co_await socket_.shutdown();
}

Task<void> ToyConnection::close() {
  over_.set();
  co_await watcher_.join();
  co_await socket_.close();
}

}  // namespace posthaste::rig
