// Addresses as text: "ip:port" as the backend writes them, and hosts as configurations and answers do. It resolves
// nothing.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace posthaste::net {

// "10.0.0.1:5000" -> "10.0.0.1", "[::1]:5000" -> "::1"; an IPv4 address in IPv6 clothes is taken out of them.
std::string ip_of(const std::string& address);
// The port of "ip:port"; 0 if there is none.
uint16_t port_of(std::string_view address);
// The inverse of both: an IPv6 address gets its brackets.
std::string join_address(std::string_view host, uint16_t port);

// "10.0.0.1" or "::1": no name. It does not look closer than that.
bool is_ip(std::string_view host);
bool is_ipv6(std::string_view host);
// 127.0.0.1, ::1, localhost: reaches only who is on the same machine.
bool is_loopback(std::string_view host);
// 0.0.0.0 and ::, which mean every address to who listens and nothing to who connects.
bool is_every_address(std::string_view host);

}  // namespace posthaste::net
