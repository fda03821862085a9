// A Backend for unit tests of what does no I/O: the test sets the clock; operations complete only by the test's hand.
#pragma once
#include <cstdlib>
#include <memory>
#include <vector>

#include "reactor/backend.h"

namespace posthaste::reactor::testing {

class ManualBackend final : public Backend {
 public:
  ~ManualBackend() override {
    for (void* memory : memory_) std::free(memory);
  }
  Instant clock;
  std::vector<Op*> submitted;
  std::vector<std::string> lines;
  uint32_t wakes = 0;
  std::vector<std::span<std::byte>> prepared;

  void complete(Op& op, int64_t result) {
    op.result = result;
    std::erase(submitted, &op);
    deliver(op);
  }

  void submit(std::span<Op* const> operations) override {
    submitted.insert(submitted.end(), operations.begin(), operations.end());
  }
  void wait(Instant) override {}
  void wake(CoreId) override { ++wakes; }
  Instant now() override { return clock; }
  WallMillis wall_now() override { return {clock.nanoseconds / 1'000'000}; }
  uint64_t random() override { return random_ = random_ * 6364136223846793005U + 1442695040888963407U; }
  Result<std::span<std::byte>> allocate_memory(size_t bytes) override {
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(kBlockBytes, bytes));
    std::fill_n(memory, bytes, std::byte{0});
    memory_.push_back(memory);
    return std::span(memory, bytes);
  }
  void prepare_memory(std::span<std::byte> memory) override { prepared.push_back(memory); }
  void recycle(Slice) override {}
  int detach(FileId socket) override { return socket.value; }
  Result<FileId> adopt(int detached) override { return FileId{detached}; }
  std::string local_address(FileId) override { return {}; }
  void log(LogLevel, std::string_view line) override { lines.emplace_back(line); }

 private:
  uint64_t random_ = 1;
  std::vector<void*> memory_;
};

}  // namespace posthaste::reactor::testing
