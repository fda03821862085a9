// Serves one connection of a follower from its first byte to its end: the handshake, then what the leader's end
// (leader.h) has to say and is told. One core. Who accepts connections, and hands them here, is the broker's business.
#pragma once
#include <string>

#include "replication/stream/connection.h"
#include "replication/stream/leader.h"

namespace posthaste::replication::stream {

// Who this broker is, for peers.
struct LocalBroker {
  std::string cluster_id;
  int32_t broker = -1;
  int64_t broker_epoch = -1;
  Uuid incarnation;
  int32_t core = 0;  // this one, of `cores`
  int32_t cores = 1;
};

// The OPEN by which `us` begins to speak.
Open open_of(const LocalBroker& us);
// Why the peer behind `theirs` is refused, in words for both logs; nothing if it is not. `to_broker` of an answer is
// the asker.
std::optional<End> refusal_of(const LocalBroker& us, const Open& theirs);

class LeaderStream {
 public:
  // `heard`: the follower's OPEN, where it was heard already (stream_acceptor.h).
  LeaderStream(StreamShared& shared, reactor::Socket socket, const LocalBroker& us, LeaderHooks& hooks,
               std::optional<Open> heard = {});

  // Until either side ends it; then the socket is closed, and nothing of it runs any more.
  reactor::Task<void> run();
  // Asks it to end.
  void end();
  // Who follows, once its OPEN was heard.
  const std::optional<Open>& follower() const { return theirs_; }

 private:
  reactor::Task<bool> shake_hands();
  reactor::Task<void> receive_loop();
  reactor::Task<void> send_loop();
  bool hear(const Message& message);

  StreamShared& shared_;
  reactor::Core& core_;
  const LocalBroker us_;
  LeaderHooks& hooks_;
  const StreamTimes& times_;
  StreamConnection connection_;
  std::optional<Open> theirs_;
  reactor::Event changed_;
  std::optional<Leader> leader_;
  bool is_over_ = false;
};

}  // namespace posthaste::replication::stream
