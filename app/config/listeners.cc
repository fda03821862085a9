#include "app/config/listeners.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>

#include "app/config/properties.h"

namespace posthaste::app {
namespace {

constexpr auto kProtocols = std::to_array<std::string_view>({"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"});

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return out;
}

bool is_protocol(std::string_view name) { return std::ranges::find(kProtocols, name) != kProtocols.end(); }

std::optional<uint16_t> port_of(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

// Splits HOST:PORT; nothing when malformed. An IPv6 address needs brackets, or its last group would be taken for the
// port.
std::optional<Listener> host_and_port(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::optional<uint16_t> port = port_of(text.substr(colon + 1));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":[]/ ") != std::string_view::npos) {
    return std::nullopt;
  }
  if (!port) return std::nullopt;
  return Listener{.name = "PLAINTEXT", .protocol = "PLAINTEXT", .host = std::string(host), .port = *port};
}

using Protocols = std::map<std::string, std::string>;

std::expected<Protocols, std::string> parse_protocol_map(std::string_view value) {
  Protocols protocols;
  for (const std::string_view element : split_list(value)) {
    const size_t colon = element.find(':');
    const std::string name = upper(trimmed(element.substr(0, colon)));
    const std::string protocol = colon == std::string_view::npos ? "" : upper(trimmed(element.substr(colon + 1)));
    if (name.empty() || !is_protocol(protocol)) {
      return std::unexpected(
          fmt::format("listener.security.protocol.map: \"{}\" must have the form NAME:PROTOCOL, with a protocol of {}",
                      element, fmt::join(kProtocols, ", ")));
    }
    if (!protocols.emplace(name, protocol).second) {
      return std::unexpected(fmt::format("listener.security.protocol.map: the listener name {} stands twice", name));
    }
  }
  return protocols;
}

// The part of NAME://HOST:PORT before the colon.
std::string name_of(std::string_view element) { return upper(element.substr(0, element.find("://"))); }

// Kafka leaves controller listeners without a protocol as soon as any name asks for encryption or authentication: an
// operator who sets that up must decide about controllers too.
void add_controllers(std::string_view listeners, std::string_view controllers, Protocols& protocols) {
  const auto is_secure = [](std::string_view name) { return is_protocol(name) && name != "PLAINTEXT"; };
  const std::vector<std::string_view> names = split_list(controllers);
  const auto is_secure_controller = [&](std::string_view name) { return is_secure(upper(name)); };
  const auto is_secure_listener = [&](std::string_view element) { return is_secure(name_of(element)); };
  if (std::ranges::any_of(names, is_secure_controller)) return;
  if (std::ranges::any_of(split_list(listeners), is_secure_listener)) return;
  for (const std::string_view name : names) protocols.emplace(upper(name), "PLAINTEXT");
}

bool is_ipv4(std::string_view host) {
  return !host.empty() && std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}
bool is_ipv6(std::string_view host) { return host.find(':') != std::string_view::npos; }

// Two listeners may share a port only when it is certain that one is IPv4 and the other IPv6.
bool may_share_port(const Listener& a, const Listener& b) {
  return (is_ipv4(a.host) && is_ipv6(b.host)) || (is_ipv6(a.host) && is_ipv4(b.host));
}

}  // namespace

std::vector<std::string_view> split_list(std::string_view value) {
  std::vector<std::string_view> elements;
  while (!value.empty()) {
    const size_t comma = value.find(',');
    const std::string_view element = trimmed(value.substr(0, comma));
    if (!element.empty()) elements.push_back(element);
    value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
  }
  return elements;
}

std::expected<std::vector<Listener>, std::string> parse_listeners(std::string_view key, std::string_view value,
                                                                  const ListenerNames& names) {
  auto protocols = parse_protocol_map(names.protocol_map);
  if (!protocols) return std::unexpected(protocols.error());
  if (!names.protocol_map_is_given) add_controllers(value, names.controllers, *protocols);
  std::vector<Listener> listeners;
  for (const std::string_view element : split_list(value)) {
    const size_t scheme = element.find("://");
    std::optional<Listener> listener;
    if (scheme != std::string_view::npos && scheme > 0) listener = host_and_port(element.substr(scheme + 3));
    if (!listener) {
      return std::unexpected(fmt::format(
          "{}: \"{}\" must have the form NAME://HOST:PORT, for example PLAINTEXT://0.0.0.0:9092", key, element));
    }
    listener->name = name_of(element);
    const auto mapped = protocols->find(listener->name);
    if (mapped == protocols->end() && !is_protocol(listener->name)) {
      return std::unexpected(
          fmt::format("{}: the listener name {} has no protocol; add {}:PLAINTEXT to listener.security.protocol.map",
                      key, listener->name, listener->name));
    }
    listener->protocol = mapped == protocols->end() ? listener->name : mapped->second;
    for (const Listener& other : listeners) {
      if (other.name == listener->name)
        return std::unexpected(fmt::format("{}: the listener name {} stands twice", key, other.name));
      if (key == "listeners" && other.port == listener->port && other.port != 0 && !may_share_port(other, *listener)) {
        return std::unexpected(
            fmt::format("{}: {} and {} have the same port {}; only an IPv4 and an IPv6 address may share one", key,
                        other.name, listener->name, other.port));
      }
    }
    listeners.push_back(*listener);
  }
  return listeners;
}

std::string listener_name(std::string_view given) { return upper(trimmed(given)); }

bool is_controller_listener(std::string_view name, std::string_view controllers) {
  return std::ranges::any_of(split_list(controllers), [&](std::string_view one) { return upper(one) == name; });
}

std::expected<Listener, std::string> parse_host_port(std::string_view text) {
  const std::optional<Listener> listener = host_and_port(trimmed(text));
  if (!listener)
    return std::unexpected(fmt::format("\"{}\" must have the form HOST:PORT, for example 127.0.0.1:9092", text));
  return *listener;
}

std::string to_string(const Listener& listener) {
  const bool address6 = listener.host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", listener.name, address6 ? "[" : "", listener.host, address6 ? "]" : "",
                     listener.port);
}

}  // namespace posthaste::app
