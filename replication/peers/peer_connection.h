// This core's connection to one other broker: made as long as somebody wants it, and again whenever it ends. It
// resolves the name of the host for each attempt, checks versions and cluster (handshake.h), then carries requests
// (pipeline.h). Its owner hears at once when it is there, when it ends and when an attempt fails, and who asks hears
// exactly once what became of the request. Nothing is repeated and nothing waits for a connection: who wants that does
// it. One core; it listens for nobody.
#pragma once
#include "replication/peers/handshake.h"
#include "replication/peers/pipeline.h"

namespace posthaste::replication::peers {

struct PeerTimes {
  reactor::Duration resolve = std::chrono::seconds(2);
  reactor::Duration connect = std::chrono::seconds(1);  // of each address that the name stands for
  reactor::Duration handshake = std::chrono::seconds(1);
  // Between two attempts that fail: at first so long, then twice that, and so on; each time a random half of it less,
  // so that many cores and brokers do not come at the same moment.
  reactor::Duration retry_min = std::chrono::milliseconds(50);
  reactor::Duration retry_max = std::chrono::seconds(1);
  // A peer of another release or cluster is not going to change soon.
  reactor::Duration retry_refused_peer = std::chrono::seconds(5);
};

struct Peer {
  int32_t broker = -1;
  std::string address;  // "host:port" of its listener between brokers
};

struct PeerOptions {
  std::string client_id;
  std::string cluster_id;  // empty: not known yet
  std::vector<RequiredApi> apis;
  PipelineLimits limits;
  PeerTimes times;
};

// A time-out of a request: its answer is waited for as long as the connection lives.
inline constexpr reactor::Duration kWhileConnected = reactor::Duration::max();

class PeerConnection;

// Who wants the connection. Called on its core, from within the connection's tasks, which it must not end from there.
class PeerOwner {
 public:
  // Requests may be sent from now on.
  virtual void connected(PeerConnection& connection) = 0;
  // Once for each connection that was there, before those who wait for its answers hear of it, and for each attempt
  // that failed. Not for the end that close() asks for.
  virtual void lost(PeerConnection& connection, const Loss& loss) = 0;

 protected:
  ~PeerOwner() = default;
};

struct PeerStats {
  uint64_t attempts = 0;
  uint64_t connections = 0;
  uint64_t requests = 0;
};

// The answer's views point into its frame.
template <class Response>
struct PeerAnswer {
  std::vector<std::byte> frame;
  Response message;
};
template <class Response>
using Answered = std::expected<PeerAnswer<Response>, NoAnswer>;

class PeerConnection : private reactor::CoreOwned {
 public:
  PeerConnection(reactor::Core& core, Peer peer, PeerOptions options, PeerOwner& owner);
  PeerConnection(const PeerConnection&) = delete;
  PeerConnection& operator=(const PeerConnection&) = delete;

  // Once: begins to connect.
  void start();
  // Once: those who wait for answers have kLost; after it nothing runs any more. Must be awaited before the object is
  // destroyed, if it was started.
  reactor::Task<void> close();

  const Peer& peer() const { return peer_; }
  bool is_connected() const { return is_open_; }
  // Whether a small request would be sent now.
  bool has_room() const { return is_open_ && pipeline_->has_room(); }
  // Requests that the peer owes an answer, and bytes that have not left: at most what the limits say.
  size_t requests() const { return pipeline_ == nullptr ? 0 : pipeline_->requests(); }
  size_t unsent_bytes() const { return pipeline_ == nullptr ? 0 : pipeline_->unsent_bytes(); }
  const PeerStats& stats() const { return stats_; }

  // Sends `request`, of an API that the options name, when the task starts, and waits for its answer up to `timeout`.
  // `request` holds no records; it is needed until the task has started.
  template <net::kafka::ApiMessage Request>
  reactor::Task<Answered<typename Request::Response>> call(const Request& request, reactor::Duration timeout) {
    check_core();
    ++stats_.requests;
    if (!is_open_) co_return std::unexpected(NoAnswer::kNotConnected);
    const int16_t version = version_of(Request::kKey);
    const reactor::Instant deadline = timeout == kWhileConnected ? reactor::Instant::never() : core_.now() + timeout;
    const int32_t id = pipeline_->next_correlation_id();
    Pipeline::Answer frame = co_await pipeline_->exchange(
        net::kafka::encode_request(request, version, id, options_.client_id), id, deadline);
    if (!frame) co_return std::unexpected(frame.error());
    co_return decode_answer<Request>(std::move(*frame), version);
  }

 private:
  template <net::kafka::ApiMessage Request>
  static Answered<typename Request::Response> decode_answer(std::vector<std::byte> frame, int16_t version) {
    const auto header = net::kafka::decode_response_header(frame, Request::kKey, version);
    if (!header) return std::unexpected(NoAnswer::kMalformed);
    auto message = net::kafka::decode<typename Request::Response>(header->body, version);
    if (!message) return std::unexpected(NoAnswer::kMalformed);
    return PeerAnswer<typename Request::Response>{std::move(frame), std::move(*message)};
  }
  int16_t version_of(net::kafka::ApiKey key) const;

  reactor::Task<void> run();
  reactor::Task<std::expected<reactor::Socket, Loss>> open_socket();
  reactor::Task<Loss> serve(reactor::Socket socket);
  reactor::Task<void> wait_to_retry(LossKind why, bool has_lasted);
  void tell(const Loss& loss);

  reactor::Core& core_;
  const Peer peer_;
  const PeerOptions options_;
  PeerOwner& owner_;
  reactor::TaskScope scope_;
  reactor::Event over_;
  Pipeline* pipeline_ = nullptr;  // of the connection that there is, also while hands are shaken
  bool is_open_ = false;
  uint32_t failures_ = 0;  // one after the other
  std::optional<LossKind> logged_;
  PeerStats stats_;
};

}  // namespace posthaste::replication::peers
