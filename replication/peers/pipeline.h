// Requests and answers on one connection to a broker, from its beginning to its end: requests go out without waiting
// for earlier answers, answers come in the order of the requests, and whoever asks hears exactly once of an answer, of
// none in time, or of the end. Everything is bounded, and nothing is repeated. It does not connect (peer_connection.h)
// and does not know what a request asks for. All on one core.
#pragma once
#include <expected>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "net/kafka/frame.h"
#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/sync.h"

namespace posthaste::replication::peers {

// Why a request has no answer.
enum class NoAnswer : uint8_t {
  kNotConnected,  // nothing was sent
  kFull,          // as much is under way as may be; nothing was sent
  kTimedOut,      // whether the peer does it is not known; an answer that still comes is thrown away
  kLost,          // the connection ended first; whether the peer has done it is not known
  kMalformed,     // the answer does not parse
};

// Why there is no connection.
enum class LossKind : uint8_t {
  kUnknownName,   // no name server knows the host, or none answers
  kRefused,       // the machine is there and nobody listens: the process is gone
  kUnreachable,   // nothing answers the attempt
  kUnsupported,   // the peer lacks an API, or the version of it, that is needed
  kOtherCluster,  // the peer is of another cluster
  kClosed,        // by the peer, or broken on the way
  kSilent,        // the peer has owed an answer for too long
  kMalformed,     // what the peer says is not the protocol
};
std::string_view to_string(LossKind kind) noexcept;

struct Loss {
  LossKind kind = LossKind::kClosed;
  std::string detail;  // for the log: one sentence in English, or empty
};

struct PipelineLimits {
  // Requests without an answer. Those of one core to one peer are few and small.
  size_t requests_max = 64;
  // Frames that have not left yet: what a peer that does not read can hold here.
  size_t unsent_bytes_max = size_t{1} << 20;
  // One answer. Whoever may get a larger one asks for less.
  size_t answer_bytes_max = size_t{8} << 20;
  // A peer that owes an answer, and for so long sends neither a whole one nor a large part of one, is taken for gone.
  // Above the time-outs of requests that do not wait for long, so that one slow answer does not cost the others theirs.
  reactor::Duration silence_max = std::chrono::seconds(4);
};

class Pipeline : private reactor::CoreOwned {
 public:
  using Answer = std::expected<std::vector<std::byte>, NoAnswer>;

  Pipeline(reactor::Core& core, reactor::Socket socket, const PipelineLimits& limits);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  ~Pipeline();

  // Once, before anything else.
  void start();
  int32_t next_correlation_id() { return next_correlation_id_++; }
  // Sends `frame`, whose header has that id and which refers to no memory of others, when the task starts; then waits
  // for the answer, without its length prefix. Nothing of the pipeline is touched any more once it has been waited for:
  // it may be gone by then.
  reactor::Task<Answer> exchange(net::kafka::Frame frame, int32_t correlation_id, reactor::Instant deadline);

  // The connection is over: all who wait for an answer have kLost. The first reason counts.
  void end(Loss why);
  bool has_ended() const { return loss_.has_value(); }
  reactor::Task<Loss> wait_end();
  // Once, as the last call, after the end.
  reactor::Task<void> close();

  // Requests without an answer, those included that nobody waits for any more.
  size_t requests() const { return unsent_.size() + unanswered_.size(); }
  size_t unsent_bytes() const { return unsent_bytes_; }
  bool has_room() const { return requests() < limits_.requests_max; }

 private:
  struct Asked;
  // Who waits for an answer; in the frame of exchange().
  struct Waiter {
    explicit Waiter(reactor::Core& core) : done(core) {}
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter();
    reactor::Event done;
    Asked* asked = nullptr;  // null once it has its answer
    Answer answer = std::unexpected(NoAnswer::kLost);
  };
  // A request that the peer owes an answer.
  struct Asked {
    Asked(int32_t id, net::kafka::Frame bytes, reactor::Instant at, Waiter& by);
    Asked(const Asked&) = delete;
    Asked& operator=(const Asked&) = delete;
    ~Asked();
    void complete(Answer answer);
    int32_t correlation_id;
    net::kafka::Frame frame;  // empty once it is being sent
    reactor::Instant asked_at;
    Waiter* waiter;  // null: it has waited long enough
  };
  using AskedList = std::list<Asked, reactor::Recycling<Asked>>;
  struct SilenceTimer : reactor::Timer {
    SilenceTimer(reactor::Core& core, Pipeline& of) : Timer(core), pipeline(of) {}
    Pipeline& pipeline;
  };

  reactor::Task<void> receive_loop();
  reactor::Task<std::optional<Loss>> receive_answer();
  reactor::Task<std::optional<Loss>> receive(std::span<std::byte> into);
  std::optional<Loss> refuse(uint32_t length, int32_t correlation_id) const;
  reactor::Task<void> send_loop();
  void withdraw(const Asked& asked);
  void showed_life();
  void watch_silence();
  void silence_due();

  reactor::Core& core_;
  reactor::Socket socket_;
  const PipelineLimits limits_;
  reactor::TaskScope scope_;
  reactor::Event ended_;
  SilenceTimer silence_;
  reactor::Instant alive_at_;  // the last whole answer, or large part of one
  size_t bytes_since_life_ = 0;
  int32_t next_correlation_id_ = 1;
  AskedList unsent_;
  AskedList unanswered_;  // being sent, or sent
  size_t unsent_bytes_ = 0;
  bool is_sending_ = false;
  std::optional<Loss> loss_;
};

}  // namespace posthaste::replication::peers
