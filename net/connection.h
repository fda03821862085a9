// One client's connection on the core that serves it. Reads frames, reserves a frame's memory before its body is read,
// starts requests in order, sends answers in order. It does not know what a request means (RequestHandler) or how the
// connection came to this core (listener.h).
//
// Bounds, and what happens at each: a frame above frame_bytes_max, or one that stalls: the connection ends. Requests in
// flight, memory of this core's requests and of their answers: the connection waits until there is room. An answer that
// the peer does not take in time: the connection ends, and the memory that it holds is freed. A slow peer has a long
// time limit while nobody needs the memory that it holds, and a short one when another connection waits for it.
//
// A frame is received when its request can start, not before: first only the beginning of a frame is read, to see
// what it is. Then the frame waits for its turn on this connection, for room for its answer, and last for its own
// memory. So a request that waits for others holds no frame; handlers keep the same rule (request.h).
#pragma once
#include <string>

#include "net/answer_memory.h"
#include "net/request.h"
#include "reactor/file.h"
#include "reactor/recycled.h"
#include "reactor/scope.h"
#include "reactor/sync.h"

namespace posthaste::net {

// Limits of one core's connections. Each has Kafka's key and default where Kafka has one.
struct ConnectionLimits {
  size_t frame_bytes_max = size_t{100} << 20;  // socket.request.max.bytes
  // For frames not yet answered, in two pools so that long-lived memory never blocks the rest: frames up to
  // kSmallFrameBytesMax, and those above it. So clients that send little do not wait for those that send much.
  uint64_t small_request_memory_bytes = size_t{1} << 20;
  uint64_t request_memory_bytes = size_t{16} << 20;  // queued.max.request.bytes
  // For the bytes of answers that are not yet sent, records not counted (answer_memory.h).
  uint64_t answer_memory_bytes = size_t{8} << 20;
  reactor::Duration idle_timeout = std::chrono::minutes(10);  // connections.max.idle.ms
  // Answers not yet sent; librdkafka and Java send 5 at most by default; more than some dozens in flight gain
  // nothing.
  uint32_t requests_in_flight_max = 64;
  // How long a frame's body may take to arrive, and an answer to leave.
  struct Patience {
    reactor::Duration grace;  // this, and the time that the bytes take at the rate
    uint64_t bytes_per_second_min;
    reactor::Duration allows(uint64_t bytes) const {
      return grace + std::chrono::milliseconds(bytes * 1000 / bytes_per_second_min);
    }
  };
  // The grace is that of Linux' TCP_USER_TIMEOUT, after which a silent peer counts as dead.
  Patience patience = {std::chrono::seconds(30), uint64_t{64} << 10};
  // While another request waits for memory. A few round trips, and the rate of a modest line.
  Patience pressed_patience = {std::chrono::seconds(2), uint64_t{512} << 10};
};

// The largest frame that comes out of small_request_memory_bytes: most requests of clients that do not batch.
inline constexpr size_t kSmallFrameBytesMax = size_t{64} << 10;
// A frame up to this size is stored in its connection and never waits for memory: heartbeats, commits, fetches of a few
// partitions, single records.
inline constexpr size_t kInlineFrameBytes = 512;

// How many requests that take turns (kafka::Admission::kTakesTurns) and are not tiny a core admits: one runs, the next
// one arrives.
inline constexpr uint64_t kLargeTurnsAtOnce = 2;

// What the connections of one core to listeners of one kind share.
struct ConnectionShared {
  ConnectionShared(reactor::Core& on, RequestHandler& by, const ConnectionLimits& with,
                   const kafka::ServedApis& answers_to)
      : core(on),
        handler(by),
        served(answers_to),
        limits(with),
        small_frames(on, with.small_request_memory_bytes),
        large_frames(on, with.request_memory_bytes),
        answers(on, with.answer_memory_bytes),
        large_turns(on, kLargeTurnsAtOnce) {}

  // The pool for a frame of `length`, or null if it is too large for any.
  reactor::BufferPool* pool_for(size_t length);
  // True while another request waits for memory that a slow body or a slow reader holds.
  bool frames_pressed() const {
    return small_frames.has_waiters() || large_frames.has_waiters() || large_turns.has_waiters() ||
           answers.has_waiters();
  }
  bool answers_pressed() const { return answers.has_waiters() || handler.waits_for_readers(); }

  reactor::Core& core;
  RequestHandler& handler;
  const kafka::ServedApis& served;
  ConnectionLimits limits;
  reactor::BufferPool small_frames;
  reactor::BufferPool large_frames;
  AnswerMemory answers;
  reactor::Semaphore large_turns;
  NetStats stats;
};

class Connection : public reactor::ListNode<> {
 public:
  Connection(ConnectionShared& shared, reactor::Socket socket, ListenerId listener, const std::string& peer_address);

  // Serves until either side ends. Then the socket is closed and no task of this connection runs any more.
  reactor::Task<void> run();
  // Takes no more requests, lets those in flight answer, ends.
  void drain();
  const ConnectionContext& context() const { return context_; }
  CloseReason reason() const { return reason_; }
  // After an end for kUnknownApi or kUnsupportedVersion: what was asked for.
  const std::optional<kafka::RequestHeader>& refused() const { return refused_; }

 private:
  struct Slot {
    Response response;
    AnswerMemory::Share memory;
    bool ready = false;
  };
  struct Alarm : reactor::Timer {
    using Timer::Timer;
    Connection* connection = nullptr;
  };
  // Ends the connection when a transfer takes longer than allowed.
  struct TransferAlarm : Alarm {
    using Alarm::Alarm;
    CloseReason reason{};
    reactor::Instant begin;
    uint64_t bytes = 0;
  };
  // A large request's place among those that take turns.
  class Turn {
   public:
    Turn() = default;
    explicit Turn(reactor::Semaphore& of) : of_(&of) {}
    Turn(Turn&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    Turn& operator=(Turn&& other) noexcept {
      std::swap(of_, other.of_);
      return *this;
    }
    ~Turn() {
      if (of_ != nullptr) of_->release(1);
    }

   private:
    reactor::Semaphore* of_ = nullptr;
  };
  // How a frame begins: its length, and the four bytes that every request has, its api and version.
  struct FrameStart {
    size_t length = 0;
    std::array<std::byte, 4> bytes{};
    const kafka::ApiInfo* info = nullptr;  // null: of no known API; the request is refused when it has arrived
  };
  // What a request takes before it runs, in this order.
  struct Taken {
    Turn turn;
    AnswerMemory::Share answer;
    FrameMemory frame;
  };
  class Input;

  reactor::Task<CloseReason> read_frames();
  reactor::Task<std::optional<CloseReason>> read_start(Input& input, FrameStart& start);
  reactor::Task<std::optional<CloseReason>> read_exactly(Input& input, std::span<std::byte> into);
  reactor::Task<std::optional<CloseReason>> read_body(Input& input, const FrameStart& start, FrameMemory& memory);
  reactor::Task<std::optional<CloseReason>> receive_more(Input& input);
  bool may_start(const kafka::ApiInfo* info) const;
  reactor::Task<std::optional<CloseReason>> wait_until_it_may_start(Input& input, const kafka::ApiInfo* info);
  reactor::Task<std::optional<CloseReason>> reserve(Input& input, const FrameStart& start, Taken& taken);
  reactor::Task<std::optional<CloseReason>> start(Taken taken);
  CloseReason refuse(const kafka::RequestHeader& header, CloseReason reason);
  reactor::Task<void> serve(Request request, const kafka::ApiInfo& info, uint64_t sequence, AnswerMemory::Share memory,
                            Turn turn);
  reactor::Task<void> send_ready();
  reactor::Task<bool> send_front(reactor::RecycledVector<reactor::Slice>& slices);
  reactor::Task<void> shut_down();
  void answered(uint64_t sequence, Response response, AnswerMemory::Share memory, bool was_barrier);
  void begin_close(CloseReason reason);
  void watch_transfer(TransferAlarm& alarm, uint64_t bytes);
  void look_at_transfer(TransferAlarm& alarm);
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
  std::optional<kafka::RequestHeader> refused_;  // without a client id
  reactor::Instant last_activity_;
  Alarm idle_alarm_;
  TransferAlarm body_alarm_;
  TransferAlarm send_alarm_;
  FrameMemory::Inline<kInlineFrameBytes> inline_frame_;
};

}  // namespace posthaste::net
