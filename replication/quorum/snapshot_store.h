// The snapshots of a member, as the driver sees them: bytes that it passes on, with an id and the voters that are in
// force there. What they say is the business of who writes them from its state; so is where they are kept.
#pragma once
#include <optional>

#include "reactor/result.h"
#include "reactor/task.h"
#include "replication/quorum/types.h"
#include "storage/bytes/bytes.h"

namespace posthaste::replication::quorum {

struct StoredSnapshot {
  SnapshotId id;
  VoterSet voters;
};

struct SnapshotPiece {
  storage::Bytes bytes;  // kPayloadBytesMax at most; empty only behind the end
  uint64_t size = 0;     // of the whole snapshot
};

// One core's. The driver makes at most one call of write_piece() and install() at a time.
class SnapshotStore {
 public:
  SnapshotStore() = default;
  SnapshotStore(const SnapshotStore&) = delete;
  SnapshotStore& operator=(const SnapshotStore&) = delete;
  virtual ~SnapshotStore() = default;

  // The newest whole one, which is durable; nothing: there is none.
  virtual reactor::Task<reactor::Result<std::optional<StoredSnapshot>>> newest() = 0;
  // The bytes of a whole one from `position` on. kNotFound: there is none of that id any more.
  virtual reactor::Task<reactor::Result<SnapshotPiece>> read(SnapshotId id, uint64_t position) = 0;
  // The next piece of one that comes from a leader; at position 0 an unfinished one of before is thrown away. After an
  // error install() fails.
  virtual reactor::Task<reactor::Result<void>> write_piece(SnapshotId id, uint64_t position, storage::Bytes piece) = 0;
  // All pieces are there: whole and durable when it returns. On error there is no trace of it.
  virtual reactor::Task<reactor::Result<StoredSnapshot>> install(SnapshotId id) = 0;
  // The log from here on must stay: a store that keeps an older snapshot, too, can go on from that one.
  virtual Offset log_needed_from() const = 0;
};

}  // namespace posthaste::replication::quorum
