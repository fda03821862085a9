// The bytes of a simulated disk, in pages shared between disk images until one of them is written: a copy of a disk
// costs a counter per page. Counters are not atomic: a disk and all its copies stay on one thread.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace posthaste::reactor::simulated {

// What a device writes whole or not at all, if it is a good one.
inline constexpr size_t kSectorBytes = 512;
inline constexpr size_t kPageBytes = 4096;
inline constexpr size_t kSectorsPerPage = kPageBytes / kSectorBytes;

// A shared page, or a hole (reads as zeroes, takes no space).
class PageRef {
 public:
  PageRef() = default;
  PageRef(const PageRef& other) : page_(other.page_) {
    if (page_ != nullptr) ++page_->references;
  }
  PageRef(PageRef&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  PageRef& operator=(PageRef other) noexcept {
    std::swap(page_, other.page_);
    return *this;
  }
  ~PageRef() {
    if (page_ != nullptr && --page_->references == 0) delete page_;
  }
  // A new page with the bytes of `from` (zeroes for a hole).
  static PageRef copy_of(const PageRef& from) {
    PageRef made = raw();
    made.page_->bytes = from.page_ == nullptr ? Bytes{} : from.page_->bytes;
    return made;
  }
  // A new page whose bytes the caller writes all before anyone reads them.
  static PageRef raw() {
    PageRef made;
    made.page_ = new Page;
    return made;
  }

  bool is_hole() const { return page_ == nullptr; }
  // Read-only bytes; nullptr for a hole.
  const std::byte* read() const { return page_ == nullptr ? nullptr : page_->bytes.data(); }
  // Writable bytes; makes the page this reference's own first.
  std::byte* write() {
    if (page_ == nullptr || page_->references > 1) *this = copy_of(*this);
    return page_->bytes.data();
  }
  friend bool operator==(const PageRef& a, const PageRef& b) { return a.page_ == b.page_; }

 private:
  using Bytes = std::array<std::byte, kPageBytes>;
  struct Page {
    uint32_t references = 1;
    Bytes bytes;
  };
  Page* page_ = nullptr;
};

using Pages = std::vector<PageRef>;

inline const PageRef& page_at(const Pages& pages, size_t index) {
  static const PageRef kHole;
  return index < pages.size() ? pages[index] : kHole;
}
inline PageRef& page_slot(Pages& pages, size_t index) {
  if (index >= pages.size()) pages.resize(index + 1);
  return pages[index];
}

}  // namespace posthaste::reactor::simulated
