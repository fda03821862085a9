// A connection between two brokers: messages out, messages in, and an end to it when the peer is silent for too long.
// One coroutine sends and one receives at a time; all on one core. It does not know what a message asks for.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/sync.h"
#include "replication/stream/messages.h"

namespace posthaste::replication::stream {

struct StreamTimes {
  reactor::Duration ping_every = std::chrono::milliseconds(500);
  // Several pings: a peer that is silent for so long is taken for gone, and its logs are followed elsewhere.
  reactor::Duration silence_max = std::chrono::seconds(2);
  reactor::Duration retry_after = std::chrono::milliseconds(100);  // of a refused connection or subscription
};

// Before OPEN has said who it is, a peer is given memory for so much.
inline constexpr size_t kOpenBytesMax = 4096;

class StreamConnection {
 public:
  StreamConnection(reactor::Core& core, reactor::Socket socket, reactor::Duration silence_max);
  StreamConnection(const StreamConnection&) = delete;
  StreamConnection& operator=(const StreamConnection&) = delete;

  // OPEN has been said by both: `version` holds from now on, and frames may be as long as batches are.
  void opened(int16_t version);
  bool is_open() const { return version_.has_value(); }
  int16_t version() const { return version_.value_or(0); }

  // All frames, one behind the other, in as few sends as may be. They stay untouched until it returns.
  reactor::Task<reactor::Result<void>> send(std::span<const Frame> frames);
  // The next message; its views are good until the next call. Fails: kConnectionClosed, errors of decode_message(),
  // kLimit (a frame that is too long).
  reactor::Task<reactor::Result<Message>> receive();
  // Ends what both ends wait for on it. It must still be closed.
  reactor::Task<void> cut();
  // Once, as the last call, when nothing else runs on it.
  reactor::Task<void> close();

 private:
  reactor::Task<void> watch_silence();
  void make_room(size_t bytes);

  reactor::Core& core_;
  reactor::Socket socket_;
  reactor::Duration silence_max_;
  std::optional<int16_t> version_;
  std::vector<std::byte> input_;
  size_t begin_ = 0;  // of what was received and not yet handed out
  size_t end_ = 0;
  size_t handed_out_ = 0;  // bytes at `begin_` that the caller has
  reactor::Instant heard_at_;
  reactor::Event over_;
  bool is_cut_ = false;
  reactor::TaskScope watcher_;
};

}  // namespace posthaste::replication::stream
