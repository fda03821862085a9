#include "replication/stream/connection.h"

#include <algorithm>
#include <utility>

#include "net/gather.h"
#include "storage/bytes/endian.h"

namespace posthaste::replication::stream {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Slice;
using reactor::Task;

namespace {

constexpr size_t kReceiveBytes = 256 << 10;    // of memory for what comes in, at least
constexpr size_t kReceiveBytesKept = 4 << 20;  // what a larger frame took beyond that goes back

}  // namespace

StreamConnection::StreamConnection(reactor::Core& core, reactor::Socket socket, reactor::Duration silence_max)
    : core_(core), socket_(socket), silence_max_(silence_max), heard_at_(core.now()), over_(core), watcher_(core) {
  watcher_.spawn_job(watch_silence());
}

void StreamConnection::opened(int16_t version) { version_ = version; }

Task<void> StreamConnection::watch_silence() {
  while (!over_.is_set()) {
    if (co_await over_.wait_until(heard_at_ + silence_max_)) co_return;
    if (core_.now() >= heard_at_ + silence_max_) break;
  }
  co_await cut();
}

Task<Result<void>> StreamConnection::send(std::span<const Frame> frames) {
  reactor::RecycledVector<net::kafka::Bytes> pieces;
  for (const Frame& frame : frames) frame.append_slices(pieces);
  reactor::RecycledVector<Slice> slices;
  for (size_t at = 0; at < pieces.size();) {
    if (is_cut_) co_return failure(Errc::kConnectionClosed);
    at = net::gather(pieces, at, slices);
    const Result<void> sent = co_await socket_.send(slices);
    if (!sent) co_return sent;
  }
  co_return Result<void>{};
}

// So that a frame of `bytes` can lie at `begin_`, and something can be received.
void StreamConnection::make_room(size_t bytes) {
  if (begin_ > 0) {
    std::copy(input_.begin() + static_cast<std::ptrdiff_t>(begin_), input_.begin() + static_cast<std::ptrdiff_t>(end_),
              input_.begin());
    end_ -= std::exchange(begin_, 0);
  }
  const size_t wanted = std::max(bytes, version_ ? kReceiveBytes : kOpenBytesMax);
  if (input_.size() < wanted) input_.resize(wanted);
  if (input_.size() > kReceiveBytesKept && wanted <= kReceiveBytes && end_ <= kReceiveBytes) {
    input_.resize(kReceiveBytes);
    input_.shrink_to_fit();
  }
  CHECK(end_ < input_.size());
}

Task<Result<Message>> StreamConnection::receive() {
  begin_ += std::exchange(handed_out_, 0);
  for (;;) {
    size_t wanted = net::kafka::kFrameLengthSize;
    if (end_ - begin_ >= wanted) {
      const auto length = static_cast<uint32_t>(storage::load_be<int32_t>(input_.data() + begin_));
      if (length > (version_ ? kFrameBytesMax : kOpenBytesMax - wanted)) co_return failure(Errc::kLimit);
      wanted += length;
    }
    if (wanted > net::kafka::kFrameLengthSize && end_ - begin_ >= wanted) {
      handed_out_ = wanted;
      const net::kafka::Bytes frame(input_.data() + begin_, wanted);
      co_return decode_message(frame.subspan(net::kafka::kFrameLengthSize), version());
    }
    if (end_ - begin_ == net::kafka::kFrameLengthSize && wanted == net::kafka::kFrameLengthSize) {
      co_return failure(Errc::kTruncated);  // an empty frame has no type
    }
    if (begin_ + wanted > input_.size() || end_ == input_.size()) make_room(wanted);
    const Result<uint64_t> got = co_await socket_.receive(std::span(input_).subspan(end_));
    if (!got) co_return failure(got.error());
    if (*got == 0) co_return failure(Errc::kConnectionClosed);
    end_ += *got;
    heard_at_ = core_.now();
  }
}

Task<void> StreamConnection::cut() {
  if (std::exchange(is_cut_, true)) co_return;
  co_await socket_.shutdown();
}

Task<void> StreamConnection::close() {
  over_.set();
  co_await watcher_.join();
  co_await socket_.close_discarding();
}

}  // namespace posthaste::replication::stream
