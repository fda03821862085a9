// One segment of a partition: its file, what of it is in memory, its index. Segment files hold exactly Kafka's bytes
// (docs/storage-format.md). Belongs to the partition's core. It does not decide when to write or what is durable.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reactor/file.h"
#include "reactor/sync.h"
#include "storage/log/chunk_cache.h"
#include "storage/log/header_proof.h"
#include "storage/log/segment_index.h"

namespace posthaste::storage {

class Segment final : public ChunkOwner {
 public:
  using Chunks = reactor::RecycledMap<uint32_t, ChunkLease>;  // by position

  Segment(int64_t base_offset, uint64_t linear_start) : linear_start_(linear_start), index_(base_offset) {}
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment() { drop_chunks(); }

  int64_t base_offset() const { return index().base_offset(); }
  uint64_t linear_start() const { return linear_start_; }
  uint64_t linear_end() const { return linear_start_ + size; }

  // The chunk whose range [position, position + capacity) holds `position`; null if none is in memory.
  Chunk* chunk_at(uint64_t position) const;
  // The chunk that holds `position`, or the first one behind it; chunks().end() if none.
  Chunks::const_iterator chunks_from(uint64_t position) const;
  // The position of the first chunk behind `position`; UINT64_MAX if none.
  uint64_t next_chunk_position(uint64_t position) const;
  void insert(ChunkLease chunk);
  void remove(Chunk& chunk);
  void drop_chunks();
  void evict(Chunk& chunk) override;
  const Chunks& chunks() const { return chunks_; }

  const SegmentIndex& index() const { return index_.index(); }
  SegmentIndexBuilder& index_builder() { return index_; }
  // `vouches`: it was made when the batches were appended, not from what stands in the file. CHECK: of this segment.
  void set_index(SegmentIndexBuilder index, bool vouches);

  // Whether a run's header hash was compared with what the file holds. A run that the index does not prove counts as
  // compared.
  enum class RunState : uint8_t { kUnknown, kGood, kBad };
  RunState run_state(size_t run) const;
  void set_run_state(size_t run, RunState state);
  bool has_bad_run() const;

  // Position of the first byte in [from, to) that is not in memory; `to` if all are.
  uint64_t first_missing(uint64_t from, uint64_t to) const;

  // What few segments have, apart so that it costs the others nothing.
  struct Extras {
    std::vector<RunState> run_states;
    std::optional<HeaderProof> proof;  // what it began with before a restart
    std::vector<uint64_t> refused;     // positions that were refused, and for which a line was logged
    Bytes producer_snapshot;           // of the state at its end, until it is on disk
  };
  const Extras* extras() const { return extras_.get(); }  // null: none of these
  Extras& make_extras() const;
  // It ends at `size` now: what the extras hold beyond it is removed.
  void cut_extras();

  // The file, and the waiters for it; opened when needed, closed again when too many are open. Apart as well: most
  // segments have no file open.
  struct Access {
    explicit Access(reactor::Core& core) : gate(core, 1), loaded(core) {}
    reactor::Semaphore gate;  // one opener or sizer at a time
    reactor::File file;
    reactor::Event loaded;  // a disk read into a chunk has ended
    struct Load {
      uint64_t from = 0;
      uint64_t to = 0;
    };
    std::vector<Load> loads;  // under way
  };
  const Access* access() const { return access_.get(); }  // null: the file is closed, and nothing waits
  Access& make_access(reactor::Core& core);
  // Frees it, unless the file is open or something uses it or waits.
  void drop_access();

 private:
  uint64_t linear_start_;
  Chunks chunks_;
  SegmentIndexBuilder index_;
  mutable std::unique_ptr<Extras> extras_;
  std::unique_ptr<Access> access_;

 public:
  uint64_t size = 0;                     // bytes, as appended
  int64_t max_timestamp = kNoTimestamp;  // ms
  reactor::WallMillis first_append;      // 0: nothing yet
  reactor::WallMillis last_append;
  uint64_t headers_hash = 0;  // of all batches, as appended (chain_header_hash)
  uint64_t allocated = 0;     // bytes reserved in the file
  uint64_t owed = 0;          // SpaceAccount
  uint32_t file_users = 0;
  bool sealed = false;
  bool removed = false;       // no longer part of the log
  bool headers_known = true;  // false: of what was there before a restart that is not known
  bool index_whole = true;    // false: the index lacks what was there before a restart
  bool indexing = false;      // the index is being built, or a run compared with it
  bool read_failing = false;  // the last read of the file failed, and that was logged
  bool tidy = false;          // sealed, and file truncated, index and producer snapshot written
  bool created = false;       // the file and its directory entry are durable
  bool growing = false;       // Engine::grow_ahead

 private:
  bool index_vouches_ = true;  // one that grows with appends does
};

}  // namespace posthaste::storage
