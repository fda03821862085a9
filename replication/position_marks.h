// Where offsets lie in the log, in bytes, for a high watermark that is held back: the log knows that of its durable end
// only. What the marks cannot tell exactly they tell as the nearest mark below and above. A plain value, bounded.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace posthaste::replication {

class PositionMarks {
 public:
  // More than that many commits are seldom on their way to another broker; then every other mark goes.
  static constexpr size_t kMarksMax = 32;

  // The durable end is at `offset` now, at byte `position`. Neither is below those of the mark before.
  void add(int64_t offset, uint64_t position);
  // Nobody asks about lower offsets any more.
  void forget_below(int64_t offset);
  void clear() { count_ = 0; }

  // Bytes before `offset`: at least and at most. 0 and UINT64_MAX where no mark tells.
  uint64_t least(int64_t offset) const;
  uint64_t most(int64_t offset) const;

 private:
  struct Mark {
    int64_t offset = 0;
    uint64_t position = 0;
  };
  std::array<Mark, kMarksMax> marks_{};  // ascending
  size_t count_ = 0;
};

}  // namespace posthaste::replication
