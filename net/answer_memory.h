// The budget of one core for the bytes that answers own (records of a Fetch are leased and counted elsewhere): a peer
// that asks for all topics and does not read must not make the heap grow. An answer's size is known only when it is
// made, so a request reserves (kafka::Admission) what recent answers of its kind took, and corrects that when its
// answer is made. The sum may exceed the budget by what answers grew since. FIFO; everything here belongs to one core.
#pragma once
#include <algorithm>
#include <array>
#include <utility>

#include "net/kafka/api_keys.h"
#include "reactor/core.h"

namespace posthaste::net {

class AnswerMemory {
 public:
  // The part of the budget that one answer holds; gives it back when destroyed.
  class Share {
   public:
    Share() = default;
    Share(AnswerMemory& from, uint64_t bytes) : from_(&from), bytes_(bytes) {}
    Share(Share&& other) noexcept { swap(other); }
    Share& operator=(Share&& other) noexcept {
      Share taken(std::move(other));
      swap(taken);
      return *this;
    }
    ~Share() {
      if (from_ != nullptr) from_->release(bytes_);
    }

   private:
    void swap(Share& other) {
      std::swap(from_, other.from_);
      std::swap(bytes_, other.bytes_);
    }
    AnswerMemory* from_ = nullptr;
    uint64_t bytes_ = 0;
  };

  AnswerMemory(reactor::Core& core, uint64_t bytes_max) : core_(core), bytes_max_(bytes_max) {
    expected_.fill(bytes_max / kUnknownShare);
  }
  AnswerMemory(const AnswerMemory&) = delete;
  AnswerMemory& operator=(const AnswerMemory&) = delete;

  uint64_t bytes_held() const { return held_; }
  bool has_waiters() const { return !waiters_.empty(); }

  // True if reserve() would not wait.
  bool has_room_for(kafka::ApiKey api) const {
    return waiters_.empty() && (held_ == 0 || held_ + expected_[slot_of(api)] <= bytes_max_);
  }
  // Waits until one more answer of this kind has room: `Share share = co_await memory.reserve(api)`. One answer
  // always fits when no other share is held.
  auto reserve(kafka::ApiKey api) {
    struct Awaiter : ResumeWithBytes {
      AnswerMemory& memory;
      Awaiter(AnswerMemory& of, uint64_t expected) : memory(of) { bytes = expected; }
      bool await_ready() { return memory.waiters_.empty() && memory.try_take(bytes); }
      void await_suspend(std::coroutine_handle<> parent) {
        hold(parent);
        memory.waiters_.push_back(*this);
      }
      Share await_resume() { return Share(memory, bytes); }
    };
    return Awaiter(*this, expected_[slot_of(api)]);
  }

  // The answer is made: its bytes replace what was reserved, if anything was.
  Share settle(kafka::ApiKey api, Share reserved, uint64_t bytes);

 private:
  struct ResumeWithBytes : reactor::ResumeLater {
    uint64_t bytes = 0;
  };
  // While nothing is known about the answers of a kind, this many of them share the budget.
  static constexpr uint64_t kUnknownShare = 16;
  static constexpr size_t kApiSlots = 128;  // more than Kafka has keys
  static size_t slot_of(kafka::ApiKey api) { return static_cast<size_t>(api) % kApiSlots; }

  bool try_take(uint64_t bytes) {
    if (held_ > 0 && held_ + bytes > bytes_max_) return false;
    held_ += bytes;
    return true;
  }
  void release(uint64_t bytes);

  reactor::Core& core_;
  uint64_t bytes_max_;
  uint64_t held_ = 0;
  std::array<uint64_t, kApiSlots> expected_{};
  reactor::IntrusiveList<reactor::Runnable> waiters_;
};

}  // namespace posthaste::net
