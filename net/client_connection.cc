#include "net/client_connection.h"

#include <algorithm>
#include <cstring>

#include "net/gather.h"
#include "reactor/check.h"

namespace posthaste::net {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Slice;
using reactor::Socket;
using reactor::Task;

ClientConnection::ClientConnection(reactor::Core& core, std::string client_id)
    : core_(core), client_id_(std::move(client_id)), scope_(core), changed_(core) {}

Task<Result<void>> ClientConnection::connect(std::string address) {
  Result<Socket> socket = co_await Socket::connect(core_, std::move(address));
  if (!socket) co_return failure(socket.error());
  socket_ = *socket;
  connected_ = true;
  scope_.spawn(receive_loop());
  co_return Result<void>{};
}

Task<Result<std::vector<std::byte>>> ClientConnection::exchange(kafka::Frame frame, kafka::ApiKey, int16_t,
                                                                bool answer_expected) {
  if (ended_ || !connected_) co_return failure(Errc::kConnectionClosed);
  auto call = std::make_shared<Call>();
  call->correlation_id = next_correlation_id_++;
  call->frame = std::move(frame);
  call->answered_expected = answer_expected;
  unsent_.push_back(call);
  if (answer_expected) unanswered_.push_back(call);
  if (!sending_) {
    sending_ = true;
    scope_.spawn(send_loop());
  }
  while (!call->done) co_await changed_.wait();
  co_return std::move(call->answer);
}

// Sends what is queued, all of it in one gather list each time, then ends; the next request starts it again.
Task<void> ClientConnection::send_loop() {
  while (!unsent_.empty() && !ended_) {
    std::deque<std::shared_ptr<Call>> batch;
    batch.swap(unsent_);
    reactor::RecycledVector<kafka::Bytes> pieces;
    for (const auto& call : batch) call->frame.append_slices(pieces);
    reactor::RecycledVector<Slice> slices;
    Result<void> sent;
    for (size_t at = 0; sent && at < pieces.size();) {
      at = gather(pieces, at, slices);
      sent = co_await socket_.send(slices);
    }
    for (const auto& call : batch) {
      if (call->answered_expected) continue;
      call->done = true;
      if (sent) call->answer = std::vector<std::byte>{};
    }
    changed_.notify_all();
    if (!sent) break;
  }
  sending_ = false;
  // A failed send is noticed by receive_loop too: the connection is gone in both directions.
}

Task<Result<void>> ClientConnection::send_raw(std::vector<std::byte> bytes) {
  const Slice slice{bytes.data(), bytes.size()};
  co_return co_await socket_.send({&slice, 1});
}

Task<Result<std::vector<std::byte>>> ClientConnection::receive_frame() {
  std::array<std::byte, kafka::kFrameLengthSize> prefix{};
  Result<void> got = co_await socket_.receive_all(prefix);
  if (!got) co_return failure(got.error());
  uint32_t raw = 0;
  std::memcpy(&raw, prefix.data(), sizeof(raw));
  const size_t length = std::byteswap(raw);
  if (length > kAnswerBytesMax) co_return failure(Errc::kCorrupt);
  std::vector<std::byte> frame(length);
  got = co_await socket_.receive_all(frame);
  if (!got) co_return failure(got.error());
  co_return frame;
}

Task<void> ClientConnection::receive_loop() {
  for (;;) {
    Result<std::vector<std::byte>> frame = co_await receive_frame();
    if (!frame || frame->size() < sizeof(int32_t) || unanswered_.empty()) break;
    uint32_t raw = 0;
    std::memcpy(&raw, frame->data(), sizeof(raw));
    std::shared_ptr<Call> call = unanswered_.front();
    if (static_cast<int32_t>(std::byteswap(raw)) != call->correlation_id) break;
    unanswered_.pop_front();
    call->answer = std::move(frame);
    call->done = true;
    changed_.notify_all();
  }
  fail_all();
}

void ClientConnection::fail_all() {
  ended_ = true;
  for (auto* queue : {&unsent_, &unanswered_}) {
    for (const auto& call : *queue) call->done = true;
    queue->clear();
  }
  changed_.notify_all();
}

Task<bool> ClientConnection::wait_ended(reactor::Instant deadline) {
  while (!ended_ && core_.now() < deadline) {
    if (!co_await changed_.wait_until(deadline)) break;
  }
  co_return ended_;
}

Task<void> ClientConnection::close() {
  if (!connected_) co_return;
  connected_ = false;
  co_await socket_.shutdown();
  co_await scope_.join();
  fail_all();
  co_await socket_.close();
}

}  // namespace posthaste::net
