// How messages get to the other members, as the driver sees it. Whoever builds the connections implements Transport and
// gives what arrives to Driver::received; the driver knows no address and no wire format.
#pragma once
#include "replication/quorum/messages.h"
#include "storage/bytes/bytes.h"

namespace posthaste::replication::quorum {

// A message and the bytes that it speaks of, which stand in place of a FetchResponse's `batches` (whole record batches,
// one behind the other) and of a FetchSnapshotResponse's `body`. Of all others the payload is empty.
struct PeerMessage {
  Message message;
  storage::Bytes payload;
};

// A payload has at most this much, or one whole batch if that is larger: some round trips fill a follower's log, and
// one answer holds up neither the core that makes or takes it nor a connection for long.
inline constexpr uint32_t kPayloadBytesMax = uint32_t{256} << 10;

class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  // Takes the message over and returns at once. It may come late, twice, after later ones, or never: the quorum asks
  // again. So what a connection cannot take is thrown away, not kept without bound. Must not call the driver.
  virtual void send(NodeId to, PeerMessage message) = 0;
};

// Of a member that is alone: there is nobody whom anything could reach.
class NoPeers final : public Transport {
 public:
  void send(NodeId /*to*/, PeerMessage /*message*/) override {}
};

}  // namespace posthaste::replication::quorum
