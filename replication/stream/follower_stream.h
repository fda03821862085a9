// A follower's core and one peer: connects, again whenever a connection ends, shakes hands, and carries what the
// follower's ends (peer_follower.h) say and are told. One connection for each lane over which something is followed,
// and for a while after. One core. Which peer leads what is the broker's business.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "replication/stream/connection.h"
#include "replication/stream/leader_stream.h"
#include "replication/stream/peer_follower.h"

namespace posthaste::replication::stream {

class FollowerStream final : private Lanes {
 public:
  struct Peer {
    int32_t broker = -1;
    std::string address;  // of its listener between brokers; empty: not known
  };

  FollowerStream(StreamShared& shared, storage::Engine& engine, const LocalBroker& us, Peer peer);

  // What is followed over it; may be called whether or not there is a connection.
  PeerFollower& follower() { return follower_; }
  const PeerFollower& follower() const { return follower_; }
  // Until end(); then nothing of it runs any more, and nothing is followed.
  reactor::Task<void> run();
  void end();
  // The peer has another address, or is registered anew: connections to where, and when, it was end, and are made anew.
  void peer_changed(std::string address, int64_t broker_epoch);
  // What the peer refused the connection for, as long as it does.
  const std::optional<End>& refused() const { return refused_; }
  // Connections that there are, with both OPENs said.
  size_t connections() const { return connections_; }

 private:
  struct Link {
    Link(const Lane& of, reactor::Core& core) : lane(of), changed(core) {}
    const Lane lane;
    reactor::Event changed;
    reactor::Instant used_at{};
    int64_t peer_epoch = -1;  // the peer's, as its OPEN has said; -1: no connection
    bool is_stale = false;    // its connection is not to be used any more
  };
  reactor::Event& lane_event(const Lane& lane) override;
  void lane_used(const Lane& lane) override;

  Follower& end_of(const Link& link) { return follower_.end_of(link.lane); }
  bool is_needed(Link& link);
  reactor::Task<void> keep_connected(Link& link);
  reactor::Task<void> serve(Link& link, reactor::Socket socket);
  reactor::Task<bool> shake_hands(Link& link, StreamConnection& connection);
  reactor::Task<void> receive_loop(Link& link, StreamConnection& connection);
  reactor::Task<void> send_loop(Link& link, StreamConnection& connection, const bool& is_gone);
  reactor::Task<bool> hear(Link& link, const Message& message);
  void told_no(const Link& link, const End& end);

  StreamShared& shared_;
  reactor::Core& core_;
  const LocalBroker us_;
  Peer peer_;
  const StreamTimes& times_;
  std::map<Lane, std::unique_ptr<Link>> links_;  // those that were ever used
  PeerFollower follower_;
  std::optional<End> refused_;
  size_t connections_ = 0;
  reactor::Event over_;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::stream
