// Connections: how they begin, end, and find their way. Bytes: network_stream.cc.
#include "reactor/simulated/network.h"

#include <algorithm>
#include <charconv>

#include "reactor/simulated/world.h"

namespace posthaste::reactor::simulated {
namespace {

constexpr int64_t error(Errc e) { return -static_cast<int64_t>(e); }
constexpr Duration kSynRetry = 1s;  // as the kernel's first retry
constexpr uint16_t kFirstEphemeralPort = 32'768;
constexpr std::string_view kAnyIp = "0.0.0.0";

}  // namespace

Network::Network(World& world) : world_(world), links_(world.timeline(), world.options()) {}

// --- Addresses.

Result<Network::Address> Network::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return failure(Errc::kInvalidArgument);
  const auto number = [](std::string_view digits, uint32_t most) -> int64_t {
    uint32_t value = 0;
    const auto [end, wrong] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (wrong != std::errc{} || end != digits.data() + digits.size() || value > most) return -1;
    return value;
  };
  const std::string_view ip = text.substr(0, colon);
  if (ip.starts_with('[') && ip.ends_with(']'))
    return failure(Errc::kAddressNotAvailable);  // these machines have no IPv6
  const int64_t port = number(text.substr(colon + 1), 65'535);
  size_t parts = 0;
  for (size_t at = 0; at <= ip.size(); ++parts) {
    const size_t dot = std::min(ip.find('.', at), ip.size());
    if (number(ip.substr(at, dot - at), 255) < 0) return failure(Errc::kInvalidArgument);
    at = dot + 1;
  }
  if (port < 0 || parts != 4) return failure(Errc::kInvalidArgument);
  return Address{std::string(ip), static_cast<uint16_t>(port)};
}

bool Network::is_loopback(std::string_view ip) { return ip.starts_with("127.") || ip == kAnyIp; }

Host* Network::route(const Endpoint& from, std::string_view ip) {
  return is_loopback(ip) ? from.host : world_.find_host(ip);
}

EndpointId Network::find_listener(const Host& host, std::string_view ip, uint16_t port) {
  for (EndpointId id = 0; id < endpoints_.size(); ++id) {
    const Endpoint& e = endpoints_[id];
    if (!e.used || !e.listening || e.closed || e.shut || e.host != &host || e.port != port) continue;
    if (e.ip == kAnyIp || ip == kAnyIp || e.ip == ip) return id;
  }
  return kNoEndpoint;
}

uint16_t Network::free_port(const Host& host) {
  for (;;) {
    const auto port = static_cast<uint16_t>(kFirstEphemeralPort + next_port_++ % kFirstEphemeralPort);
    if (find_listener(host, kAnyIp, port) == kNoEndpoint) return port;
  }
}

// --- Endpoints.

EndpointId Network::new_endpoint(Host& host, SimulatedBackend* backend) {
  EndpointId id = 0;
  if (free_endpoints_.empty()) {
    id = static_cast<EndpointId>(endpoints_.size());
    endpoints_.emplace_back();
  } else {
    id = free_endpoints_.back();
    free_endpoints_.pop_back();
  }
  const uint32_t generation = at(id).generation + 1;
  at(id) = Endpoint{};
  at(id).used = true;
  at(id).generation = generation;
  at(id).host = &host;
  at(id).backend = backend;
  const WorldOptions& options = world_.options();
  at(id).in.window = static_cast<size_t>(world_.random().between(static_cast<int64_t>(options.window_bytes_min),
                                                                 static_cast<int64_t>(options.window_bytes_max)));
  return id;
}

size_t Network::open_endpoints() const {
  return static_cast<size_t>(std::ranges::count_if(endpoints_, [](const Endpoint& e) { return e.used; }));
}

void Network::schedule(EventKind kind, EndpointId endpoint, int64_t delay) {
  Event event{.target = this, .kind = kind, .life = at(endpoint).generation};
  event.a = endpoint;
  event.b = at(endpoint).in.progress;
  world_.timeline().schedule(event, world_.timeline().now() + delay);
}

Links::Link Network::link(const Host& from, const Host& to) { return {from.id(), to.id()}; }

int64_t Network::delay_between(const Host& from, const Host& to, size_t bytes, Duration retransmit_first) {
  if (&from != &to) return links_.travel(link(from, to), bytes, retransmit_first);
  const DurationRange& range = world_.options().loopback;
  return world_.random().between(range.least.count(), range.most.count());
}

// What a paused machine would do waits until it continues. Bytes that arrive are watched for silence, and a syn or a
// silence is somebody else's.
bool Network::held_by_pause(const Event& event) {
  constexpr uint32_t kByItself =
      1U << kConnected | 1U << kRefused | 1U << kSendDue | 1U << kWindowOpened | 1U << kReset | 1U << kGiveUp;
  if ((kByItself >> event.kind & 1U) == 0) return false;
  if (!at(static_cast<EndpointId>(event.a)).host->machine_is_paused()) return false;
  held_by_pause_.push_back(event);
  return true;
}

void Network::fire(const Event& event) {
  if (event.kind == kClogOver) return retry_held();
  const auto id = static_cast<EndpointId>(event.a);
  if (!at(id).used || at(id).generation != event.life || held_by_pause(event)) return;
  switch (static_cast<EventKind>(event.kind)) {
    case kSyn:
      return syn(id);
    case kConnected:
      return connected(id);
    case kRefused:
      return fail_connect(id, Errc::kConnectionRefused);
    case kPieceDue:
      return piece_due(id);
    case kSendDue:
    case kWindowOpened:
      return pump_sends(id);
    case kReset:
      if (at(id).other != kNoEndpoint && blocked(*at(at(id).other).host, *at(id).host)) return;  // lost on the way
      if (at(id).in.forgotten) return give_up_later(id);
      return broken(id, Errc::kConnectionClosed);
    case kSilence:
      return silence(id, event.b);
    case kGiveUp:
      return broken(id, Errc::kTimedOut);
    case kClogOver:
      break;
  }
}

// --- Operations.

void Network::start(SimulatedBackend& backend, Op& op, SimulatedBackend::Pending pending, EndpointId id) {
  op.scratch[0] = id;
  op.scratch[1] = 0;  // bytes done
  if (op.kind == OpKind::kListen) return listen(backend, op, pending);
  if (op.kind == OpKind::kConnect) return connect(backend, op, pending);
  Endpoint& endpoint = at(id);
  CHECK(endpoint.backend == &backend, "a socket of another core");
  if (op.kind == OpKind::kShutdown) {
    shutdown(id);
    return backend.finish(pending, 0);
  }
  if ((op.kind == OpKind::kAccept) != endpoint.listening) {
    return backend.finish(pending, error(endpoint.listening ? Errc::kConnectionClosed : Errc::kInvalidArgument));
  }
  if (op.kind == OpKind::kAccept) {
    if (endpoint.shut) return backend.finish(pending, error(Errc::kInvalidArgument));
    endpoint.accepts.push_back({pending, &op});
    return pump_accepts(id);
  }
  if (op.kind == OpKind::kSend) return start_send(pending, op, id);
  op.selected = {};
  endpoint.receives.push_back({pending, &op});
  pump_receives(id);
}

void Network::finish(Endpoint& endpoint, const Waiting& waiting, int64_t result) {
  endpoint.backend->finish(waiting.pending, result);
}

void Network::listen(SimulatedBackend& backend, Op& op, SimulatedBackend::Pending pending) {
  Host& host = backend.host();
  auto address = parse(op.path);
  if (!address) return backend.finish(pending, error(address.error()));
  if (!is_loopback(address->ip) && address->ip != host.ip()) {
    return backend.finish(pending, error(Errc::kAddressNotAvailable));
  }
  if (address->port == 0) address->port = free_port(host);
  if (find_listener(host, address->ip, address->port) != kNoEndpoint) {
    return backend.finish(pending, error(Errc::kAddressInUse));
  }
  const EndpointId id = new_endpoint(host, &backend);
  at(id).listening = true;
  at(id).ip = address->ip;
  at(id).port = address->port;
  if (op.out != nullptr) *static_cast<std::string*>(op.out) = text(address->ip, address->port);
  backend.finish(pending, backend.add_socket(id).value);
}

void Network::connect(SimulatedBackend& backend, Op& op, SimulatedBackend::Pending pending) {
  Host& host = backend.host();
  const auto address = parse(op.path);
  if (!address) return backend.finish(pending, error(address.error()));
  const EndpointId id = new_endpoint(host, &backend);
  Endpoint& client = at(id);
  op.scratch[0] = id;
  client.connecting = true;
  client.connect = {pending, &op};
  client.connect_ip = address->ip;
  client.connect_port = address->port;
  client.connect_deadline = world_.timeline().now() + world_.options().connect_timeout.count();
  client.ip = is_loopback(address->ip) ? "127.0.0.1" : host.ip();
  client.port = free_port(host);
  const Host* target = route(client, address->ip);
  const int64_t delay = target == nullptr ? 0 : delay_between(host, *target, 0, kConnectRetransmitFirst);
  const int64_t timeout = world_.options().connect_timeout.count();
  if (delay > timeout) return schedule(kGiveUp, id, timeout);  // lost too often, or clogged for too long
  schedule(kSyn, id, delay);
}

void Network::syn(EndpointId id) {
  Endpoint* client = &at(id);
  if (!client->connecting) return;
  Host* target = route(*client, client->connect_ip);
  const int64_t now = world_.timeline().now();
  const bool silent = target == nullptr || !target->machine_is_on() || target->machine_is_paused() ||
                      blocked(*client->host, *target) || blocked(*target, *client->host);
  const EndpointId listener = silent ? kNoEndpoint : find_listener(*target, client->connect_ip, client->connect_port);
  const bool full = listener != kNoEndpoint && at(listener).backlog.size() >= world_.options().accept_backlog;
  if (silent || full) {
    if (now >= client->connect_deadline) return fail_connect(id, Errc::kTimedOut);
    return schedule(kSyn, id, std::min(kSynRetry.count(), client->connect_deadline - now));
  }
  if (listener == kNoEndpoint) return schedule(kRefused, id, delay_between(*target, *client->host));
  const EndpointId server_id = new_endpoint(*target, nullptr);
  client = &at(id);  // the table may have moved
  Endpoint& server = at(server_id);
  server.ip = is_loopback(client->connect_ip) ? "127.0.0.1" : client->connect_ip;
  server.port = client->connect_port;
  server.peer = text(client->ip, client->port);
  client->peer = text(client->connect_ip, client->connect_port);
  server.other = id;
  client->other = server_id;
  ++stats_.connections;
  at(listener).backlog.push_back(server_id);
  schedule(kConnected, id, delay_between(*target, *client->host, 0, kConnectRetransmitFirst));
  pump_accepts(listener);
}

void Network::connected(EndpointId id) {
  Endpoint& client = at(id);
  if (!client.connecting) return;
  client.connecting = false;
  const Waiting waiting = std::exchange(client.connect, {});
  finish(client, waiting, client.backend->add_socket(id).value);
}

void Network::fail_connect(EndpointId id, Errc reason) {
  Endpoint& client = at(id);
  if (!client.connecting) return;
  finish(client, std::exchange(client.connect, {}), error(reason));
  client.handle_closed = true;
  close_now(id);
}

void Network::pump_accepts(EndpointId listener_id) {
  Endpoint& listener = at(listener_id);
  while (!listener.accepts.empty() && !listener.backlog.empty()) {
    const Waiting waiting = listener.accepts.front();
    listener.accepts.pop_front();
    const EndpointId id = listener.backlog.front();
    listener.backlog.pop_front();
    at(id).backend = listener.backend;
    if (waiting.op->out != nullptr) *static_cast<std::string*>(waiting.op->out) = at(id).peer;
    finish(listener, waiting, listener.backend->add_socket(id).value);
  }
  maybe_close(listener_id);
}

void Network::cancel(SimulatedBackend& backend, Op& op, SimulatedBackend::Pending pending) {
  const auto id = static_cast<EndpointId>(op.scratch[0]);
  Endpoint& endpoint = at(id);
  if (op.kind == OpKind::kConnect) return fail_connect(id, Errc::kCancelled);
  for (auto* queue : {&endpoint.accepts, &endpoint.receives, &endpoint.sends}) {
    const auto found = std::ranges::find_if(*queue, [&](const Waiting& w) { return w.op == &op; });
    if (found == queue->end()) continue;
    queue->erase(found);
    backend.finish(pending, error(Errc::kCancelled));
    return maybe_close(id);
  }
}

// --- Ends.

void Network::close(EndpointId id, bool discard) {
  at(id).handle_closed = true;
  at(id).discards = discard;
  maybe_close(id);
}

// Operations that still wait hold the socket open, as they do in the kernel.
void Network::maybe_close(EndpointId id) {
  Endpoint& e = at(id);
  if (!e.used || !e.handle_closed || e.closed) return;
  if (e.accepts.empty() && e.receives.empty() && e.sends.empty()) close_now(id);
}

void Network::close_listener(Endpoint& listener) {
  for (const EndpointId waiting : listener.backlog) {
    if (!at(waiting).used || at(waiting).closed) continue;
    at(waiting).handle_closed = true;
    at(waiting).closed = true;
    reset(at(waiting).other);
    release_pair(waiting);
  }
  listener.backlog.clear();
}

void Network::close_now(EndpointId id) {
  Endpoint& e = at(id);
  if (e.listening) close_listener(e);
  if (e.other != kNoEndpoint && e.error == Errc{}) {
    if (e.in.arrived > 0 || e.connecting || e.discards) {
      reset(e.other);
    } else {
      send_end(id);
    }
  }
  at(id).closed = true;
  at(id).connecting = false;
  at(id).backend = nullptr;
  release_pair(id);
}

// Both sides gone: nobody can tell any more. What is on its way finds a newer generation.
void Network::release_pair(EndpointId id) {
  const EndpointId other = at(id).other;
  const auto gone = [&](EndpointId e) { return at(e).closed || at(e).vanished; };
  if (!gone(id) || (other != kNoEndpoint && !gone(other))) return;
  for (const EndpointId e : {id, other}) {
    if (e == kNoEndpoint || !at(e).used) continue;
    const uint32_t generation = at(e).generation;
    at(e) = Endpoint{};
    at(e).generation = generation;
    free_endpoints_.push_back(e);
  }
}

void Network::host_died(Host& host, bool machine_vanished) {
  for (EndpointId id = 0; id < endpoints_.size(); ++id) {
    if (!at(id).used || at(id).host != &host || at(id).closed) continue;
    // The operations die with their backend.
    at(id).accepts.clear();
    at(id).receives.clear();
    at(id).sends.clear();
    at(id).backend = nullptr;
    set_starved(at(id), false);
    at(id).handle_closed = true;
    if (!machine_vanished) {
      close_now(id);
      continue;
    }
    at(id).connecting = false;
    if (at(id).listening) {
      at(id).closed = true;
      at(id).backlog.clear();  // those are endpoints of this host too
    } else {
      at(id).vanished = true;
    }
    release_pair(id);
  }
}

void Network::host_is_back(Host& host) {
  for (EndpointId id = 0; id < endpoints_.size(); ++id) {
    if (!at(id).used || at(id).host != &host || !at(id).vanished) continue;
    at(id).vanished = false;
    at(id).closed = true;  // whoever sends to it is answered with a reset
    deliver_due(id);
  }
}

void Network::detach(EndpointId id) {
  Endpoint& e = at(id);
  CHECK(!e.listening && e.receives.empty() && e.sends.empty(), "a socket with operations in flight cannot move");
  e.backend = nullptr;
}

void Network::adopt(EndpointId id, SimulatedBackend& to) { at(id).backend = &to; }

// --- Faults.

void Network::set_link(const Host& from, const Host& to, LinkOptions options) { links_.set(link(from, to), options); }

void Network::clog(const Host& from, const Host& to, Duration duration) {
  Timeline& timeline = world_.timeline();
  const int64_t until = timeline.now() + duration.count();
  links_.clog(link(from, to), until);
  timeline.schedule({.target = this, .kind = kClogOver}, until);
}

void Network::block(const Host& from, const Host& to) { links_.block(link(from, to)); }

void Network::unblock(const Host& from, const Host& to) {
  links_.unblock(link(from, to));
  retry_held();
}

void Network::partition(const std::vector<Host*>& one, const std::vector<Host*>& other) {
  for (const Host* a : one) {
    for (const Host* b : other) {
      block(*a, *b);
      block(*b, *a);
    }
  }
}

void Network::heal() {
  links_.heal();
  retry_held();
}

void Network::host_continues(Host& host) {
  std::erase_if(held_by_pause_, [&](const Event& event) {
    const Endpoint& e = at(static_cast<EndpointId>(event.a));
    if (e.used && e.generation == event.life && e.host != &host) return false;
    world_.timeline().schedule(event, world_.timeline().now());
    return true;
  });
  retry_held();
}

void Network::forget_connections(const Host& from, const Host& to) {
  for (EndpointId id = 0; id < endpoints_.size(); ++id) {
    Endpoint& e = at(id);
    if (!e.used || e.host != &to || e.other == kNoEndpoint || at(e.other).host != &from) continue;
    e.in.forgotten = true;
  }
}

NetworkStats Network::stats() const {
  NetworkStats stats = stats_;
  stats.spikes = links_.spikes();
  stats.packets_lost = links_.lost();
  return stats;
}

void Network::retry_held() {
  for (EndpointId id = 0; id < endpoints_.size(); ++id) {
    if (!at(id).used) continue;
    if (std::exchange(at(id).window_stalled, false)) open_window(id);
    deliver_due(id);
  }
}

void Network::reset_connections(const Host& host) {
  for (EndpointId id = 0; id < endpoints_.size(); ++id) {
    if (!at(id).used || at(id).listening || at(id).host != &host || at(id).other == kNoEndpoint) continue;
    if (at(id).connecting) continue;
    reset(at(id).other);
    broken(id, Errc::kConnectionClosed);
  }
}

}  // namespace posthaste::reactor::simulated
