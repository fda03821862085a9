#include "config/connection_limits.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <expected>

#include "config/broker_key_table.h"

namespace posthaste::config {
namespace {

constexpr std::string_view kTotal = broker_key_table::used<"max.connections">().name;
constexpr std::string_view kPerAddress = broker_key_table::used<"max.connections.per.ip">().name;
constexpr std::string_view kOverrides = broker_key_table::used<"max.connections.per.ip.overrides">().name;

using Overrides = std::map<std::string, uint32_t, std::less<>>;

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::optional<uint32_t> count_of(std::string_view text) {
  int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return static_cast<uint32_t>(value);
}

// The address in the form that the backend uses for peers; nothing if it is no address. (These two calls only compute:
// no name is looked up.)
std::optional<std::string> canonical_address(std::string_view text) {
  const std::string terminated(text);
  for (const int family : {AF_INET, AF_INET6}) {
    in6_addr binary{};  // has room for either
    std::array<char, INET6_ADDRSTRLEN> written{};
    if (::inet_pton(family, terminated.c_str(), &binary) != 1) continue;
    ::inet_ntop(family, &binary, written.data(), written.size());
    return std::string(written.data());
  }
  return std::nullopt;
}

// "address:count,address:count". The last colon parts, for an IPv6 address has more of them.
std::expected<Overrides, std::string> parse_overrides(std::string_view list) {
  Overrides overrides;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view element = trimmed(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (element.empty()) continue;
    const size_t colon = element.rfind(':');
    const auto count = colon == std::string_view::npos ? std::nullopt : count_of(trimmed(element.substr(colon + 1)));
    if (!count) return std::unexpected(fmt::format("'{}' is not of the form ADDRESS:COUNT", element));
    const std::string_view host = trimmed(element.substr(0, colon));
    const auto address = canonical_address(host);
    if (!address) {
      return std::unexpected(fmt::format("'{}' is no IP address, and host names are not looked up", host));
    }
    overrides.insert_or_assign(*address, *count);
  }
  return overrides;
}

std::string_view text_of(const ConfigMap& broker, std::string_view key) {
  const auto found = broker.find(key);
  return found == broker.end() ? std::string_view() : std::string_view(found->second);
}

uint32_t limit_of(const ConfigMap& broker, std::string_view key) {
  return count_of(text_of(broker, key)).value_or(INT32_MAX);
}

}  // namespace

bool is_connection_limit(std::string_view broker_key) {
  return broker_key == kTotal || broker_key == kPerAddress || broker_key == kOverrides;
}

std::optional<std::string> connection_limit_problem(std::string_view broker_key, std::string_view value) {
  if (broker_key == kOverrides) {
    const auto overrides = parse_overrides(value);
    if (overrides) return std::nullopt;
    return fmt::format("Invalid value {} for {}: {}", value, broker_key, overrides.error());
  }
  if (count_of(value)) return std::nullopt;
  return fmt::format("Invalid value {} for {}: must be an integer from 0 to {}", value, broker_key, INT32_MAX);
}

// As in Kafka: no client could connect, so no client could undo it.
std::optional<std::string> connection_limit_conflict(const ConfigMap& broker) {
  const auto overrides = parse_overrides(text_of(broker, kOverrides));
  if (limit_of(broker, kPerAddress) > 0 || (overrides && !overrides->empty())) return std::nullopt;
  return fmt::format("{} can be 0 only if {} names an address that may connect", kPerAddress, kOverrides);
}

net::AcceptLimits accept_limits(const ConfigMap& broker, uint32_t possible) {
  net::AcceptLimits limits;
  limits.connections_max = std::min(limit_of(broker, kTotal), possible);
  limits.connections_per_address_max = limit_of(broker, kPerAddress);
  limits.per_address_overrides = parse_overrides(text_of(broker, kOverrides)).value_or(Overrides{});
  return limits;
}

}  // namespace posthaste::config
