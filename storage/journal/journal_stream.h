// One journal: a ring of pairs of preallocated files, one commit in flight, every commit one aligned direct write that
// completes when it is on stable storage. Commits with contents go to the two files of a pair in turn, so that
// whichever file is lost, the other one proves all commits but the last. A failed write ends the process: what is on
// disk is unknown then, and nothing of it was acked. Pairs come free when both tables on disk say that they are not
// needed (low water). Owned by one core.
//
// Room: what waits for room must not hold what makes room (docs/architecture.md, "What waits for room, and what makes
// it"). Bytes that are part of a sub-block cannot be flushed before it is durable, so a sub-block is only built when
// its place in the ring is certain. Each file is cut into as many places as cores feed the stream; each other core
// holds one place or none, and takes it along with its sub-block. As long as a pair is free there is a place for every
// core; when none is, each of the two current files keeps one for each that holds one, whichever of them is the next to
// be written, and a core that has none waits for a table, with nothing built.
#pragma once
#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/sync.h"
#include "storage/journal/contributor.h"
#include "storage/journal/journal_format.h"
#include "storage/space/free_space.h"

namespace posthaste::storage {

struct JournalOptions {
  std::string directory;  // .../journal/s00
  uint64_t file_bytes = 0;
  uint16_t files = 0;
  uint32_t commit_bytes_max = 0;
  uint32_t staging_bytes = 0;  // copied bytes of a commit
  uint16_t cores = 1;          // that feed this stream
  reactor::Duration frontier_delay{};

  // Of a file: what one core's sub-block takes at most, with a commit header of its own.
  uint64_t place_bytes() const { return align_down((file_bytes - kBlock) / cores); }
  // The largest sub-block of another core; zero or less if the files are too small for so many cores.
  int64_t remote_sub_block_bytes_max() const {
    const auto fits = static_cast<int64_t>(place_bytes() - align_up(commit_header_bytes(cores)));
    return std::min<int64_t>(fits, commit_bytes_max);
  }
};

// A sub-block of another core, waiting for its commit.
struct RemoteSubBlock : reactor::ListNode<> {
  std::span<const reactor::Slice> pieces;  // whole blocks, `used` bytes of them and zeroes
  uint32_t used = 0;
  uint64_t padded_bytes() const { return align_up(used); }
  reactor::CoreId core = 0;
  RemoteCommit outcome;
  reactor::ResumeLater later;
};

class JournalStream {
 public:
  // Pairs that exist before the stream serves; one is written, one is ready.
  static constexpr uint16_t kPairsAtStart = 2;
  static constexpr uint16_t kFilesAtStart = 2 * kPairsAtStart;

  JournalStream(reactor::Core& core, JournalOptions options, const TableStream& table);
  JournalStream(const JournalStream&) = delete;
  JournalStream& operator=(const JournalStream&) = delete;
  ~JournalStream();

  // Opens the pairs that the table names: recovery has made kPairsAtStart of them, and taken the first into use. Core
  // start.
  reactor::Task<reactor::Result<void>> open();
  // Makes the other pairs in the background, then asks for a table that names them; returns when done, when stopped, or
  // when the disk is full.
  reactor::Task<void> grow(FreeSpace& space);
  // The growth ends with the file under way; the next start makes the rest.
  void stop_growing() { growing_ = false; }
  reactor::Task<void> close();

  void set_local(Contributor* contributor) { local_ = contributor; }
  // Called when a table must be written: half of the pairs are in use, or there are files that no table names yet. Set
  // once.
  void on_pressure(void (*callback)(void*), void* context) {
    pressure_ = callback;
    pressure_context_ = context;
  }

  // There is something to commit (local contributor).
  void request_commit();
  // Commits another core's sub-block of at most remote_sub_block_bytes_max() bytes, for which the core gives up the
  // place that it holds; returns when it is durable. Waits for the device alone, never for room.
  reactor::Task<RemoteCommit> commit_remote(reactor::CoreId from, std::span<const reactor::Slice> pieces,
                                            uint32_t used);
  // Returns when the core that asks holds a place. FIFO; each core begins with one.
  reactor::Task<void> wait_for_place();

  // The start of the pair that holds the oldest commit that may still be incomplete, or would hold the next.
  uint64_t bound_lsn() const;
  // Partitions with records in pairs that start below this should be written back. 0 if none need to be.
  uint64_t write_back_below_lsn() const;
  // A table is durable that needs this stream from low_water_lsn on.
  void table_durable(uint64_t number, uint64_t low_water_lsn);
  bool under_pressure() const;
  // This stream's part of a table, but for the low water, which is bound_lsn() or the start of an older pair.
  TableStream table_stream() const;
  // After close(): nothing that was written lies at or above it.
  uint64_t closed_lsn() const { return durable_lsn_; }
  uint64_t commits() const { return commits_; }
  // One line for a log or a test.
  std::string describe_room() const;

 private:
  struct JournalPair {
    std::array<reactor::File, 2> files;
    uint16_t number = 0;
    uint64_t sequence = 0;
    uint64_t start_lsn = 0;
  };
  struct Run : reactor::Runnable {
    JournalStream* self = nullptr;
  };
  struct PlaceWaiter : reactor::ListNode<> {
    reactor::ResumeLater later;
  };
  struct WriteOp : reactor::Op {
    JournalStream* self = nullptr;
  };
  struct FrontierTimer : reactor::Timer {
    using Timer::Timer;
    JournalStream* self = nullptr;
  };

  reactor::Task<reactor::Result<void>> make_pair(uint16_t number, FreeSpace& space);
  reactor::Task<reactor::Result<void>> open_pair(uint16_t number);
  bool has_pair(uint16_t number) const;
  void schedule();
  void run();
  void start_commit(bool frontier);
  void start_frontier();
  uint64_t rest_bytes(size_t side) const;
  uint64_t promised_bytes() const { return free_.empty() ? promised_ * options_.place_bytes() : 0; }
  bool has_room_beside_places(uint64_t bytes) const {
    return !free_.empty() || std::min(rest_bytes(0), rest_bytes(1)) >= bytes + promised_bytes();
  }
  bool may_build_local(uint64_t bytes);
  void give_places();
  void want_table();
  bool make_room(uint64_t bytes);
  void switch_pair();
  void write_pair_header(size_t side);
  void add_own(size_t header_bytes, size_t used);
  void write(const reactor::File& file, uint64_t offset);
  void written();
  void finish_commit();

  reactor::Core& core_;
  JournalOptions options_;
  StreamId id_;
  std::vector<uint16_t> table_pairs_;
  Contributor* local_ = nullptr;
  void (*pressure_)(void*) = nullptr;
  void* pressure_context_ = nullptr;

  std::vector<std::unique_ptr<JournalPair>> pairs_;
  std::deque<JournalPair*> live_;  // oldest first; the last one is written to; never empty while open
  std::deque<JournalPair*> free_;  // their names are durable
  uint64_t next_sequence_;
  std::array<uint64_t, 2> offset_{kBlock, kBlock};  // in the files of the current pair, of the next commit
  size_t side_ = 0;                                 // the file that the next commit goes to

  uint64_t commit_sequence_ = 0;
  uint64_t durable_lsn_;
  uint64_t commits_ = 0;
  std::array<uint64_t, 2> low_water_{};  // of the two tables on disk
  std::array<uint64_t, 2> table_number_{};

  reactor::Buffer staging_;
  reactor::Buffer header_block_;
  std::vector<reactor::Slice> slices_;  // of the write under way, at most kSlicesMax
  WriteOp op_;
  Run run_;
  Run written_;
  FrontierTimer frontier_;
  enum class Busy : uint8_t { kIdle, kFirstHeader, kSecondHeader, kCommit } busy_ = Busy::kIdle;
  uint64_t commit_bytes_ = 0;
  bool commit_is_frontier_ = true;
  bool local_included_ = false;
  bool stopping_ = false;
  bool growing_ = true;
  bool pressure_told_ = false;  // since the last table
  bool frontier_due_ = false;   // there was no room for it
  uint64_t promised_;           // places that other cores hold
  // Waiters for a place, other cores and our own contributor, in the order in which they began to wait.
  reactor::IntrusiveList<PlaceWaiter> place_waiters_;
  PlaceWaiter local_waiter_;
  reactor::IntrusiveList<RemoteSubBlock> remote_;
  reactor::IntrusiveList<RemoteSubBlock> remote_in_flight_;
  reactor::Event idle_;
};

}  // namespace posthaste::storage
