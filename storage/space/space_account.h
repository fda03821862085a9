// What one core has accepted and has no place on disk for yet (its debt), against what the reserve keeps for it (its
// credit, space_reserve.h). Nothing is accepted beyond the credit: so whatever was accepted can be written back, and
// described in the tables, on a disk that is full to the last block. A plain value of its core.
#pragma once
#include <algorithm>
#include <array>

#include "reactor/result.h"
#include "storage/journal/journal_format.h"
#include "storage/log/segment.h"

namespace posthaste::storage {

class SpaceAccount {
 public:
  // Beside the bytes of a segment that has no file yet: its partition's folder, a block for their names.
  static constexpr uint64_t kNewFileBytes = 2 * kBlock;
  // By how much tables grow, both of them: by an entry with the longest name, one of its segments, one of its
  // producers, one of its epochs.
  static constexpr uint64_t kPartitionBytes = 1024;
  static constexpr uint64_t kSegmentBytes = 64;
  static constexpr uint64_t kProducerBytes = 384;
  static constexpr uint64_t kEpochBytes = 32;

  struct Credit {
    uint64_t version = 0;  // grows; an older one that arrives late is not taken
    uint64_t bytes = 0;
    bool disk_full = false;  // the reserve is being used up: clients' records are not taken
  };
  void take(const Credit& credit) {
    if (credit.version >= credit_.version) credit_ = credit;
  }
  bool disk_full() const { return credit_.disk_full; }
  uint64_t credit() const { return credit_.bytes; }
  uint64_t debt() const { return owed_ + table_growth_ + growth_of_table(); }

  // May something be accepted that needs `bytes` more? kNoSpace: not before there is room on the disk; kNoMemory: when
  // some of the debt is paid. Of the credit a part is kept for what is not a client's: commits of groups, changes of
  // topics. They are accepted while the disk is full, until the credit is used up.
  reactor::Result<void> admit(uint64_t bytes, bool from_client) const {
    if (from_client && credit_.disk_full) return reactor::failure(reactor::Errc::kNoSpace);
    if (bytes == 0 || debt() + bytes <= limit(from_client)) return {};
    return reactor::failure(credit_.disk_full ? reactor::Errc::kNoSpace : reactor::Errc::kNoMemory);
  }
  uint64_t limit(bool from_client) const { return from_client ? credit_.bytes - credit_.bytes / 8 : credit_.bytes; }

  // What the segment would owe if it had `size` bytes.
  static uint64_t place_wanted(const Segment& segment, uint64_t size) {
    if (segment.removed || size == 0) return 0;
    const uint64_t bytes = align_up(size);
    return bytes - std::min(bytes, segment.allocated) + (segment.created ? 0 : kNewFileBytes);
  }
  // The segment has grown, got its place or gone.
  void follow(Segment& segment) {
    const uint64_t wanted = place_wanted(segment, segment.size);
    owed_ = owed_ - segment.owed + wanted;
    segment.owed = wanted;
  }

  // The next table will be larger by this.
  void table_grows(uint64_t bytes) { table_growth_ += bytes; }
  uint64_t table_growth() const { return table_growth_; }
  // A table is made of what is known now; the one before it is on disk.
  void table_made() {
    growth_of_tables_[0] = growth_of_tables_[1];
    growth_of_tables_[1] = table_growth_;
    table_growth_ = 0;
  }
  // By how much the one that was made last is larger than the one whose place it takes, at most.
  uint64_t growth_of_table() const { return growth_of_tables_[0] + growth_of_tables_[1]; }

 private:
  Credit credit_;
  uint64_t owed_ = 0;
  uint64_t table_growth_ = 0;
  std::array<uint64_t, 2> growth_of_tables_{};  // of the last one on disk, of the one that is being written
};

}  // namespace posthaste::storage
