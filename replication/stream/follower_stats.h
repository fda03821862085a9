// What the ends of a follower count, each by itself; their sums are for logs and tests. A plain value.
#pragma once
#include <cstdint>

namespace posthaste::replication::stream {

// Counters of one follower's end.
struct FollowerStats {
  uint64_t bytes = 0;   // of batches applied
  uint64_t frames = 0;  // DATA, applied
  uint64_t late = 0;    // DATA that was not
  uint64_t cuts = 0;    // of logs, for their leader's sake
  uint64_t resets = 0;  // logs that began anew
  uint64_t fuses = 0;   // cuts refused: they would have gone below the high watermark
  uint64_t hashes = 0;  // compared with the leader's
  uint64_t unlike = 0;  // and were not the same
  uint64_t far = 0;     // partitions that went to the connection for catching up
  uint64_t close = 0;   // and came back
  uint64_t moves = 0;   // partitions that are on another core of their leader's broker than was believed

  FollowerStats& operator+=(const FollowerStats& other) {
    bytes += other.bytes;
    frames += other.frames;
    late += other.late;
    cuts += other.cuts;
    resets += other.resets;
    fuses += other.fuses;
    hashes += other.hashes;
    unlike += other.unlike;
    far += other.far;
    close += other.close;
    moves += other.moves;
    return *this;
  }
};

}  // namespace posthaste::replication::stream
