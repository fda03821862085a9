// The disk of one machine of the model: a vote and a log, what of them is durable, and writes that are under way. A
// crash keeps what was durable and, of the writes under way, as many of each kind as the seed says, the first ones.
#pragma once
#include <deque>
#include <memory>
#include <variant>
#include <vector>

#include "replication/quorum/events.h"

namespace posthaste::quorum_model {

namespace quorum = replication::quorum;
using quorum::Offset;

// A batch and a hash over it and all before it: two logs with one chain hash at an offset are equal up to there.
struct Entry {
  quorum::Batch batch;
  uint64_t chain = 0;
};

// What the state machine holds up to `id`; its contents stand for themselves as a chain hash.
struct Snapshot {
  quorum::SnapshotId id;
  quorum::VoterSet voters;
  uint64_t chain = 0;
  uint64_t size = 1;
};

struct Log {
  std::shared_ptr<const Snapshot> snapshot;  // where it begins; never null
  std::vector<Entry> entries;

  Offset end() const { return entries.empty() ? snapshot->id.offset : entries.back().batch.end_offset(); }
  uint64_t chain() const { return entries.empty() ? snapshot->chain : entries.back().chain; }
  quorum::LogPosition position() const {
    return entries.empty() ? snapshot->id : quorum::LogPosition{.offset = end(), .epoch = entries.back().batch.epoch};
  }
  // In force behind the last entry.
  const quorum::VoterSet& voters() const;
  // The entry that ends at `end`, or null.
  const Entry* ending_at(Offset end) const;
  // The first entry that begins at `offset` or above.
  size_t index_from(Offset offset) const;
  void truncate(Offset to);
  // The log begins behind `from`; what it holds of before goes.
  void begin_at(std::shared_ptr<const Snapshot> from);
};

uint64_t chain_of(uint64_t before, const quorum::Batch& batch);

struct VoteWrite {
  uint64_t number = 0;
  quorum::Vote vote;
};
struct AppendWrite {
  std::vector<Entry> entries;
};
struct TruncateWrite {
  Offset to = 0;
};
struct InstallWrite {
  std::shared_ptr<const Snapshot> snapshot;
};
struct LogWrite {
  uint64_t number = 0;  // of an install: that of the write before
  std::variant<AppendWrite, TruncateWrite, InstallWrite> what;
};

class Disk {
 public:
  explicit Disk(std::shared_ptr<const Snapshot> first) { log.snapshot = std::move(first); }

  void complete_vote();
  void complete_log();
  // All writes under way are lost but the first `votes` and `writes`.
  void crash(size_t votes, size_t writes);
  // A local snapshot is durable.
  void take(std::shared_ptr<const Snapshot> snapshot);

  quorum::DirectoryId directory;
  quorum::Vote vote;
  Log log;
  std::deque<VoteWrite> votes_under_way;
  std::deque<LogWrite> writes_under_way;
};

}  // namespace posthaste::quorum_model
