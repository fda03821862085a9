#include "replication/stream/connection.h"

#include <fmt/format.h>

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

// Of each connection for its whole life: what many acknowledgements, or many small frames, come in at once.
constexpr size_t kReceiveBytes = 64 << 10;
static_assert(kReceiveBytes >= kOpenBytesMax);

}  // namespace

StreamConnection::StreamConnection(StreamShared& shared, reactor::Socket socket)
    : shared_(shared), core_(shared.core), socket_(socket), heard_at_(core_.now()), over_(core_), watcher_(core_) {
  watcher_.spawn_job(watch_silence());
}

void StreamConnection::opened(int16_t version) { version_ = version; }

// Who is not listened to is not silent.
Task<void> StreamConnection::watch_silence() {
  const reactor::Duration silence_max = shared_.times.silence_max;
  while (!over_.is_set()) {
    if (!is_listening_) heard_at_ = core_.now();
    if (co_await over_.wait_until(heard_at_ + silence_max)) co_return;
    if (is_listening_ && core_.now() >= heard_at_ + silence_max) break;
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

Task<Result<Message>> StreamConnection::receive() {
  begin_ += std::exchange(handed_out_, 0);
  large_.release();
  constexpr size_t kLength = net::kafka::kFrameLengthSize;
  if (const Result<void> start = co_await receive_small(kLength); !start) co_return failure(start.error());
  const auto length = static_cast<uint32_t>(storage::load_be<int32_t>(input_.data() + begin_));
  if (length == 0) co_return failure(Errc::kTruncated);  // it has no type
  if (length > (version_ ? kFrameBytesMax : kOpenBytesMax - kLength)) co_return failure(Errc::kLimit);
  const size_t bytes = kLength + length;
  if (bytes > input_.size()) {
    if (const Result<void> whole = co_await receive_large(bytes); !whole) co_return failure(whole.error());
    co_return decode_message(large_.bytes().subspan(kLength), version());
  }
  if (const Result<void> whole = co_await receive_small(bytes); !whole) co_return failure(whole.error());
  handed_out_ = bytes;
  co_return decode_message(input_.bytes().subspan(begin_ + kLength, length), version());
}

// Until `bytes` lie at begin_, in `input_`.
Task<Result<void>> StreamConnection::receive_small(size_t bytes) {
  if (!input_) input_ = CO_TRY(core_.pool().allocate(kReceiveBytes));
  while (end_ - begin_ < bytes) {
    if (begin_ == end_ || begin_ + bytes > input_.size()) {
      std::copy(input_.data() + begin_, input_.data() + end_, input_.data());
      end_ -= std::exchange(begin_, 0);
    }
    const Result<size_t> got = co_await receive_into(input_.bytes().subspan(end_));
    if (!got) co_return failure(got.error());
    end_ += *got;
  }
  co_return Result<void>{};
}

// A frame of `bytes` that begins at begin_, into memory of its own.
Task<Result<void>> StreamConnection::receive_large(size_t bytes) {
  Result<reactor::Buffer> room = co_await shared_.large_frames.allocate_waiting(bytes);
  if (!room) {
    core_.log(reactor::LogLevel::kError, "replication.frame_too_large",
              fmt::format("bytes={} memory_bytes={} action=\"the connection ends; the partition is not copied\"", bytes,
                          shared_.large_frames.bytes_total()));
    co_return failure(room.error());
  }
  std::copy(input_.data() + begin_, input_.data() + end_, room->data());
  size_t have = end_ - begin_;
  begin_ = end_ = 0;
  while (have < bytes) {
    const Result<size_t> got = co_await receive_into(room->bytes().subspan(have));
    if (!got) co_return failure(got.error());
    have += *got;
  }
  large_ = std::move(*room);
  co_return Result<void>{};
}

Task<Result<size_t>> StreamConnection::receive_into(std::span<std::byte> room) {
  heard_at_ = core_.now();  // so long it was not listened to
  is_listening_ = true;
  const Result<uint64_t> got = co_await socket_.receive(room);
  is_listening_ = false;
  if (!got) co_return failure(got.error());
  if (*got == 0) co_return failure(Errc::kConnectionClosed);
  co_return static_cast<size_t>(*got);
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
