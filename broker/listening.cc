#include "broker/listening.h"

#include <algorithm>

#include "net/address.h"
#include "reactor/names.h"

namespace posthaste::broker {
namespace {

using reactor::Core;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using Ips = std::vector<std::string>;

// A resolver that has not answered by then will not do so during a start.
constexpr reactor::Duration kResolvePatience = std::chrono::seconds(5);

constexpr std::string_view kElsewhere = "choose another address with --listen or the key listeners";

std::string describe(const BrokerListener& listener) {
  return fmt::format("{}://{}", listener.name, net::join_address(listener.host, listener.port));
}

std::string why_not_bound(const BrokerListener& listener, const std::string& address, Errc error) {
  switch (error) {
    case Errc::kAddressInUse:
      return fmt::format("{} is in use: stop the program that listens there, or {}", address, kElsewhere);
    case Errc::kAddressNotAvailable:
      return fmt::format("cannot listen on {} ({}): no interface of this machine has the address; {}", address,
                         describe(listener), kElsewhere);
    case Errc::kPermission:
      return fmt::format("cannot listen on {} (permission denied): a port below 1024 wants CAP_NET_BIND_SERVICE; {}",
                         address, kElsewhere);
    default:
      return fmt::format("cannot listen on {} ({}): {}", address, to_string(error), kElsewhere);
  }
}

std::string why_not_resolved(const BrokerListener& listener, Errc error) {
  constexpr std::string_view kRemedy =
      "correct the name or /etc/hosts, or listen on every address (listeners=PLAINTEXT://:9092) and give clients the "
      "name with advertised.listeners";
  if (error == Errc::kTimedOut) {
    return fmt::format("listeners={}: the resolver has no answer for {} within {} s: see /etc/resolv.conf, {}",
                       describe(listener), listener.host,
                       std::chrono::duration_cast<std::chrono::seconds>(kResolvePatience).count(), kRemedy);
  }
  return fmt::format("listeners={}: no address is known for {} ({}): {}", describe(listener), listener.host,
                     to_string(error), kRemedy);
}

// Where a listener is to be bound. An ip is not asked for.
Task<Result<Ips>> ips_of(Core& core, const BrokerListener& listener) {
  if (listener.host.empty()) co_return Ips{"0.0.0.0", "::"};
  if (net::is_ip(listener.host)) co_return Ips{listener.host};
  co_return co_await reactor::resolve(core, listener.host, kResolvePatience);
}

// Not every address of a name is one of this machine, or can be bound without naming an interface (link-local ones).
bool may_be_left_out(const BrokerListener& listener, const std::string& ip, Errc error) {
  if (net::is_ip(listener.host)) return false;
  return error == Errc::kAddressNotAvailable || (error == Errc::kInvalidArgument && ip.starts_with("fe80:"));
}

// What is bound, "ip:port" each. Port 0 picks one, the same for all.
Task<std::expected<Ips, std::string>> bind_all(Core& core, net::Acceptor& acceptor, const BrokerListener& listener,
                                               net::ListenerId id) {
  const Result<Ips> ips = co_await ips_of(core, listener);
  if (!ips) co_return std::unexpected(why_not_resolved(listener, ips.error()));
  Ips bound;
  uint16_t port = listener.port;
  std::string why;
  for (const std::string& ip : *ips) {
    const std::string address = net::join_address(ip, port);
    Result<std::string> opened = co_await acceptor.listen({.address = address, .listener = id});
    if (opened) {
      port = net::port_of(*opened);
      bound.push_back(std::move(*opened));
      continue;
    }
    why = why_not_bound(listener, address, opened.error());
    if (!may_be_left_out(listener, ip, opened.error())) co_return std::unexpected(why);
    core.log(
        listener.host.empty() ? reactor::LogLevel::kInfo : reactor::LogLevel::kWarning, "listener_left_out",
        fmt::format("listener={} address={} reason=\"{}\"", describe(listener), address, to_string(opened.error())));
  }
  if (bound.empty()) co_return std::unexpected(why);
  co_return bound;
}

// The line with the address that clients get, and why.
std::string describe_bound(const BrokerListener& listener, const Ips& bound, const Endpoint& endpoint) {
  std::string text = fmt::format("{}://{}", listener.name, fmt::join(bound, ","));
  if (endpoint.as_connected) {
    return fmt::format(
        "{} advertised as the address that each client connects to, port {} (clients behind NAT or a mapped port need "
        "advertised.listeners)",
        text, endpoint.port);
  }
  const bool near =
      std::ranges::all_of(bound, [](const std::string& one) { return net::is_loopback(net::ip_of(one)); });
  const bool useless = net::is_loopback(endpoint.host) && !near;
  return fmt::format("{} advertised as {} ({}{})", text, net::join_address(endpoint.host, endpoint.port),
                     listener.advertised_is_given ? "advertised.listeners" : "the host of the listener",
                     useless ? "; only clients on this machine can use that" : "");
}

}  // namespace

Task<std::expected<Listening, std::string>> open_listeners(Core& core, net::Acceptor& acceptor,
                                                           const std::vector<BrokerListener>& listeners) {
  Listening listening;
  for (const BrokerListener& listener : listeners) {
    const auto id = static_cast<net::ListenerId>(listening.endpoints.size());
    const std::expected<Ips, std::string> bound = co_await bind_all(core, acceptor, listener, id);
    if (!bound) co_return std::unexpected(bound.error());
    Endpoint endpoint{.listener = listener.name,
                      .host = listener.advertised_host,
                      .port = listener.advertised_port,
                      .as_connected = listener.advertise_as_connected};
    if (endpoint.host.empty()) endpoint.host = net::ip_of(bound->front());
    if (endpoint.port == 0) endpoint.port = net::port_of(bound->front());
    listening.lines.push_back(describe_bound(listener, *bound, endpoint));
    listening.endpoints.push_back(std::move(endpoint));
  }
  co_return listening;
}

}  // namespace posthaste::broker
