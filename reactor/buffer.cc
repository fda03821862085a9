#include "reactor/buffer.h"

#include <algorithm>
#include <bit>

namespace posthaste::reactor {

size_t Buffer::capacity() const { return data_ == nullptr ? 0 : BufferPool::kBufferBytesMin << order_; }

void Buffer::release() {
  if (data_ == nullptr) return;
  pool_->give_back(std::exchange(data_, nullptr), order_);
  size_ = 0;
}

BufferPool::BufferPool(Core& core, size_t bytes) : core_(core), free_(bytes / kBufferBytesMin) {
  const size_t blocks = bytes / kBufferBytesMin;
  CHECK(blocks >= 2);
  auto region = core.backend().allocate_memory(blocks * kBufferBytesMin);
  if (!region) fatal(FatalReason::kOutOfMemoryAtStart, "no memory for the buffer pool: lower posthaste.memory.bytes");
  region_ = *region;
  units_.assign((region_.size() + kHugePageBytes - 1) / kHugePageBytes, Unit::kUntouched);
  // Largest pieces first, so that each starts at a multiple of its own size.
  for (size_t block = 0; block < blocks;) {
    const size_t piece = std::bit_floor(blocks - block);
    free_.add(block, static_cast<uint8_t>(std::countr_zero(piece)));
    block += piece;
  }
  free_bytes_ = region_.size();
  prepare_first();
}

// The first buffers come from the smallest pieces, which are the last.
void BufferPool::prepare_first() {
  for (size_t end = region_.size() / kBufferBytesMin, piece = 0; end > 0; end -= piece) {
    piece = size_t{1} << std::countr_zero(end);
    const size_t units = (piece * kBufferBytesMin + kHugePageBytes - 1) / kHugePageBytes;
    prepare((end - piece) * kBufferBytesMin / kHugePageBytes, std::min(units, kUnitsAhead));
    if (units >= kUnitsAhead) return;
  }
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
  uint8_t from = order;
  while (from < free_.orders() && !free_.any(from)) ++from;
  if (from == free_.orders()) return failure(Errc::kNoMemory);
  const size_t block = free_.take(from);
  while (from > order) {
    --from;
    free_.add(block + (size_t{1} << from), from);
  }
  const size_t offset = block * kBufferBytesMin;
  free_bytes_ -= kBufferBytesMin << order;
  note_used(offset, kBufferBytesMin << order);
  return Buffer(this, region_.data() + offset, size, order);
}

// Where the last byte of a buffer stands for the first time, what lies behind it is likely to be used next: a block
// that is split is used from its front.
void BufferPool::note_used(size_t offset, size_t bytes) {
  const size_t last = (offset + bytes - 1) / kHugePageBytes;
  if (units_[last] == Unit::kUsed) return;
  std::fill(units_.begin() + static_cast<ptrdiff_t>(offset / kHugePageBytes),
            units_.begin() + static_cast<ptrdiff_t>(last + 1), Unit::kUsed);
  prepare(last + 1, kUnitsAhead);
}

void BufferPool::prepare(size_t first_unit, size_t units) {
  for (size_t unit = first_unit; unit < std::min(first_unit + units, units_.size()); ++unit) {
    if (units_[unit] != Unit::kUntouched) continue;
    units_[unit] = Unit::kPrepared;
    const size_t begin = unit * kHugePageBytes;
    core_.backend().prepare_memory(region_.subspan(begin, std::min(kHugePageBytes, region_.size() - begin)));
  }
}

void BufferPool::give_back(std::byte* data, uint8_t order) {
  const size_t bytes = kBufferBytesMin << order;
  core_.backend().memory_freed({data, bytes});
  free_bytes_ += bytes;
  auto block = static_cast<size_t>(data - region_.data()) / kBufferBytesMin;
  while (order + 1U < free_.orders()) {
    const size_t buddy = block ^ (size_t{1} << order);
    if (!free_.is_free(buddy, order)) break;
    free_.remove(buddy, order);
    block = std::min(block, buddy);
    ++order;
  }
  free_.add(block, order);
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
