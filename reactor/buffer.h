// The memory of one core: a region sized at start, handed out as buffers of a power of two from 4 KiB up (a buddy
// allocator, so freed neighbours join again and a large request finds room once the others have gone). When it is
// exhausted, callers get kNoMemory or wait; the process never ends for it. Memory that will be used soon is prepared
// ahead (Backend::prepare_memory): whoever touches a page first waits until the kernel has found and zeroed it. Buffers
// are block-aligned, so fit for direct I/O. Owned by one core; a Buffer is destroyed on its core. A core has one pool
// for long-lived memory (core.pool()); code that needs large buffers for a short time has a pool of its own, so that
// long-lived memory never blocks it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "reactor/core.h"
#include "reactor/free_blocks.h"

namespace posthaste::reactor {

class BufferPool;

// Sole owner of a piece of the pool. Empty when default-made or moved from. capacity() is the power of two, size() the
// requested size.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~Buffer() { release(); }
  explicit operator bool() const { return data_ != nullptr; }
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  size_t capacity() const;
  std::span<std::byte> bytes() const { return {data_, size_}; }
  void release();

 private:
  friend class BufferPool;
  Buffer(BufferPool* pool, std::byte* data, size_t size, uint8_t order)
      : pool_(pool), data_(data), size_(size), order_(order) {}
  void swap(Buffer& other) {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(order_, other.order_);
  }
  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  uint8_t order_ = 0;
};

class BufferPool {
 public:
  static constexpr size_t kBufferBytesMin = 4096;

  // `bytes` is rounded down to whole blocks of kBufferBytesMin and taken from the backend; fatal(kOutOfMemoryAtStart)
  // if it has none.
  BufferPool(Core& core, size_t bytes);
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // The largest buffer that is ever possible: the greatest power of two that fits. A user that shares the pool sets a
  // lower limit for itself.
  size_t buffer_bytes_max() const { return kBufferBytesMin << (free_.orders() - 1); }
  size_t bytes_total() const { return region_.size(); }
  size_t bytes_free() const { return free_bytes_; }
  // True if a task waits in allocate_waiting().
  bool has_waiters() const { return !waiters_.empty(); }

  // kNoMemory if it does not fit now or others wait already; kLimit if it never will.
  Result<Buffer> allocate(size_t size);

  // Waits for room, FIFO: `Result<Buffer> buffer = co_await pool.allocate_waiting(size)`. kLimit if it never fits.
  auto allocate_waiting(size_t size) {
    struct Awaiter : Waiter {
      BufferPool& pool;
      Awaiter(BufferPool& of, size_t bytes) : pool(of) { wanted = bytes; }
      bool await_ready() {
        auto now = pool.allocate(wanted);
        if (!now && now.error() == Errc::kNoMemory) return false;
        granted = std::move(now);
        return true;
      }
      void await_suspend(std::coroutine_handle<> parent) {
        hold(parent);
        pool.waiters_.push_back(*this);
      }
      Result<Buffer> await_resume() { return std::move(granted); }
    };
    return Awaiter(*this, size);
  }

 private:
  friend class Buffer;
  struct Waiter : ResumeLater {
    size_t wanted = 0;
    Result<Buffer> granted = failure(Errc::kNoMemory);
  };
  // Memory is prepared in units of a huge page, so many ahead of what is used. More would be ready for a faster load,
  // and would be resident in every pool of every core though nobody uses it.
  static constexpr size_t kUnitsAhead = 2;
  enum class Unit : uint8_t { kUntouched, kPrepared, kUsed };

  uint8_t order_of(size_t size) const;
  Result<Buffer> take(size_t size);
  void prepare_first();
  void note_used(size_t offset, size_t bytes);
  void prepare(size_t first_unit, size_t units);
  void give_back(std::byte* data, uint8_t order);
  void serve_waiters();

  Core& core_;
  std::span<std::byte> region_;
  size_t free_bytes_ = 0;
  FreeBlocks free_;
  std::vector<Unit> units_;
  IntrusiveList<Runnable> waiters_;
};

}  // namespace posthaste::reactor
