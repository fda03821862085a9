// The small buffers that the kernel picks for kReceiveSelect when data arrives, so that an idle connection holds none.
// A ring of provided buffers (Linux 5.19) that the kernel takes from in order. Bounded: when all are out, operations
// wait for one to come back (uring_backend.cc). Used by the ring's thread.
#pragma once
#include <expected>
#include <memory>
#include <string>

#include "reactor/backend.h"
#include "reactor/uring/ring.h"

namespace posthaste::reactor::uring {

class ReceiveBuffers {
 public:
  static constexpr uint16_t kGroup = 0;

  // `count` is a power of two up to 32768. Memory: count * bytes_each, touched as used.
  static std::expected<std::unique_ptr<ReceiveBuffers>, std::string> create(Ring& ring, uint32_t count,
                                                                            uint32_t bytes_each);
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;
  // The ring must be gone or idle: the kernel writes to these buffers.
  ~ReceiveBuffers();

  uint32_t bytes_each() const { return bytes_each_; }
  uint32_t available() const { return available_; }
  // The kernel picked buffer `index`.
  std::byte* taken(uint16_t index);
  // Buffer that starts at `data` goes back to the kernel.
  void give_back(const std::byte* data);

 private:
  ReceiveBuffers() = default;
  void provide(uint16_t index);

  io_uring_buf_ring* ring_ = nullptr;
  std::byte* memory_ = nullptr;
  size_t ring_bytes_ = 0;
  size_t memory_bytes_ = 0;
  uint32_t count_ = 0;
  uint32_t bytes_each_ = 0;
  uint32_t available_ = 0;
};

}  // namespace posthaste::reactor::uring
