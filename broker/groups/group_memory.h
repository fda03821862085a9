// What the coordinators of one core hold in memory (groups, members, committed offsets, records on their way to the
// log), against the limit that the start states. Only what is new is refused at the limit: members continue, offsets
// that were committed before can be committed again, and what the log holds is loaded in any case. Pure counting.
#pragma once
#include <cstdint>
#include <optional>
#include <utility>

#include "reactor/check.h"
#include "reactor/time.h"

namespace posthaste::broker {

class GroupMemory {
 public:
  explicit GroupMemory(uint64_t limit_bytes = UINT64_MAX) : limit_(limit_bytes) {}
  GroupMemory(const GroupMemory&) = delete;
  GroupMemory& operator=(const GroupMemory&) = delete;

  uint64_t limit() const { return limit_; }
  uint64_t held() const { return held_; }

  // Whether something new may take `bytes` more. A refusal is counted.
  bool admits(uint64_t bytes) {
    if (bytes == 0 || (held_ <= limit_ && bytes <= limit_ - held_)) return true;
    return refuse();
  }
  bool refuse() {
    ++refused_;
    return false;
  }
  // A holder of `was` bytes now holds `is` bytes.
  void change(uint64_t& was, uint64_t is) {
    CHECK(held_ >= was, "{} bytes of groups are held, {} change", held_, was);
    held_ += is - was;
    was = is;
  }

  // How many were refused since this was last answered; nothing when there were none, or less than a minute ago.
  std::optional<uint64_t> refused_to_tell(reactor::Instant now) {
    constexpr reactor::Duration kInterval = std::chrono::minutes(1);
    if (refused_ == 0 || now < next_word_) return std::nullopt;
    next_word_ = now + kInterval;
    return std::exchange(refused_, 0);
  }

 private:
  uint64_t limit_;
  uint64_t held_ = 0;
  uint64_t refused_ = 0;
  reactor::Instant next_word_;
};

}  // namespace posthaste::broker
