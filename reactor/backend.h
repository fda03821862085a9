// The only way to the outside world. A Backend takes batches of plain operations and completes them later; everything
// above it (files, sockets, clock, randomness, the log) uses it. There are two: uring (reactor/uring) and simulated
// (reactor/simulated); one script of operations must give the same results on both (backend_conformance_test.cc).
// A backend belongs to one core and is called by that core only, except wake(), which any core may call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/intrusive_list.h"
#include "reactor/result.h"
#include "reactor/time.h"

namespace posthaste::reactor {

// A core's number within its host, 0 .. cores-1.
using CoreId = uint16_t;
inline constexpr CoreId kCoresMax = 64;  // the doorbell of a core is one 64-bit word: mail.h

// An open file, directory or socket: a number that only its own backend understands. A socket changes backends by
// detach() on one core and adopt() on another.
struct FileId {
  int32_t value = -1;
  bool valid() const { return value >= 0; }
  friend bool operator==(FileId, FileId) = default;
};

// One piece of a gathered read or write. Same layout as iovec.
struct Slice {
  std::byte* data = nullptr;
  size_t size = 0;
};

enum class OpKind : uint8_t {
  kOpen,             // path, flags(kOpen*) -> FileId
  kClose,            // file; nothing else may be under way on it: shut a socket down and wait for its operations first
  kRead,             // file, offset, slices -> bytes (short only at the end of the file)
  kWrite,            // file, offset, slices, flags(kWriteDurable) -> bytes, all or an error
  kSync,             // file: data and metadata durable (also a directory's entries)
  kAllocate,         // file, offset, length: reserve space, extend the size, zeroes read back
  kTruncate,         // file, length
  kRename,           // path -> path2, replaces
  kUnlink,           // path
  kMakeDirectory,    // path
  kRemoveDirectory,  // path, must be empty
  kListDirectory,    // path, out = std::vector<DirectoryEntry>*, sorted by name
  kStat,             // path, out = FileStat*
  kSpace,            // path, out = SpaceStat*: of the file system that the path lies in
  // path = "ip:port" -> FileId; port 0 picks one; out = std::string* gets the bound "ip:port" (may be null). An IPv6
  // address takes no IPv4 peers, so both may listen on one port. kAddressNotAvailable: no interface here has it.
  kListen,
  kAccept,   // file -> FileId; out = std::string* gets the peer's "ip:port" (may be null)
  kConnect,  // path = "ip:port" -> FileId
  // path = a host name or an ip -> how many; out = std::vector<std::string>* gets its ips without port and brackets,
  // each once, in the resolver's order, never none. kNotFound: there is no such name; kTimedOut: no server knew in time
  // (that may be minutes: set a time limit with kCancel, which ends it at once). Slow names do not delay others.
  kResolve,
  kReceive,        // file, slices, flags(kReceiveAll) -> bytes; 0 = orderly end
  kReceiveSelect,  // file -> bytes in a small buffer the backend picked: op.slice, give back with recycle()
  kSend,           // file, slices -> bytes, all or an error
  kShutdown,       // file: both directions; pending receives end with 0, sends (and a listener's accepts) with an error
  kCancel,         // target: asks for an early end; the target completes on its own, usually with kCancelled
};

// Flags of kOpen.
inline constexpr uint16_t kOpenRead = 0;
inline constexpr uint16_t kOpenWrite = 1;      // read and write
inline constexpr uint16_t kOpenCreate = 2;     // create if missing
inline constexpr uint16_t kOpenExclusive = 4;  // with kOpenCreate: kExists if it is there
inline constexpr uint16_t kOpenDirect = 8;     // O_DIRECT: offset, sizes and addresses are multiples of kBlockBytes
inline constexpr uint16_t kOpenDirectory = 16;
inline constexpr uint16_t kOpenLock =
    32;  // take an exclusive advisory lock for the life of the file; kBusy if held elsewhere
// Flag of kWrite: complete only when the bytes are on stable storage (RWF_DSYNC).
inline constexpr uint16_t kWriteDurable = 64;
// Flag of kReceive: complete only when every slice is full (or at the end of the stream, short).
inline constexpr uint16_t kReceiveAll = 128;
// Flag of kClose for a socket: bytes that the peer has not received yet are dropped at once, and the peer sees a broken
// connection instead of an orderly end.
inline constexpr uint16_t kCloseDiscard = 256;

// Alignment of direct I/O. The unit of the journal too; a device with larger blocks is refused at start.
inline constexpr size_t kBlockBytes = 4096;
// What the kernel gives large memory in (x86-64): who touches one first waits for all of it.
inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// Which operations go first when the device is busy; limits per class live in IoScheduler (io_scheduler.h).
enum class IoClass : uint8_t { kNetwork, kJournal, kWriteBack, kLiveRead, kColdRead, kFileSystem };
inline constexpr size_t kIoClasses = 6;

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
  friend auto operator<=>(const DirectoryEntry&, const DirectoryEntry&) = default;
};

struct FileStat {
  uint64_t size_bytes = 0;
  bool is_directory = false;
  uint64_t identity = 0;  // of the file itself: another file of the same name has another one
  // Owner, group and mode as numbers, for messages. 0 where the backend has no users.
  uint32_t owner = 0;
  uint32_t group = 0;
  uint16_t permissions = 0;
};

// What a file system has for this process, in bytes.
struct SpaceStat {
  uint64_t total_bytes = 0;
  uint64_t available_bytes = 0;
};

// One operation. The caller owns it, and everything it points to, until complete() is called, on the caller's core,
// from within Backend::wait (never from within submit). `result` is >= 0, or the negated Errc.
struct Op : ListNode<> {
  OpKind kind = OpKind::kCancel;
  IoClass io_class = IoClass::kNetwork;
  uint16_t flags = 0;
  FileId file;
  uint32_t slice_count = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  const Slice* slices = nullptr;
  const char* path = nullptr;   // zero-terminated
  const char* path2 = nullptr;  // zero-terminated
  void* out = nullptr;
  Op* target = nullptr;
  Slice selected;  // kReceiveSelect: the buffer picked
  void (*complete)(Op&) = nullptr;
  int64_t result = 0;
  uint64_t scratch[4] = {};  // the backend's own

  void fail(Errc error) { result = -static_cast<int64_t>(error); }
  Result<uint64_t> outcome() const {
    if (result < 0) return failure(static_cast<Errc>(-result));
    return static_cast<uint64_t>(result);
  }
};

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

// Receives completions before the operation's owner does: the Core, which then calls op.complete(op).
class CompletionSink {
 public:
  virtual void completed(Op& op) = 0;

 protected:
  ~CompletionSink() = default;
};

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  // Takes the operations; one system call at the most for the batch, often none before wait().
  virtual void submit(std::span<Op* const> operations) = 0;
  // Blocks until an operation completes, another thread wakes this core, or `deadline`; then calls complete() for all
  // that are done. A deadline in the past polls. The simulated backend never blocks: its World calls complete() and
  // steps the core.
  virtual void wait(Instant deadline) = 0;
  // Makes `core`'s wait() return soon. Thread-safe.
  virtual void wake(CoreId core) = 0;

  virtual Instant now() = 0;
  virtual WallMillis wall_now() = 0;
  virtual uint64_t random() = 0;

  // Zeroed memory, kBlockBytes-aligned, for the life of the backend; pages are not touched before use. kNoMemory.
  virtual Result<std::span<std::byte>> allocate_memory(size_t bytes) = 0;
  // A part of that memory will be used soon: its pages are made usable beside this core's work. A hint; the content is
  // not changed, and the memory may be used meanwhile.
  virtual void prepare_memory(std::span<std::byte>) {}
  // Called for a part of that memory which its user gave back to the pool: no code may read it until it is allocated
  // again. The simulated backend fills it with garbage, so that such a read is found.
  virtual void memory_freed(std::span<std::byte>) {}
  // Gives back what kReceiveSelect picked.
  virtual void recycle(Slice selected) = 0;

  // Takes a socket off this core; the number is meaningful to adopt() of any backend of the same host.
  virtual int detach(FileId socket) = 0;
  virtual Result<FileId> adopt(int detached) = 0;
  // The own side of a connected socket, "ip:port"; empty if the connection is gone.
  virtual std::string local_address(FileId socket) = 0;

  // One line of the log; bounded and non-blocking: a line that does not fit is dropped and counted.
  virtual void log(LogLevel level, std::string_view line) = 0;

  // Without a sink, complete() is called directly (tests of the backend alone).
  void set_sink(CompletionSink* sink) { sink_ = sink; }

 protected:
  void deliver(Op& op) {
    if (sink_ != nullptr) {
      sink_->completed(op);
    } else {
      op.complete(op);
    }
  }

 private:
  CompletionSink* sink_ = nullptr;
};

}  // namespace posthaste::reactor
