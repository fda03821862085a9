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
      follower_(engine, shared, *this),
      over_(shared.core),
      scope_(shared.core) {}

void FollowerStream::end() {
  over_.set();
  for (const auto& [lane, link] : links_) link->changed.notify_all();
}

void FollowerStream::peer_changed(std::string address, int64_t broker_epoch) {
  const bool has_moved = std::exchange(peer_.address, std::move(address)) != peer_.address;
  for (const auto& [lane, link] : links_) {
    link->is_stale = link->is_stale || has_moved || (link->peer_epoch != -1 && link->peer_epoch < broker_epoch);
    link->changed.notify_all();
  }
}

Task<void> FollowerStream::run() {
  co_await over_.wait();
  co_await scope_.join();
  co_await follower_.stop();
}

reactor::Event& FollowerStream::lane_event(const Lane& lane) {
  std::unique_ptr<Link>& link = links_[lane];
  CHECK(link == nullptr, "a lane has two ends");
  link = std::make_unique<Link>(lane, core_);
  return link->changed;
}

void FollowerStream::lane_used(const Lane& lane) { scope_.spawn_job(keep_connected(*links_.at(lane))); }

bool FollowerStream::is_needed(Link& link) {
  if (over_.is_set() || peer_.address.empty()) return false;
  if (!end_of(link).is_empty()) {
    link.used_at = core_.now();
    return true;
  }
  // What has caught up does not come back soon.
  return link.lane.stream_class == StreamClass::kLive && core_.now() < link.used_at + times_.idle_max;
}

Task<void> FollowerStream::keep_connected(Link& link) {
  while (!over_.is_set()) {
    if (end_of(link).is_empty() || !is_needed(link)) {
      co_await link.changed.wait();
      continue;
    }
    link.is_stale = false;
    // A host that is gone does not even refuse.
    Result<Socket> socket = co_await Socket::connect(core_, peer_.address, core_.now() + times_.silence_max, over_);
    if (socket) co_await serve(link, *socket);
    const reactor::Instant retry_at = core_.now() + times_.retry_after;
    while (!over_.is_set() && core_.now() < retry_at) (void)co_await link.changed.wait_until(retry_at);
  }
}

Task<void> FollowerStream::serve(Link& link, Socket socket) {
  StreamConnection connection(shared_, socket);
  if (co_await shake_hands(link, connection)) {
    ++connections_;
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
    link.peer_epoch = -1;
    --connections_;
  }
  co_await connection.close();
}

Task<bool> FollowerStream::shake_hands(Link& link, StreamConnection& connection) {
  Open ours = open_of(us_);
  ours.to_broker = peer_.broker;
  ours.to_core = link.lane.core;
  ours.stream_class = link.lane.stream_class;
  const std::array<Frame, 1> hello{encode_frame(ours)};
  if (!co_await connection.send(hello)) co_return false;
  const Result<Message> answer = co_await connection.receive();
  if (!answer) co_return false;
  if (const auto* const end = std::get_if<End>(&*answer)) told_no(link, *end);
  const auto* const theirs = std::get_if<Open>(&*answer);
  if (theirs == nullptr) co_return false;
  // A peer of another cluster might have been of a release that does not ask.
  if (const std::optional<End> refusal = refusal_of(us_, *theirs)) {
    told_no(link, *refusal);
    co_return false;
  }
  refused_.reset();
  link.peer_epoch = theirs->from_broker_epoch;
  connection.opened(*common_version(ours, *theirs));
  co_return true;
}

void FollowerStream::told_no(const Link& link, const End& end) {
  if (end.reason == EndReason::kOtherCore) return follower_.no_such_core(link.lane.core);
  refused_ = end;
  core_.log(reactor::LogLevel::kError, "replication.refused_by_peer",
            fmt::format("broker={} address={} message=\"{}\"", peer_.broker, peer_.address, end.message));
}

Task<void> FollowerStream::receive_loop(Link& link, StreamConnection& connection) {
  while (!over_.is_set() && !link.is_stale) {
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
  while (!is_gone && !link.is_stale && is_needed(link)) {
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
