// What a member of the quorum of the metadata log knows of it, for those who ask. Plain values.
#pragma once
#include <vector>

#include "replication/quorum/quorum.h"

namespace posthaste::replication {

struct QuorumDescription {
  struct Member {
    quorum::ReplicaKey key;
    quorum::Offset log_end = -1;  // that the leader knows to be durable there; -1: none
    // -1: not known.
    reactor::WallMillis fetched{-1};
    reactor::WallMillis caught_up{-1};  // when it last was known to lack nothing
  };
  bool is_leader = false;  // else nothing but who leads is known
  quorum::NodeId leader = quorum::kNobody;
  quorum::Epoch epoch = 0;
  quorum::Offset high_watermark = 0;
  std::vector<Member> voters;
  std::vector<Member> observers;
};

// Both times are of the same moment.
QuorumDescription describe(const quorum::Quorum& member, reactor::Instant now, reactor::WallMillis wall_now);

}  // namespace posthaste::replication
