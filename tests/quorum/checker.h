// The judge of the model world. It is shown what members say, write and become, and knows the rules of Raft, not the
// code: docs/quorum.md numbers them. The first thing that is wrong stays.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "tests/quorum/model_disk.h"

namespace posthaste::quorum_model {

class Checker {
 public:
  const std::optional<std::string>& violated() const { return violated_; }
  void fail(std::string what) {
    if (!violated_) violated_ = std::move(what);
  }

  // Q1: an epoch has one leader. Q2: it holds all that was committed under earlier epochs.
  void became_leader(const quorum::ReplicaKey& self, quorum::Epoch epoch, const Log& log);
  // Q3: who has the record at an offset of an epoch has the same before it.
  void appended(const Log& log, size_t first_entry);
  // Q4: what is committed is committed everywhere. True if nobody had said so before.
  bool committed(const quorum::ReplicaKey& self, quorum::Epoch epoch, const Log& log, Offset from, Offset to);
  // Q5: one vote in an epoch, also across crashes.
  void voted(const quorum::ReplicaKey& self, quorum::Epoch epoch, const quorum::ReplicaKey& candidate);
  // The disk has lied: what it forgot was never on it.
  void forget_votes(const quorum::ReplicaKey& self, quorum::Epoch above);
  // Q6: a leader changes its voters by one at a time, and only when those before are committed.
  void changed_voters(const Log& log, const quorum::VoterSet& before, bool has_committed_in_epoch);
  // Snapshots of one id are equal, and say who votes.
  void wrote_snapshot(const Snapshot& snapshot);

  Offset committed_end() const { return committed_.empty() ? 0 : committed_.rbegin()->first; }
  // The log holds all that is committed.
  bool holds_all(const Log& log) const { return holds(log, INT32_MAX); }
  uint64_t committed_count() const { return committed_.size(); }

 private:
  struct Decided {
    Entry entry;
    quorum::Epoch under = 0;  // the epoch of who said so first
  };
  bool holds(const Log& log, quorum::Epoch committed_below) const;

  std::optional<std::string> violated_;
  std::map<Offset, Decided> committed_;  // by end offset
  std::map<quorum::Epoch, quorum::ReplicaKey> leaders_;
  std::map<std::pair<quorum::ReplicaKey, quorum::Epoch>, quorum::ReplicaKey> votes_;
  std::map<std::pair<Offset, quorum::Epoch>, uint64_t> chains_;
  std::map<Offset, Snapshot> snapshots_;
};

std::string describe(const quorum::ReplicaKey& key);
std::string describe(const quorum::VoterSet& voters);

}  // namespace posthaste::quorum_model
