// The gather list of one send, made from the pieces of frames. It knows no socket. Pure, any core.
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>

#include "net/kafka/types.h"
#include "reactor/backend.h"
#include "reactor/recycled.h"

namespace posthaste::net {

// Pieces of one sendmsg; Linux takes at most 1024 (UIO_MAXIOV).
inline constexpr size_t kSlicesPerSend = 512;

// Puts the pieces from `at` on into `slices`, in place of what was there, as many as one send takes. Returns where the
// next send goes on.
inline size_t gather(std::span<const kafka::Bytes> pieces, size_t at, reactor::RecycledVector<reactor::Slice>& slices) {
  const size_t end = std::min(at + kSlicesPerSend, pieces.size());
  slices.clear();
  // A send only reads.
  for (; at < end; ++at) slices.push_back({const_cast<std::byte*>(pieces[at].data()), pieces[at].size()});
  return end;
}

}  // namespace posthaste::net
