// A follower's core and one peer: connects, again whenever a connection ends, shakes hands, and carries what the
// follower's ends (peer_follower.h) say and are told. Live all the time, and by a second connection for as long as
// something catches up. One core. Which peer leads what is the broker's business.
#pragma once
#include <string>

#include "replication/stream/connection.h"
#include "replication/stream/leader_stream.h"
#include "replication/stream/peer_follower.h"

namespace posthaste::replication::stream {

class FollowerStream {
 public:
  struct Peer {
    int32_t broker = -1;
    std::string address;  // of its listener between brokers
  };

  FollowerStream(StreamShared& shared, storage::Engine& engine, const LocalBroker& us, Peer peer);
  FollowerStream(const FollowerStream&) = delete;
  FollowerStream& operator=(const FollowerStream&) = delete;

  // What is followed over it; may be called whether or not there is a connection.
  PeerFollower& follower() { return follower_; }
  // Until end(); then nothing of it runs any more, and nothing is followed.
  reactor::Task<void> run();
  void end();
  // What the peer refused the connection for, as long as it does.
  const std::optional<End>& refused() const { return refused_; }

 private:
  struct Link {
    StreamClass stream_class;
    reactor::Event changed;
  };
  Follower& end_of(const Link& link) { return follower_.end_of(link.stream_class); }
  bool is_needed(const Link& link);
  reactor::Task<void> keep_connected(Link& link);
  reactor::Task<void> serve(Link& link, reactor::Socket socket);
  reactor::Task<bool> shake_hands(Link& link, StreamConnection& connection);
  reactor::Task<void> receive_loop(Link& link, StreamConnection& connection);
  reactor::Task<void> send_loop(Link& link, StreamConnection& connection, const bool& is_gone);
  reactor::Task<bool> hear(Link& link, const Message& message);
  void told_no(const End& end);

  StreamShared& shared_;
  reactor::Core& core_;
  const LocalBroker us_;
  const Peer peer_;
  const StreamTimes& times_;
  Link live_;
  Link catch_up_;
  PeerFollower follower_;
  std::optional<End> refused_;
  bool is_over_ = false;
};

}  // namespace posthaste::replication::stream
