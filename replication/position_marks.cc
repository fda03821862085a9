#include "replication/position_marks.h"

#include <algorithm>

#include "reactor/check.h"

namespace posthaste::replication {

void PositionMarks::add(int64_t offset, uint64_t position) {
  if (count_ > 0) {
    const Mark& last = marks_[count_ - 1];
    CHECK(offset >= last.offset && position >= last.position, "mark {}@{} behind {}@{}", offset, position, last.offset,
          last.position);
    if (offset == last.offset) return;
  }
  if (count_ == kMarksMax) {
    for (size_t i = 0; i < kMarksMax / 2; ++i) marks_[i] = marks_[2 * i];
    count_ = kMarksMax / 2;
  }
  marks_[count_++] = {offset, position};
}

void PositionMarks::forget_below(int64_t offset) {
  // The last mark at or below it stays: it is the least for offsets from there on.
  size_t gone = 0;
  while (gone + 1 < count_ && marks_[gone + 1].offset <= offset) ++gone;
  std::copy(marks_.begin() + static_cast<ptrdiff_t>(gone), marks_.begin() + static_cast<ptrdiff_t>(count_),
            marks_.begin());
  count_ -= gone;
}

uint64_t PositionMarks::least(int64_t offset) const {
  for (size_t i = count_; i-- > 0;) {
    if (marks_[i].offset <= offset) return marks_[i].position;
  }
  return 0;
}

uint64_t PositionMarks::most(int64_t offset) const {
  for (size_t i = 0; i < count_; ++i) {
    if (marks_[i].offset >= offset) return marks_[i].position;
  }
  return UINT64_MAX;
}

}  // namespace posthaste::replication
