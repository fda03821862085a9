// What passes between a connection and the handler of its requests. net/ knows framing and order; the meaning of a
// request is the handler's. The order of requests of one connection is a column of net/kafka/api_table.h: a Produce may
// start while earlier Produce and Fetch requests are unanswered; any other waits until all earlier answers are sent.
#pragma once
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>

#include "net/close_reason.h"
#include "net/kafka/frame.h"
#include "net/planted_bugs.h"
#include "reactor/buffer.h"
#include "reactor/recycled.h"
#include "reactor/sync.h"
#include "reactor/task.h"

namespace posthaste::net {

// Index into the server's list of listeners. Answers that name brokers give the address for the listener that received
// the request.
using ListenerId = uint16_t;

// Notified once when the connection will not take (or need) an answer any more: it ended, or the server is stopping. A
// long poll or a waiting join then answers at once with what it has. The object that uses it owns it; it leaves the
// list when destroyed.
struct CloseWatcher : reactor::ListNode<> {
  void (*on_close)(CloseWatcher&) = nullptr;
};

// The client that sent a request. One per connection, on the connection's core.
class ConnectionContext {
 public:
  std::string principal = "User:ANONYMOUS";
  std::string client_address;  // without the port
  std::string local_address;   // of this broker, as this client reached it; without the port
  ListenerId listener = 0;

  // True once the watchers have been notified.
  bool closing() const { return closing_; }
  void watch(CloseWatcher& watcher) { watchers_.push_back(watcher); }

 private:
  friend class Connection;
  void tell_watchers() {
    closing_ = true;
    while (!watchers_.empty()) {
      CloseWatcher& watcher = watchers_.pop_front();
      watcher.on_close(watcher);
    }
  }
  bool closing_ = false;
  reactor::IntrusiveList<CloseWatcher> watchers_;
};

// The memory of one frame: a buffer of one of the core's pools for requests, or the connection's place for a tiny
// frame. Given back on destruction, on its core.
class FrameMemory {
 public:
  // A place for one tiny frame; outlives it.
  template <size_t kBytes>
  struct Inline {
    bool taken = false;
    std::array<std::byte, kBytes> bytes{};
  };

  FrameMemory() = default;
  explicit FrameMemory(reactor::Buffer buffer) : buffer_(std::move(buffer)) {}
  template <size_t kBytes>
  FrameMemory(Inline<kBytes>& place, size_t size)
      : inline_taken_(&place.taken), inline_bytes_(std::span(place.bytes).first(size)) {
    place.taken = true;
  }
  FrameMemory(FrameMemory&& other) noexcept
      : buffer_(std::move(other.buffer_)),
        inline_taken_(std::exchange(other.inline_taken_, nullptr)),
        inline_bytes_(other.inline_bytes_) {}
  FrameMemory& operator=(FrameMemory&& other) noexcept {
    if (this != &other) {
      release();
      buffer_ = std::move(other.buffer_);
      inline_taken_ = std::exchange(other.inline_taken_, nullptr);
      inline_bytes_ = other.inline_bytes_;
    }
    return *this;
  }
  ~FrameMemory() { release(); }
  std::span<std::byte> bytes() const { return inline_taken_ != nullptr ? inline_bytes_ : buffer_.bytes(); }
  // Stored in its connection, so that nothing else waits for it.
  bool is_inline() const { return inline_taken_ != nullptr; }
  void release() {
    if (inline_taken_ != nullptr) *std::exchange(inline_taken_, nullptr) = false;
    if (buffer_ && reactor::planted(kBugs["memory-not-returned"])) new reactor::Buffer(std::move(buffer_));
    buffer_.release();
  }

 private:
  reactor::Buffer buffer_;
  bool* inline_taken_ = nullptr;
  std::span<std::byte> inline_bytes_;
};

// One request, alive until its answer is complete. `header` and `body` are views of `memory`, until release().
struct Request {
  kafka::RequestHeader header;
  // kKnown with an advertised version, or ApiVersions of any version. Nothing else reaches a handler.
  kafka::RequestSupport support = kafka::RequestSupport::kKnown;
  kafka::Bytes body;
  FrameMemory memory;
  reactor::Instant received;

  // Gives the frame back before the answer is made. Call it before waiting for other clients or for time: copy what is
  // needed out of the frame first, and do not use anything decoded as a view of it afterwards. What stays of the
  // request: api, version, correlation id, time.
  void release() {
    if (reactor::planted(kBugs["frame-kept-waiting"])) return;
    header.client_id.reset();
    body = {};
    // So that a use of the frame after this is found; the simulator does the same to the pools' memory.
    if (memory.is_inline()) std::ranges::fill(memory.bytes(), std::byte{0xdb});
    memory.release();
  }
};

// Keeps bytes that a response refers to (leases on records, encoded strings) until they are sent. Destroyed on the
// connection's core.
class ResponseHold : public reactor::Recycled {
 public:
  ResponseHold() = default;
  ResponseHold(const ResponseHold&) = delete;
  ResponseHold& operator=(const ResponseHold&) = delete;
  virtual ~ResponseHold() = default;
};

struct Response {
  kafka::Frame frame;  // empty: nothing is sent, the request is done (acks=0)
  std::unique_ptr<ResponseHold> hold;
  std::optional<CloseReason> close;  // end the connection after this answer

  static Response none() { return {}; }
  static Response closing(CloseReason reason) { return {.frame = {}, .hold = nullptr, .close = reason}; }
};

// Implemented by the broker, one per core.
class RequestHandler {
 public:
  // Answers one request. Requests of a connection are started in the order they arrived, and each runs up to its first
  // suspension before the next one starts: what must keep that order (the append of a Produce) has to be under way by
  // then. `context` and `request` live until the task is done. Must answer soon after context.closing().
  // While it waits for other clients or for time (not for a disk) it holds no frame: request.release().
  virtual reactor::Task<Response> handle(ConnectionContext& context, Request& request) = 0;

  // True while a request of this core waits for memory that only sending other answers frees: peers that do not read
  // are then disconnected sooner.
  virtual bool waits_for_readers() const { return false; }

 protected:
  ~RequestHandler() = default;
};

}  // namespace posthaste::net
