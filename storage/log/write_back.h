// Moves durable bytes from memory to segment files, a few partitions at a time and one write per partition at a time:
// when enough has gathered, when the tail's memory runs short, or when the journal wants its files back. A failed write
// ends the process: the journal would be freed although its bytes are nowhere else. It waits while the disk is full,
// unless the broker stops. Owned by one core.
#pragma once
#include <array>

#include "reactor/buffer.h"
#include "reactor/sync.h"
#include "storage/log/partition.h"

namespace posthaste::storage {

class WriteBack {
 public:
  // Partitions written at once: enough to keep a disk busy beside the journal (IoScheduler holds back the rest).
  static constexpr uint32_t kRunners = 4;

  WriteBack(Engine& engine, reactor::Core& core) : engine_(engine), idle_(core) {}
  WriteBack(const WriteBack&) = delete;
  WriteBack& operator=(const WriteBack&) = delete;

  // Takes the bounce blocks out of the pool. kNoMemory.
  reactor::Result<void> open();

  // Write back up to `goal` as far as durable, to the byte: what is durable may end inside a batch whose rest the
  // journal does not have yet. `partial`: also the block that the end lies in.
  void request(Partition& partition, uint64_t goal, bool partial);
  // Returns when nothing runs and nothing is queued.
  reactor::Task<void> drain();

 private:
  struct Step {
    bool progress = false;
    reactor::Errc error{};
  };
  reactor::Task<void> run(uint32_t runner);
  reactor::Task<void> write_partition(Partition& partition, MutableBytes bounce);
  reactor::Task<Step> write_once(Partition& partition, MutableBytes bounce);

  Engine& engine_;
  reactor::IntrusiveList<Partition, WriteBackTag> queue_;
  std::array<bool, kRunners> running_{};
  std::array<reactor::Buffer, kRunners> bounce_;
  reactor::Event idle_;
};

}  // namespace posthaste::storage
