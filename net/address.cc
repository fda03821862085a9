#include "net/address.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace posthaste::net {

std::string ip_of(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = colon == std::string::npos ? address : address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  constexpr std::string_view kMapped = "::ffff:";
  if (host.starts_with(kMapped) && host.find('.') != std::string::npos) host.erase(0, kMapped.size());
  return host;
}

uint16_t port_of(std::string_view address) {
  const size_t colon = address.rfind(':');
  uint16_t port = 0;
  if (colon == std::string_view::npos) return port;
  std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  return port;
}

std::string join_address(std::string_view host, uint16_t port) {
  return is_ipv6(host) ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

bool is_ipv6(std::string_view host) { return host.find(':') != std::string_view::npos; }

bool is_ip(std::string_view host) {
  if (is_ipv6(host)) return true;
  return !host.empty() && std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || (is_ip(host) && host.starts_with("127."));
}

bool is_every_address(std::string_view host) { return host == "0.0.0.0" || host == "::"; }

}  // namespace posthaste::net
