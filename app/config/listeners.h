// Listener lists as Kafka writes them: `NAME://HOST:PORT,...`, with `listener.security.protocol.map` giving each name
// its protocol. It resolves no host name and opens no socket.
#pragma once
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace posthaste::app {

struct Listener {
  std::string name;      // upper case, for example PLAINTEXT
  std::string protocol;  // PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
  std::string host;      // empty: every interface; an IPv6 address without its brackets
  uint16_t port = 0;     // 0: the system chooses
  friend bool operator==(const Listener&, const Listener&) = default;
};

// The protocols of listener names.
struct ListenerNames {
  std::string_view protocol_map;       // the value of listener.security.protocol.map
  bool protocol_map_is_given = false;  // not Kafka's default
  std::string_view controllers;        // the value of controller.listener.names
};

// `listeners` or `advertised.listeners` (the value of the key of that name). As in Kafka, names of controller listeners
// are PLAINTEXT when no map is given and no listener is SSL or SASL. Fails with one readable line naming `key`: a
// malformed element, an unknown protocol, a name given twice, or a port (other than 0) that two listeners of
// `listeners` have, unless one of them is at an IPv4 and the other at an IPv6 address.
std::expected<std::vector<Listener>, std::string> parse_listeners(std::string_view key, std::string_view value,
                                                                  const ListenerNames& names);
// A listener's name as Kafka writes it: in upper case.
std::string listener_name(std::string_view given);
// True if `name`, in upper case, is in a list of controller listeners.
bool is_controller_listener(std::string_view name, std::string_view controllers);

// `HOST:PORT`, `:PORT`, `[ADDRESS]:PORT` as --listen and --bootstrap-server take it. Name and protocol are PLAINTEXT.
std::expected<Listener, std::string> parse_host_port(std::string_view text);

// "NAME://host:port", the form of the configuration.
std::string to_string(const Listener& listener);

// The elements of a comma-separated list, trimmed, without empty ones.
std::vector<std::string_view> split_list(std::string_view value);

}  // namespace posthaste::app
