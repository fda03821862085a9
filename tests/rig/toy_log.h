// The log of one toy replica: records in memory, and a file to which every append and every truncation is added,
// flushed in turns. What is durable survives any death of its host. Recovery reads the file up to the first entry that
// is not whole, and writes what it found into a new file before the replica acts on it. One core.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "reactor/file.h"
#include "reactor/sync.h"
#include "tests/rig/replica_checker.h"

namespace posthaste::rig {

class ToyLog {
 public:
  explicit ToyLog(reactor::Core& core) : core_(core), changed_(core), work_(core) {}

  // Recovers; once, before anything else. An error of the disk ends the process: none is injected here.
  reactor::Task<void> open();
  // Writes and flushes what was added, for ever.
  reactor::Task<void> flush_loop();

  // At the end; never waits.
  void append(const ReplicaRecord& record);
  // Everything from `offset` on goes.
  void truncate(int64_t offset);

  std::span<const ReplicaRecord> records() const { return records_; }
  int64_t end() const { return static_cast<int64_t>(records_.size()); }
  // Records before this are found again by any recovery, unless a truncation takes them.
  int64_t durable() const { return durable_; }
  // How far the records of epochs up to `epoch` go.
  int64_t end_of_epoch(int32_t epoch) const;
  // Notified when the end or `durable` moved.
  reactor::Event& changed() { return changed_; }

 private:
  reactor::Task<std::vector<std::byte>> read_file();
  void replay(std::span<const std::byte> file);
  void replay_batch(std::span<const std::byte> entries);
  reactor::Task<void> write_anew();
  void add_entry(bool truncation, const ReplicaRecord& record);

  reactor::Core& core_;
  reactor::File file_;
  uint64_t file_bytes_ = 0;
  std::vector<std::byte> unwritten_;  // entries that belong at file_bytes_
  std::vector<ReplicaRecord> records_;
  int64_t durable_ = 0;
  int64_t flushing_to_ = 0;  // becomes durable with the flush under way
  reactor::Event changed_;
  reactor::Event work_;
};

}  // namespace posthaste::rig
