#include "reactor/uring/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>

namespace posthaste::reactor::uring {

Result<Address> parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return failure(Errc::kInvalidArgument);
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size()) return failure(Errc::kInvalidArgument);

  Address address;
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    const std::string terminated(host.substr(1, host.size() - 2));
    if (::inet_pton(AF_INET6, terminated.c_str(), &v6.sin6_addr) != 1) return failure(Errc::kInvalidArgument);
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.size = sizeof v6;
    return address;
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  const std::string terminated(host);
  if (::inet_pton(AF_INET, terminated.c_str(), &v4.sin_addr) != 1) return failure(Errc::kInvalidArgument);
  std::memcpy(&address.storage, &v4, sizeof v4);
  address.size = sizeof v4;
  return address;
}

std::string format_ip(const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
  } else if (address.family() == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.storage, sizeof v6);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
  }
  return text.data();
}

std::string format_address(const Address& address) {
  const std::string ip = format_ip(address);
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    return fmt::format("{}:{}", ip, ntohs(v4.sin_port));
  }
  if (address.family() == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.storage, sizeof v6);
    return fmt::format("[{}]:{}", ip, ntohs(v6.sin6_port));
  }
  return {};
}

std::string canonical_ip(const std::string& text) {
  for (const std::string& address : {text + ":0", fmt::format("[{}]:0", text)}) {
    if (const Result<Address> parsed = parse_address(address)) return format_ip(*parsed);
  }
  return {};
}

}  // namespace posthaste::reactor::uring
