#include "reactor/simulated/names.h"

#include <algorithm>

namespace posthaste::reactor::simulated {

Names::Answer Names::look_up(std::string_view name) const {
  const bool is_ip =
      !name.empty() && std::ranges::all_of(name, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  if (is_ip || name.find(':') != std::string_view::npos) return {.ips = std::vector{std::string(name)}, .asked = false};
  if (name == "localhost") return {.ips = std::vector<std::string>{"127.0.0.1"}, .asked = false};
  if (name.empty()) return {.ips = failure(Errc::kNotFound), .asked = false};
  const auto found = entries_.find(name);
  if (found == entries_.end()) return {.ips = failure(Errc::kNotFound)};
  return {.ips = found->second.ips, .silent = found->second.silent};
}

}  // namespace posthaste::reactor::simulated
