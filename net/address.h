// Addresses as text: "ip:port" as the backend writes them, and hosts as configurations and answers do. It resolves
// nothing.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace posthaste::net {

// "10.0.0.1:5000" -> "10.0.0.1", "[::1]:5000" -> "::1"; an IPv4-mapped IPv6 address becomes the IPv4 address.
std::string ip_of(const std::string& address);
// The port of "ip:port"; 0 if there is none.
uint16_t port_of(std::string_view address);
// The inverse of the two above: an IPv6 address gets its brackets.
std::string join_address(std::string_view host, uint16_t port);

// True for "10.0.0.1" or "::1", false for a name. It checks no more than that.
bool is_ip(std::string_view host);
bool is_ipv6(std::string_view host);
// 127.0.0.1, ::1, localhost: only clients on the same machine reach it.
bool is_loopback(std::string_view host);
// 0.0.0.0 and ::, which mean every address to a listener and nothing to a client that connects.
bool is_every_address(std::string_view host);

}  // namespace posthaste::net
