// What lies between two different hosts, one way: an ordered pair of hosts is a link, with a latency, a bandwidth, lost
// packets, a block and a clog of its own. A link without a word here is as WorldOptions says. Within a host there is no
// link. It knows no connection: network.h does. One thread.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "reactor/simulated/options.h"
#include "reactor/simulated/timeline.h"

namespace posthaste::reactor::simulated {

struct LinkOptions {
  std::optional<DurationRange> latency;  // instead of WorldOptions::network
  uint64_t bytes_per_ms = 0;             // of all connections together; 0: no limit
  // Packets that are lost. TCP sends them again after a while, so programs see them late and never miss them; what was
  // sent behind them on a connection waits for them.
  uint32_t loss_per_million = 0;
};

// The first time to wait before a lost packet is sent again; it doubles each time. As Linux has them.
inline constexpr Duration kRetransmitFirst = 200ms;
inline constexpr Duration kConnectRetransmitFirst = 1s;

class Links {
 public:
  using Link = std::pair<uint32_t, uint32_t>;  // host ids, from and to

  Links(Timeline& timeline, const WorldOptions& options) : timeline_(timeline), options_(options) {}

  // --- Faults.
  void set(Link link, LinkOptions options) { states_[link].options = options; }
  void block(Link link) { blocked_.insert(link); }
  void unblock(Link link) { blocked_.erase(link); }
  // What is on the link, or comes onto it, does not arrive before `until` (world time).
  void clog(Link link, int64_t until);
  // Every link is as WorldOptions says.
  void heal();

  bool blocked(Link link) const { return !blocked_.empty() && blocked_.contains(link); }
  // Blocked or clogged: nothing arrives now.
  bool holds(Link link) const;

  // Nanoseconds from now until `bytes` that enter the link arrive, and the last of them has entered it. Draws.
  int64_t travel(Link link, size_t bytes, Duration retransmit_first);

  uint64_t spikes() const { return spikes_; }
  uint64_t lost() const { return lost_; }

 private:
  struct State {
    LinkOptions options;
    int64_t free_at = 0;  // the bytes before have entered it by then
    int64_t clogged_until = 0;
  };
  int64_t latency(const DurationRange& range);
  int64_t retransmissions(uint32_t loss_per_million, Duration first);

  Timeline& timeline_;
  const WorldOptions& options_;
  std::set<Link> blocked_;
  std::map<Link, State> states_;
  uint64_t spikes_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace posthaste::reactor::simulated
