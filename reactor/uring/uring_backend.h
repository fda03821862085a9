// The real Backend: one io_uring per core. submit() fills entries; wait() hands them to the kernel and collects what is
// done in one system call, or none when there is nothing to say. Few things are ordinary calls: what does not block and
// is rare (listen, shutdown, flock on open, an address when asked for), and what the ring does not offer
// (helper_thread.h, resolver.h). Everything but wake() is called by the thread that made it.
//
// kCancel completes with 0 if its target was under way, with kNotFound if not. kClose: no other operation of the file
// may be under way.
#pragma once
#include <array>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "reactor/backend.h"
#include "reactor/uring/file_table.h"
#include "reactor/uring/helper_thread.h"
#include "reactor/uring/log_sink.h"
#include "reactor/uring/receive_buffers.h"
#include "reactor/uring/resolver.h"
#include "reactor/uring/ring.h"
#include "reactor/uring/wake_board.h"

namespace posthaste::reactor::uring {

struct UringOptions {
  RingOptions ring;
  uint32_t receive_buffers = 256;  // a power of two; per core, for kReceiveSelect
  uint32_t receive_buffer_bytes = 4096;
  uint32_t fixed_files = 1024;  // files of direct I/O that get a fixed slot; per core
  // Registers what allocate_memory() hands out with the kernel: saves the look-up of pages in each read and write, but
  // takes all of the memory at once. Needs locked memory for it (root, or ulimit -l); without, it logs that and
  // continues.
  bool register_memory = false;
  bool pin_threads = true;  // each core's thread to one processor; without, the kernel moves them (used by Host)
  LogSink* log = nullptr;   // none: lines are discarded
};

// Counters since the start; read by the owning core.
struct UringStats {
  uint64_t operations = 0;
  uint64_t continued = 0;         // further entries for operations that the kernel did in part
  uint64_t starved_receives = 0;  // kReceiveSelect that had to wait for a buffer
  uint64_t helper_operations = 0;
  uint64_t worker_operations = 0;  // kinds that the kernel always hands to its worker threads (create, fsync, ...)
  uint64_t plain_calls = 0;        // system calls besides io_uring_enter
  uint64_t wakes_by_ring = 0;
  uint64_t wakes_by_event = 0;
  uint64_t wakes_received = 0;
  RingStats ring;
};

class UringBackend final : public Backend {
 public:
  // `wakes` outlives it. The error is a sentence for the operator: io_uring missing or forbidden (names the sysctl),
  // kernel too old, limits too small.
  static std::expected<std::unique_ptr<UringBackend>, std::string> create(CoreId core, WakeBoard& wakes,
                                                                          const UringOptions& options);
  // Cancels what is under way (no completion is reported) and closes what is open.
  ~UringBackend() override;

  Profile profile() const { return ring_->profile(); }
  UringStats stats() const;

  void submit(std::span<Op* const> operations) override;
  void wait(Instant deadline) override;
  void wake(CoreId core) override;
  Instant now() override;
  WallMillis wall_now() override;
  uint64_t random() override;
  Result<std::span<std::byte>> allocate_memory(size_t bytes) override;
  void prepare_memory(std::span<std::byte> memory) override;
  void recycle(Slice selected) override;
  int detach(FileId socket) override;
  Result<FileId> adopt(int detached) override;
  std::string local_address(FileId socket) override;
  void log(LogLevel level, std::string_view line) override;

 private:
  // user_data of entries that are no operation's; operations use their address.
  enum Tag : uint64_t { kTagIgnored = 0, kTagWakeEvent = 1, kTagWakeMessage = 2, kTagMessageFailed = 256 };
  struct Mapping {
    std::byte* data;
    size_t bytes;
    bool registered;
  };

  UringBackend(CoreId core, WakeBoard& wakes, const UringOptions& options);

  // uring_backend.cc: the way of any operation.
  void start(Op& op);
  void issue(Op& op);
  void finish(Op& op);
  void finish_with(Op& op, int64_t result);
  void fail(Op& op, Errc error);
  void arm_wake_event();
  void handle(const Ring::Completion& completion);
  void handle_operation(Op& op, int32_t result, uint32_t flags);
  void collect_helper();
  void deliver_done();
  void drain();
  void register_mapping(Mapping& mapping);

  // uring_operations.cc: the kinds.
  void fill_entry(Op& op, io_uring_sqe& entry);
  void fill_file_io(Op& op, io_uring_sqe& entry);
  void fill_receive(Op& op, io_uring_sqe& entry);
  void fill_send(Op& op, io_uring_sqe& entry);
  bool start_at_once(Op& op);
  void start_cancel(Op& op);
  void listen(Op& op);
  void resolve(Op& op);
  void shutdown(Op& op);
  bool prepare_connect(Op& op);
  bool finish_step(Op& op, int32_t result, uint32_t flags);
  bool finish_transfer(Op& op, int32_t result);
  void finish_open(Op& op, int fd);
  void finish_accept(Op& op, int fd);
  void finish_connect(Op& op, int32_t result);
  void finish_select(Op& op, int32_t result, uint32_t flags);
  void target_file(io_uring_sqe& entry, FileId id);
  bool misaligned(const Op& op);

  CoreId core_;
  WakeBoard& wakes_;
  UringOptions options_;
  pthread_t owner_;
  std::unique_ptr<ReceiveBuffers> receive_buffers_;  // outlive the ring that writes to them
  std::vector<Mapping> mappings_;                    // likewise
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<FileTable> files_;
  HelperThread helper_;
  Resolver resolver_;
  IntrusiveList<Op> in_flight_;  // the kernel has them, or will at the next wait()
  IntrusiveList<Op> backlog_;    // the ring was full
  IntrusiveList<Op> starved_;    // kReceiveSelect without a buffer
  IntrusiveList<Op> done_;       // to be delivered
  uint64_t wake_event_value_ = 0;
  bool wake_armed_ = false;
  bool poked_ = false;  // wake() of the own core
  bool closing_ = false;
  UringStats stats_;
  std::array<uint64_t, 64> random_pool_{};
  size_t random_used_ = 64;
};

}  // namespace posthaste::reactor::uring
