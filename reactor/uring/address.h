// "ip:port" texts and the kernel's socket addresses. Numbers only: no host names, no resolver.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <string_view>

#include "reactor/result.h"

namespace posthaste::reactor::uring {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family() const { return storage.ss_family; }
};

// "127.0.0.1:9092", "[::1]:9092". kInvalidArgument if it is neither.
Result<Address> parse_address(std::string_view text);
// The inverse; empty for a family that is not IP.
std::string format_address(const Address& address);
// The same without port and brackets: "127.0.0.1", "::1".
std::string format_ip(const Address& address);
// An ip as format_ip() writes it, from any way to write one; empty if `text` is none.
std::string canonical_ip(const std::string& text);

}  // namespace posthaste::reactor::uring
