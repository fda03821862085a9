// One client's connection on the core that serves it. Reads frames, reserves a frame's memory before its body is read,
// starts requests in order, sends answers in order. It does not know what a request means (RequestHandler) nor how the
// connection got here (listener.h).
//
// Bounds, and what happens at each: a frame above frame_bytes_max, or one that stalls: the connection ends. Requests in
// flight and memory of this core's requests: reading stops until there is room. An answer that the peer does not take
// within send_timeout: the connection ends, so that the records it pins are let go.
#pragma once
#include <string>

#include "net/request.h"
#include "reactor/file.h"
#include "reactor/recycled.h"
#include "reactor/scope.h"

namespace posthaste::net {

// Limits of one core's connections. Each has Kafka's key and default where Kafka has one.
struct ConnectionLimits {
  size_t frame_bytes_max = size_t{100} << 20;                 // socket.request.max.bytes
  uint64_t request_memory_bytes = size_t{16} << 20;           // of this core's pool, for frames not yet answered
  reactor::Duration idle_timeout = std::chrono::minutes(10);  // connections.max.idle.ms
  // Answers not yet sent; librdkafka and Java send 5 at most by default, a deep pipeline gains nothing beyond some
  // dozens.
  uint32_t requests_in_flight_max = 64;
  // A frame's body must arrive within this plus the time it takes at body_bytes_per_second_min.
  reactor::Duration body_timeout = std::chrono::seconds(30);
  uint64_t body_bytes_per_second_min = uint64_t{64} << 10;
  // As Linux' TCP_USER_TIMEOUT would be set (WS D): a dead consumer must not pin records for longer.
  reactor::Duration send_timeout = std::chrono::seconds(30);
};

// What the connections of one core share.
struct ConnectionShared {
  ConnectionShared(reactor::Core& on, RequestHandler& by, const ConnectionLimits& with)
      : core(on), handler(by), limits(with), memory(on, with.request_memory_bytes) {}
  reactor::Core& core;
  RequestHandler& handler;
  ConnectionLimits limits;
  reactor::Semaphore memory;
  NetStats stats;
};

class Connection : public reactor::ListNode<> {
 public:
  Connection(ConnectionShared& shared, reactor::Socket socket, ListenerId listener, std::string peer_address);

  // Serves until either side ends; then the socket is closed and nothing of this connection runs any more.
  reactor::Task<void> run();
  // Takes no more requests, lets those in flight answer, ends.
  void drain();
  const ConnectionContext& context() const { return context_; }
  CloseReason reason() const { return reason_; }

 private:
  struct Slot {
    Response response;
    bool ready = false;
  };
  struct Alarm : reactor::Timer {
    using Timer::Timer;
    Connection* connection = nullptr;
  };
  class Input;

  reactor::Task<CloseReason> read_frames();
  reactor::Task<std::optional<CloseReason>> read_length(Input& input, size_t& length);
  reactor::Task<std::optional<CloseReason>> read_body(Input& input, size_t length, FrameMemory& memory);
  reactor::Task<std::optional<CloseReason>> receive_more(Input& input);
  reactor::Task<std::optional<CloseReason>> start(FrameMemory memory);
  reactor::Task<void> serve(Request request, uint64_t sequence);
  reactor::Task<void> send_ready();
  reactor::Task<bool> send_front(reactor::RecycledVector<reactor::Slice>& slices);
  reactor::Task<void> shut_down();
  void answered(uint64_t sequence, Response response, bool is_pipelined);
  void begin_close(CloseReason reason);
  void idle_alarm();
  void end_if_drained();

  ConnectionShared& shared_;
  reactor::Core& core_;
  reactor::Socket socket_;
  ConnectionContext context_;
  reactor::TaskScope scope_;
  reactor::Event changed_;              // an answer is ready, a slot is free, or the end has begun
  reactor::RecycledDeque<Slot> slots_;  // requests started and not yet answered on the wire, oldest first
  uint64_t first_sequence_ = 0;         // of slots_.front()
  uint32_t unanswered_barriers_ = 0;
  bool sending_ = false;
  bool draining_ = false;
  bool closing_ = false;
  CloseReason reason_ = CloseReason::kPeerClosed;
  reactor::Instant last_activity_;
  Alarm idle_alarm_;
  Alarm stall_alarm_;  // of the body being received
  Alarm send_alarm_;
};

}  // namespace posthaste::net
