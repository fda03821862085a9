// A short vector of plain values: up to `kInline` of them lie in the object itself, more on the heap. For members of
// which there are hundreds of thousands and that hold one or three elements almost always: std::vector takes a block of
// the heap for these, with its header and rounding 32 bytes for 4. No larger than std::vector as long as kInline
// elements fit into 8 or 16 bytes. A plain value of one core.
#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "reactor/check.h"

namespace posthaste::reactor {

template <class T, uint32_t kInline>
class InlineVector {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T> && kInline > 0);

 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  InlineVector() = default;
  InlineVector(std::initializer_list<T> values) { assign(values); }
  // From any array of T; not explicit, for it stands where a std::vector is taken over member by member.
  template <std::ranges::contiguous_range Range>
    requires(!std::same_as<std::remove_cvref_t<Range>, InlineVector> &&
             std::same_as<std::ranges::range_value_t<Range>, T>)
  InlineVector(const Range& values) {  // NOLINT(google-explicit-constructor): see above
    assign(std::span<const T>(values));
  }
  InlineVector(const InlineVector& other) { assign(std::span<const T>(other)); }
  InlineVector(InlineVector&& other) noexcept { take(other); }
  InlineVector& operator=(const InlineVector& other) {
    if (this != &other) assign(std::span<const T>(other));
    return *this;
  }
  InlineVector& operator=(InlineVector&& other) noexcept {
    if (this == &other) return *this;
    release();
    take(other);
    return *this;
  }
  ~InlineVector() { release(); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return is_inline() ? inline_ : heap_; }
  const T* data() const { return is_inline() ? inline_ : heap_; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](size_t index) { return data()[index]; }
  const T& operator[](size_t index) const { return data()[index]; }
  const T& at(size_t index) const {
    CHECK(index < size_, "element {} of {}", index, size_);
    return data()[index];
  }
  const T& front() const {
    CHECK(size_ > 0);
    return data()[0];
  }
  const T& back() const {
    CHECK(size_ > 0);
    return data()[size_ - 1];
  }

  void push_back(T value) {
    if (size_ == capacity_) grow(size_ + 1);
    data()[size_++] = value;
  }
  void pop_back() {
    CHECK(size_ > 0);
    --size_;
  }
  void clear() { size_ = 0; }
  // New elements get `value`.
  void resize(size_t size, T value = {}) {
    if (size > capacity_) grow(size);
    if (size > size_) std::fill(end(), data() + size, value);
    size_ = static_cast<uint32_t>(size);
  }
  // `values` are not of this vector.
  void assign(std::span<const T> values) {
    if (values.size() > capacity_) grow(values.size());
    std::ranges::copy(values, data());
    size_ = static_cast<uint32_t>(values.size());
  }
  // [first, last) are of this vector.
  void erase(const T* first, const T* last) {
    std::copy(last, std::as_const(*this).end(), begin() + (first - data()));
    size_ -= static_cast<uint32_t>(last - first);
  }

  friend bool operator==(const InlineVector& a, const InlineVector& b) { return std::ranges::equal(a, b); }
  friend bool operator==(const InlineVector& a, const std::vector<T>& b) { return std::ranges::equal(a, b); }

 private:
  bool is_inline() const { return capacity_ == kInline; }

  void grow(size_t size_min) {
    CHECK(size_min <= UINT32_MAX / 2, "{} elements", size_min);
    const auto capacity = std::max(static_cast<uint32_t>(size_min), 2 * capacity_);
    T* const bigger = std::allocator<T>().allocate(capacity);
    std::uninitialized_copy_n(data(), size_, bigger);
    release();
    heap_ = bigger;
    capacity_ = capacity;
  }
  void release() {
    if (!is_inline()) std::allocator<T>().deallocate(heap_, capacity_);
    capacity_ = kInline;
  }
  // From one that has it inline or on the heap, into one that has nothing on the heap. It is empty then.
  void take(InlineVector& other) {
    if (other.is_inline()) {
      std::copy_n(other.inline_, other.size_, inline_);
    } else {
      heap_ = other.heap_;
    }
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, kInline);
  }

  union {
    T inline_[kInline] = {};  // NOLINT(modernize-avoid-c-arrays): std::array would not be an array of living elements
    T* heap_;
  };
  uint32_t size_ = 0;
  uint32_t capacity_ = kInline;  // kInline: the elements lie here
};

}  // namespace posthaste::reactor
