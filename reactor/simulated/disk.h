// The disk of one simulated host: files and folders in memory, with what a power loss would leave kept apart from what
// a reader sees now. It knows no time: the backend begins an operation when it is submitted and completes it when its
// latency is over; in between it is in flight. One thread.
//
// What survives a power loss:
// - kWrite with kWriteDurable: its bytes (and the size it needed) from its completion on.
// - Any other completed write, allocate or truncate: only after a kSync of the file that was submitted later; until
//   then each 512-byte sector is old or new on its own, and the size is the old one, the new one or one in between.
// - A write in flight: any subset of its sectors is new; the others are old or garbage.
// - create, rename, unlink, make and remove directory: only after a kSync of the folder. Before, the changes of one
//   folder survive up to a point in their order; folders are independent. kSync of a file does not make its entry
//   durable (ext4 would; POSIX does not promise it).
// After the death of the process alone (SIGKILL) everything completed survives; operations in flight happened or not.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/backend.h"
#include "reactor/simulated/page.h"
#include "reactor/simulated/random.h"

namespace posthaste::reactor::simulated {

// What becomes of things that are not durable when the power goes.
enum class Fate : uint8_t {
  kAny,      // one of the others, drawn for each write (or page of unsynced bytes)
  kKept,     // all of it
  kLost,     // nothing of it
  kPrefix,   // the sectors up to a random point
  kSubset,   // each sector kept or lost
  kGarbage,  // each sector kept, lost or random bytes (writes in flight only; else like kSubset)
};

struct CrashPolicy {
  Fate in_flight = Fate::kAny;
  Fate completed = Fate::kAny;  // completed writes and sizes that were not synced
  Fate names = Fate::kAny;      // folder changes that were not synced: kKept, kLost, anything else = up to a point
  // For a test that enumerates: decides each sector of each write in flight, overriding `in_flight`. Returns kKept,
  // kLost or kGarbage.
  std::function<Fate(const Op& write, size_t sector_of_write)> choose;
};

// Makes operations fail. Counted in DiskStats::errors_injected when it fires.
struct FaultRule {
  OpKind kind = OpKind::kWrite;
  std::string path_contains;  // of the path the file was opened with; empty: all
  Errc error = Errc::kIoError;
  uint32_t skip = 0;  // this many matching operations pass first
  uint32_t count = 1;
};

struct DiskOptions {
  // Beyond: kNoSpace, also for what makes a folder or makes one grow. Space that is given back is there at once.
  uint64_t capacity_bytes = uint64_t{1} << 40;
  uint32_t open_files_max = 1 << 16;  // beyond: kTooManyFiles
  bool lying_flush = false;  // kSync and kWriteDurable report success and make nothing durable (each is counted)
};

struct DiskStats {
  uint64_t operations = 0;
  uint64_t bytes_written = 0;
  uint64_t bytes_read = 0;
  uint64_t errors_injected = 0;
  uint64_t unreadable_hits = 0;
  uint64_t bits_flipped = 0;
  uint64_t flushes_lied = 0;
  uint64_t sectors_lost = 0;        // by power losses: volatile or in flight, and not kept
  uint64_t sectors_garbage = 0;     // by power losses
  uint64_t overlapping_writes = 0;  // submitted over a block with another write in flight: never right (S5)
};

class Disk {
 public:
  using Handle = uint32_t;  // an open file of this life of the host
  using Ticket = uint32_t;  // an operation in flight
  static constexpr Handle kNoHandle = UINT32_MAX;

  explicit Disk(DiskOptions options = {}, uint64_t seed = 0);
  // A copy shares pages until written. A copy made while operations are in flight has none in flight and nothing open:
  // it is what a reader of the raw image would see, not what a crash leaves (crash_image).
  Disk(const Disk& other);
  Disk(Disk&&) = default;
  Disk& operator=(const Disk& other) { return *this = Disk(other); }
  Disk& operator=(Disk&&) = default;
  ~Disk() = default;

  // --- Operations: called by the backend.
  // Puts a file operation in flight; the op and what it points to stay valid until complete() or the crash. `file` for
  // operations on open files, kNoHandle for those on paths.
  Ticket begin(Op& op, Handle file);
  // Its effect, at once. The result for Op::result; for kOpen a Handle.
  int64_t complete(Ticket ticket);
  // It ends without effect (cancelled).
  void withdraw(Ticket ticket);
  size_t in_flight() const { return in_flight_count_; }
  // What is in flight, for a log line: "write /data/x 4096+8192, sync /data/y".
  std::string describe_in_flight() const;
  bool is_open(Handle file) const { return file < open_.size() && open_[file].used; }

  // --- Deaths.
  // What a restart would find if the power went now. The disk itself stays as it is: a test may take many images of
  // one run. Must be called while the memory of operations in flight is still there.
  Disk crash_image(Random& random, const CrashPolicy& policy) const;
  // Likewise if the process died now (SIGKILL): what was not durable is there and still is not.
  Disk killed_image(Random& random) const;
  // The power went: this disk becomes such an image.
  void power_lost(Random& random, const CrashPolicy& policy) { *this = crash_image(random, policy); }
  // The process died: what was in flight happened or not, open files and locks are gone.
  void process_died(Random& random);

  // --- Faults.
  void add_fault(FaultRule rule) { faults_.push_back(std::move(rule)); }
  void clear_faults() { faults_.clear(); }
  // Rot: flips one bit in what is stored, now and after a crash. False if there is no such byte.
  bool flip_bit(std::string_view path, uint64_t byte_offset, uint32_t bit);
  // Latent sector errors: reads that touch the range fail with kIoError until it is written again.
  bool fail_reads(std::string_view path, uint64_t offset, uint64_t length);
  DiskOptions& options() { return options_; }
  DiskStats& stats() { return stats_; }
  const DiskStats& stats() const { return stats_; }
  uint64_t bytes_used() const { return used_pages_ * kPageBytes; }

  // --- Direct access for tests and set-up: durable at once, no operation, no fault. Paths may be written absolute or
  // relative; both start at the root.
  void make_directories(std::string_view path);
  void write_file(std::string_view path, std::span<const std::byte> bytes);  // replaces; makes parent folders
  Result<std::vector<std::byte>> read_file(std::string_view path) const;     // as a reader sees it now
  Result<FileStat> stat(std::string_view path) const;
  Result<std::vector<DirectoryEntry>> list(std::string_view path) const;
  // Every file, as full paths, sorted.
  std::vector<std::string> all_files() const;
  // Hash of all names and bytes as seen now: equal disks have equal hashes.
  uint64_t content_hash() const;

 private:
  using InodeId = uint32_t;
  static constexpr InodeId kRoot = 0;
  static constexpr InodeId kNoInode = UINT32_MAX;
  static constexpr size_t kNamesPerPage = 64;
  static constexpr uint32_t kSweepAfterOrphans = 32;  // a sweep looks at everything, so it is done now and then

  struct Inode {
    bool used = false;
    bool is_directory = false;
    bool dirty = false;  // current and durable may differ
    uint32_t opens = 0;
    uint32_t links = 0;  // in the current folders
    uint32_t syncs_in_flight = 0;
    Handle locked_by = kNoHandle;
    uint64_t size = 0;
    uint64_t durable_size = 0;
    Pages current;
    Pages durable;
    std::map<size_t, PageRef> frozen;  // pages as they were when the sync in flight was submitted, if written since
    std::map<std::string, InodeId, std::less<>> entries;
    std::map<std::string, InodeId, std::less<>> durable_entries;
    std::vector<std::pair<uint64_t, uint64_t>> unreadable;  // [begin, end)
  };
  struct NameChange {  // folder[name] = inode, or no entry
    InodeId folder = kNoInode;
    std::string name;
    InodeId inode = kNoInode;
  };
  struct NameOperation {  // both happen or none
    NameChange first;
    NameChange second;  // folder kNoInode: there is none
    bool touches(InodeId folder) const { return first.folder == folder || second.folder == folder; }
  };
  struct OpenFile {
    bool used = false;
    InodeId inode = kNoInode;
    uint16_t flags = 0;
    std::string path;
  };
  struct InFlight {
    Op* op = nullptr;
    Handle file = kNoHandle;
  };
  struct Parent {
    InodeId folder;
    std::string name;
  };

  // disk.cc
  int64_t execute(Op& op, Handle file);
  int64_t execute_on_file(Op& op, OpenFile& file);
  std::optional<Errc> injected_error(const Op& op, Handle file);
  int64_t read(const Op& op, const OpenFile& file);
  int64_t write(const Op& op, const OpenFile& file, bool durable);
  bool aligned(const Op& op) const;
  bool has_room(uint64_t pages) const {
    return pages == 0 || (used_pages_ + pages) * kPageBytes <= options_.capacity_bytes;
  }
  uint64_t new_pages_needed(const Inode& inode, uint64_t offset, uint64_t length) const;
  void write_page(Inode& inode, size_t page, size_t from, size_t to, const PageRef& fresh, bool durable);
  int64_t allocate(Inode& inode, uint64_t offset, uint64_t length);
  void set_size(Inode& inode, uint64_t length);
  void sync(InodeId id);
  void sync_folder(InodeId id);
  bool lied();
  void note_overlap(const Op& op, Handle file);

  // disk_names.cc
  Result<InodeId> find(std::string_view path) const;
  Result<Parent> parent_of(std::string_view path) const;
  InodeId new_inode(bool is_directory);
  // What a folder of so many names takes; and what one more name in it would.
  static uint64_t folder_pages(size_t names) { return names / kNamesPerPage; }
  uint64_t pages_for_name(InodeId folder, const std::string& name) const;
  void link(InodeId folder, const std::string& name, InodeId inode);
  void unlink(InodeId folder, const std::string& name);
  void drop_if_unused(InodeId id);
  void sweep();
  int64_t open(const Op& op);
  int64_t close(Handle file);
  int64_t rename(const char* from, const char* to);
  int64_t remove(const char* path, bool directory);
  int64_t make_directory(const char* path);
  void apply_durably(const NameOperation& operation);
  void collect_files(InodeId folder, const std::string& prefix, std::vector<std::string>& out) const;

  // disk_crash.cc
  uint64_t pages_of(InodeId id) const;
  void lose_names(Random& random, Fate fate);
  void lose_bytes(Inode& inode, Random& random, Fate fate);
  void clear_tail(Inode& inode);
  void land_in_flight(const Op& op, const OpenFile& file, Random& random, const CrashPolicy& policy);
  void forget_the_process();

  DiskOptions options_;
  DiskStats stats_;
  Random random_;
  PageRef zero_page_;  // allocated, never written
  std::vector<Inode> inodes_;
  std::vector<InodeId> free_inodes_;
  uint32_t orphans_ = 0;
  uint64_t used_pages_ = 0;
  std::vector<NameOperation> pending_names_;
  std::vector<OpenFile> open_;
  std::vector<Handle> free_handles_;
  std::vector<InFlight> in_flight_;
  std::vector<Ticket> free_tickets_;
  size_t in_flight_count_ = 0;
  std::vector<FaultRule> faults_;
};

// Reads the bytes of an operation's slices in order.
class SliceCursor {
 public:
  SliceCursor(const Slice* slices, uint32_t count) : slices_(slices), count_(count) {}
  static uint64_t total(const Slice* slices, uint32_t count) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; ++i) bytes += slices[i].size;
    return bytes;
  }
  // Calls visit(std::byte*, size) for the next `bytes` bytes, in pieces.
  template <class Visit>
  void next(size_t bytes, Visit&& visit) {
    while (bytes > 0 && index_ < count_) {
      const size_t piece = std::min(bytes, slices_[index_].size - at_);
      if (piece > 0) visit(slices_[index_].data + at_, piece);
      bytes -= piece;
      at_ += piece;
      if (at_ == slices_[index_].size) {
        ++index_;
        at_ = 0;
      }
    }
  }

 private:
  const Slice* slices_;
  uint32_t count_;
  uint32_t index_ = 0;
  size_t at_ = 0;
};

}  // namespace posthaste::reactor::simulated
