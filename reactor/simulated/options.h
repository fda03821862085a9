// The knobs of a simulated world. The defaults are a quiet, realistic machine; instant() is for tests that count
// operations; swarm() draws every knob from a seed, so that rare combinations occur in some run.
#pragma once
#include <cstddef>
#include <cstdint>

#include "reactor/time.h"

namespace posthaste::reactor::simulated {

// Both ends included.
struct DurationRange {
  Duration least{};
  Duration most{};
};

struct WorldOptions {
  // A device: an operation takes a draw from its range plus its bytes at `disk_bytes_per_us`.
  DurationRange disk_read{60us, 200us};
  DurationRange disk_write{20us, 60us};  // without kWriteDurable
  DurationRange disk_write_durable{100us, 400us};
  DurationRange disk_sync{300us, 3ms};
  DurationRange file_system{50us, 2ms};
  uint32_t disk_bytes_per_us = 2000;
  uint32_t disk_slow_per_million = 5000;  // such an operation takes `disk_slow_factor` times as long
  uint32_t disk_slow_factor = 30;

  // One way between hosts, and within a host.
  DurationRange network{40us, 300us};
  DurationRange loopback{5us, 20us};
  uint32_t network_spike_per_million = 1000;
  DurationRange network_spike{2ms, 50ms};
  uint32_t reset_per_million = 0;                // per piece of a stream: the connection breaks
  uint32_t short_receive_per_million = 200'000;  // a receive gets fewer bytes than there are
  size_t piece_bytes_min = 1;                    // a stream arrives in pieces of such sizes
  size_t piece_bytes_max = 16'384;
  size_t window_bytes_min = 16'384;  // sent but not received; drawn per connection and direction
  size_t window_bytes_max = 262'144;
  // From a send until the network looks at its bytes for the first time: late as for a send that waits for room, or
  // goes without a copy. What does not fit into the window is looked at when there is room.
  DurationRange send_read{};
  size_t accept_backlog = 1024;        // established but not accepted; beyond: refused
  DurationRange resolve{100us, 20ms};  // a host name that has to be asked for
  Duration connect_timeout = 20s;      // to an address that does not answer
  Duration silence_timeout = 30s;      // data not acknowledged: the connection breaks with kTimedOut
  uint32_t select_buffers = 64;        // for kReceiveSelect, per core
  size_t select_buffer_bytes = 512;

  // Cores.
  DurationRange clock_read{100ns, 400ns};  // each look at the clock costs this: so time passes in a busy turn
  DurationRange wake_up{1us, 20us};        // from a completion or a wake to the turn
  uint32_t pause_per_million = 0;          // per turn: the core stands still
  DurationRange pause{1ms, 300ms};
  uint32_t clock_drift_ppm_max = 50;  // per host, drawn in +-
  Duration wall_offset_max = 100ms;   // per host, drawn in +-

  bool hash_written_bytes = true;  // the bytes of writes and sends are part of the trace hash
  size_t log_lines_kept = 400;
  bool log_to_stdout = false;

  // Everything completes at once (in a drawn order), nothing is slow or late: for storage crash tests.
  static WorldOptions instant();
  // Every knob drawn from the seed. No faults beyond delay, small buffers and pauses; those come from the test.
  static WorldOptions swarm(uint64_t seed);
};

}  // namespace posthaste::reactor::simulated
