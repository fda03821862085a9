// The quorum's writes on its log, one after the other: appends, cuts, pieces of a snapshot and its installation. What
// is asked for while a cut or a full memory holds up the queue waits in it; appends are in the log in the order in
// which they were asked for, and are reported in that order when they are durable. It decides nothing; what it cannot
// do at all it says once and stops.
#pragma once
#include <list>
#include <variant>

#include "reactor/scope.h"
#include "replication/quorum/events.h"
#include "replication/quorum/snapshot_store.h"
#include "storage/engine.h"

namespace posthaste::replication::quorum {

// Told of what has become of writes, from steps of their own: never inside a call of LogWriter.
class LogWriterUser {
 public:
  LogWriterUser() = default;
  LogWriterUser(const LogWriterUser&) = delete;
  LogWriterUser& operator=(const LogWriterUser&) = delete;
  virtual ~LogWriterUser() = default;

  // Write `number`, and all before it, is durable.
  virtual void log_written(uint64_t number) = 0;
  virtual void snapshot_installed(const StoredSnapshot& snapshot) = 0;
  virtual void snapshot_failed(SnapshotId id, reactor::Errc error) = 0;
  // Nothing waits to be done to the log any more: it is as the quorum sees it, though perhaps not durable.
  virtual void log_is_as_asked() = 0;
  // The log cannot be written; nothing more is done to it.
  virtual void log_failed(reactor::Errc error) = 0;
};

// The log's core. `log`, `snapshots` and `user` outlive it; stop() must be awaited before it goes away.
class LogWriter : private reactor::CoreOwned {
 public:
  LogWriter(storage::Engine& engine, storage::Partition& log, SnapshotStore& snapshots, LogWriterUser& user);
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // A batch of this member's own, which must come to lie at `base_offset` (CHECK).
  void append_own(uint64_t number, Epoch epoch, Offset base_offset, storage::Bytes batch);
  // A leader's batches as they are.
  void append_fetched(uint64_t number, storage::Bytes batches);
  // The log holds it already, as its last record. While is_idle() (CHECK).
  void appended(uint64_t number);
  void truncate(uint64_t number, Offset to);
  void write_piece(SnapshotId id, uint64_t position, storage::Bytes piece);
  void install(SnapshotId id);

  // Nothing waits to be done to the log. What is under way to the disk may be any amount.
  bool is_idle() const { return queued_.empty(); }
  // Nobody is told of anything afterwards.
  reactor::Task<void> stop();

 private:
  struct Own {
    Epoch epoch = 0;
    Offset base_offset = 0;
    storage::Bytes batch;
  };
  struct Fetched {
    storage::Bytes batches;
  };
  struct Cut {
    Offset to = 0;
  };
  struct Piece {
    SnapshotId id;
    uint64_t position = 0;
    storage::Bytes bytes;
  };
  struct Install {
    SnapshotId id;
    reactor::Result<StoredSnapshot> done = reactor::failure(reactor::Errc::kCancelled);
  };
  struct Nothing {};
  using What = std::variant<Nothing, Own, Fetched, Cut, Piece, Install>;

  // In the queue until it is done to the log, then in flight until it is durable and reported.
  struct Write : storage::OffsetWaiter {
    LogWriter* owner = nullptr;
    uint64_t number = 0;  // 0: it has none
    What what;
    std::optional<reactor::Result<void>> durable;
  };
  struct Report : reactor::Runnable {
    LogWriter* owner = nullptr;
  };

  void queue(uint64_t number, What what);
  reactor::Task<void> work();
  reactor::Task<reactor::Result<void>> apply(Write& write);
  reactor::Task<reactor::Result<void>> apply_own(Own& own);
  reactor::Task<reactor::Result<void>> apply_fetched(Fetched& fetched);
  reactor::Task<reactor::Result<void>> apply_cut(Offset to);
  reactor::Task<void> apply_piece(Piece& piece);
  reactor::Task<reactor::Result<void>> apply_install(Install& install);
  reactor::Task<reactor::Result<void>> wait_or_fail(reactor::Errc error);
  void wait_durable(Write& write);
  void settle(Write& write, reactor::Result<void> durable);
  void report();
  void tell(Write& write);

  reactor::Core& core_;
  storage::Engine& engine_;
  storage::Partition& log_;
  SnapshotStore& snapshots_;
  LogWriterUser& user_;
  std::list<Write> queued_;
  std::list<Write> in_flight_;
  std::optional<reactor::Errc> piece_failed_;  // of the snapshot that is being fetched
  bool is_working_ = false;
  bool has_failed_ = false;
  bool stopping_ = false;
  Report report_;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::quorum
