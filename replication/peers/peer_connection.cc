#include "replication/peers/peer_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "net/address.h"
#include "reactor/names.h"

namespace posthaste::replication::peers {

using reactor::Errc;
using reactor::Instant;
using reactor::LogLevel;
using reactor::Result;
using reactor::Socket;
using reactor::Task;

namespace {

// Of one name: more are tried with the next attempts, when the name server gives them in another order.
constexpr size_t kAddressesTried = 4;

// A process that is gone refuses at every address; one that answers nowhere may be alive.
Loss attempt_failed(const std::optional<Loss>& before, Errc error, const std::string& address) {
  const bool is_refused = error == Errc::kConnectionRefused && (!before || before->kind == LossKind::kRefused);
  return {is_refused ? LossKind::kRefused : LossKind::kUnreachable,
          fmt::format("connecting to {} failed: {}", address, to_string(error))};
}

}  // namespace

PeerConnection::PeerConnection(reactor::Core& core, Peer peer, PeerOptions options, PeerOwner& owner)
    : CoreOwned(core),
      core_(core),
      peer_(std::move(peer)),
      options_(std::move(options)),
      owner_(owner),
      scope_(core),
      over_(core) {
  CHECK(options_.times.retry_min.count() > 0 && options_.times.retry_min <= options_.times.retry_max);
}

void PeerConnection::start() {
  check_core();
  scope_.spawn_job(run());
}

Task<void> PeerConnection::close() {
  check_core();
  over_.set();
  if (pipeline_ != nullptr) pipeline_->end({LossKind::kClosed, "not wanted any more"});
  co_await scope_.join();
  CHECK(pipeline_ == nullptr && !is_open_);
}

int16_t PeerConnection::version_of(net::kafka::ApiKey key) const {
  const auto found = std::ranges::find(options_.apis, key, &RequiredApi::key);
  CHECK(found != options_.apis.end(), "{} was not asked for in the handshake", to_string(key));
  return found->version;
}

Task<void> PeerConnection::run() {
  while (!over_.is_set()) {
    ++stats_.attempts;
    const Instant began = core_.now();
    const uint64_t connections = stats_.connections;
    std::expected<Socket, Loss> socket = co_await open_socket();
    LossKind why{};
    if (socket) {
      why = (co_await serve(*socket)).kind;
    } else {
      why = socket.error().kind;
      if (!over_.is_set()) tell(socket.error());
    }
    if (over_.is_set()) break;
    const bool was_connected = stats_.connections > connections;
    co_await wait_to_retry(why, was_connected && core_.now() - began >= options_.times.retry_max);
  }
}

Task<std::expected<Socket, Loss>> PeerConnection::open_socket() {
  const std::string host = net::ip_of(peer_.address);
  const uint16_t port = net::port_of(peer_.address);
  const Result<std::vector<std::string>> ips =
      co_await reactor::resolve(core_, host, core_.now() + options_.times.resolve, over_);
  if (!ips) {
    co_return std::unexpected(
        Loss{LossKind::kUnknownName, fmt::format("resolving {} failed: {}", host, to_string(ips.error()))});
  }
  std::optional<Loss> loss;
  for (const std::string& ip : *ips | std::views::take(kAddressesTried)) {
    const std::string address = net::join_address(ip, port);
    const Result<Socket> socket = co_await Socket::connect(core_, address, core_.now() + options_.times.connect, over_);
    if (socket) co_return *socket;
    loss = attempt_failed(loss, socket.error(), address);
    if (over_.is_set()) break;
  }
  CHECK(loss.has_value(), "a name that was found stands for no address");
  co_return std::unexpected(std::move(*loss));
}

Task<Loss> PeerConnection::serve(Socket socket) {
  Pipeline pipeline(core_, socket, options_.limits);
  pipeline.start();
  pipeline_ = &pipeline;
  if (over_.is_set()) pipeline.end({LossKind::kClosed, "not wanted any more"});
  std::optional<Loss> loss = co_await shake_hands(pipeline, options_.client_id, options_.cluster_id, options_.apis,
                                                  core_.now() + options_.times.handshake);
  if (loss) {
    // What ended the connection says more than that there was no answer.
    if (pipeline.has_ended()) loss = co_await pipeline.wait_end();
    pipeline.end(*loss);
  } else if (!pipeline.has_ended()) {
    is_open_ = true;
    logged_.reset();
    ++stats_.connections;
    core_.log(LogLevel::kInfo, "peer.connected", fmt::format("broker={} address={}", peer_.broker, peer_.address));
    owner_.connected(*this);
  }
  if (!loss) loss = co_await pipeline.wait_end();
  is_open_ = false;
  pipeline_ = nullptr;
  if (!over_.is_set()) tell(*loss);
  co_await pipeline.close();
  co_return *loss;
}

void PeerConnection::tell(const Loss& loss) {
  CHECK(!is_open_ && pipeline_ == nullptr);
  if (logged_ != loss.kind) {
    logged_ = loss.kind;
    core_.log(LogLevel::kWarning, "peer.lost",
              fmt::format("broker={} address={} reason=\"{}\" detail=\"{}\"", peer_.broker, peer_.address,
                          to_string(loss.kind), loss.detail));
  }
  owner_.lost(*this, loss);
}

// After a connection that has lasted, the first attempt is made at once: it tells a process that is gone from one that
// only lost its connections.
Task<void> PeerConnection::wait_to_retry(LossKind why, bool has_lasted) {
  const PeerTimes& times = options_.times;
  if (has_lasted) {
    failures_ = 0;
    co_return;
  }
  reactor::Duration wait = times.retry_min;
  for (uint32_t i = 0; i < failures_ && wait < times.retry_max; ++i) wait *= 2;
  wait = std::min(wait, times.retry_max);
  if (wait < times.retry_max) ++failures_;
  const bool is_wrong_peer = why == LossKind::kUnsupported || why == LossKind::kOtherCluster;
  if (is_wrong_peer) wait = times.retry_refused_peer;
  const auto half = static_cast<uint64_t>(wait.count() / 2);
  wait -= reactor::Duration(static_cast<int64_t>(core_.random() % (half + 1)));
  const Instant at = core_.now() + wait;
  while (!over_.is_set() && core_.now() < at) (void)co_await over_.wait_until(at);
}

}  // namespace posthaste::replication::peers
