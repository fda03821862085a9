#include "replication/stream/leader_stream.h"

#include <fmt/format.h>

namespace posthaste::replication::stream {

using reactor::Result;
using reactor::Task;

Open open_of(const LocalBroker& us) {
  return {.cluster_id = us.cluster_id,
          .from_broker = us.broker,
          .from_broker_epoch = us.broker_epoch,
          .incarnation = us.incarnation,
          .core = us.core,
          .cores = us.cores,
          .window_bytes = kWindowBytes};
}

std::optional<End> refusal_of(const LocalBroker& us, const Open& theirs) {
  const auto refused = [](EndReason reason, std::string message) {
    return End{.reason = reason, .message = std::move(message)};
  };
  if (theirs.cluster_id != us.cluster_id) {
    return refused(
        EndReason::kForeignCluster,
        fmt::format("broker {} of cluster {} has reached broker {} of cluster {}: one of them has an address "
                    "or a data folder of the other cluster in its configuration",
                    theirs.from_broker, theirs.cluster_id, us.broker, us.cluster_id));
  }
  if (theirs.to_broker != us.broker) {
    return refused(EndReason::kWrongBroker,
                   fmt::format("broker {} wants broker {} and has reached broker {}: look at its advertised address",
                               theirs.from_broker, theirs.to_broker, us.broker));
  }
  if (theirs.to_core < 0 || theirs.to_core >= us.cores) {
    End refusal = refused(EndReason::kOtherCore,
                          fmt::format("broker {} has {} cores, and no core {}", us.broker, us.cores, theirs.to_core));
    refusal.core_hint = 0;
    return refusal;
  }
  if (!common_version(open_of(us), theirs)) {
    return refused(
        EndReason::kNoCommonVersion,
        fmt::format("broker {} speaks versions {} to {} between brokers, broker {} versions {} to {}: upgrade "
                    "by one release at a time",
                    theirs.from_broker, theirs.version_min, theirs.version_max, us.broker, kVersionMin, kVersionMax));
  }
  return std::nullopt;
}

LeaderStream::LeaderStream(StreamShared& shared, reactor::Socket socket, const LocalBroker& us, LeaderHooks& hooks,
                           std::optional<Open> heard)
    : shared_(shared),
      core_(shared.core),
      us_(us),
      hooks_(hooks),
      times_(shared.times),
      connection_(shared, socket),
      theirs_(std::move(heard)),
      changed_(shared.core) {}

Task<void> LeaderStream::run() {
  if (co_await shake_hands()) {
    reactor::TaskScope scope(core_);
    scope.spawn_job(send_loop());
    co_await receive_loop();
    end();
    co_await connection_.cut();
    co_await scope.join();
    co_await leader_->stop();
  }
  co_await connection_.close();
}

void LeaderStream::end() {
  is_over_ = true;
  changed_.notify_all();
}

Task<bool> LeaderStream::shake_hands() {
  if (!theirs_) {
    const Result<Message> first = co_await connection_.receive();
    if (first && std::holds_alternative<Open>(*first)) theirs_ = std::get<Open>(*first);
  }
  if (!theirs_) co_return false;
  std::vector<Frame> answer;
  const std::optional<End> refusal = refusal_of(us_, *theirs_);
  Open ours = open_of(us_);
  ours.to_broker = theirs_->from_broker;
  ours.to_core = theirs_->core;
  ours.stream_class = theirs_->stream_class;
  answer.push_back(refusal ? encode_frame(*refusal) : encode_frame(ours));
  if (refusal) core_.log(reactor::LogLevel::kWarning, "replication.peer_refused", refusal->message);
  const Result<void> sent = co_await connection_.send(answer);
  if (refusal || !sent) co_return false;
  if (is_over_) co_return false;
  connection_.opened(*common_version(ours, *theirs_));
  leader_.emplace(shared_, hooks_, *theirs_, connection_.version(), changed_);
  co_return true;
}

Task<void> LeaderStream::receive_loop() {
  while (!is_over_) {
    const Result<Message> message = co_await connection_.receive();
    if (!message) co_return;
    if (hear(*message)) continue;
    core_.log(reactor::LogLevel::kWarning, "replication.protocol_broken",
              fmt::format("by=follower message={} action=\"the connection ends\"", message->index()));
    co_return;
  }
}

bool LeaderStream::hear(const Message& message) {
  return std::visit(
      [this]<class M>(const M& heard) {
        if constexpr (requires { leader_->hear(heard); }) return leader_->hear(heard);
        return std::is_same_v<M, Ping>;
      },
      message);
}

Task<void> LeaderStream::send_loop() {
  reactor::Instant ping_at = core_.now() + times_.ping_every;
  while (!is_over_) {
    Outgoing out;
    leader_->fill(out);
    if (core_.now() >= ping_at) {
      out.frames.push_back(encode_frame(Ping{.time_ms = core_.wall_now().value, .broker_epoch = us_.broker_epoch},
                                        connection_.version()));
      ping_at = core_.now() + times_.ping_every;
    }
    if (out.frames.empty()) {
      (void)co_await changed_.wait_until(ping_at);
    } else if (const Result<void> sent = co_await connection_.send(out.frames); !sent) {
      break;
    }
  }
  co_await connection_.cut();
}

}  // namespace posthaste::replication::stream
