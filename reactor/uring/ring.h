// One io_uring instance, made and used by one thread: entries in, completions out, and the one system call that does
// both. Knows the kernel's features and its ways of refusing; does not know what an operation of ours is.
//
// Set up with SINGLE_ISSUER and DEFER_TASKRUN: the kernel does completion work only when this thread enters it, so
// nothing here needs a lock and every completion is seen in a batch. Linux 6.1 is the floor for that.
#pragma once
#include <liburing.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/time.h"

namespace posthaste::reactor::uring {

// Which kernel features are used. Two sets, each tested; kAuto takes the newest that the kernel has. What 6.12 adds: a
// core wakes another by a message between rings in the same system call as its other work (instead of one write to an
// eventfd each), and ftruncate is a ring operation (instead of a call in the helper thread).
enum class Profile : uint8_t { kAuto, k6_1, k6_12 };
std::string_view to_string(Profile profile);

struct RingOptions {
  Profile profile = Profile::kAuto;
  // Entries between two system calls; more than that costs another call. Completions have 4 times the room, and what
  // does not fit waits in the kernel.
  uint32_t entries = 1024;
};

struct RingStats {
  uint64_t entries = 0;          // submission entries filled
  uint64_t completions = 0;      // completion entries seen
  uint64_t enters = 0;           // io_uring_enter calls
  uint64_t enters_blocking = 0;  // of those, calls that were to wait
  uint64_t enters_avoided = 0;   // polls with nothing to tell the kernel
  uint64_t overflows = 0;        // times the completion ring was found full
};

// A sentence for the operator that says why io_uring_setup failed with `error` (positive errno) and what to do.
// `disabled_sysctl`: the text of /proc/sys/kernel/io_uring_disabled, empty if there is none.
std::string describe_setup_failure(int error, std::string_view kernel_release, std::string_view disabled_sysctl);

// Threads of this process in which the kernel does work that it would not do in the submitting thread. Any thread may
// ask; reads /proc. They live for seconds after their last work, so a count above what file creation explains says that
// reads or writes are handed over (on some file systems every durable write is).
uint32_t count_kernel_workers();

class Ring {
 public:
  struct Completion {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
  };
  // What an entry points to only until it is submitted; one per entry.
  union EntryMemory {
    msghdr message;
    sockaddr_storage address;
  };

  // On the thread that will use it.
  static std::expected<std::unique_ptr<Ring>, std::string> create(const RingOptions& options);
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring();

  Profile profile() const { return profile_; }  // never kAuto
  int fd() const { return ring_.ring_fd; }
  io_uring* raw() { return &ring_; }
  const RingStats& stats() const { return stats_; }

  // A zeroed entry, submitted by the next poll() or block(). When all are taken, enters the kernel to empty them;
  // nullptr if it takes none now (its completions must be seen first).
  io_uring_sqe* next_entry();
  EntryMemory& memory_of(const io_uring_sqe* entry) { return memory_[static_cast<size_t>(entry - ring_.sq.sqes)]; }

  // Submits and collects without waiting; no system call if the kernel has nothing to hear or say.
  void poll();
  // Submits and waits for a completion or the time-out (Duration::max(): none) in one system call.
  void block(Duration timeout);

  bool has_completions() const { return io_uring_cq_ready(&ring_) > 0; }
  uint32_t completion_count() const { return io_uring_cq_ready(&ring_); }
  // The oldest one; there must be one.
  Completion take_completion();

 private:
  Ring() = default;
  uint32_t publish();
  void enter(uint32_t wait_for, uint32_t flags, const __kernel_timespec* timeout);

  io_uring ring_{};
  Profile profile_ = Profile::kAuto;
  RingStats stats_;
  std::vector<EntryMemory> memory_;
};

}  // namespace posthaste::reactor::uring
