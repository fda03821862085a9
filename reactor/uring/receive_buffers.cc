#include "reactor/uring/receive_buffers.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>

namespace posthaste::reactor::uring {
namespace {

void* map(size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

std::expected<std::unique_ptr<ReceiveBuffers>, std::string> ReceiveBuffers::create(Ring& ring, uint32_t count,
                                                                                   uint32_t bytes_each) {
  constexpr uint32_t kCountMax = 32768;  // the kernel's
  CHECK(std::has_single_bit(count) && count <= kCountMax && bytes_each > 0, "{} buffers of {}", count, bytes_each);
  std::unique_ptr<ReceiveBuffers> buffers(new ReceiveBuffers);
  buffers->count_ = count;
  buffers->bytes_each_ = bytes_each;
  buffers->ring_bytes_ = count * sizeof(io_uring_buf);
  buffers->memory_bytes_ = static_cast<size_t>(count) * bytes_each;
  buffers->ring_ = static_cast<io_uring_buf_ring*>(map(buffers->ring_bytes_));
  buffers->memory_ = static_cast<std::byte*>(map(buffers->memory_bytes_));
  if (buffers->ring_ == nullptr || buffers->memory_ == nullptr) {
    return std::unexpected(fmt::format("no memory for {} receive buffers of {} bytes", count, bytes_each));
  }
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(buffers->ring_);
  registration.ring_entries = count;
  registration.bgid = kGroup;
  if (const int error = io_uring_register_buf_ring(ring.raw(), &registration, 0); error < 0) {
    return std::unexpected(
        fmt::format("the kernel refuses a ring of {} receive buffers: {}; if it is out of locked "
                    "memory, raise the limit (ulimit -l unlimited, or LimitMEMLOCK=infinity)",
                    count, std::strerror(-error)));
  }
  for (uint32_t i = 0; i < count; ++i) buffers->provide(static_cast<uint16_t>(i));
  return buffers;
}

ReceiveBuffers::~ReceiveBuffers() {
  if (ring_ != nullptr) ::munmap(ring_, ring_bytes_);
  if (memory_ != nullptr) ::munmap(memory_, memory_bytes_);
}

void ReceiveBuffers::provide(uint16_t index) {
  std::byte* data = memory_ + static_cast<size_t>(index) * bytes_each_;
  io_uring_buf_ring_add(ring_, data, bytes_each_, index, static_cast<int>(count_ - 1), 0);
  io_uring_buf_ring_advance(ring_, 1);
  ++available_;
}

std::byte* ReceiveBuffers::taken(uint16_t index) {
  CHECK(index < count_ && available_ > 0, "receive buffer {} of {}, {} available", index, count_, available_);
  --available_;
  return memory_ + static_cast<size_t>(index) * bytes_each_;
}

void ReceiveBuffers::give_back(const std::byte* data) {
  CHECK(data >= memory_ && data < memory_ + memory_bytes_, "not a receive buffer");
  const size_t offset = static_cast<size_t>(data - memory_);
  CHECK(offset % bytes_each_ == 0 && available_ < count_, "not the start of a receive buffer that is out");
  provide(static_cast<uint16_t>(offset / bytes_each_));
}

}  // namespace posthaste::reactor::uring
