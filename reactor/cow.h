// Copy on write: values that several holders share until one of them changes its own. A snapshot of something large is
// then a copy of one pointer, and a change costs what it changes.
//
// The count of holders is a plain number: one core owns all copies; it makes, changes and drops them, and may lend
// plain references to other cores. What others read through these references does not change, because a writer finds
// the value shared and copies it first. Because the count is plain, ThreadSanitizer also finds a copy that another core
// makes.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "reactor/check.h"

namespace posthaste::reactor {

// Holder of a shared value, or of none.
template <class T>
class Cow {
 public:
  Cow() = default;
  explicit Cow(T value) : box_(new Box{.holders = 1, .value = std::move(value)}) {}
  Cow(const Cow& other) : box_(other.box_) {
    if (box_ != nullptr) ++box_->holders;
  }
  Cow(Cow&& other) noexcept : box_(std::exchange(other.box_, nullptr)) {}
  Cow& operator=(Cow other) noexcept {
    std::swap(box_, other.box_);
    return *this;
  }
  ~Cow() {
    if (box_ != nullptr && --box_->holders == 0) delete box_;
  }

  explicit operator bool() const { return box_ != nullptr; }
  const T& operator*() const { return box_->value; }
  const T* operator->() const { return &box_->value; }
  uint32_t holders() const { return box_->holders; }

  // The value, for a change that this holder alone sees: copied first if it is shared.
  T& write() {
    CHECK(box_ != nullptr, "there is no value to write");
    if (box_->holders > 1) *this = Cow(box_->value);
    return box_->value;
  }
  // The same for a value that `mine` holders, all of them the caller's, shall see changed; the caller makes sure that
  // there are no others.
  T& write_among(uint32_t mine) {
    CHECK(box_ != nullptr && box_->holders == mine, "the value has other holders");
    return box_->value;
  }

 private:
  struct Box {
    uint32_t holders;
    T value;
  };
  Box* box_ = nullptr;
};

// Up to some tens of elements of a CowVector, in one block of memory with the count of their holders: there are
// hundreds of thousands of vectors with one element.
template <class T>
class CowChunk {
 public:
  CowChunk() = default;
  CowChunk(const CowChunk& other) : block_(other.block_) {
    if (block_ != nullptr) ++block_->holders;
  }
  CowChunk(CowChunk&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  CowChunk& operator=(CowChunk other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~CowChunk() {
    if (block_ == nullptr || --block_->holders > 0) return;
    std::destroy_n(items(*block_), block_->size);
    std::allocator<Unit>().deallocate(reinterpret_cast<Unit*>(block_), units_for(block_->capacity));
  }

  const T& operator[](size_t index) const { return items(*block_)[index]; }
  // Copied first if it is shared.
  T& write(size_t index) {
    if (block_->holders > 1) *this = copy(block_->size);
    return items(*block_)[index];
  }
  void push_back(T value) {
    const uint32_t size = block_ == nullptr ? 0 : block_->size;
    if (block_ == nullptr || block_->holders > 1 || size == block_->capacity) *this = copy(std::max(2 * size, 1U));
    std::construct_at(items(*block_) + size, std::move(value));
    ++block_->size;
  }

 private:
  struct Block {
    uint32_t holders;
    uint32_t size;
    uint32_t capacity;
  };
  // What blocks are made of: as aligned as both need it.
  struct alignas(std::max(alignof(Block), alignof(T))) Unit {
    std::byte bytes[std::max(alignof(Block), alignof(T))];  // NOLINT(modernize-avoid-c-arrays): raw memory
  };
  static constexpr size_t kHeaderUnits = (sizeof(Block) + sizeof(Unit) - 1) / sizeof(Unit);
  static size_t units_for(size_t items) {
    return kHeaderUnits + ((items * sizeof(T) + sizeof(Unit) - 1) / sizeof(Unit));
  }
  static T* items(Block& block) { return reinterpret_cast<T*>(reinterpret_cast<Unit*>(&block) + kHeaderUnits); }

  // The same elements, held once, with room for `capacity` of them. From the only holder they move.
  CowChunk copy(uint32_t capacity) {
    CowChunk made;
    made.block_ = std::construct_at(reinterpret_cast<Block*>(std::allocator<Unit>().allocate(units_for(capacity))),
                                    Block{.holders = 1, .size = 0, .capacity = capacity});
    if (block_ == nullptr) return made;
    CHECK(capacity >= block_->size);
    if (block_->holders == 1) {
      std::uninitialized_move_n(items(*block_), block_->size, items(*made.block_));
    } else {
      std::uninitialized_copy_n(items(*block_), block_->size, items(*made.block_));
    }
    made.block_->size = block_->size;
    return made;
  }

  Block* block_ = nullptr;
};

// A vector in chunks, each copied when it is written: to change one element of many copies one chunk, and a pointer to
// each of the others.
template <class T, size_t kChunk = 32>
class CowVector {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const T& operator[](size_t index) const {
    return index < kChunk ? first_[index] : (*rest_)[(index / kChunk) - 1][index % kChunk];
  }
  const T& at(size_t index) const {
    CHECK(index < size_, "element {} of {}", index, size_);
    return (*this)[index];
  }
  const T& front() const { return at(0); }
  class Iterator {
   public:
    using value_type = T;
    using difference_type = ptrdiff_t;
    Iterator() = default;
    Iterator(const CowVector& of, size_t at) : of_(&of), at_(at) {}
    const T& operator*() const { return (*of_)[at_]; }
    Iterator& operator++() { return ++at_, *this; }
    Iterator operator++(int) { return {*of_, at_++}; }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const CowVector* of_ = nullptr;
    size_t at_ = 0;
  };
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size_}; }
  T& write(size_t index) {
    CHECK(index < size_, "element {} of {}", index, size_);
    return index < kChunk ? first_.write(index) : rest_.write()[(index / kChunk) - 1].write(index % kChunk);
  }
  void push_back(T value) {
    if (size_ < kChunk) {
      first_.push_back(std::move(value));
    } else {
      if (!rest_) rest_ = Cow(std::vector<CowChunk<T>>());
      if (size_ % kChunk == 0) rest_.write().emplace_back();
      rest_.write().back().push_back(std::move(value));
    }
    ++size_;
  }
  friend bool operator==(const CowVector& a, const CowVector& b) { return std::ranges::equal(a, b); }

 private:
  CowChunk<T> first_;
  Cow<std::vector<CowChunk<T>>> rest_;
  size_t size_ = 0;
};

}  // namespace posthaste::reactor
