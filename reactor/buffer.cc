#include "reactor/buffer.h"

#include <bit>
#include <new>

namespace posthaste::reactor {

size_t Buffer::capacity() const { return data_ == nullptr ? 0 : BufferPool::kBufferBytesMin << order_; }

void Buffer::release() {
  if (data_ == nullptr) return;
  pool_->give_back(std::exchange(data_, nullptr), order_);
  size_ = 0;
}

BufferPool::BufferPool(Core& core, size_t bytes) : core_(core) {
  const size_t blocks = bytes / kBufferBytesMin;
  CHECK(blocks >= 2);
  auto region = core.backend().allocate_memory(blocks * kBufferBytesMin);
  if (!region) fatal(FatalReason::kOutOfMemoryAtStart, "no memory for the buffer pool: lower posthaste.memory.bytes");
  region_ = *region;
  free_ = std::vector<IntrusiveList<FreeBlock>>(static_cast<size_t>(std::bit_width(blocks)));
  free_order_.assign(blocks, kNotFree);
  // Largest pieces first, so that each starts at a multiple of its own size.
  for (size_t index = 0; index < blocks;) {
    const auto order = static_cast<uint8_t>(std::bit_width(blocks - index) - 1);
    free_[order].push_back(*new (region_.data() + index * kBufferBytesMin) FreeBlock);
    free_order_[index] = order;
    index += size_t{1} << order;
  }
  free_bytes_ = region_.size();
}

uint8_t BufferPool::order_of(size_t size) const {
  const size_t blocks = (std::max<size_t>(size, 1) + kBufferBytesMin - 1) / kBufferBytesMin;
  return static_cast<uint8_t>(std::countr_zero(std::bit_ceil(blocks)));
}

Result<Buffer> BufferPool::allocate(size_t size) {
  if (size > buffer_bytes_max()) return failure(Errc::kLimit);
  if (!waiters_.empty()) return failure(Errc::kNoMemory);
  return take(size);
}

Result<Buffer> BufferPool::take(size_t size) {
  const uint8_t order = order_of(size);
  size_t from = order;
  while (from < free_.size() && free_[from].empty()) ++from;
  if (from == free_.size()) return failure(Errc::kNoMemory);
  FreeBlock& block = free_[from].pop_front();
  auto* data = reinterpret_cast<std::byte*>(&block);
  block.~FreeBlock();
  const auto index = static_cast<size_t>(data - region_.data()) / kBufferBytesMin;
  free_order_[index] = kNotFree;
  while (from > order) {
    --from;
    const size_t buddy = index + (size_t{1} << from);
    free_[from].push_front(*new (region_.data() + buddy * kBufferBytesMin) FreeBlock);
    free_order_[buddy] = static_cast<uint8_t>(from);
  }
  free_bytes_ -= kBufferBytesMin << order;
  return Buffer(this, data, size, order);
}

void BufferPool::give_back(std::byte* data, uint8_t order) {
  const size_t bytes = kBufferBytesMin << order;
  core_.backend().memory_freed({data, bytes});
  free_bytes_ += bytes;
  auto index = static_cast<size_t>(data - region_.data()) / kBufferBytesMin;
  while (order + 1U < free_.size()) {
    const size_t buddy = index ^ (size_t{1} << order);
    if (buddy >= free_order_.size() || free_order_[buddy] != order) break;
    auto* block = std::launder(reinterpret_cast<FreeBlock*>(region_.data() + buddy * kBufferBytesMin));
    block->~FreeBlock();  // unlinks it
    free_order_[buddy] = kNotFree;
    index = std::min(index, buddy);
    ++order;
  }
  free_[order].push_front(*new (region_.data() + index * kBufferBytesMin) FreeBlock);
  free_order_[index] = order;
  serve_waiters();
}

void BufferPool::serve_waiters() {
  while (!waiters_.empty()) {
    auto& waiter = static_cast<Waiter&>(waiters_.front());
    Result<Buffer> buffer = take(waiter.wanted);
    if (!buffer) return;
    waiter.unlink();
    waiter.granted = std::move(buffer);
    core_.schedule(waiter);
  }
}

}  // namespace posthaste::reactor
