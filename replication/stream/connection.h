// A connection between two brokers: messages out, messages in, and an end to it when the peer is silent for too long.
// One coroutine sends and one receives at a time; all on one core. It does not know what a message asks for.
//
// Bounded: what comes in lies in memory of the core's pools: a small buffer for as long as the connection lasts, and
// one for a frame that is larger, from when its length is known until the next message is asked for. Without room the
// connection waits, and hears nothing meanwhile.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/sync.h"
#include "replication/stream/messages.h"
#include "replication/stream/shared.h"

namespace posthaste::replication::stream {

// Before OPEN has said who it is, a peer is given memory for so much.
inline constexpr size_t kOpenBytesMax = 4096;

class StreamConnection {
 public:
  StreamConnection(StreamShared& shared, reactor::Socket socket);
  StreamConnection(const StreamConnection&) = delete;
  StreamConnection& operator=(const StreamConnection&) = delete;

  // OPEN has been said by both: `version` holds from now on, and frames may be as long as batches are.
  void opened(int16_t version);
  bool is_open() const { return version_.has_value(); }
  int16_t version() const { return version_.value_or(0); }

  // All frames, one behind the other, in as few sends as may be. They stay untouched until it returns.
  reactor::Task<reactor::Result<void>> send(std::span<const Frame> frames);
  // The next message; its views are good until the next call. Fails: kConnectionClosed, errors of decode_message(),
  // kLimit (a frame that is too long, or larger than all memory for frames), kNoMemory (none for the connection).
  reactor::Task<reactor::Result<Message>> receive();
  // Ends what both ends wait for on it. It must still be closed.
  reactor::Task<void> cut();
  // Once, as the last call, when nothing else runs on it.
  reactor::Task<void> close();

 private:
  reactor::Task<void> watch_silence();
  reactor::Task<reactor::Result<void>> receive_small(size_t bytes);
  reactor::Task<reactor::Result<void>> receive_large(size_t bytes);
  reactor::Task<reactor::Result<size_t>> receive_into(std::span<std::byte> room);

  StreamShared& shared_;
  reactor::Core& core_;
  reactor::Socket socket_;
  std::optional<int16_t> version_;
  reactor::Buffer input_;  // what was received and not yet handed out lies from begin_ to end_
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t handed_out_ = 0;  // bytes at `begin_` that the caller has
  reactor::Buffer large_;  // a frame that has no place in `input_`, until the caller is done with it
  bool is_listening_ = false;
  reactor::Instant heard_at_;
  reactor::Event over_;
  bool is_cut_ = false;
  reactor::TaskScope watcher_;
};

}  // namespace posthaste::replication::stream
