// Which voters were in force at each offset of the log. A set counts from the moment it is appended, committed or not,
// and a log that is cut gives back the set before. It does not decide who may become a voter (membership.cc).
#pragma once
#include <vector>

#include "replication/quorum/types.h"

namespace posthaste::replication::quorum {

// Sets that a log holds beyond its snapshot. A leader with so many refuses further changes until a snapshot is written.
inline constexpr size_t kVoterSetsMax = 64;

class VoterHistory {
 public:
  // `first` is in force from the beginning of the log: of a snapshot, or given by the operator.
  explicit VoterHistory(VoterSet first) : first_(std::move(first)) {}

  const VoterSet& latest() const { return changes_.empty() ? first_ : changes_.back().voters; }
  // The offset of the batch that made the latest set, or kNoOffset if that is not in the log.
  Offset latest_offset() const { return changes_.empty() ? kNoOffset : changes_.back().offset; }
  // The set in force behind all records below `end`: what a snapshot that ends there must hold.
  const VoterSet& at(Offset end) const;
  // Whether it votes behind `end`, or in a set that came after: it may be needed until the latest is committed.
  bool contains_since(Offset end, const ReplicaKey& key) const;
  size_t changes() const { return changes_.size(); }

  // `offset` is above all that is here.
  void add(Offset offset, VoterSet voters);
  void truncate(Offset to);
  // The log begins at `start` from now on.
  void trim(Offset start);
  void reset(VoterSet first);

 private:
  struct Change {
    Offset offset = 0;
    VoterSet voters;
  };
  VoterSet first_;
  std::vector<Change> changes_;
};

}  // namespace posthaste::replication::quorum
