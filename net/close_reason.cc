#include "net/close_reason.h"

#include <fmt/format.h>

namespace posthaste::net {

std::string_view to_string(CloseReason reason) noexcept {
  switch (reason) {
    case CloseReason::kPeerClosed:
      return "peer_closed";
    case CloseReason::kNetworkError:
      return "network_error";
    case CloseReason::kIdle:
      return "idle";
    case CloseReason::kStopping:
      return "stopping";
    case CloseReason::kFrameLengthInvalid:
      return "frame_length_invalid";
    case CloseReason::kFrameTooLarge:
      return "frame_too_large";
    case CloseReason::kHeaderCorrupt:
      return "header_corrupt";
    case CloseReason::kUnknownApi:
      return "unknown_api";
    case CloseReason::kUnsupportedVersion:
      return "unsupported_version";
    case CloseReason::kBodyCorrupt:
      return "body_corrupt";
    case CloseReason::kSlowSender:
      return "slow_sender";
    case CloseReason::kSlowReader:
      return "slow_reader";
    case CloseReason::kTooManyConnections:
      return "too_many_connections";
    case CloseReason::kTooManyConnectionsFromAddress:
      return "too_many_connections_from_address";
    case CloseReason::kRefusedProduce:
      return "refused_produce";
  }
  return "unknown";
}

bool is_ordinary(CloseReason reason) noexcept {
  return reason == CloseReason::kPeerClosed || reason == CloseReason::kIdle || reason == CloseReason::kStopping;
}

uint64_t NetStats::cut_off() const {
  uint64_t count = 0;
  for (size_t i = 0; i < kCloseReasons; ++i) {
    if (!is_ordinary(static_cast<CloseReason>(i))) count += closed[i];
  }
  return count;
}

std::string NetStats::describe() const {
  std::string text = fmt::format("accepted={} open={}", accepted, open);
  const auto add = [&text](std::string_view prefix, std::string_view name, uint64_t count) {
    if (count > 0) text += fmt::format(" {}{}={}", prefix, name, count);
  };
  add("", "requests", requests);
  add("", "bytes_in", bytes_in);
  add("", "bytes_out", bytes_out);
  add("", "waited_for_memory", waited_for_memory);
  for (size_t i = 0; i < kCloseReasons; ++i) add("closed_", to_string(static_cast<CloseReason>(i)), closed[i]);
  return text;
}

}  // namespace posthaste::net
