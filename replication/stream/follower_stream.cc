#include "replication/stream/follower_stream.h"

#include <fmt/format.h>

#include <utility>

namespace posthaste::replication::stream {

using reactor::Result;
using reactor::Socket;
using reactor::Task;

FollowerStream::FollowerStream(StreamShared& shared, storage::Engine& engine, const LocalBroker& us, Peer peer)
    : shared_(shared),
      core_(shared.core),
      us_(us),
      peer_(std::move(peer)),
      times_(shared.times),
      live_{StreamClass::kLive, reactor::Event(shared.core)},
      catch_up_{StreamClass::kCatchUp, reactor::Event(shared.core)},
      follower_(engine, shared, live_.changed, catch_up_.changed) {}

void FollowerStream::end() {
  is_over_ = true;
  live_.changed.notify_all();
  catch_up_.changed.notify_all();
}

Task<void> FollowerStream::run() {
  reactor::TaskScope links(core_);
  links.spawn_job(keep_connected(live_));
  links.spawn_job(keep_connected(catch_up_));
  co_await links.join();
  co_await follower_.stop();
}

bool FollowerStream::is_needed(const Link& link) {
  return !is_over_ && (link.stream_class == StreamClass::kLive || !end_of(link).is_empty());
}

Task<void> FollowerStream::keep_connected(Link& link) {
  while (!is_over_) {
    if (!is_needed(link)) {
      co_await link.changed.wait();
      continue;
    }
    Result<Socket> socket = co_await Socket::connect(core_, peer_.address);
    if (socket) co_await serve(link, *socket);
    const reactor::Instant retry_at = core_.now() + times_.retry_after;
    while (!is_over_ && core_.now() < retry_at) (void)co_await link.changed.wait_until(retry_at);
  }
}

Task<void> FollowerStream::serve(Link& link, Socket socket) {
  StreamConnection connection(shared_, socket);
  if (co_await shake_hands(link, connection)) {
    end_of(link).connected(connection.version());
    bool is_gone = false;
    reactor::TaskScope scope(core_);
    scope.spawn_job(send_loop(link, connection, is_gone));
    co_await receive_loop(link, connection);
    is_gone = true;  // NOLINT(clang-analyzer-deadcode.DeadStores): send_loop() looks at it
    link.changed.notify_all();
    co_await connection.cut();
    co_await scope.join();
    end_of(link).disconnected();
  }
  co_await connection.close();
}

Task<bool> FollowerStream::shake_hands(Link& link, StreamConnection& connection) {
  Open ours = open_of(us_);
  ours.to_broker = peer_.broker;
  ours.stream_class = link.stream_class;
  const std::array<Frame, 1> hello{encode_frame(ours)};
  if (!co_await connection.send(hello)) co_return false;
  const Result<Message> answer = co_await connection.receive();
  if (!answer) co_return false;
  if (const auto* const end = std::get_if<End>(&*answer)) told_no(*end);
  const auto* const theirs = std::get_if<Open>(&*answer);
  if (theirs == nullptr) co_return false;
  // A peer of another cluster might have been of a release that does not ask.
  if (const std::optional<End> refusal = refusal_of(us_, *theirs)) {
    told_no(*refusal);
    co_return false;
  }
  refused_.reset();
  connection.opened(*common_version(ours, *theirs));
  co_return true;
}

void FollowerStream::told_no(const End& end) {
  refused_ = end;
  core_.log(reactor::LogLevel::kError, "replication.refused_by_peer",
            fmt::format("broker={} address={} message=\"{}\"", peer_.broker, peer_.address, end.message));
}

Task<void> FollowerStream::receive_loop(Link& link, StreamConnection& connection) {
  while (!is_over_) {
    const Result<Message> message = co_await connection.receive();
    if (!message) co_return;
    if (co_await hear(link, *message)) continue;
    core_.log(
        reactor::LogLevel::kWarning, "replication.protocol_broken",
        fmt::format("by=leader broker={} message={} action=\"the connection ends\"", peer_.broker, message->index()));
    co_return;
  }
}

Task<bool> FollowerStream::hear(Link& link, const Message& message) {
  if (const auto* const data = std::get_if<Data>(&message)) co_return co_await end_of(link).apply(*data);
  co_return std::visit(
      [&follower = end_of(link)]<class M>(const M& heard) {
        if constexpr (requires { follower.hear(heard); }) return follower.hear(heard);
        return std::is_same_v<M, Ping>;
      },
      message);
}

Task<void> FollowerStream::send_loop(Link& link, StreamConnection& connection, const bool& is_gone) {
  reactor::Instant ping_at = core_.now() + times_.ping_every;
  while (!is_gone && is_needed(link)) {
    std::vector<Frame> out;
    end_of(link).fill(out);
    if (core_.now() >= ping_at) {
      out.push_back(encode_frame(Ping{.time_ms = core_.wall_now().value, .broker_epoch = us_.broker_epoch},
                                 connection.version()));
      ping_at = core_.now() + times_.ping_every;
    }
    if (out.empty()) {
      (void)co_await link.changed.wait_until(std::min(ping_at, end_of(link).retry_at()));
    } else if (!co_await connection.send(out)) {
      break;
    }
  }
  co_await connection.cut();
}

}  // namespace posthaste::replication::stream
