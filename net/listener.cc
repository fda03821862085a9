#include "net/listener.h"

#include <algorithm>

namespace posthaste::net {
namespace {

using reactor::CoreId;
using reactor::Errc;
using reactor::FileId;
using reactor::Result;
using reactor::Socket;
using reactor::Task;

// After an accept that failed for want of descriptors or memory: the condition lasts, so trying at once would spin.
constexpr reactor::Duration kAcceptRetry = std::chrono::milliseconds(100);

std::string host_of(const std::string& address) {
  const size_t colon = address.rfind(':');
  return colon == std::string::npos ? address : address.substr(0, colon);
}

}  // namespace

void ConnectionSet::adopt(int detached, ListenerId listener, std::string peer_address, std::function<void()> ended) {
  Result<FileId> id = shared_.core.backend().adopt(detached);
  if (!id) {
    shared_.core.log(reactor::LogLevel::kWarning, "connection_not_adopted",
                     fmt::format("peer={} error={}", peer_address, to_string(id.error())));
    ended();
    return;
  }
  serve(Socket(shared_.core, *id), listener, std::move(peer_address), std::move(ended));
}

void ConnectionSet::serve(Socket socket, ListenerId listener, std::string peer_address, std::function<void()> ended) {
  scope_.spawn(run(*this, socket, listener, std::move(peer_address), std::move(ended)));
}

Task<void> ConnectionSet::run(ConnectionSet& set, Socket socket, ListenerId listener, std::string peer_address,
                              std::function<void()> ended) {
  {
    Connection connection(set.shared_, socket, listener, peer_address);
    set.connections_.push_back(connection);
    if (set.draining_) connection.drain();
    co_await connection.run();
    const CloseReason reason = connection.reason();
    if (reason != CloseReason::kPeerClosed && reason != CloseReason::kIdle && reason != CloseReason::kStopping) {
      set.shared_.core.log(reactor::LogLevel::kInfo, "connection_closed",
                           fmt::format("peer={} reason={}", peer_address, to_string(reason)));
    }
  }
  ended();
}

Task<void> ConnectionSet::drain() {
  draining_ = true;
  connections_.for_each([](Connection& connection) { connection.drain(); });
  co_await scope_.join();
  CHECK(shared_.memory.available() == shared_.memory.total(), "{} of {} bytes of request memory are still taken",
        shared_.memory.total() - shared_.memory.available(), shared_.memory.total());
}

Acceptor::Acceptor(reactor::Core& core, const AcceptLimits& limits, SetOf set_of)
    : core_(core), limits_(limits), set_of_(std::move(set_of)), open_(core.core_count()), scope_(core) {}

Task<Result<std::string>> Acceptor::listen(ListenerOptions options) {
  std::string bound;
  Result<Socket> socket = co_await Socket::listen(core_, options.address, &bound);
  if (!socket) co_return reactor::failure(socket.error());
  sockets_.push_back(*socket);
  co_return bound;
}

void Acceptor::begin() {
  for (size_t i = 0; i < sockets_.size(); ++i) scope_.spawn(accept_loop(sockets_[i], static_cast<ListenerId>(i)));
}

Task<void> Acceptor::stop() {
  stopping_ = true;
  for (Socket& socket : sockets_) co_await socket.shutdown();
  co_await scope_.join();
  for (Socket& socket : sockets_) co_await socket.close();
  sockets_.clear();
}

Task<void> Acceptor::accept_loop(Socket socket, ListenerId listener) {
  while (!stopping_) {
    std::string peer;
    Result<Socket> accepted = co_await socket.accept(&peer);
    if (accepted) {
      scope_.spawn(welcome(*accepted, listener, std::move(peer)));
      continue;
    }
    if (stopping_) break;
    core_.log(reactor::LogLevel::kWarning, "accept_failed", fmt::format("error={}", to_string(accepted.error())));
    co_await core_.sleep(kAcceptRetry);
  }
}

Task<void> Acceptor::welcome(Socket socket, ListenerId listener, std::string peer) {
  const std::string address = host_of(peer);
  if (open_total_ >= limits_.connections_max) {
    co_await refuse(socket, CloseReason::kTooManyConnections);
    co_return;
  }
  uint32_t& from_address = per_address_[address];
  if (from_address >= limits_.connections_per_address_max) {
    co_await refuse(socket, CloseReason::kTooManyConnectionsFromAddress);
    co_return;
  }
  ++from_address;
  ++open_total_;
  const auto to = static_cast<CoreId>(std::min_element(open_.begin(), open_.end()) - open_.begin());
  ++open_[to];
  if (to == core_.id()) {
    set_of_(core_).serve(socket, listener, std::move(peer), [this, to, address] { ended(to, address); });
    co_return;
  }
  const int detached = core_.backend().detach(socket.id());
  // The end comes back as a call of its own, from a task of the other core: the order of the two is not important.
  co_await reactor::on_core(core_, to, [this, detached, listener, peer, to, address](reactor::Core& there) {
    set_of_(there).adopt(detached, listener, peer, [this, &there, to, address] {
      auto tell = [](Acceptor& acceptor, reactor::Core& from, CoreId on, std::string host) -> Task<void> {
        co_await reactor::on_core(from, acceptor.core_.id(),
                                  [&acceptor, on, &host](reactor::Core&) { acceptor.ended(on, host); });
      };
      there.scope().spawn(tell(*this, there, to, address));
    });
  });
}

Task<void> Acceptor::refuse(Socket socket, CloseReason reason) {
  ++stats_.closed[static_cast<size_t>(reason)];
  core_.log(reactor::LogLevel::kWarning, "connection_refused", fmt::format("reason={}", to_string(reason)));
  co_await socket.close();
}

void Acceptor::ended(CoreId on, const std::string& address) {
  --open_[on];
  --open_total_;
  const auto found = per_address_.find(address);
  if (--found->second == 0) per_address_.erase(found);
}

}  // namespace posthaste::net
