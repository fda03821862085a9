// What the streams of one core share, those that it follows and those that it serves: how patient they are, when one
// catches up apart from the others, and the memory that large frames come in by. It knows no connection.
#pragma once
#include "reactor/buffer.h"

namespace posthaste::replication::stream {

struct StreamTimes {
  reactor::Duration ping_every = std::chrono::milliseconds(500);
  // Several pings: a peer that is silent for so long is taken for gone, and its logs are followed elsewhere.
  reactor::Duration silence_max = std::chrono::seconds(2);
  reactor::Duration retry_after = std::chrono::milliseconds(100);  // of a refused connection or subscription
  // A connection over which nothing is followed any more stays for so long: leaders change, and come back.
  reactor::Duration idle_max = std::chrono::seconds(5);
};

// Which of the two connections carries a partition, by what its follower lacks; as its leader sees it.
struct CatchUpLimits {
  uint64_t far_bytes = uint64_t{32} << 20;   // more is no matter of the live connection: several windows
  uint64_t close_bytes = uint64_t{8} << 20;  // no more is none of the other one: a window (send_order.h)
  // Partitions that a core catches up with at a time from one peer; others wait their turn. So reads of old segments
  // are few and in order, and the first partitions are whole before the last ones begin.
  uint32_t at_once = 8;
};

// For large frames that come in, of all streams of a core at a time: the largest frame that a broker takes from clients
// by default, twice.
inline constexpr size_t kLargeFrameMemoryBytes = size_t{32} << 20;

// Outlives the streams. Its core only.
struct StreamShared {
  StreamShared(reactor::Core& on, const StreamTimes& with, const CatchUpLimits& limits = {},
               size_t large_frame_memory_bytes = kLargeFrameMemoryBytes)
      : core(on), times(with), catch_up(limits), large_frames(on, large_frame_memory_bytes) {}

  reactor::Core& core;
  StreamTimes times;
  CatchUpLimits catch_up;
  // A pool of their own: they come and go, and must not wait for what stays long (reactor/buffer.h).
  reactor::BufferPool large_frames;
};

}  // namespace posthaste::replication::stream
