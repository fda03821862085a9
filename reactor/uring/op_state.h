// What the uring backend keeps in an operation's scratch space while it is under way: how far it got, since the kernel
// may do part of it and the rest needs another entry.
#pragma once
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "reactor/backend.h"

namespace posthaste::reactor::uring {

struct OpState {
  uint64_t done = 0;      // bytes so far
  uint64_t in_slice = 0;  // bytes of slices[slice] that are done
  uint32_t slice = 0;     // first slice that is not done
  int32_t fd = -1;        // of this step: the file's, or the socket that connects
  bool cancelled = false;
};
static_assert(sizeof(OpState) <= sizeof(Op::scratch) && std::is_trivially_destructible_v<OpState>);
static_assert(sizeof(Slice) == sizeof(iovec) && offsetof(Slice, size) == offsetof(iovec, iov_len));

inline OpState& state_of(Op& op) { return *reinterpret_cast<OpState*>(op.scratch); }

// Moves the cursor `bytes` on, past empty slices too.
inline void advance(Op& op, uint64_t bytes) {
  OpState& state = state_of(op);
  state.done += bytes;
  while (state.slice < op.slice_count) {
    const uint64_t left = op.slices[state.slice].size - state.in_slice;
    if (bytes < left) {
      state.in_slice += bytes;
      return;
    }
    bytes -= left;
    state.in_slice = 0;
    ++state.slice;
  }
}

inline bool all_slices_done(Op& op) { return state_of(op).slice == op.slice_count; }

// What one entry can carry from the cursor on: one piece of memory, or several whole slices.
struct NextPiece {
  std::byte* data = nullptr;  // one piece
  uint32_t size = 0;
  const iovec* vector = nullptr;  // or, if not null, several
  uint32_t count = 0;
};

inline NextPiece next_piece(Op& op) {
  constexpr uint64_t kPieceBytesMax = uint64_t{1} << 30;  // an entry's length has 32 bits, a call's result 31
  constexpr uint32_t kVectorMax = 1024;                   // the kernel's UIO_MAXIOV
  const OpState& state = state_of(op);
  const uint32_t left = op.slice_count - state.slice;
  if (state.in_slice == 0 && left > 1) {
    return {.vector = reinterpret_cast<const iovec*>(op.slices + state.slice), .count = std::min(left, kVectorMax)};
  }
  const Slice& slice = op.slices[state.slice];
  return {.data = slice.data + state.in_slice,
          .size = static_cast<uint32_t>(std::min(slice.size - state.in_slice, kPieceBytesMax))};
}

}  // namespace posthaste::reactor::uring
