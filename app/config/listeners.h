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

// `listeners` or `advertised.listeners` (the value of the key of that name) with the protocol map's value. Fails with
// one readable line naming `key`: a malformed element, an unknown protocol, a name or a port (other than 0) given
// twice.
std::expected<std::vector<Listener>, std::string> parse_listeners(std::string_view key, std::string_view value,
                                                                  std::string_view protocol_map);

// `HOST:PORT`, `:PORT`, `[ADDRESS]:PORT` as --listen and --bootstrap-server take it. Name and protocol are PLAINTEXT.
std::expected<Listener, std::string> parse_host_port(std::string_view text);

// "NAME://host:port", the form of the configuration.
std::string to_string(const Listener& listener);

// The elements of a comma-separated list, trimmed, without empty ones.
std::vector<std::string_view> split_list(std::string_view value);

}  // namespace posthaste::app
