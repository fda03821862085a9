#include "net/answer_memory.h"

#include "reactor/check.h"

namespace posthaste::net {

using kafka::ApiKey;

AnswerMemory::Share AnswerMemory::settle(ApiKey api, Share reserved, uint64_t bytes) {
  uint64_t& expected = expected_[slot_of(api)];
  // Down slowly: between large answers of a kind there may be small ones.
  expected = std::max(bytes, expected - expected / 8);
  held_ += bytes;
  Share actual(*this, bytes);
  reserved = {};
  return actual;
}

void AnswerMemory::release(uint64_t bytes) {
  CHECK(bytes <= held_, "{} bytes of answers given back, {} are held", bytes, held_);
  held_ -= bytes;
  while (!waiters_.empty()) {
    auto& waiter = static_cast<ResumeWithBytes&>(waiters_.front());
    if (!try_take(waiter.bytes)) return;
    waiter.unlink();
    core_.schedule(waiter);
  }
}

}  // namespace posthaste::net
