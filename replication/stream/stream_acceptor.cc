#include "replication/stream/stream_acceptor.h"

#include <fmt/format.h>

#include <array>

#include "reactor/mail.h"
#include "storage/bytes/endian.h"

namespace posthaste::replication::stream {

using reactor::Core;
using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Socket;
using reactor::Task;

namespace {

// All of it and nothing behind it.
Task<Result<Open>> receive_open(Socket& socket) {
  std::array<std::byte, kOpenBytesMax> bytes;
  const std::span<std::byte> length = std::span(bytes).first(net::kafka::kFrameLengthSize);
  if (const Result<void> got = co_await socket.receive_all(length); !got) co_return failure(got.error());
  const auto size = static_cast<size_t>(static_cast<uint32_t>(storage::load_be<int32_t>(length.data())));
  if (size == 0 || size > bytes.size()) co_return failure(Errc::kLimit);
  const std::span<std::byte> body = std::span(bytes).first(size);
  if (const Result<void> got = co_await socket.receive_all(body); !got) co_return failure(got.error());
  const Result<Message> message = decode_message(body, kVersionMin);
  if (!message) co_return failure(message.error());
  const auto* const open = std::get_if<Open>(&*message);
  if (open == nullptr) co_return failure(Errc::kCorrupt);
  co_return *open;
}

Task<void> cut_at(Socket& socket, reactor::Event& over, reactor::Instant deadline) {
  if (!co_await over.wait_until(deadline)) co_await socket.shutdown();
}

}  // namespace

Task<void> accept_stream(Core& core, Socket socket, int32_t cores, reactor::Duration patience, ServeStream serve) {
  reactor::Event over(core);
  reactor::TaskScope watcher(core);
  watcher.spawn_job(cut_at(socket, over, core.now() + patience));
  Result<Open> open = co_await receive_open(socket);
  over.set();
  co_await watcher.join();
  if (!open) {
    core.log(reactor::LogLevel::kWarning, "replication.no_follower",
             fmt::format("reason={} action=\"the connection is closed\"", to_string(open.error())));
    co_return co_await socket.close_discarding();
  }
  const bool is_elsewhere =
      open->to_core >= 0 && open->to_core < cores && open->to_core != static_cast<int32_t>(core.id());
  if (!is_elsewhere) co_return serve(core, socket, std::move(*open));
  const int detached = core.backend().detach(socket.id());
  co_await reactor::on_core(core, static_cast<reactor::CoreId>(open->to_core), [&](Core& there) {
    const Result<reactor::FileId> id = there.backend().adopt(detached);
    if (id) return serve(there, Socket(there, *id), std::move(*open));
    there.log(reactor::LogLevel::kWarning, "replication.connection_not_adopted",
              fmt::format("broker={} reason={}", open->from_broker, to_string(id.error())));
  });
}

}  // namespace posthaste::replication::stream
