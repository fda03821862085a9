// What requests keep of themselves while they wait for other clients or for time, in bytes, against a limit of one
// core. No request waits for room here: a request that does not fit does not wait, but answers with what there is (its
// client asks again). Pure counting; one core.
#pragma once
#include <cstdint>
#include <utility>

namespace posthaste::broker {

class WaitMemory {
 public:
  // What one request holds; gives it back when destroyed. Empty: it did not fit.
  class Share {
   public:
    Share() = default;
    Share(WaitMemory& of, uint64_t bytes) : of_(&of), bytes_(bytes) {}
    Share(Share&& other) noexcept : of_(std::exchange(other.of_, nullptr)), bytes_(other.bytes_) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(of_, other.of_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Share() {
      if (of_ != nullptr) of_->held_ -= bytes_;
    }
    explicit operator bool() const { return of_ != nullptr; }

   private:
    WaitMemory* of_ = nullptr;
    uint64_t bytes_ = 0;
  };

  explicit WaitMemory(uint64_t bytes_max) : bytes_max_(bytes_max) {}
  WaitMemory(const WaitMemory&) = delete;
  WaitMemory& operator=(const WaitMemory&) = delete;

  Share try_take(uint64_t bytes) {
    if (bytes > bytes_max_ - held_) return {};
    held_ += bytes;
    return {*this, bytes};
  }
  // For a request that waits in any case, and only gains by it: half stays for those that cannot wait without.
  Share try_take_spare(uint64_t bytes) {
    const uint64_t spare = bytes_max_ / 2;
    if (held_ > spare || bytes > spare - held_) return {};
    return try_take(bytes);
  }
  uint64_t held() const { return held_; }

 private:
  uint64_t bytes_max_;
  uint64_t held_ = 0;
};

}  // namespace posthaste::broker
