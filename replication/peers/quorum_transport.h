// How one member of the quorum reaches the others: its requests go out over connections of its own (peer_connection.h),
// its answers go back to who has asked (quorum_desk.h). What cannot be sent is thrown away, as the quorum expects: it
// asks again. It listens nowhere: whoever does gives it the requests that come (desk().serve). One core.
#pragma once
#include <list>
#include <map>
#include <memory>

#include "replication/peers/peer_connection.h"
#include "replication/peers/quorum_desk.h"

namespace posthaste::replication::peers {

// Tasks that wait for an answer of some member. Each connection is bounded too; this is for a burst in one step.
inline constexpr size_t kQuorumAsksMax = 256;

struct QuorumTransportOptions {
  std::string client_id;
  QuorumIdentity us;
  std::vector<Peer> others;  // of the voters and of who else is asked for the leader, this member not
  quorum::Options quorum;
  PipelineLimits limits;
  PeerTimes times;
};

struct QuorumTransportStats {
  uint64_t sent = 0;
  uint64_t received = 0;    // answers that were given to the member
  uint64_t repeated = 0;    // not sent: the same is under way
  uint64_t dropped = 0;     // no connection, no room, or no such member
  uint64_t unanswered = 0;  // timed out, or the connection ended
  uint64_t refused = 0;     // the peer has said why not, or its answer was none
};

class QuorumTransport final : public quorum::Transport, private PeerOwner, private reactor::CoreOwned {
 public:
  // `member` outlives it.
  QuorumTransport(reactor::Core& core, QuorumTransportOptions options, QuorumMember& member);

  // Once: begins to connect.
  void start();
  // Once; nothing runs any more, and the member hears of nothing. Requests at the desk are done with.
  reactor::Task<void> close();

  // Takes the message over and returns at once. It comes late, or never; not twice. A request that is under way to
  // that member already is not sent again: a connection loses nothing as long as it lives, and what does not fit into
  // the time after which the quorum asks again would be sent for ever.
  void send(quorum::NodeId to, quorum::PeerMessage message) override;
  // What other members ask comes here.
  QuorumDesk& desk() { return desk_; }

  bool is_connected(quorum::NodeId to) const;
  const QuorumTransportStats& stats() const { return stats_; }

 private:
  // A fetch without news is answered late, and answers keep their order: nothing else waits behind it.
  struct Link {
    std::unique_ptr<PeerConnection> fetches;
    std::unique_ptr<PeerConnection> others;
    std::list<quorum::Message> under_way;  // requests that have no answer yet
  };
  void connected(PeerConnection& connection) override;
  void lost(PeerConnection& connection, const Loss& loss) override;

  template <class Request>
  void ask(quorum::NodeId to, Request request);
  template <class Request>
  reactor::Task<void> exchange(Link& link, PeerConnection& connection, std::list<quorum::Message>::iterator place);
  template <class Request>
  void hear(PeerConnection& connection, const Request& asked, const auto& answer);
  void refused(PeerConnection& connection, const WireRefusal& refusal);

  reactor::Core& core_;
  const QuorumTransportOptions options_;
  QuorumMember& member_;
  QuorumDesk desk_;
  std::map<quorum::NodeId, Link> links_;
  bool is_closed_ = false;
  QuorumTransportStats stats_;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::peers
