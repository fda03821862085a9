#include "replication/peers/quorum_transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace posthaste::replication::peers {

namespace kafka = net::kafka;
using quorum::NodeId;
using reactor::Task;

namespace {

// A member that answers nothing for longer than that is asked again, or is not counted.
reactor::Duration desk_patience(const quorum::Options& options) {
  return options.fetch_wait_max + options.request_timeout;
}

// As they leave for `to`.
auto on_wire(const quorum::VoteRequest& request, const QuorumTransportOptions& options, NodeId /*to*/) {
  return to_wire(request, options.us);
}
auto on_wire(const quorum::BeginEpochRequest& request, const QuorumTransportOptions& options, NodeId to) {
  return to_wire(request, options.us, to);
}
auto on_wire(const quorum::EndEpochRequest& request, const QuorumTransportOptions& options, NodeId /*to*/) {
  return to_wire(request, options.us);
}
auto on_wire(const quorum::FetchRequest& request, const QuorumTransportOptions& options, NodeId /*to*/) {
  return to_wire(request, options.us, options.quorum.fetch_wait_max);
}
auto on_wire(const quorum::FetchSnapshotRequest& request, const QuorumTransportOptions& options, NodeId /*to*/) {
  return to_wire(request, options.us);
}

// An answer as the member gets it: with the bytes that it carries, in memory of their own.
template <class M>
quorum::PeerMessage heard_of(const Carrying<M>& answer) {
  return {answer.message, storage::Bytes(answer.records.begin(), answer.records.end())};
}
template <class M>
quorum::PeerMessage heard_of(const M& answer) {
  return {answer, {}};
}

template <class Request>
inline constexpr bool kIsFetch =
    std::is_same_v<Request, quorum::FetchRequest> || std::is_same_v<Request, quorum::FetchSnapshotRequest>;

template <class Message>
inline constexpr bool kIsRequest = requires(const Message& message) { sender_of(message); };

}  // namespace

QuorumTransport::QuorumTransport(reactor::Core& core, QuorumTransportOptions options, QuorumMember& member)
    : CoreOwned(core),
      core_(core),
      options_(std::move(options)),
      member_(member),
      desk_(core, options_.us, member, desk_patience(options_.quorum)),
      scope_(core) {
  const PeerOptions peer_options{.client_id = options_.client_id,
                                 .cluster_id = options_.us.cluster_id,
                                 .apis = {wire::kQuorumApis.begin(), wire::kQuorumApis.end()},
                                 .limits = options_.limits,
                                 .times = options_.times};
  PeerOwner& owner = *this;
  for (const Peer& peer : options_.others) {
    CHECK(peer.broker != options_.us.self.id, "a member does not connect to itself");
    links_[peer.broker] = {.fetches = std::make_unique<PeerConnection>(core, peer, peer_options, owner),
                           .others = std::make_unique<PeerConnection>(core, peer, peer_options, owner)};
  }
}

void QuorumTransport::start() {
  check_core();
  for (auto& [id, link] : links_) {
    link.fetches->start();
    link.others->start();
  }
}

Task<void> QuorumTransport::close() {
  check_core();
  is_closed_ = true;
  desk_.close();
  for (auto& [id, link] : links_) {
    co_await link.fetches->close();
    co_await link.others->close();
  }
  co_await scope_.join();
}

bool QuorumTransport::is_connected(NodeId to) const {
  const auto link = links_.find(to);
  return link != links_.end() && link->second.fetches->is_connected() && link->second.others->is_connected();
}

void QuorumTransport::connected(PeerConnection& /*connection*/) {}

// Once, though there are two connections: both are to one process.
void QuorumTransport::lost(PeerConnection& connection, const Loss& loss) {
  const auto link = links_.find(connection.peer().broker);
  CHECK(link != links_.end());
  if (is_closed_ || link->second.fetches.get() != &connection) return;
  member_.connection_lost(connection.peer().broker, loss.kind == LossKind::kRefused);
}

void QuorumTransport::send(NodeId to, quorum::PeerMessage message) {
  check_core();
  if (is_closed_) return;
  std::visit(
      [&]<class M>(M& one) {
        if constexpr (kIsRequest<M>) {
          ask(to, std::move(one));
        } else {
          desk_.answer(to, one, std::move(message.payload));
        }
      },
      message.message);
}

template <class Request>
void QuorumTransport::ask(NodeId to, Request request) {
  const auto found = links_.find(to);
  if (found == links_.end()) {
    ++stats_.dropped;
    return;
  }
  Link& link = found->second;
  const auto is_same = [&request](const quorum::Message& other) {
    const auto* const one = std::get_if<Request>(&other);
    return one != nullptr && *one == request;
  };
  if (std::ranges::any_of(link.under_way, is_same)) {
    ++stats_.repeated;
    return;
  }
  PeerConnection& connection = kIsFetch<Request> ? *link.fetches : *link.others;
  if (!connection.has_room() || scope_.running() >= kQuorumAsksMax) {
    ++stats_.dropped;
    return;
  }
  ++stats_.sent;
  link.under_way.push_back(std::move(request));
  scope_.spawn_job(exchange<Request>(link, connection, std::prev(link.under_way.end())));
}

// An answer counts as long as the connection lives: the quorum sees by itself which come too late.
template <class Request>
Task<void> QuorumTransport::exchange(Link& link, PeerConnection& connection,
                                     std::list<quorum::Message>::iterator place) {
  const Request& asked = std::get<Request>(*place);
  const auto on_the_wire = on_wire(asked, options_, connection.peer().broker);
  const auto answer = co_await connection.call(on_the_wire, kWhileConnected);
  const quorum::Message done = std::move(*place);
  link.under_way.erase(place);
  if (is_closed_) co_return;
  if (answer) {
    hear(connection, std::get<Request>(done), answer->message);
  } else {
    ++stats_.unanswered;
  }
}

template <class Request>
void QuorumTransport::hear(PeerConnection& connection, const Request& asked, const auto& answer) {
  if constexpr (std::is_same_v<Request, quorum::EndEpochRequest>) {
    if (answer.error_code != kafka::ErrorCode::kNone) refused(connection, {answer.error_code, "the peer refuses it"});
  } else {
    const auto said = from_wire(answer, asked);
    if (!said) return refused(connection, said.error());
    ++stats_.received;
    member_.received(connection.peer().broker, heard_of(*said));
  }
}

void QuorumTransport::refused(PeerConnection& connection, const WireRefusal& refusal) {
  ++stats_.refused;
  core_.log(
      reactor::LogLevel::kWarning, "quorum.refused_by_peer",
      fmt::format("broker={} error={} why=\"{}\"", connection.peer().broker, to_string(refusal.error), refusal.why));
}

}  // namespace posthaste::replication::peers
