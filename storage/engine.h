// The storage engine of one host: EngineHost once, Engine once per core. Life cycle:
//
//   EngineHost host(options, cores);                       // before the cores start, outlives them
//   core 0:      co_await host.recover(core)                // locks the folder, makes it whole, journals empty
//   each core:   Engine& engine = *co_await host.open(core) // after recover(): its partitions are there
//                ... engine.find(), create_partition(), Partition ...
//                co_await engine.close()                    // all written back; the other cores still run
//   core 0:      co_await host.close(core)                  // after every engine closed: last table, lock released
//
// A crash instead of close() loses nothing that was acked. The engine knows no leader and no socket.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reactor/core.h"
#include "reactor/sync.h"
#include "reactor/task.h"
#include "storage/log/chunk_cache.h"
#include "storage/log/log_types.h"
#include "storage/log/partition.h"
#include "storage/log/segment_files.h"
#include "storage/log/write_back.h"
#include "storage/placement.h"
#include "storage/recovery/recovery_progress.h"
#include "storage/recovery/table_file.h"
#include "storage/space/free_space.h"
#include "storage/space/space_account.h"

namespace posthaste::storage {

class Checkpoint;
class Contributor;
class FolderWatch;
class JournalStream;
class SpaceReserve;
struct JournalOptions;

struct EngineOptions {
  std::string data_directory;
  // Journals on this device; cores are assigned to them in equal runs, the first of a run owns the stream. One where a
  // flush is a device command (most disks), more where writes are durable at once. 1 .. cores.
  uint16_t streams = 1;
  uint64_t journal_file_bytes = uint64_t{8} << 20;
  // Files per stream, used in pairs. The first JournalStream::kFilesAtStart are zeroed before serving (some 10 ms), the
  // rest in the background. All of them together bound what a restart has to replay.
  uint16_t journal_files = 16;
  // One commit is under way at a time: the larger the fewer, when many bytes come in.
  uint32_t commit_bytes_max = uint32_t{4} << 20;
  // Of the core's pool: what one commit holds of copied bytes.
  uint32_t staging_bytes = uint32_t{1} << 20;
  // A range of a log that is at least this long goes to the journal from where it lies in memory, but for the blocks at
  // its ends; a shorter one is copied, which packs it without a gap. At least one block.
  uint32_t gather_bytes_min = uint32_t{32} << 10;
  // Of the core's pool: appended and not yet written back. Beyond it append() says kNoMemory.
  uint64_t tail_bytes_max = uint64_t{24} << 20;
  // Of the core's pool: clean chunks kept for readers; they go first when anyone needs memory.
  uint64_t cache_bytes_max = uint64_t{24} << 20;
  uint32_t read_ahead_bytes = uint32_t{256} << 10;
  // An idle stream writes a frontier, which proves that its last commit was complete, after this time.
  reactor::Duration frontier_delay = reactor::Duration(5'000'000);
  uint32_t open_files_max = 512;  // segment files per core
  // Names the owner of the store; kept in its tables. A store whose tables name another owner is refused.
  std::string owner;
  // The owner knows that this folder has held a store: one without tables is refused, no new one is made.
  bool must_exist = false;
  // Idempotent producers that all partitions of one core remember (kProducerBytes each).
  uint64_t producers_max = 100'000;
  // What the owner of the store keeps in its folder beside it, by name.
  std::vector<std::string> owners_entries;
  // Disk space that is kept back for what each core has accepted and not written to its place (space_reserve.h), at
  // most twice its tail, a sixteenth of the file system in all.
  uint64_t reserve_bytes_max = uint64_t{32} << 20;
};

// What recovery did, for the log and for tests.
struct RecoveryReport {
  bool created = false;  // the folder was empty
  uint64_t partitions = 0;
  uint64_t records_replayed = 0;
  uint64_t bytes_replayed = 0;
  uint64_t torn_commits = 0;        // never acked
  uint64_t damaged_partitions = 0;  // refused from Damage::from_offset on
  uint64_t repaired = 0;            // structures that were rotten and had a whole second copy
  uint64_t foreign = 0;             // entries of the folder that are not the engine's: left alone
  std::vector<std::string> notes;   // one line each, for the log
};

struct PartitionSpec {
  TopicId topic_id{};
  std::string topic_name;
  int32_t partition = 0;
  LogConfig config;
};

class EngineHost {
 public:
  EngineHost(EngineOptions options, reactor::CoreId cores);
  EngineHost(const EngineHost&) = delete;
  EngineHost& operator=(const EngineHost&) = delete;
  ~EngineHost();

  // Core 0, once, before any open(). Errors: kBusy: another process holds the folder; kUnsupported: the folder is of a
  // newer format and stays untouched; kDamaged: acked bytes of the journal or both tables are rotten, and which
  // partitions they belonged to is not known (error_text() says where); kIoError, kNoSpace, kPermission, kNotFound.
  reactor::Task<reactor::Result<RecoveryReport>> recover(reactor::Core& core);
  const std::string& error_text() const { return error_text_; }
  // What recover() is at. Core 0, while it runs.
  const RecoveryProgress& recovery_progress() const { return recovery_progress_; }
  // The owner that the newest whole table in a folder names, for a caller that has lost it. Any core; changes nothing.
  static reactor::Task<std::optional<std::string>> owner_in_tables(reactor::Core& core, std::string data_directory);

  // Each core once, after recover().
  reactor::Task<reactor::Result<Engine*>> open(reactor::Core& core);
  // The engine of `core`; only for use on that core.
  Engine& engine(reactor::CoreId core) { return *engines_[core]; }

  // Null before it has opened. Only on that core.
  Engine* engine_if_open(reactor::CoreId core) { return engines_[core].get(); }
  // The engine of `there`, once it has opened: cores open independently, so mail may arrive before. Only on `there`
  // itself.
  reactor::Task<Engine*> when_open(reactor::Core& there);

  // Core 0, once: partitions and their cores as recovered; the start of the creator's Placement.
  Placement take_placement() { return std::move(placement_); }
  // Folders that recovery found under names of partitions and that are not the engine's.
  const std::set<std::string>& foreign_folders() const { return foreign_folders_; }

  // Core 0, after all engines were closed.
  reactor::Task<reactor::Result<void>> close(reactor::Core& core);
  // Core 0, instead of close(): when a core could not open its engine, and all other cores have abandoned theirs.
  reactor::Task<void> abandon(reactor::Core& core);

  const EngineOptions& options() const { return options_; }
  reactor::CoreId cores() const { return cores_; }
  // Which stream a core feeds, and which core owns a stream.
  uint16_t stream_of(reactor::CoreId core) const;
  reactor::CoreId stream_owner(uint16_t stream) const;
  uint16_t cores_of_stream(uint16_t stream) const;
  std::string stream_directory(uint16_t stream) const;
  JournalOptions journal_options(uint16_t stream) const;
  std::string table_path(size_t slot) const;

 private:
  friend class Checkpoint;
  friend class Engine;
  friend class Recovery;
  friend class SpaceReserve;

  EngineOptions options_;
  reactor::CoreId cores_;
  std::string error_text_;
  RecoveryProgress recovery_progress_;
  Placement placement_;
  std::set<std::string> foreign_folders_;
  std::vector<std::unique_ptr<Engine>> engines_;
  std::vector<std::unique_ptr<reactor::Event>> opened_;  // by core, made and used by that core; null: nobody waited
  // As recovered and written; each open() takes its core's part, the last one frees the entries.
  TableSnapshot recovered_;
  reactor::CoreId open_engines_ = 0;  // core 0's
  size_t newest_slot_ = 0;
  reactor::File lock_;
  std::unique_ptr<SpaceReserve> reserve_;
  std::unique_ptr<FolderWatch> watch_;
  std::unique_ptr<Checkpoint> checkpoint_;
};

class Engine : private reactor::CoreOwned {
 public:
  Engine(EngineHost& host, reactor::Core& core);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  reactor::Core& core() { return core_; }
  EngineHost& host() { return host_; }

  // Null if this core does not own it. The pointer is good until delete_partition() of it has returned.
  Partition* find(const TopicId& topic_id, int32_t partition);
  Partition* find(Uid uid);
  // In order of (topic id, partition).
  void for_each(const std::function<void(Partition&)>& visit);
  size_t partition_count() const { return by_key_.size(); }

  // Makes a partition that this core owns; durable before it returns. kExists: this core has it. The directory follows
  // in the background. kInvalidArgument: no folder can be called that (folder_names.h); kPermission: a folder that is
  // not the engine's has that name; kNoSpace: the disk is full and the reserve used up; kStopping.
  reactor::Task<reactor::Result<Partition*>> create_partition(PartitionSpec spec);
  // Deletes it; durable before it returns, the files are removed in the background. Its waiters get kNotFound. Then
  // find() does not return it any more, and `partition` is destroyed unless a Partition::Use holds it.
  reactor::Task<reactor::Result<void>> delete_partition(Partition& partition);

  // Returns when an append that said kNoMemory may be tried again. Spurious returns are possible.
  reactor::Task<void> wait_for_room();

  // Asks for a table now: what is flushed needs no journal afterwards. Returns when one is durable. For tests and
  // tools; the engine does it by itself when half of the journal is in use.
  reactor::Task<void> checkpoint();

  // Everything written back and background work ended. Appends are refused (kStopping) from the call on. Every core
  // calls it; the core that owns a stream returns after those that feed it.
  reactor::Task<void> close();
  // Instead of close(), when another core could not open its engine, so that no client was served: ends what was
  // started and waits for no other core. The folder stays as it was recovered.
  reactor::Task<void> abandon();

  // Metrics.
  struct Stats {
    uint64_t commits = 0;
    uint64_t dirty_bytes = 0;
    uint64_t clean_bytes = 0;
    uint64_t refused_ranges = 0;  // places of logs that were refused, each with a line in the log
  };
  Stats stats() const;
  // What waits for room in the journal here, and for what: one line for a log or a test.
  std::string describe_room() const;
  void count_refused_range() { ++refused_ranges_; }

  // The disk was found full: clients' records are refused until there is room again.
  bool disk_full() const { return space_.disk_full(); }

  // For the parts of the engine.
  ChunkCache& cache() { return *cache_; }
  // Bytes of the cache, for reads from disk that are under way: FIFO, so that many readers of old data take turns
  // instead of evicting each other's chunks for ever.
  reactor::Semaphore& read_room() { return read_room_; }
  // Memory to read the start of a block into, for a journal record. It is set aside: what waits for it keeps the tail
  // full, which may have all other memory. At most kPrefixLoads at a time, FIFO.
  reactor::Task<reactor::Buffer> take_prefix_block();
  void give_back_prefix_block(reactor::Buffer block);
  SegmentFiles& files() { return files_; }
  const std::shared_ptr<ProducerCount>& producer_count() { return producer_count_; }
  // The same configuration, as one object with that of partitions that got an equal one recently: most have the
  // defaults. It never changes; a partition with another configuration gets another object.
  std::shared_ptr<const LogConfig> share(const LogConfig& config);
  WriteBack& write_back() { return write_back_; }
  Contributor& contributor() { return *contributor_; }
  JournalStream* own_stream() { return stream_.get(); }
  // Runs beside the caller; close() waits for it.
  void spawn(reactor::Task<void> task);
  void memory_wanted();
  void room_made();
  // More journal files, in the background, as far as the disk has room. Once, when it is known whether it has.
  void grow_journal();
  void note_unflushed(Partition& partition);
  SpaceAccount& space() { return space_; }
  FreeSpace& free_space() { return free_space_; }
  bool stopping() const { return stopping_; }
  void take_credit(const SpaceAccount::Credit& credit);
  // The reserve gives up `bytes` for what was accepted here (0: what could not be allocated was not owed). Returns how
  // much it gave: 0 if nothing is left, or if the disk has room again and `found_full` does not say otherwise. The
  // caller that got something calls took_from_reserve() when it was allocated, or could not be.
  reactor::Task<uint64_t> take_from_reserve(uint64_t bytes, bool found_full);
  void took_from_reserve(uint64_t bytes);
  void table_grows(uint64_t bytes);
  // In the background: a place for the first `bytes` of the segment, more than the credit is good for.
  void grow_ahead(Partition& partition, std::shared_ptr<Segment> segment, uint64_t bytes);
  void tidy(Partition& partition, std::shared_ptr<Segment> segment);
  // The same once there is room on the disk again.
  void tidy_later(Partition& partition, const std::shared_ptr<Segment>& segment);
  // Until no earlier incarnation's directory stands under the partition's name, whichever core it belonged to.
  reactor::Task<void> wait_for_name(Partition& partition);

 private:
  friend class Checkpoint;
  friend class EngineHost;

  static reactor::Task<void> wait_until_left(EngineHost& host, reactor::Core& there, const std::string& folder);

  // What one core adds to a table.
  struct TablePart {
    TableEntries entries;
    uint64_t next_uid = 0;
    uint64_t low_water_lsn = 0;
    uint64_t growth = 0;  // SpaceAccount::growth_of_table
    // From the core that owns a stream, when it has closed it.
    TableStream closed_stream;
  };
  reactor::Task<reactor::Result<void>> open(const TableSnapshot& recovered);
  static reactor::Task<void> run_background(Engine& engine, reactor::Task<void> task);
  static reactor::Task<void> tidy_task(Engine& engine, Partition::Use use, std::shared_ptr<Segment> segment);
  static reactor::Task<void> grow_task(Engine& engine, Partition::Use use, std::shared_ptr<Segment> segment,
                                       uint64_t bytes);
  static reactor::Task<void> sweep(Engine& engine);
  void tidy_the_rest();
  static reactor::Task<void> remove_files(Engine& engine, std::shared_ptr<Partition> partition);
  reactor::Task<void> write_back_below(uint64_t lsn);
  reactor::Task<TablePart> table_part(uint64_t bound_lsn);

  EngineHost& host_;
  reactor::Core& core_;
  std::shared_ptr<ChunkCache> cache_;
  std::shared_ptr<ProducerCount> producer_count_;
  static constexpr size_t kConfigsKept = 8;  // few are in use at a time, and to look through them costs little
  std::array<std::shared_ptr<const LogConfig>, kConfigsKept> configs_;
  size_t next_config_ = 0;
  SegmentFiles files_;
  WriteBack write_back_;
  std::unique_ptr<JournalStream> stream_;
  std::unique_ptr<Contributor> contributor_;
  std::map<Uid, std::shared_ptr<Partition>> by_uid_;
  std::map<Placement::Key, Partition*> by_key_;
  std::map<Uid, TableEntry> tombstones_;     // deleted, directory not gone yet
  std::map<std::string, uint32_t> leaving_;  // directories on their way out, by path
  reactor::IntrusiveList<Partition, UnflushedTag> unflushed_;
  SpaceAccount space_;
  FreeSpace free_space_;
  bool table_asked_for_ = false;
  struct Untidy {
    Uid uid;
    std::weak_ptr<Segment> segment;
  };
  std::vector<Untidy> untidy_;  // at most what was rolled since the disk was found full
  uint64_t next_uid_ = 1;
  uint64_t background_ = 0;
  uint64_t refused_ranges_ = 0;
  bool stopping_ = false;
  uint16_t detached_ = 0;  // feeders of the own stream that are done
  reactor::Event room_;
  reactor::Semaphore read_room_;
  static constexpr size_t kPrefixLoads = 4;  // enough to keep a disk busy after a start, when every partition needs one
  std::array<reactor::Buffer, kPrefixLoads> prefix_blocks_;
  reactor::Semaphore prefix_room_;
  reactor::Event changed_;
};

}  // namespace posthaste::storage
