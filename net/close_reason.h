// Why a connection ended. Every end has exactly one reason, and every reason is counted: a client that is
// disconnected for bad bytes must be visible as such. It decides nothing; connection.cc and the request handlers do.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace posthaste::net {

enum class CloseReason : uint8_t {
  kPeerClosed,                     // orderly end from the other side
  kNetworkError,                   // reset, broken pipe and the like
  kIdle,                           // nothing in or out for connections.max.idle.ms
  kStopping,                       // we are shutting down
  kFrameLengthInvalid,             // negative, or too short for a request header
  kFrameTooLarge,                  // above socket.request.max.bytes, or above what memory can ever hold
  kHeaderCorrupt,                  // the request header does not parse
  kUnknownApi,                     // an API that is not served
  kUnsupportedVersion,             // a version that is not advertised (ApiVersions itself is answered instead)
  kBodyCorrupt,                    // the request body does not parse, or breaks a rule that has no answer
  kSlowSender,                     // a frame was begun and not finished in time
  kSlowReader,                     // a response could not be sent in time
  kTooManyConnections,             // above max.connections
  kTooManyConnectionsFromAddress,  // above max.connections.per.ip
  kRefusedProduce,                 // a Produce with acks=0 failed: closing is the only way to tell
};
inline constexpr size_t kCloseReasons = 15;

// A name for counters and log lines: "idle", "frame_too_large".
std::string_view to_string(CloseReason reason) noexcept;

// True for the ordinary end of a connection. The other reasons show a fault of a client, or too much load.
bool is_ordinary(CloseReason reason) noexcept;

// Counters of one core's connections; read by that core only.
struct NetStats {
  uint64_t accepted = 0;
  uint64_t open = 0;
  uint64_t requests = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  uint64_t waited_for_memory = 0;  // frames whose body had to wait for room
  std::array<uint64_t, kCloseReasons> closed{};

  uint64_t closed_for(CloseReason reason) const { return closed[static_cast<size_t>(reason)]; }
  // Connections that were refused or ended by this broker, for any reason.
  uint64_t cut_off() const;
  // All counters that are not zero as "key=value ..." for the log; the reasons as "closed_REASON=count".
  std::string describe() const;
};

}  // namespace posthaste::net
