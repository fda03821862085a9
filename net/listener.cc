#include "net/listener.h"

#include <algorithm>

#include "net/address.h"
#include "net/kafka/broker_apis.h"
#include "net/planted_bugs.h"

namespace posthaste::net {
namespace {

using reactor::CoreId;
using reactor::FileId;
using reactor::Result;
using reactor::Socket;
using reactor::Task;

// After an accept that failed because there were no descriptors or no memory: the condition lasts, so an immediate
// retry would spin.
constexpr reactor::Duration kAcceptRetry = std::chrono::milliseconds(100);

// What a request that ended its connection asked for, and where it is served if not at this kind of listener.
std::string describe_refused(const kafka::ServedApis& here, const kafka::RequestHeader& refused) {
  std::string text =
      fmt::format(" api={} key={} version={}", to_string(refused.api), static_cast<int>(refused.api), refused.version);
  if (here.find(refused.api) != nullptr) return text;
  if (kafka::kServedToClients.find(refused.api) != nullptr) {
    return text + " remedy=\"this listener is between brokers: clients connect to another one of listeners\"";
  }
  if (kafka::kServedToBrokers.find(refused.api) != nullptr) {
    return text + " remedy=\"this listener is for clients: brokers connect to one of controller.listener.names\"";
  }
  return text;
}

}  // namespace

void ConnectionSet::adopt(int detached, ListenerId listener, std::string peer_address, Ended ended) {
  check_core();
  CHECK(!draining_, "a connection for core {} comes after the last one", shared_.core.id());
  Result<FileId> id = shared_.core.backend().adopt(detached);
  if (!id) {
    shared_.core.log(reactor::LogLevel::kWarning, "connection_not_adopted",
                     fmt::format("peer={} error={}", peer_address, to_string(id.error())));
    scope_.spawn(tell(std::move(ended)));
    return;
  }
  serve(Socket(shared_.core, *id), listener, std::move(peer_address), std::move(ended));
}

void ConnectionSet::serve(Socket socket, ListenerId listener, std::string peer_address, Ended ended) {
  check_core();
  CHECK(!draining_, "a connection for core {} comes after the last one", shared_.core.id());
  scope_.spawn_job(run(*this, socket, listener, std::move(peer_address), std::move(ended)));
}

Task<void> ConnectionSet::run(ConnectionSet& set, Socket socket, ListenerId listener, std::string peer_address,
                              Ended ended) {
  {
    Connection connection(set.shared_, socket, listener, peer_address);
    set.connections_.push_back(connection);
    if (set.draining_) connection.drain();  // it was added just before the end
    co_await connection.run();
    if (!is_ordinary(connection.reason())) set.log_end(connection, peer_address);
  }
  co_await ended();
}

void ConnectionSet::log_end(const Connection& connection, std::string_view peer_address) {
  std::string line = fmt::format("peer={} reason={}", peer_address, to_string(connection.reason()));
  if (connection.refused()) line += describe_refused(shared_.served, *connection.refused());
  shared_.core.log(reactor::LogLevel::kInfo, "connection_closed", line);
}

Task<void> ConnectionSet::tell(Ended ended) { co_await ended(); }

Task<void> ConnectionSet::drain() {
  check_core();
  draining_ = true;
  connections_.for_each([](Connection& connection) { connection.drain(); });
  co_await scope_.join();
  for (const reactor::BufferPool* pool : {&shared_.small_frames, &shared_.large_frames}) {
    CHECK(pool->bytes_free() == pool->bytes_total(), "{} of {} bytes of request memory are still taken",
          pool->bytes_total() - pool->bytes_free(), pool->bytes_total());
  }
  CHECK(shared_.answers.bytes_held() == 0, "{} bytes of answers are still held", shared_.answers.bytes_held());
}

Acceptor::Acceptor(reactor::Core& core, AcceptLimits limits, SetOf set_of, Spread spread)
    : core_(core),
      limits_(std::move(limits)),
      set_of_(std::move(set_of)),
      spread_(spread),
      open_(core.core_count()),
      scope_(core) {}

Acceptor::~Acceptor() {
  CHECK(core_.abandoned() || stats_.open == 0, "the end of {} connections will be told to an acceptor that is gone",
        stats_.open);
}

Task<Result<std::string>> Acceptor::listen(ListenerOptions options) {
  std::string bound;
  Result<Socket> socket = co_await Socket::listen(core_, options.address, &bound);
  if (!socket) co_return reactor::failure(socket.error());
  sockets_.push_back({*socket, options.listener});
  co_return bound;
}

void Acceptor::begin() {
  for (const Bound& bound : sockets_) scope_.spawn(accept_loop(bound.socket, bound.listener));
}

Task<void> Acceptor::stop() {
  stopping_ = true;
  for (Bound& bound : sockets_) co_await bound.socket.shutdown();
  co_await scope_.join();
  for (Bound& bound : sockets_) co_await bound.socket.close();
  sockets_.clear();
  // Every connection is in its set now. Drain all sets at once: one may wait for something from another core.
  reactor::TaskScope& scope = reactor::planted(kBugs["acceptor-gone-early"]) ? core_.scope() : scope_;
  for (size_t on = 0; on < core_.core_count(); ++on) {
    if (spread_ == Spread::kAllCores || on == core_.id()) scope.spawn(drain(static_cast<CoreId>(on)));
  }
  co_await scope_.join();
}

CoreId Acceptor::next_core() const {
  if (spread_ == Spread::kOwnCore) return core_.id();
  return static_cast<CoreId>(std::min_element(open_.begin(), open_.end()) - open_.begin());
}

Task<void> Acceptor::drain(CoreId on) {
  auto work = [this](reactor::Core& there) { return set_of_(there).drain(); };
  co_await reactor::on_core(core_, on, std::move(work));
}

Task<void> Acceptor::accept_loop(Socket socket, ListenerId listener) {
  while (!stopping_) {
    std::string peer;
    Result<Socket> accepted = co_await socket.accept(&peer);
    if (accepted) {
      ++stats_.accepted;
      scope_.spawn(welcome(*accepted, listener, std::move(peer)));
      continue;
    }
    if (stopping_) break;
    core_.log(reactor::LogLevel::kWarning, "accept_failed", fmt::format("error={}", to_string(accepted.error())));
    co_await core_.sleep(kAcceptRetry);
  }
}

Task<void> Acceptor::welcome(Socket socket, ListenerId listener, std::string peer) {
  const std::string address = ip_of(peer);
  if (stats_.open >= limits_.connections_max) {
    co_await refuse(socket, std::move(peer), CloseReason::kTooManyConnections, limits_.connections_max);
    co_return;
  }
  const auto known = per_address_.find(address);
  if (const uint32_t limit = limit_of(address); (known == per_address_.end() ? 0 : known->second) >= limit) {
    co_await refuse(socket, std::move(peer), CloseReason::kTooManyConnectionsFromAddress, limit);
    co_return;
  }
  ++per_address_[address];
  ++stats_.open;
  const CoreId to = next_core();
  ++open_[to];
  if (to == core_.id()) {
    set_of_(core_).serve(socket, listener, std::move(peer), [this, address] { return tell_ended(core_, address); });
    co_return;
  }
  const int detached = core_.backend().detach(socket.id());
  auto hand_over = [this, detached, listener, &peer, &address](reactor::Core& there) {
    set_of_(there).adopt(detached, listener, peer, [this, &there, address] { return tell_ended(there, address); });
  };
  co_await reactor::on_core(core_, to, std::move(hand_over));
}

// On the core of the connection, which waits for it.
Task<void> Acceptor::tell_ended(reactor::Core& from, std::string address) {
  auto tell = [this, &from, &address](reactor::Core&) { ended(from.id(), address); };
  co_await reactor::on_core(from, core_.id(), std::move(tell));
}

uint32_t Acceptor::limit_of(std::string_view address) const {
  const auto found = limits_.per_address_overrides.find(address);
  return found == limits_.per_address_overrides.end() ? limits_.connections_per_address_max : found->second;
}

// The log takes a few lines of an event a second and says how many it left out; the counters count all.
Task<void> Acceptor::refuse(Socket socket, std::string peer, CloseReason reason, uint32_t limit) {
  ++stats_.closed[static_cast<size_t>(reason)];
  core_.log(reactor::LogLevel::kWarning, "connection_refused",
            fmt::format("peer={} reason={} limit={} open={}", peer, to_string(reason), limit, stats_.open));
  co_await socket.close();
}

void Acceptor::ended(CoreId on, const std::string& address) {
  --open_[on];
  --stats_.open;
  const auto found = per_address_.find(address);
  if (--found->second == 0) per_address_.erase(found);
}

}  // namespace posthaste::net
