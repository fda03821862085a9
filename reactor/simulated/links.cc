#include "reactor/simulated/links.h"

#include <algorithm>

namespace posthaste::reactor::simulated {
namespace {

constexpr int kRetransmissionsMax = 6;  // more than that and the connection would be given up: a block says so
constexpr int64_t kNanosPerMilli = 1'000'000;

}  // namespace

void Links::clog(Link link, int64_t until) {
  State& state = states_[link];
  state.clogged_until = std::max(state.clogged_until, until);
}

void Links::heal() {
  blocked_.clear();
  states_.clear();
}

bool Links::holds(Link link) const {
  if (blocked(link)) return true;
  if (states_.empty()) return false;
  const auto found = states_.find(link);
  return found != states_.end() && found->second.clogged_until > timeline_.now();
}

int64_t Links::latency(const DurationRange& range) {
  Random& random = timeline_.random();
  int64_t delay = random.between(range.least.count(), range.most.count());
  if (random.chance(options_.network_spike_per_million)) {
    ++spikes_;
    delay += random.between(options_.network_spike.least.count(), options_.network_spike.most.count());
  }
  return delay;
}

int64_t Links::retransmissions(uint32_t loss_per_million, Duration first) {
  int64_t delay = 0;
  int64_t wait = first.count();
  for (int i = 0; i < kRetransmissionsMax && timeline_.random().chance(loss_per_million); ++i) {
    ++lost_;
    delay += wait;
    wait *= 2;
  }
  return delay;
}

int64_t Links::travel(Link link, size_t bytes, Duration retransmit_first) {
  const auto found = states_.empty() ? states_.end() : states_.find(link);
  if (found == states_.end()) return latency(options_.network);
  State& state = found->second;
  const int64_t now = timeline_.now();
  state.free_at = std::max(state.free_at, now);
  if (state.options.bytes_per_ms != 0) {
    state.free_at += static_cast<int64_t>(bytes * static_cast<uint64_t>(kNanosPerMilli) / state.options.bytes_per_ms);
  }
  const int64_t arrival = state.free_at + latency(state.options.latency.value_or(options_.network)) +
                          retransmissions(state.options.loss_per_million, retransmit_first);
  return std::max(arrival, state.clogged_until) - now;
}

}  // namespace posthaste::reactor::simulated
