// In which order a leader serves the subscriptions of one connection, and how much may be under way: two plain values
// that read no clock. Bytes are those of batches.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "reactor/check.h"

namespace posthaste::replication::stream {

// A turn of a subscription is so long: many small ones share a frame's time, a large one is not cut too small.
inline constexpr int64_t kQuantumBytes = 256 << 10;
// What may be under way to one follower's core over one connection: at 50 ms of round trip some 160 MB/s.
inline constexpr int32_t kWindowBytes = 8 << 20;

// Deficit round robin: who is ready takes turns of a quantum; what one turn sent beyond it, as a large batch does, is
// taken off the next ones.
class TurnOrder {
 public:
  // It has something to send. Behind all others; nothing if it stands in the order already.
  void add(int32_t subscription) {
    const auto [at, is_new] = deficit_.try_emplace(subscription, State{});
    if (at->second.is_queued) return;
    at->second.is_queued = true;
    queue_.push_back(subscription);
  }
  void remove(int32_t subscription) {
    if (deficit_.erase(subscription) > 0) std::erase(queue_, subscription);
  }
  bool empty() const { return queue_.empty(); }

  struct Turn {
    int32_t subscription = 0;
    int64_t bytes_max = 0;  // above 0
  };
  // Whose turn it is; it is asked to send up to so much, and then sent() or idle() says what came of it. It stays its
  // turn until then.
  std::optional<Turn> next() {
    while (!queue_.empty()) {
      const int32_t first = queue_.front();
      State& state = deficit_.at(first);
      if (state.bytes <= 0) state.bytes += kQuantumBytes;
      if (state.bytes > 0) return Turn{first, state.bytes};
      queue_.pop_front();
      queue_.push_back(first);
    }
    return std::nullopt;
  }
  // It sent so much and may have more: it goes on while its turn lasts, then stands behind the others.
  void sent(int32_t subscription, int64_t bytes) {
    State& state = front(subscription);
    state.bytes -= bytes;
    if (state.bytes > 0) return;
    queue_.pop_front();
    queue_.push_back(subscription);
  }
  // It has nothing more. What it owes stays, what it had left does not.
  void idle(int32_t subscription) {
    State& state = front(subscription);
    state.bytes = std::min<int64_t>(state.bytes, 0);
    state.is_queued = false;
    queue_.pop_front();
  }

 private:
  struct State {
    int64_t bytes = 0;
    bool is_queued = false;
  };
  State& front(int32_t subscription) {
    CHECK(!queue_.empty() && queue_.front() == subscription, "not the turn of subscription {}", subscription);
    return deficit_.at(subscription);
  }

  std::deque<int32_t> queue_;
  std::map<int32_t, State> deficit_;  // of those known
};

// The bytes that may still be sent. More than the window never are; a batch that is larger goes alone.
class Window {
 public:
  explicit Window(int64_t bytes) : bytes_(bytes) {}
  int64_t in_flight() const { return in_flight_; }
  bool takes(int64_t bytes) const { return in_flight_ == 0 || in_flight_ + bytes <= bytes_; }
  void spend(int64_t bytes) {
    CHECK(takes(bytes), "{} bytes more than the window of {}, with {} in flight", bytes, bytes_, in_flight_);
    in_flight_ += bytes;
  }
  // False: the peer gives back what it never got.
  bool give_back(int64_t bytes) {
    if (bytes < 0 || bytes > in_flight_) return false;
    in_flight_ -= bytes;
    return true;
  }

 private:
  int64_t bytes_;
  int64_t in_flight_ = 0;
};

}  // namespace posthaste::replication::stream
