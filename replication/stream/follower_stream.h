// A follower's core and one peer: connects, again whenever the connection ends, shakes hands, and carries what the
// follower's end (follower.h) says and is told. One core. Which peer leads what is the broker's business.
#pragma once
#include <string>

#include "replication/stream/connection.h"
#include "replication/stream/follower.h"
#include "replication/stream/leader_stream.h"

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
  Follower& follower() { return follower_; }
  // Until end(); then nothing of it runs any more, and nothing is followed.
  reactor::Task<void> run();
  void end();
  // What the peer refused the connection for, as long as it does.
  const std::optional<End>& refused() const { return refused_; }

 private:
  reactor::Task<void> serve(reactor::Socket socket);
  reactor::Task<bool> shake_hands(StreamConnection& connection);
  reactor::Task<void> receive_loop(StreamConnection& connection);
  reactor::Task<void> send_loop(StreamConnection& connection, const bool& is_gone);
  reactor::Task<bool> hear(const Message& message);
  void told_no(const End& end);

  StreamShared& shared_;
  reactor::Core& core_;
  const LocalBroker us_;
  const Peer peer_;
  const StreamTimes& times_;
  reactor::Event changed_;
  Follower follower_;
  std::optional<End> refused_;
  bool is_over_ = false;
};

}  // namespace posthaste::replication::stream
