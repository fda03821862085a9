// The driver of a log of records that a core keeps its state in, as the offsets of groups. It replays the log into a
// reader, appends in order, says when an append is safe, and knows in which term it does so:
//
//   resigned -> loading (lead) -> leading -> resigned (resign) -> loading (lead, in a newer term) ...
//
// What is loaded is what is below the high watermark, and it leads only when that has reached the end that the log had
// when the term began: what a term before left behind it is then known to stay. What a term has not heard of when it
// ends is in doubt, and the next term sees only what the log holds. It does not know what a record means.
#pragma once
#include <functional>
#include <list>
#include <optional>

#include "reactor/scope.h"
#include "reactor/sync.h"
#include "replication/replica.h"
#include "storage/batch/record_reader.h"

namespace posthaste::replication {

// Whose state the log is. Called on the owner core by RecordLog::lead().
class RecordLogReader {
 public:
  virtual ~RecordLogReader() = default;
  // The log is about to be replayed from its start: forget what was read before.
  virtual void begin_load() = 0;
  // One record, in the order of the log.
  virtual void replay(const storage::RecordView& record) = 0;
};

// Owner core of the partition. `log` and `reader` outlive it; stop() must be awaited before it goes away.
class RecordLog : private reactor::CoreOwned {
 public:
  enum class Phase : uint8_t { kResigned, kLoading, kLeading };

  struct Outcome {
    reactor::Result<void> result;
    // Of the batch. Below 0: it is not in the log and will not be. Else, with an error: whether it stays is in doubt.
    int64_t base_offset = -1;
  };
  using Done = std::function<void(const Outcome&)>;

  RecordLog(reactor::Core& core, storage::Engine& engine, storage::Partition& log, RecordLogReader& reader);
  RecordLog(const RecordLog&) = delete;
  RecordLog& operator=(const RecordLog&) = delete;

  Phase phase() const { return phase_; }
  bool leads() const { return phase_ == Phase::kLeading; }

  // Ends the term that was (resign()) and begins that of `leader_epoch`, which is not older (CHECK) and in which the
  // log's replica leads: waits until all that the log holds is below the high watermark, and replays it into the
  // reader. Then leads(). Fails and leads nothing: kCancelled: resign() or another lead() came meanwhile, the reader is
  // not called any more; what a read says (kDamaged, kIoError ...). The same term may be tried again.
  reactor::Task<reactor::Result<void>> lead(int32_t leader_epoch);

  // Appends one batch of records behind those before it. While leads() (CHECK). `done` is called once, in the order of
  // the calls, from a step of its own: when the batch is below the high watermark, when it was refused, or when the
  // term has ended (kCancelled). Room in memory is waited for until `patience_ends` at least (then kNoMemory).
  void append(storage::Bytes batch, reactor::Instant patience_ends, Done done);

  // Ends the term: a load stops, appends that wait are told kCancelled. May be called in any phase.
  void resign();
  // Resigns, and waits for what runs in the background; nobody is called afterwards.
  reactor::Task<void> stop();

  const storage::Partition& log() const { return log_; }

 private:
  // An append; in the queue until the log has taken or refused it, then in flight until it is reported.
  struct Entry : storage::OffsetWaiter {
    RecordLog* owner = nullptr;
    storage::Bytes batch;
    reactor::Instant patience_ends;
    Done done_with;
    int64_t base_offset = -1;
    std::optional<reactor::Result<void>> result;
  };
  struct Report : reactor::Runnable {
    RecordLog* owner = nullptr;
  };
  struct Settled : storage::OffsetWaiter {
    explicit Settled(reactor::Core& core) : finished(core) {}
    reactor::Event finished;
    reactor::Result<void> result;
  };

  reactor::Task<reactor::Result<void>> wait_settled(int64_t end);
  reactor::Task<reactor::Result<int64_t>> replay_piece(int64_t offset, int64_t end, uint64_t term);
  reactor::Result<void> replay_batches(storage::ByteView bytes);
  reactor::Task<void> write_queued();
  void take_outcome(Entry& entry, reactor::Result<void> result);
  void report();

  reactor::Core& core_;
  storage::Engine& engine_;
  storage::Partition& log_;
  replication::Replica& replica_;
  RecordLogReader& reader_;
  Phase phase_ = Phase::kResigned;
  int32_t leader_epoch_ = -1;
  uint64_t term_ = 0;  // counts lead() and resign(): who has waited sees that it has been overtaken
  Settled* settling_ = nullptr;
  std::list<Entry> queued_;
  std::list<Entry> in_flight_;
  bool writing_ = false;
  Report report_;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication
