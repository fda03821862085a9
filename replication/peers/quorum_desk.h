// Where the quorum's requests of other members wait for this member's answers. The quorum says its answers when it
// likes and to whom; on Kafka's wire each is the answer to one request. Requests are checked (quorum_wire.h), given to
// the member, and answered when it has said what fits. It reads no socket. One core.
#pragma once
#include <optional>

#include "net/kafka/frame.h"
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

// An answer's frame, and the records that it refers to.
struct QuorumReply {
  net::kafka::Frame frame;
  storage::Bytes payload;
};

// Requests that wait for the member. A member asks one of each kind at a time; this is for many observers.
inline constexpr size_t kQuorumRequestsMax = 1000;

struct QuorumDeskStats {
  uint64_t requests = 0;
  uint64_t refused = 0;    // malformed, or of another cluster
  uint64_t abandoned = 0;  // superseded, or the member said nothing in time
  uint64_t unasked = 0;    // answers that nobody waited for any more
};

class QuorumDesk : private reactor::CoreOwned {
 public:
  // `patience`: how long a request waits for the member; more than a fetch without news does. `us` and `member`
  // outlive it.
  QuorumDesk(reactor::Core& core, const QuorumIdentity& us, QuorumMember& member, reactor::Duration patience);
  QuorumDesk(const QuorumDesk&) = delete;
  QuorumDesk& operator=(const QuorumDesk&) = delete;

  // The answer to a request of one of the quorum's APIs. Nothing: it does not parse, or is of another version than the
  // handshake has settled; its connection ends. A second request of the same kind by the same member ends the wait of
  // the first, and what the member does not answer in time is answered with REQUEST_TIMED_OUT: so nothing holds up a
  // connection for long. The body is needed until the task has started. The desk outlives the task.
  reactor::Task<std::optional<QuorumReply>> serve(net::kafka::RequestHeader header, net::kafka::Bytes body);
  // What this member answers: to the request of `to` that it fits, or to nobody.
  void answer(quorum::NodeId to, const quorum::Message& message, storage::Bytes payload);
  // Nothing waits any more, and nothing else is taken.
  void close();

  size_t waiting() const { return waiting_.count(); }
  const QuorumDeskStats& stats() const { return stats_; }

 private:
  struct Waiting : reactor::ListNode<> {
    Waiting(reactor::Core& core, quorum::NodeId from, const quorum::Message& message, int32_t id)
        : sender(from), asked(message), correlation_id(id), answered(core) {}
    quorum::NodeId sender;
    quorum::Message asked;
    int32_t correlation_id;
    reactor::Event answered;
    std::optional<QuorumReply> reply;
  };

  template <class Wire>
  reactor::Task<std::optional<QuorumReply>> serve_as(net::kafka::RequestHeader header, net::kafka::Bytes body);
  template <class Wire, class Asked>
  reactor::Task<std::optional<QuorumReply>> wait_answer(net::kafka::RequestHeader header, Asked asked);
  template <class Answer>
  void give(quorum::NodeId to, const Answer& answer, storage::Bytes payload);
  void supersede(quorum::NodeId sender, size_t kind);

  reactor::Core& core_;
  const QuorumIdentity& us_;
  QuorumMember& member_;
  const reactor::Duration patience_;
  reactor::IntrusiveList<Waiting> waiting_;
  bool is_closed_ = false;
  QuorumDeskStats stats_;
};

}  // namespace posthaste::replication::peers
