// Where the quorum's requests of other members wait for this member's answers. The quorum says its answers when it
// likes and to whom; on Kafka's wire each is the answer to one request. Requests are checked (quorum_wire.h), given to
// the member, and answered when it has said what fits. It reads no socket. One core.
#pragma once
#include <optional>

#include "net/request.h"
#include "reactor/sync.h"
#include "replication/peers/quorum_wire.h"
#include "replication/quorum/transport.h"

namespace posthaste::replication::peers {

// The member of the quorum that is here. Called on its core; it may send at once.
class QuorumMember {
 public:
  virtual void received(quorum::NodeId from, quorum::PeerMessage message) = 0;
  // As the quorum's ConnectionLost.
  virtual void connection_lost(quorum::NodeId peer, bool is_refused) = 0;

 protected:
  ~QuorumMember() = default;
};

// Requests that wait for the member. A member asks one of each kind at a time; this is for many observers.
inline constexpr size_t kQuorumRequestsMax = 1000;
// Records in answers that are not sent yet: full answers to all voters and to some observers that have just come back.
// Beyond it an answer with records is an error, and the member asks again.
inline constexpr size_t kQuorumRecordBytesMax = size_t{32} << 20;

struct QuorumDeskStats {
  uint64_t requests = 0;
  uint64_t refused = 0;    // malformed, or of another cluster
  uint64_t abandoned = 0;  // superseded, or the member said nothing in time
  uint64_t unasked = 0;    // answers that nobody waited for any more
  uint64_t crowded = 0;    // answers whose records had no room
};

class QuorumDesk : private reactor::CoreOwned {
 public:
  // `patience`: how long a request waits for the member; more than a fetch without news does. `us` and `member`
  // outlive it.
  QuorumDesk(reactor::Core& core, const QuorumIdentity& us, QuorumMember& member, reactor::Duration patience);
  QuorumDesk(const QuorumDesk&) = delete;
  QuorumDesk& operator=(const QuorumDesk&) = delete;

  // The answer to a request of one of the quorum's APIs, as net::RequestHandler wants it; while it waits it holds no
  // frame. One that does not parse, or is of another version than the handshake has settled, ends its connection. A
  // second request of the same kind by the same member ends the wait of the first, and what the member does not answer
  // in time is answered with REQUEST_TIMED_OUT: so nothing holds up a connection for long. The desk outlives the task
  // and its answer.
  reactor::Task<net::Response> serve(net::ConnectionContext& context, net::Request& request);
  // What this member answers: to the request of `to` that it fits, or to nobody.
  void answer(quorum::NodeId to, const quorum::Message& message, storage::Bytes payload);
  // Nothing waits any more, and nothing else is taken.
  void close();

  size_t waiting() const { return waiting_.count(); }
  // True while records of answers that their readers have not taken leave little room for others.
  bool is_pressed() const { return record_bytes_ > kQuorumRecordBytesMax / 2; }
  const QuorumDeskStats& stats() const { return stats_; }

 private:
  // The records of an answer, until it is sent.
  class Records;
  struct Waiting : reactor::ListNode<> {
    Waiting(reactor::Core& core, quorum::NodeId from, const quorum::Message& message, int32_t id)
        : sender(from), asked(message), correlation_id(id), over(core), watcher(*this) {}
    // The end of the connection ends the wait.
    struct Watcher : net::CloseWatcher {
      explicit Watcher(Waiting& of) : waiting(of) {
        on_close = [](net::CloseWatcher& self) { static_cast<Watcher&>(self).waiting.over.set(); };
      }
      Waiting& waiting;
    };
    quorum::NodeId sender;
    quorum::Message asked;
    int32_t correlation_id;
    reactor::Event over;
    std::optional<net::Response> reply;
    Watcher watcher;
  };

  template <class Wire>
  reactor::Task<net::Response> serve_as(net::ConnectionContext& context, net::Request& request);
  template <class Wire, class Asked>
  reactor::Task<net::Response> wait_answer(net::ConnectionContext& context, net::Request& request, Asked asked);
  template <class Answer>
  void give(quorum::NodeId to, const Answer& answer, storage::Bytes payload);
  template <class Answer>
  net::Response reply_to(const Waiting& waiting, const Answer& answer, storage::Bytes payload);
  void supersede(quorum::NodeId sender, size_t kind);

  reactor::Core& core_;
  const QuorumIdentity& us_;
  QuorumMember& member_;
  const reactor::Duration patience_;
  reactor::IntrusiveList<Waiting> waiting_;
  size_t record_bytes_ = 0;
  bool is_closed_ = false;
  QuorumDeskStats stats_;
};

}  // namespace posthaste::replication::peers
