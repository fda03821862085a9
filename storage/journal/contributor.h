// What one core writes to its journal stream: META records and the new bytes of its dirty partitions, gathered into one
// sub-block per commit. On the stream's own core the sub-block is written in place into the commit; other cores send
// theirs by mail, and the reply says that it is durable. One sub-block of a core is under way at a time: what arrives
// meanwhile goes into the next (group commit). It is built only when there is a place for it in the journal, which
// other cores hold in advance and ask for only when room was short. Owned by its core.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "reactor/mail.h"
#include "reactor/recycled.h"
#include "reactor/sync.h"
#include "storage/journal/journal_format.h"
#include "storage/log/partition.h"

namespace posthaste::storage {

class EngineHost;
class JournalStream;
struct EngineOptions;

// The result of a sub-block that another core has sent.
struct RemoteCommit {
  CommitPlace place;
  bool has_place = false;  // the core holds a place for its next one already
};

// One META record on its way. Lives in its writer until `done`.
struct MetaWrite : reactor::ListNode<> {
  Bytes record;
  Partition* partition = nullptr;
  void (*done)(MetaWrite&) = nullptr;
  bool detached = false;       // nobody waits: the contributor frees it
  bool applies_later = false;  // the writer changes memory when it runs again, then calls meta_applied()
};

class Contributor {
 public:
  // `stream` is null if another core owns the stream: then `owner` says which, and a sub-block has at most
  // `remote_bytes_max` bytes.
  Contributor(Engine& engine, JournalStream* stream, reactor::CoreId owner, size_t remote_bytes_max);
  Contributor(const Contributor&) = delete;
  Contributor& operator=(const Contributor&) = delete;
  ~Contributor();

  // Takes the memory for sub-blocks to another core. kNoMemory.
  reactor::Result<void> open();

  // The partition has bytes (or a roll) that no commit holds yet.
  void mark_dirty(Partition& partition);
  // Queues the record; write.done is called when it is durable.
  void add(MetaWrite& write);
  // The same; the contributor owns the memory of the record.
  void add_detached(Partition& partition, const JournalRecord& record);
  // Waits until the record is durable. The caller applies it at once, then calls partition.meta_applied().
  reactor::Task<void> write(Partition& partition, const JournalRecord& record);

  // Notified after each durable sub-block.
  reactor::Event& progress() { return progress_; }
  bool has_work() const { return !metas_.empty() || !dirty_.empty(); }
  bool idle() const { return !has_work() && !in_flight_; }

  // For the stream on this core: makes a sub-block of up to `bytes_max` bytes, copied ones in `space` (RecordWriter),
  // and returns its bytes (0: nothing to write now). pieces(): all of it in whole blocks, but for `phase` bytes before
  // the first; good until it is durable.
  size_t build(MutableBytes space, size_t phase, size_t bytes_max);
  std::span<const reactor::Slice> pieces() const { return pieces_; }
  // The sub-block last built is durable.
  void durable(const CommitPlace& place);

 private:
  struct Included {
    Partition* partition = nullptr;
    CommitState::Submitted submitted;
  };
  struct SendSubBlock {
    EngineHost* host = nullptr;
    reactor::CoreId from = 0;
    std::span<const reactor::Slice> pieces;
    uint32_t used = 0;
    reactor::Task<RemoteCommit> operator()(reactor::Core& there);
  };
  struct AskForPlace {
    EngineHost* host = nullptr;
    reactor::Task<void> operator()(reactor::Core& there);
  };
  struct Call : reactor::RemoteCall<SendSubBlock>, reactor::Recycled {
    using RemoteCall::RemoteCall;
    Contributor* self = nullptr;
  };
  struct PlaceCall : reactor::RemoteCall<AskForPlace> {
    using RemoteCall::RemoteCall;
    Contributor* self = nullptr;
  };
  struct Kick : reactor::Runnable {
    Contributor* self = nullptr;
  };
  void schedule();
  void send();
  void send_built();
  void ask_for_place();

  Engine& engine_;
  JournalStream* stream_;
  reactor::CoreId owner_;
  size_t remote_bytes_max_;
  reactor::IntrusiveList<Partition, DirtyTag> dirty_;
  reactor::IntrusiveList<MetaWrite> metas_;
  reactor::IntrusiveList<MetaWrite> metas_in_flight_;
  std::vector<Included> included_;
  RecordWriter writer_;
  std::span<const reactor::Slice> pieces_;
  std::vector<ChunkLease> referred_;  // what the sub-block under way refers to
  bool in_flight_ = false;
  Kick kick_;
  reactor::Event progress_;
  // Of a stream on another core.
  reactor::Buffer remote_buffer_;
  bool has_place_ = true;
  bool asking_ = false;
  std::unique_ptr<Call> remote_call_;  // the last one stays until the next
  std::unique_ptr<PlaceCall> place_call_;
};

}  // namespace posthaste::storage
