#include "net/close_reason.h"

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

}  // namespace posthaste::net
