#include "tests/simulation/kafka_client.h"

#include "storage/bytes/endian.h"

namespace posthaste::simulation {

using reactor::Errc;
using reactor::Result;
using reactor::Task;

namespace {
// Larger than any answer to the models' requests; a frame beyond it means a broken broker.
constexpr int32_t kFrameBytesMax = 64 << 20;
}  // namespace

Task<Result<KafkaClient::Frames>> KafkaClient::exchange_on_socket(const std::vector<std::byte>& bytes, size_t count) {
  const reactor::Slice slice{const_cast<std::byte*>(bytes.data()), bytes.size()};
  Result<void> sent = co_await socket_.send({&slice, 1});
  if (!sent) co_return reactor::failure(sent.error());
  Frames frames;
  for (size_t i = 0; i < count; ++i) {
    std::array<std::byte, net::kafka::kFrameLengthSize> prefix;
    Result<void> got = co_await socket_.receive_all(prefix);
    if (!got) co_return reactor::failure(got.error());
    const auto length = storage::load_be<int32_t>(prefix.data());
    if (length < 4 || length > kFrameBytesMax) co_return wrong(Errc::kCorrupt, "an answer has an impossible length");
    frames.emplace_back(static_cast<size_t>(length));
    got = co_await socket_.receive_all(frames.back());
    if (!got) co_return reactor::failure(got.error());
  }
  co_return frames;
}

// Cuts the connection at the deadline, which ends the exchange with an error.
Task<void> KafkaClient::watch(reactor::Event& done, reactor::Instant deadline, bool& late) {
  if (co_await done.wait_until(deadline)) co_return;
  late = true;
  if (socket_.valid()) co_await socket_.shutdown();
}

Task<Result<KafkaClient::Frames>> KafkaClient::exchange(std::vector<std::byte> bytes, size_t count,
                                                        reactor::Duration patience) {
  if (!socket_.valid()) {
    Result<reactor::Socket> connected = co_await reactor::Socket::connect(core_, address_);
    if (!connected) co_return reactor::failure(connected.error());
    socket_ = *connected;
  }
  reactor::TaskScope scope(core_);
  reactor::Event done(core_);
  bool late = false;
  scope.spawn(watch(done, core_.now() + patience, late));
  Result<Frames> frames = co_await exchange_on_socket(bytes, count);
  done.set();
  co_await scope.join();
  if (!frames) co_await close();
  if (late && !frames) co_return reactor::failure(Errc::kTimedOut);
  co_return frames;
}

Task<void> KafkaClient::close() {
  if (!socket_.valid()) co_return;
  reactor::Socket socket = std::exchange(socket_, reactor::Socket());
  co_await socket.close();
}

}  // namespace posthaste::simulation
